#include <simclr/core/error.h>
#include <simclr/core/file.h>
#include <simclr/core/posix.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

namespace simclr {
namespace {

/// Whether `file` could be locked, so that nobody else writes it, and is still what stands at `path`.
bool own(int file, const std::filesystem::path& path) {
  struct stat held {};
  struct stat there {};
  return (flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && fstat(file, &held) == 0 &&
         lstat(path.c_str(), &there) == 0 && held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

/// Removes the file that a killed process left. Its lock died with it.
bool remove_stale(const std::filesystem::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return errno == ENOENT;
  const bool removed = flock(file, LOCK_EX | LOCK_NB) == 0 && own(file, path) && unlink(path.c_str()) == 0;
  close(file);
  return removed;
}

/// Makes a new file beside `path`, with the permissions that the user's umask gives, and locks it. The first name is
/// always the same, so that a killed process's file is found and does not stay.
int open_temporary(const std::filesystem::path& path, std::filesystem::path& temporary) {
  int number = 0;
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary = path;
    temporary += ".simclr-tmp" + (number > 0 ? std::to_string(number) : "");
    const int file =
        posix::uninterrupted([&] { return open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
    if (file >= 0) {
      if (own(file, temporary)) return file;
      close(file);  // somebody took it for a stale one
    } else if (errno != EEXIST) {
      return -1;
    } else if (!remove_stale(temporary)) {
      ++number;
    }
  }
  errno = EEXIST;
  return -1;
}

/// Renames where nothing has the new name; else -1, with EEXIST.
int rename_to_new(const char* from, const char* to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  // A file system that cannot, as NFS: a second name for the file, which is given in one step, too.
  if (link(from, to) == 0) return unlink(from), 0;
  if (errno == EEXIST) return -1;
  // One that has no second names either, as FAT: an empty file, which only one process can make, claims the name.
  const int claim = posix::uninterrupted([&] { return open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  if (claim < 0) return -1;
  close(claim);
  return rename(from, to);
}

[[noreturn]] void fail_existing(const std::filesystem::path& path) {
  fail<FileExists>("write ", path.string(), ": it exists already, and is kept; choose another name");
}

}  // namespace

const char* posix::flush_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const int directory = uninterrupted([&] { return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (directory < 0) return "written, but its folder cannot be opened to flush it";
  const int result = uninterrupted([&] { return fsync(directory); });
  const int error = errno;
  close(directory);
  errno = error;
  // Some network file systems cannot flush a folder: EINVAL.
  return result != 0 && error != EINVAL ? "written, but flushing its folder failed" : nullptr;
}

void AtomicFile::fail_with_errno(const char* doing) const {
  const int error = errno;
  const char* remedy = "";
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) remedy = "; make room or choose another folder";
  if (error == ENOENT || error == ENOTDIR) remedy = "; make the folder first";
  if (error == EEXIST) remedy = "; remove the files *.simclr-tmp* there";
  if (error == EACCES || error == EROFS) remedy = "; choose a folder that you may write to";
  fail("write ", path_.string(), ": ", doing, ": ", std::generic_category().message(error), remedy);
}

AtomicFile::AtomicFile(std::filesystem::path path, Existing existing) : path_(std::move(path)), existing_(existing) {
  SIMCLR_CHECK(path_.has_filename(), "write: '", path_.string(), "' names no file");
  std::error_code ignored;
  const auto status = std::filesystem::status(path_, ignored);
  SIMCLR_CHECK(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status), "write ", path_.string(),
               ": it exists and is not a regular file; choose another name");
  if (existing_ == Existing::keep && std::filesystem::exists(std::filesystem::symlink_status(path_, ignored))) {
    fail_existing(path_);
  }
  file_ = open_temporary(path_, temporary_);
  if (file_ < 0) {
    temporary_.clear();
    fail_with_errno("cannot make a file there");
  }
  // Another descriptor of the same open file: it holds the lock when file_ is closed, before the file is renamed.
  lock_ = fcntl(file_, F_DUPFD_CLOEXEC, 0);
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());  // while it is locked: later the name may be another's
  if (file_ >= 0) close(file_);
  if (lock_ >= 0) close(lock_);
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  SIMCLR_CHECK(file_ >= 0, "write ", path_.string(), ": the file is already committed");
  const auto* begin = static_cast<const char*>(data);
  const int error =
      posix::transfer(bytes, [&](std::size_t done, std::size_t count) { return ::write(file_, begin + done, count); });
  if (error != 0) fail_with_errno("writing failed");
}

void AtomicFile::commit() {
  SIMCLR_CHECK(file_ >= 0, "write ", path_.string(), ": the file is already committed");
  if (posix::uninterrupted([&] { return fsync(file_); }) != 0) fail_with_errno("flushing to disk failed");
  // Linux closes an interrupted descriptor all the same.
  if (close(std::exchange(file_, -1)) != 0 && errno != EINTR) fail_with_errno("closing failed");
  const auto give_name = existing_ == Existing::keep ? rename_to_new : rename;
  if (give_name(temporary_.c_str(), path_.c_str()) != 0) {
    if (existing_ == Existing::keep && errno == EEXIST) fail_existing(path_);
    fail_with_errno("renaming failed");
  }
  temporary_.clear();

  if (const char* problem = posix::flush_folder_of(path_)) fail_with_errno(problem);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, Existing existing) {
  AtomicFile file(path, existing);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace simclr
