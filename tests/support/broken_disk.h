#pragma once

// A disk that fails on demand: the system calls of an atomic save, seen and broken. A kill cannot show that a flush is
// missing. Include it in one source of a program only: it defines the calls themselves.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <string>
#include <vector>

namespace simclr::test {

struct BrokenDisk {
  bool watch = false;                   // off: nothing is seen or broken
  std::vector<std::string> calls = {};  // what was called, repetitions of write left out
  int count = 0;                        // of calls of `kind`
  std::string kind = {};                // "open", "write", "fsync", "close", "rename" or "renameat2"; "flip": see below
  int failing = 0;                      // the number of the call of that kind that fails, from 1; 0: none
  bool lasting = false;                 // all later ones of the kind fail, too
  int error = 0;                        // what it fails with; EINTR only once
  std::size_t most = std::size_t(-1);   // bytes that one write takes

  void call(const std::string& name) {
    if (name != "write" || calls.empty() || calls.back() != name) calls.push_back(name);
  }
  /// Whether this call is to fail; sets errno.
  bool fails(const char* what) {
    if (kind != what || ++count < failing || failing == 0 || (count > failing && !lasting)) return false;
    errno = error;
    return true;
  }
};
inline BrokenDisk disk;

template <class Function>
Function* real_call(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

inline bool is_folder(int file) {
  struct stat status {};
  return fstat(file, &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace simclr::test

extern "C" {

int open(const char* path, int flags, ...) {
  using simclr::test::disk;
  static auto* const next = simclr::test::real_call<int(const char*, int, ...)>("open");
  std::va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (disk.watch) {
    disk.call(flags & O_DIRECTORY ? "open folder" : "open");
    if (disk.fails("open")) return -1;
  }
  return next(path, flags, mode);
}

ssize_t write(int file, const void* data, size_t bytes) {
  using simclr::test::disk;
  static auto* const next = simclr::test::real_call<ssize_t(int, const void*, size_t)>("write");
  if (!disk.watch) return next(file, data, bytes);
  if (disk.fails("write")) return -1;
  disk.call("write");
  if (disk.fails("flip") && bytes > 0) {  // one bit of it reaches the disk changed, and nobody is told
    std::string changed(static_cast<const char*>(data), bytes);
    changed.back() = static_cast<char>(changed.back() ^ 1);
    return next(file, changed.data(), bytes);
  }
  return next(file, data, bytes < disk.most ? bytes : disk.most);
}

int fsync(int file) {
  using simclr::test::disk;
  static auto* const next = simclr::test::real_call<int(int)>("fsync");
  if (disk.watch) {
    disk.call(simclr::test::is_folder(file) ? "fsync folder" : "fsync");
    if (disk.fails("fsync")) return -1;
  }
  return next(file);
}

int close(int file) {
  using simclr::test::disk;
  static auto* const next = simclr::test::real_call<int(int)>("close");
  if (!disk.watch) return next(file);
  disk.call(simclr::test::is_folder(file) ? "close folder" : "close");
  const int result = next(file);  // a failing close closes nevertheless
  return disk.fails("close") ? -1 : result;
}

int rename(const char* from, const char* to) {
  using simclr::test::disk;
  static auto* const next = simclr::test::real_call<int(const char*, const char*)>("rename");
  if (disk.watch) {
    disk.call("rename");
    if (disk.fails("rename")) return -1;
  }
  return next(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  using simclr::test::disk;
  static auto* const next = simclr::test::real_call<int(int, const char*, int, const char*, unsigned)>("renameat2");
  if (disk.watch) {
    disk.call("renameat2");
    if (disk.fails("renameat2")) return -1;
  }
  return next(from_folder, from, to_folder, to, flags);
}
}
