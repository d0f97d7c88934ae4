#include "targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

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

}  // namespace simclr::fuzz
