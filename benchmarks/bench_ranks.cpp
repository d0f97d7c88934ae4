// Times a training step of the ranks that mpirun has started, or of one process, and what of it is communication; and
// what a rank that waits for another costs. With --count it counts what ranks send in a step, and says how long that
// takes by a link's bandwidth and latency.
#include "common.h"
#include "recipes/picture_recipes.h"

#include <simclr/core/parallel.h>
#include <simclr/core/world.h>
#include <simclr/simclr.h>

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace nn = simclr::nn;
using simclr::Tensor;
using simclr::World;
using Clock = std::chrono::steady_clock;

namespace {

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Of all threads of this process.
double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// A world whose sums are counted: what a rank sends for them, and what it would in a ring.
class WatchedWorld final : public World {
 public:
  explicit WatchedWorld(World& inner)
      : World({inner.rank(), inner.size(), inner.local_rank(), inner.local_size()}), inner_(inner) {}

  simclr::Traffic traffic() const override { return inner_.traffic(); }

  double ring_bytes = 0;       // the least that a rank sends for its sums over all ranks
  std::int64_t sum_bytes = 0;  // what it sends for them
  std::int64_t scattered = 0;  // reduce-scatters: gradients of a gather

 private:
  void all_reduce_checked(Tensor& x) override {
    const std::int64_t before = traffic().bytes;
    inner_.all_reduce(x);
    sum_bytes += traffic().bytes - before;
    ring_bytes += 2.0 * (size() - 1) / size() * static_cast<double>(x.bytes());
  }
  void all_gather_checked(const Tensor& x, Tensor& all) override { all = inner_.all_gather(x); }
  void reduce_scatter_checked(const Tensor& all, Tensor& x) override {
    ++scattered;
    x = inner_.reduce_scatter(all);
  }
  void broadcast_checked(Tensor& x, int from) override { inner_.broadcast(x, from); }

  World& inner_;
};

/// A recipe's model, and this rank's views.
struct Training {
  WatchedWorld world;
  nn::SimCLR model;
  nn::Sgd optimizer;
  simclr::Input views;
  std::int64_t bucket_bytes;  // nn::backward()'s

  Training(const bench::Bench& bench, World& ranks, const PictureRecipe& r, std::int64_t own_views,
           std::int64_t bucket_bytes_of_sums = 0)
      : world(ranks),
        model({.encoder = nn::make_resnet(r.arch, {.stem = r.stem, .width = r.width}),
               .head = head_options(r),
               .loss = {.temperature = r.temperature}}),
        optimizer(model.parameters(), {.momentum = r.momentum, .weight_decay = r.weight_decay}, nn::constant(1e-4f)),
        views(bench.random({own_views, r.size, r.size, 3}, static_cast<std::uint64_t>(7 + ranks.rank()))),
        bucket_bytes(bucket_bytes_of_sums) {
    model.set_world(&world);
  }

  /// The loss, when the gradients of all ranks are added up.
  Tensor gradients() {
    Tensor loss = model.loss_of({&views, 1});
    nn::backward(world, loss, optimizer, bucket_bytes);
    return loss;
  }
};

/// The mean over the ranks.
double mean(World& world, double own) {
  const Tensor sum = Tensor::full({1}, own, simclr::DType::f64);
  world.all_reduce(sum);
  return sum.to_vector<double>()[0] / world.size();
}

std::string name_of(const PictureRecipe& r, std::int64_t views, int ranks) {
  return "step of " + r.name + ", " + std::to_string(views) + " views, " + std::to_string(ranks) +
         (ranks == 1 ? " process" : " ranks");
}

void time_steps(const bench::Bench& bench, World& ranks, const PictureRecipe& r, std::int64_t views, int rounds,
                std::int64_t bucket_bytes) {
  Training t(bench, ranks, r, views / ranks.size(), bucket_bytes);
  const auto run = [&t](int steps) {
    for (int i = 0; i < steps; ++i) t.optimizer.step(t.gradients());
  };
  run(2);
  const Clock::time_point once = Clock::now();
  run(1);
  const int steps = std::max(1, static_cast<int>(mean(ranks, bench.seconds / rounds / since(once))));  // as many on all
  std::vector<double> seconds;
  const simclr::Traffic before = ranks.traffic();
  const double used = processor_seconds();
  for (int i = 0; i < rounds; ++i) {
    const Clock::time_point start = Clock::now();
    run(steps);
    seconds.push_back(since(start) / steps);
  }
  const int all = steps * rounds;
  const simclr::Traffic sent = ranks.traffic() - before;
  const double processors = mean(ranks, processor_seconds() - used) * ranks.size() / all;
  const double communicating = mean(ranks, sent.seconds) / all;
  if (ranks.rank() != 0) return;
  const bench::Times times = bench::summarize(seconds);
  bench.print(name_of(r, views, ranks.size()), {{"ranks", ranks.size()},
                                                {"seconds", times.median},
                                                {"least", times.least},
                                                {"most", times.most},
                                                {"spread", times.spread()},
                                                {"communication_seconds", communicating},
                                                {"share_of_communication", communicating / times.median},
                                                {"processor_seconds", processors},  // of all ranks
                                                {"messages", sent.messages / all},
                                                {"bytes", sent.bytes / all}});
}

/// What a rank does with its processor while it waits.
void time_waiting(const bench::Bench& bench, World& ranks) {
  const Tensor any = Tensor::zeros({1});
  ranks.all_reduce(any);
  const double used = processor_seconds();
  const Clock::time_point start = Clock::now();
  if (ranks.rank() == 0)
    std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(bench.seconds, 0.1, 1.0)));
  ranks.all_reduce(any);
  const double share = ranks.rank() == 0 ? 0 : (processor_seconds() - used) / since(start);
  const double waited = since(start), mean_share = mean(ranks, share) * ranks.size() / (ranks.size() - 1);
  if (ranks.rank() == 0)
    bench.print("waiting for another rank", {{"seconds", waited}, {"processor_share", mean_share}});
}

