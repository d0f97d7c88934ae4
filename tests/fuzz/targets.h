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
/// An .npz file, or a .npy file of one picture, of many, and of labels.
void arrays(Bytes bytes);
/// A table of text, CSV or TSV: row by row, as a list of pictures and of pairs, and as ImageNet's annotations and words
/// have it.
void table(Bytes bytes);
/// A tar file.
void shards(Bytes bytes);
/// The kept index of one, which the fuzzer's build takes whatever its digest.
void shard_index(Bytes bytes);
/// A recording: whole, its header, and a segment.
void sound(Bytes bytes);
/// Texts, a line each, as questions and in a table, their tokens and views; and a tokenizer's model.
void text(Bytes bytes);
/// A clip: a video or .npy file.
void clips(Bytes bytes);
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

/// A folder, in memory where that is possible, for what reads several files.
struct Folder {
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void write(const std::string& name, Bytes bytes) const;
  /// Makes the folder above it, too.
  void link(const std::string& name, const std::string& to) const;

  std::string path;
};

}  // namespace simclr::fuzz
