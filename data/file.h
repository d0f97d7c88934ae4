#pragma once

// Private: files, for the readers of this folder.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace simclr::data {

/// By what a file is known again without reading it. Whatever takes its place, or writes into it, gives another one,
/// though the size and the time of its bytes be the same: as `cp -p`, `mv` and `touch -r` have it.
struct FileState {
  std::int64_t bytes = 0;
  std::int64_t modified = 0, changed = 0;  // its bytes, and anything about it: nanoseconds since 1970
  std::uint64_t number = 0;                // the inode's

  bool operator==(const FileState&) const = default;
};

/// A regular file that stays open.
class OpenFile {
 public:
  /// Throws Error, opened by `who`, where there is no regular file at `path`, or it cannot be opened.
  OpenFile(std::string path, const char* who);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const std::string& path() const { return path_; }
  const FileState& state() const { return state_; }  // when it was opened
  std::int64_t size() const { return state_.bytes; }

  /// Fills `bytes` from `offset` on; several threads may read at once. Returns what went wrong, or nothing.
  std::string read(std::int64_t offset, std::span<std::uint8_t> bytes) const;
  /// Whether its bytes have another size or time than when it was opened. It may have lost its name since.
  bool changed() const;

 private:
  std::string path_;
  int number_;
  FileState state_;
};

/// The bytes of a regular file. Throws Error, opened by `who`, when it is missing, unreadable or longer than
/// `max_bytes`.
std::vector<std::uint8_t> read_file(const std::string& path, const char* who, std::int64_t max_bytes);

/// A file's bytes, wherever they lie.
struct FileBytes {
  std::string name;  // for messages
  std::int64_t size = 0;
  std::function<std::string(std::int64_t offset, std::span<std::uint8_t> out)> read;  // returns what went wrong
};

/// The file stays open as long as they are kept.
FileBytes bytes_of(std::shared_ptr<const OpenFile> file);
/// `bytes` outlive them.
FileBytes bytes_of(std::span<const std::uint8_t> bytes, const std::string& name);
/// The first bytes, in `room`: fewer where the file is shorter. Throws Error for an empty file, and opened by `who`
/// where they cannot be read.
std::span<const std::uint8_t> start_of(const FileBytes& bytes, std::span<std::uint8_t> room, const char* who);

/// ": No such file or directory", or nothing where the system gave no reason.
std::string system_reason(int error_number);

}  // namespace simclr::data