struct Link {
  double gigabytes = 50, microseconds = 20;  // a second; a message
};

/// Ranks that are threads run a step, for real: only time is the link's.
void count(const bench::Bench& bench, const PictureRecipe& r, int ranks, std::int64_t samples, const Link& link) {
  simclr::of_threads(ranks, [&](World& world) {
    const simclr::SerialScope serial;
    Training t(bench, world, r, 2 * samples);
    t.gradients();
    if (world.rank() != 0) return;
    const simclr::Traffic sent = world.traffic();
    const double seconds = 1e-6 * link.microseconds * static_cast<double>(sent.messages) +
                           static_cast<double>(sent.bytes) / (1e9 * link.gigabytes);
    bench.print("what a rank sends, " + name_of(r, 2 * samples * ranks, ranks),
                {{"ranks", ranks},
                 {"messages", sent.messages},
                 {"bytes", sent.bytes},
                 {"bytes_of_sums", t.world.sum_bytes},
                 {"over_ring", ranks == 1 ? 1 : static_cast<double>(t.world.sum_bytes) / t.world.ring_bytes},
                 {"reduce_scatters", t.world.scattered},
                 {"seconds", seconds},
                 {"derived", true},
                 {"gb_per_second", link.gigabytes},
                 {"microseconds_a_message", link.microseconds}});
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times a training step of several ranks, or counts what they send.");
  std::string preset = "quick";
  std::int64_t views = 512, samples = 64, width = 0, bucket_bytes = 0;
  int rounds = 7, size = 0;
  std::vector<int> counted;
  Link link;
  bench.app.add_option("--preset", preset, "The recipe: one of train_cifar's");
  bench.app.add_option("--views", views, "Views a step of all ranks, two a sample")->check(CLI::Range(4, 1 << 20));
  bench.app.add_option("--rounds", rounds, "Measured rounds")->check(CLI::Range(1, 1000));
  bench.app.add_option("--bucket-bytes", bucket_bytes, "Of the gradients that are added up at once; 0: all")
      ->check(CLI::Range(0, 1 << 30));
  bench.app.add_option("--width", width, "Of the encoder; 0: the recipe's")->check(CLI::Range(0, 1024));
  bench.app.add_option("--size", size, "Side of a view in pixels; 0: the recipe's, or 32")->check(CLI::Range(0, 1024));
  bench.app.add_option("--count", counted, "Count what so many ranks send in a step, instead of measuring")
      ->check(CLI::Range(2, 256));
  bench.app.add_option("--samples", samples, "Of each rank, with --count")->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--gb-per-second", link.gigabytes, "A link's bandwidth, with --count")
      ->check(CLI::Range(1e-3, 1e6));
  bench.app.add_option("--microseconds", link.microseconds, "A message's latency, with --count")
      ->check(CLI::Range(0.0, 1e6));
  bench.parse(argc, argv);
  PictureRecipe r = recipe(preset);
  if (width > 0) r.width = width;
  if (size > 0 || r.size == 0) r.size = size > 0 ? size : 32;
  for (const int ranks : counted) count(bench, r, ranks, samples, link);
  if (!counted.empty()) return bench.exit_code();
  const std::unique_ptr<World> world = simclr::make_world();
  SIMCLR_CHECK(views % (2 * world->size()) == 0, "--views ", views, ": not as many samples for each of ", world->size(),
               " ranks");
  time_steps(bench, *world, r, views, rounds, bucket_bytes);
  if (world->size() > 1) time_waiting(bench, *world);
  return bench.exit_code();
}
