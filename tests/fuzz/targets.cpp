#include "targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace simclr::fuzz {

void finding(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

MemoryFile::MemoryFile() : file_(memfd_create("fuzz", MFD_CLOEXEC)) {
  if (file_ < 0) finding("no memory file");
}

MemoryFile::~MemoryFile() {
  close(file_);
}

void MemoryFile::write(Bytes bytes) const {
  if (ftruncate(file_, 0) != 0 || pwrite(file_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    finding("the memory file cannot be written");
  }
}

Folder::Folder()
    : path(std::filesystem::is_directory("/dev/shm") ? "/dev/shm/simclr-fuzz-XXXXXX" : "/tmp/simclr-fuzz-XXXXXX") {
  if (mkdtemp(path.data()) == nullptr) finding("no folder");
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

void Folder::write(const std::string& name, Bytes bytes) const {
  std::ofstream file(path + "/" + name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void Folder::link(const std::string& name, const std::string& to) const {
  const std::filesystem::path from = std::filesystem::path(path) / name;
  std::filesystem::create_directories(from.parent_path());
  std::filesystem::create_symlink(to, from);
}

}  // namespace simclr::fuzz
