#include <simclr/core/error.h>
#include <simclr/core/file.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace simclr {
namespace {

/// Makes a new file beside `path`, with the permissions that the user's umask gives.
int open_temporary(const std::filesystem::path& path, std::filesystem::path& temporary) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {  // a crashed process may have left the same name
    temporary = path;
    temporary += ".tmp." + std::to_string(getpid()) + "." + std::to_string(counter++);
    const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

}  // namespace

void AtomicFile::fail_with_errno(const char* doing) const {
  const int error = errno;
  const char* remedy = "";
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) remedy = "; make room or choose another folder";
  if (error == ENOENT || error == ENOTDIR) remedy = "; make the folder first";
  if (error == EACCES || error == EROFS) remedy = "; choose a folder that you may write to";
  fail("write ", path_.string(), ": ", doing, ": ", std::generic_category().message(error), remedy);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  SIMCLR_CHECK(path_.has_filename(), "write: '", path_.string(), "' names no file");
  std::error_code ignored;
  const auto status = std::filesystem::status(path_, ignored);
  SIMCLR_CHECK(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status), "write ", path_.string(),
               ": it exists and is not a regular file; choose another name");
  file_ = open_temporary(path_, temporary_);
  if (file_ < 0) {
    temporary_.clear();
    fail_with_errno("cannot make a file there");
  }
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  SIMCLR_CHECK(file_ >= 0, "write ", path_.string(), ": the file is already committed");
  constexpr std::size_t most = std::size_t{1} << 30;  // the system writes at most 2 GiB a call
  const auto* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(file_, next, std::min(bytes, most));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_with_errno("writing failed");
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  SIMCLR_CHECK(file_ >= 0, "write ", path_.string(), ": the file is already committed");
  if (fsync(file_) != 0) fail_with_errno("flushing to disk failed");
  if (close(std::exchange(file_, -1)) != 0) fail_with_errno("closing failed");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno("renaming failed");
  temporary_.clear();

  // The new name itself must reach the disk. Some network file systems cannot flush a folder: EINVAL.
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) fail_with_errno("written, but its folder cannot be opened to flush it");
  const int result = fsync(directory);
  const int error = errno;
  close(directory);
  errno = error;
  if (result != 0 && error != EINVAL) fail_with_errno("written, but flushing its folder failed");
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace simclr
