#pragma once

// Private: files, for the readers of this folder.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace simclr::data {

/// A regular file that stays open.
class OpenFile {
 public:
  /// Throws Error, opened by `who`, where there is no regular file at `path`, or it cannot be opened.
  OpenFile(std::string path, const char* who);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }          // when it was opened
  std::int64_t modified() const { return modified_; }  // likewise: nanoseconds since 1970

  /// Fills `bytes` from `offset` on; several threads may read at once. Returns what went wrong, or nothing.
  std::string read(std::int64_t offset, std::span<std::uint8_t> bytes) const;
  /// Whether it has another size or time of change than when it was opened.
  bool changed() const;

 private:
  std::string path_;
  int number_;
  std::int64_t size_ = 0, modified_ = 0;
};

/// The bytes of a regular file. Throws Error, opened by `who`, when it is missing, unreadable or longer than
/// `max_bytes`.
std::vector<std::uint8_t> read_file(const std::string& path, const char* who, std::int64_t max_bytes);

/// ": No such file or directory", or nothing where the system gave no reason.
std::string system_reason(int error_number);

}  // namespace simclr::data
