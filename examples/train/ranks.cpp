#include "train/ranks.h"

#include "run/command_line.h"
#include "run/progress.h"
#include "run/stop_request.h"
#include "train/shared_work.h"
#include "train/training_config.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <string_view>

using simclr::Tensor;
using simclr::World;

namespace {

/// What may differ between the machines of a run.
constexpr std::array own_affairs = {"threads", "workers", "data", "cache_dir", "cache_gb"};

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

double greatest_of_ranks(World& world, double own) {
  if (world.size() == 1) return own;
  const auto all = world.all_gather(Tensor::from(std::vector<double>{own}, {1})).to_vector<double>();
  return *std::max_element(all.begin(), all.end());
}

int greatest_of_ranks(World& world, int own) {
  return static_cast<int>(greatest_of_ranks(world, static_cast<double>(own)));
}

std::int64_t count_of_ranks(World& world, const std::vector<std::int64_t>& own) {
  const std::vector<std::int64_t> all = gather_values(&world, own);
  return std::ssize(std::set<std::int64_t>(all.begin(), all.end()));
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

void require_same_run(const Training& t) {
  if (t.world->size() == 1) return;
  nlohmann::ordered_json config = to_json(t.options, *t.modality);
  for (const char* key : own_affairs) config.erase(key);
  const nlohmann::ordered_json data = {
      {"samples", t.sets.train->size()}, {"labels", t.labels}, {"within", t.sets.within}};
  try {
    simclr::require_same(*t.world, "version", SIMCLR_VERSION);
    simclr::require_same(*t.world, "options", config.dump(2));
    simclr::require_same(*t.world, "data", data.dump(2));
  } catch (const simclr::Error& error) {  // on all ranks alike
    throw CommonError(error.what());
  }
}

void on_first_rank(const Training& t, const std::function<void()>& work, std::chrono::milliseconds limit) {
  World& world = *t.world;
  if (world.size() == 1) return work();
  const std::chrono::milliseconds usual = std::chrono::seconds(t.options.world_timeout);
  world.set_timeout(world.rank() == 0 ? usual : limit);  // rank 0 finds the others waiting
  bool stopped = false;
  try {
    if (world.rank() == 0) work();
  } catch (const Stopped&) {
    stopped = true;
  }
  stopped = greatest_of_ranks(world, stopped ? 1 : 0) != 0;
  world.set_timeout(usual);
  if (stopped) throw Stopped{};
}

void on_all_ranks(const Training& t, const std::function<void()>& work) {
  t.world->set_timeout(patience);
  work();
  t.world->set_timeout(std::chrono::seconds(t.options.world_timeout));
}

std::chrono::milliseconds saving_limit(const Training& t) {
  return 10 * std::chrono::seconds(t.options.world_timeout);
}
