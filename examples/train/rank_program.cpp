#include "train/rank_program.h"

#include "run/command_line.h"
#include "run/progress.h"
#include "train/shared_work.h"

#include <simclr/simclr.h>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

using simclr::World;

namespace {

/// This machine's name, a space, and of each of its processors whether this process may run on it, as 0 or 1.
std::string processors() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::string text = std::string(host.data()) + " ";
  for (std::size_t i = 0; i < CPU_SETSIZE; ++i) text += CPU_ISSET(i, &set) ? '1' : '0';
  return text;
}

}  // namespace

int run_ranks(const char* name, const std::function<std::optional<Start>()>& parse,
              const std::function<int(const std::shared_ptr<World>&)>& work) {
  int code = 0;
  const int failed = run_program(name, [&] {
    std::optional<Start> start = Start{};
    simclr::Device device;
    std::string problem;
    try {
      start = parse();
      if (start) device = device_of(start->device);
    } catch (const simclr::Error& error) {
      problem = error.what();
    }
    if (!start) return;
    const std::shared_ptr<World> world = simclr::make_world(device, start->timeout);
    world->set_timeout(patience);  // until all have opened their data
    try {
      together(world.get(), [&] { SIMCLR_CHECK(problem.empty(), problem); });
      // Every program begins with these two; what they exchange then another one would take for something else.
      require_alike(*world, "program", std::string(name) + " " SIMCLR_VERSION + start->what);
      if (world->rank() > 0) {
        SIMCLR_CHECK(std::freopen("/dev/null", "w", stdout) != nullptr, "/dev/null: cannot be opened");
      }
      code = work(world);
    } catch (const CommonError& error) {
      std::fflush(stdout);
      if (world->rank() == 0) std::fprintf(stderr, "%s: %s\n", name, error.what());
      simclr::gather_texts(*world, "");  // an engine ends all where one leaves, before it has spoken
      code = 1;
    }
    std::fflush(stdout);  // the engine may end all when the first rank has left with another code than 0
  });
  return code != 0 ? code : failed;  // of a stop, where the output is lost, too
}

void set_threads_of_rank(World& world, int asked, const std::function<void(const std::string&)>& on_warning) {
  if (asked > 0) simclr::set_threads(asked);
  if (world.size() == 1) return;
  const std::string own = processors(), host = own.substr(0, own.find(' '));
  std::string of_all = own;
  int ranks = 0;  // on this machine
  for (const std::string& other : simclr::gather_texts(world, own)) {
    if (other.substr(0, other.find(' ')) != host) continue;
    ++ranks;
    for (std::size_t i = host.size(); i < of_all.size(); ++i) of_all[i] = std::max(of_all[i], other[i]);
  }
  const auto count = static_cast<int>(std::count(of_all.begin() + std::ssize(host), of_all.end(), '1'));
  if (asked == 0) simclr::set_threads(std::clamp(count / ranks, 1, simclr::threads()));
  if (world.rank() != 0 || ranks * simclr::threads() <= count) return;
  on_warning(std::to_string(ranks) + " ranks of " + counted(simclr::threads(), "thread") + " on " +
             counted(count, "processor") + " take turns, which is slow: start fewer ranks, or lower --threads");
}
