#pragma once

// Private to the library: what the system's file calls leave to do.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>

namespace simclr::posix {

/// Calls again what a signal interrupted.
template <class Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// What transfer() returns where the file ended first.
inline constexpr int end_of_file = -1;

/// Reads or writes all of `bytes`: call(done, count) does so, as read() and write() do, with at most `count` of them
/// behind the `done` first. Returns 0, the errno of what failed, or end_of_file.
template <class Call>
int transfer(std::size_t bytes, const Call& call) {
  constexpr std::size_t most = std::size_t{1} << 30;  // the system moves at most 2 GiB a call
  for (std::size_t done = 0; done < bytes;) {
    const auto moved = uninterrupted([&] { return call(done, std::min(bytes - done, most)); });
    if (moved <= 0) return moved < 0 ? errno : end_of_file;
    done += static_cast<std::size_t>(moved);
  }
  return 0;
}

/// Makes sure that the names in `path`'s folder are on the disk. Returns what could not be done, with errno; null:
/// nothing.
const char* flush_folder_of(const std::filesystem::path& path);

}  // namespace simclr::posix
