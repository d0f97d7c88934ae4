#include <simclr/data/free_memory.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t unknown = -1;

/// The number after `key` in a file of lines "key number".
std::int64_t entry(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  std::string word, rest;
  std::int64_t value = unknown;
  while (file >> word) {
    if (word == key) return file >> value ? value : unknown;
    std::getline(file, rest);
  }
  return unknown;
}

/// The only number of a file; unknown for "max".
std::int64_t number(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t value = unknown;
  return file >> value ? value : unknown;
}

/// What a control group (version 2) and those above it still allow.
std::int64_t allowed(const fs::path& root) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::ifstream file(root / "proc/self/cgroup");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("0::/")) {
  }
  if (!line.starts_with("0::/")) return least;
  const fs::path top = root / "sys/fs/cgroup";
  for (fs::path group = (top / line.substr(4)).lexically_normal();; group = group.parent_path()) {
    const std::int64_t most = number(group / "memory.max"), used = number(group / "memory.current");
    if (most != unknown && used != unknown) {
      // Cached files give way.
      const std::int64_t cached = std::max<std::int64_t>(entry(group / "memory.stat", "inactive_file"), 0) +
                                  std::max<std::int64_t>(entry(group / "memory.stat", "active_file"), 0);
      least = std::min(least, std::max<std::int64_t>(most - used + cached, 0));
    }
    if (group == top || !group.has_relative_path()) return least;
  }
}

}  // namespace

std::int64_t free_memory(const std::string& root) {
  const fs::path base = root.empty() ? "/" : root;
  const std::int64_t available = entry(base / "proc/meminfo", "MemAvailable:");  // in KiB
  if (available == unknown) return std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE) / 2;
  return std::min(available * 1024, allowed(base));
}

}  // namespace simclr::data
