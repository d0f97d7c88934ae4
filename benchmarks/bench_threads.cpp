// Times what the threads are worth: products on one thread and on all of them, in turn, and a training step, alone and
// beside a process that keeps a processor busy.
#include "common.h"
#include "recipes/picture_recipes.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/gemm.h>
#include <simclr/simclr.h>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <span>

namespace kernels = simclr::kernels;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

struct Product {
  std::int64_t m, n, k;
};

/// What a GRU, a head, a probe and a transformer's layers multiply, from the smallest to some that all threads serve.
constexpr Product products[] = {{32, 32, 32},    {64, 64, 64},    {128, 64, 64},    {256, 64, 64},    {256, 10, 513},
                                {128, 128, 128}, {64, 768, 256},  {256, 256, 256},  {512, 128, 512},  {512, 512, 128},
                                {512, 512, 512}, {2048, 256, 64}, {64, 2048, 1024}, {1024, 1024, 256}};

/// A process with this one's priority that computes while it is switched on. Make it first: a fork makes this process
/// copy each page that it writes to afterwards.
class BusyProcess {
 public:
  BusyProcess() : id_(fork()) {
    SIMCLR_CHECK(id_ >= 0, "a busy process cannot be started");
    if (id_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // whatever ends this program ends it too
      for (std::atomic<bool> on = true; on;) {
      }
    }
    turn(false);
  }
  ~BusyProcess() {
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
  }
  BusyProcess(const BusyProcess&) = delete;
  BusyProcess& operator=(const BusyProcess&) = delete;

  void turn(bool on) const { kill(id_, on ? SIGCONT : SIGSTOP); }

 private:
  pid_t id_;
};

double seconds_of(const bench::Call& call, int times) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / times;
}

void time_product(const bench::Bench& bench, const Product& p, int threads, int rounds, bool busy) {
  const Tensor a = bench.random({p.m, p.k}, 1), b = bench.random({p.k, p.n}, 2);
  Tensor c = Tensor::empty({p.m, p.n});
  const bench::Call call = [&] { kernels::gemm(a, b, c); };
  simclr::set_threads(1);
  call();
  // Both sides of a sample take turns, so that what else the processors do falls on both.
  constexpr int turns = 8;
  const int times = std::max(1, static_cast<int>(bench.seconds / rounds / turns / 2 / seconds_of(call, 3)));
  std::vector<double> one, all;
  for (int i = 0; i < rounds; ++i) {
    double sums[2] = {};
    for (int turn = 0; turn < 2 * turns; ++turn) {
      simclr::set_threads(turn % 2 == 0 ? 1 : threads);
      sums[turn % 2] += seconds_of(call, times) / turns;
    }
    one.push_back(sums[0]);
    all.push_back(sums[1]);
  }
  const bench::Times first = bench::summarize(one), second = bench::summarize(all);
  bench.print("gemm " + std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.k),
              {{"busy", busy},
               {"seconds_one_thread", first.median},
               {"seconds", second.median},
               {"spread", second.spread()},
               {"over_one_thread", second.median / first.median}});
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times products on one thread and on all, and a training step beside a busy process.");
  int rounds = 31;
  std::int64_t views = 512;
  bench.app.add_option("--rounds", rounds, "Samples of each side")->check(CLI::Range(1, 1000));
  bench.app.add_option("--views", views, "Views a step of the recipe quick")->check(CLI::Range(4, 1 << 20));
  bool products_too = true;
  bench.app.add_flag("!--step-only", products_too, "Leave the products out");
  bench.parse(argc, argv);
  const int threads = simclr::threads();
  const BusyProcess process;

  for (const bool busy : {false, true}) {
    process.turn(busy);
    for (const Product& p : products_too ? std::span(products) : std::span<const Product>())
      time_product(bench, p, threads, rounds, busy);
  }

  const PictureRecipe& r = recipe("quick");
  nn::SimCLR model({.encoder = nn::make_resnet(r.arch, {.stem = r.stem, .width = r.width}),
                    .head = {.hidden = r.head_hidden, .out = r.head_out, .batchnorm = r.head_batchnorm}});
  nn::Sgd optimizer(model.parameters(), {.momentum = 0.9, .weight_decay = 5e-4}, nn::constant(0.01f));
  const Tensor x = bench.random({views, r.size, r.size, 3}, 7);
  const bench::Call step = [&] {
    nn::nt_xent(model(x), {.temperature = r.temperature}).backward();
    optimizer.step();
  };
  simclr::set_threads(threads);
  step();
  const int times = std::max(1, static_cast<int>(bench.seconds / seconds_of(step, 1)));
  std::vector<double> alone, beside;
  for (int i = 0; i < 5; ++i) {
    process.turn(false);
    alone.push_back(seconds_of(step, times));
    process.turn(true);
    beside.push_back(seconds_of(step, times));
  }
  const bench::Times quiet = bench::summarize(alone), busy = bench::summarize(beside);
  bench.print("step of quick", {{"views", views},
                                {"seconds", quiet.median},
                                {"spread", quiet.spread()},
                                {"seconds_beside_busy_process", busy.median},
                                {"share_of_quiet_throughput", quiet.median / busy.median}});
  return bench.exit_code();
}
