#include "file.h"

#include <simclr/core/error.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace simclr::data {
namespace {

struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

// O_NONBLOCK: a named pipe in a folder of pictures must not hang the reader.
std::int64_t open_regular(const std::string& path, const char* who, Descriptor& file) {
  file.number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  SIMCLR_CHECK(file.number >= 0, who, ": cannot open ", path, system_reason(errno));
  struct stat status {};
  SIMCLR_CHECK(::fstat(file.number, &status) == 0, who, ": cannot open ", path, system_reason(errno));
  SIMCLR_CHECK(S_ISREG(status.st_mode), who, ": ", path, " is not a regular file");
  return static_cast<std::int64_t>(status.st_size);
}

void read_at(const Descriptor& file, const std::string& path, const char* who, std::int64_t offset,
             std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(file.number, bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    SIMCLR_CHECK(got >= 0, who, ": cannot read ", path, system_reason(errno));
    SIMCLR_CHECK(got > 0, who, ": ", path, " became shorter while it was read");
    done += static_cast<std::size_t>(got);
  }
}

}  // namespace

std::string system_reason(int error_number) {
  return error_number == 0 ? "" : ": " + std::generic_category().message(error_number);
}

std::int64_t file_size(const std::string& path, const char* who) {
  Descriptor file;
  return open_regular(path, who, file);
}

std::vector<std::uint8_t> read_file(const std::string& path, const char* who, std::int64_t max_bytes) {
  Descriptor file;
  const std::int64_t size = open_regular(path, who, file);
  SIMCLR_CHECK(size <= max_bytes, who, ": ", path, " has ", size, " bytes, more than the ", max_bytes, " expected");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  read_at(file, path, who, 0, bytes);
  return bytes;
}

void read_part(const std::string& path, const char* who, std::int64_t offset, std::span<std::uint8_t> bytes) {
  Descriptor file;
  open_regular(path, who, file);
  read_at(file, path, who, offset, bytes);
}

}  // namespace simclr::data
