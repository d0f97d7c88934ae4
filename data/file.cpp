#include "file.h"

#include <simclr/core/error.h>
#include <simclr/core/posix.h>
#include <simclr/core/text.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace simclr::data {
namespace {

std::int64_t nanoseconds(const struct timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileState state_of(const struct stat& status) {
  return {.bytes = static_cast<std::int64_t>(status.st_size),
          .modified = nanoseconds(status.st_mtim),
          .changed = nanoseconds(status.st_ctim),
          .number = static_cast<std::uint64_t>(status.st_ino)};
}

}  // namespace

std::string system_reason(int error_number) {
  return error_number == 0 ? "" : ": " + std::generic_category().message(error_number);
}

// O_NONBLOCK: a named pipe among the data must not hang the reader.
OpenFile::OpenFile(std::string path, const char* who)
    : path_(std::move(path)), number_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  SIMCLR_CHECK(number_ >= 0, who, ": cannot open ", printable(path_), system_reason(errno));
  struct stat status {};
  const int error = ::fstat(number_, &status) == 0 ? 0 : errno;
  if (error != 0 || !S_ISREG(status.st_mode)) {
    ::close(number_);  // no destructor runs behind a constructor that throws
    SIMCLR_CHECK(error == 0, who, ": cannot open ", printable(path_), system_reason(error));
    fail(who, ": ", printable(path_), " is not a regular file");
  }
  state_ = state_of(status);
}

OpenFile::~OpenFile() {
  ::close(number_);
}

std::string OpenFile::read(std::int64_t offset, std::span<std::uint8_t> bytes) const {
  const int error = posix::transfer(bytes.size(), [&](std::size_t done, std::size_t count) {
    return ::pread(number_, bytes.data() + done, count, static_cast<off_t>(offset) + static_cast<off_t>(done));
  });
  if (error == posix::end_of_file) return "it became shorter after it was opened";
  return error == 0 ? "" : std::generic_category().message(error);
}

bool OpenFile::changed() const {
  struct stat status {};
  if (::fstat(number_, &status) != 0) return true;
  const FileState now = state_of(status);
  return now.bytes != state_.bytes || now.modified != state_.modified;
}

std::vector<std::uint8_t> read_file(const std::string& path, const char* who, std::int64_t max_bytes) {
  const OpenFile file(path, who);
  SIMCLR_CHECK(file.size() <= max_bytes, who, ": ", printable(path), " has ", file.size(), " bytes, more than the ",
               max_bytes, " expected");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(file.size()));
  const std::string problem = file.read(0, bytes);
  SIMCLR_CHECK(problem.empty(), who, ": cannot read ", printable(path), ": ", problem);
  return bytes;
}

FileBytes bytes_of(std::shared_ptr<const OpenFile> file) {
  return {.name = printable(file->path()), .size = file->size(), .read = [file](std::int64_t at, auto out) {
            return file->read(at, out);
          }};
}

FileBytes bytes_of(std::span<const std::uint8_t> bytes, const std::string& name) {
  return {.name = printable(name), .size = std::ssize(bytes), .read = [bytes](std::int64_t at, auto out) {
            std::memcpy(out.data(), bytes.data() + at, out.size());
            return std::string();
          }};
}

std::span<const std::uint8_t> start_of(const FileBytes& bytes, std::span<std::uint8_t> room, const char* who) {
  SIMCLR_CHECK(bytes.size > 0, bytes.name, ": the file is empty");
  const std::span<std::uint8_t> start = room.first(std::min(room.size(), static_cast<std::size_t>(bytes.size)));
  const std::string problem = bytes.read(0, start);
  SIMCLR_CHECK(problem.empty(), who, ": cannot read ", bytes.name, ": ", problem);
  return start;
}

}  // namespace simclr::data
