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

/// The files that say what one version of control groups allows.
struct Version {
  const char *most, *used, *inactive, *active;  // files, and entries of memory.stat
};
constexpr Version version_1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                               "total_active_file"};
constexpr Version version_2 = {"memory.max", "memory.current", "inactive_file", "active_file"};

/// What the group at `path` below `top` and those above it still allow. Groups that are not there are passed over: in a
/// container the path may be the host's, and only the container's own group is mounted, at `top`.
std::int64_t allowed(const Version& version, const fs::path& top, const std::string& path) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (fs::path group = (top / fs::path(path).relative_path()).lexically_normal();; group = group.parent_path()) {
    const std::int64_t most = number(group / version.most), used = number(group / version.used);
    if (most != unknown && used != unknown) {
      // Cached files give way.
      const std::int64_t cached = std::max<std::int64_t>(entry(group / "memory.stat", version.inactive), 0) +
                                  std::max<std::int64_t>(entry(group / "memory.stat", version.active), 0);
      least = std::min(least, std::max<std::int64_t>(most - std::max<std::int64_t>(used - cached, 0), 0));
    }
    if (group == top || !group.has_relative_path()) return least;
  }
}

/// What the process's control groups still allow. Lines of /proc/self/cgroup are "number:controllers:path"; version 2
/// names no controller, and a system may have both versions.
std::int64_t allowed(const fs::path& root) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    const fs::path groups = root / "sys/fs/cgroup";
    if (controllers == ",,") least = std::min(least, allowed(version_2, groups, path));
    if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, allowed(version_1, groups / "memory", path));
    }
  }
  return least;
}

}  // namespace

std::int64_t free_memory(const std::string& root) {
  const fs::path base = root.empty() ? "/" : root;
  const std::int64_t available = entry(base / "proc/meminfo", "MemAvailable:");  // in KiB
  if (available == unknown) return std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE) / 2;
  return std::min(available * 1024, allowed(base));
}

}  // namespace simclr::data
