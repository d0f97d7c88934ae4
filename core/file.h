#pragma once

#include <simclr/core/error.h>
#include <simclr/core/export.h>

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace simclr {

/// What becomes of a file that has the name already: commit() replaces it, or throws FileExists and leaves it alone,
/// even where it appeared a moment ago.
enum class Existing { replace, keep };

/// The name is another file's, which is to be kept.
class SIMCLR_API FileExists : public Error {
 public:
  using Error::Error;
};

/// A file that appears under its name only when it is whole: it is written to a temporary file in the same folder,
/// NAME.simclr-tmp, which commit() flushes to disk and renames. Whatever fails before the rename, a file that was there
/// before stays as it was. What a killed process leaves, the next AtomicFile for the same name removes; several may
/// write the same name at once, and the last commit() counts, or the first with Existing::keep.
class SIMCLR_API AtomicFile {
 public:
  /// Opens the temporary file. Throws Error where the folder is missing or not writable, and where `path` is
  /// something else than a regular file, FileExists where it exists and is to be kept. A symbolic link at `path` will
  /// be replaced, not followed.
  explicit AtomicFile(std::filesystem::path path, Existing existing = Existing::replace);
  /// Removes the temporary file unless commit() has succeeded.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error when the disk is full.
  void write(const void* data, std::size_t bytes);
  /// Flushes, renames, and flushes the folder. Throws Error when any of it fails, FileExists where another file has
  /// taken the name.
  void commit();

 private:
  [[noreturn]] void fail_with_errno(const char* doing) const;

  std::filesystem::path path_;
  Existing existing_;
  std::filesystem::path temporary_;  // empty once it has its final name
  int file_ = -1, lock_ = -1;
};

/// Makes `bytes` the file `path`, wholly or not at all. Errors as AtomicFile's.
SIMCLR_API void write_file_atomically(const std::filesystem::path& path, std::string_view bytes,
                                      Existing existing = Existing::replace);

}  // namespace simclr
