#include "host_files.h"

#include "file.h"

#include <simclr/core/error.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <filesystem>
#include <sstream>
#include <system_error>

namespace simclr::data {
namespace {

/// Each file's place in /proc and what it leads to there, behind each a zero.
std::string links_to(const std::vector<int>& files) {
  std::string links;
  for (const int file : files) {
    const std::string link = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file);
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(link, error).string();
    SIMCLR_CHECK(!error, "cannot read ", link, ": ", error.message());
    links += link + '\0' + target + '\0';
  }
  return links;
}

/// What links_to() another process's files says, opened; nothing where its numbers are not of this host, or of
/// containers that do not see each other's processes: there they lead nowhere, or elsewhere.
std::vector<Descriptor> open_links(const std::string& links) {
  std::vector<Descriptor> files;
  std::istringstream lines(links);
  std::string link, target;
  while (std::getline(lines, link, '\0') && std::getline(lines, target, '\0')) {
    std::error_code error;
    if (std::filesystem::read_symlink(link, error).string() != target || error) return {};
    files.emplace_back(::open(link.c_str(), O_RDWR | O_CLOEXEC));
    SIMCLR_CHECK(files.back().is_open(), "cannot open ", link, system_reason(errno));
  }
  return files;
}

/// Returns the message of what `work` throws; empty: nothing.
std::string problem_in(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {  // of random_device, too
    return error.what();
  }
  return "";
}

}  // namespace

Descriptor::~Descriptor() {
  if (is_open()) ::close(number_);
}

std::string open_on_host(World& world, const std::function<std::vector<int>()>& make,
                         const std::function<void(std::vector<Descriptor>)>& use) {
  std::string own;
  std::string problem = problem_in([&] {
    if (world.local_rank() == 0 && world.local_size() > 1) own = links_to(make());
  });
  const std::vector<std::string> all = gather_texts(world, own);
  if (world.local_rank() > 0) {
    problem = problem_in([&] {
      std::vector<Descriptor> files;
      for (auto links = all.begin(); files.empty() && links != all.end(); ++links) files = open_links(*links);
      SIMCLR_CHECK(!files.empty(), "finds nothing in /proc that the first rank of its host has opened for it");
      use(std::move(files));
    });
  }
  const std::vector<std::string> problems = gather_texts(world, problem);  // when all have opened what stays open
  for (std::size_t rank = 0; rank < problems.size(); ++rank) {
    if (!problems[rank].empty()) return "rank " + std::to_string(rank) + ": " + problems[rank];
  }
  return "";
}

}  // namespace simclr::data
