#pragma once

#include <simclr/core/error.h>

#include <cstdint>
#include <span>
#include <string>

/// What the fuzzer calls with bytes of its own making, and the test of the corpus with every file of it. A target
/// throws nothing: it reads the bytes as a file of its kind, which must succeed or be an Error of one line.
namespace simclr::fuzz {

using Bytes = std::span<const std::uint8_t>;

void safetensors(Bytes bytes);
/// The first byte says which set and what else there is: see fuzz_cifar.cpp.
void cifar(Bytes bytes);
/// Two bytes say how long the labels' file is, which follows; the rest is the pictures' file.
void idx(Bytes bytes);
void images(Bytes bytes);
/// The text of a config.json, as examples/train_cifar reads it.
void config(Bytes bytes);

/// Ends the program, which the fuzzer takes for a finding.
[[noreturn]] void finding(const std::string& what);

/// Calls `read`; false where it throws an Error, whose message goes to `message`.
template <class Read>
bool succeeds(const Read& read, std::string& message) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    message = error.what();
    if (message.empty() || message.find('\n') != std::string::npos) finding("an error is not one line: " + message);
    return false;
  }
}

/// A file in memory, for what reads by path.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  void write(Bytes bytes) const;
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

}  // namespace simclr::fuzz
