// Times a whole SimCLR training step (forward, NT-Xent, backward, SGD) beside its convolutions alone, in turn, and
// prints one JSON line.
#include "common.h"
#include "recipes/picture_recipes.h"
#include "resnet18.h"

#include <simclr/simclr.h>

#include <cstdio>

using simclr::Device;
using simclr::DType;
using simclr::Tensor;
namespace kernels = simclr::kernels;
namespace nn = simclr::nn;

namespace {

/// All convolutions of the model, ready to run.
bench::Call convolutions(const bench::Bench& bench, const std::vector<bench::Convolution>& all) {
  std::vector<bench::Call> calls;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bench::Convolution& c = all[i];
    calls.push_back([x = bench.random(c.x, 1), w = bench.random(c.w, 2), dy = bench.random(c.y(), 3),
                     dw = Tensor::empty(c.w, DType::f32, bench.device), g = c.geometry, count = c.count,
                     first = i == 0]() mutable {
      for (int repeat = 0; repeat < count; ++repeat) {
        kernels::conv2d_forward(x, w, g);
        if (!first) kernels::conv2d_backward_data(dy, w, x.shape(), g);
        kernels::conv2d_backward_weights(x, dy, dw, g);
      }
    });
  }
  return [calls] {
    for (const bench::Call& call : calls) call();
  };
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times a training step beside its convolutions alone.");
  std::string preset = "reference";
  std::int64_t views = 128, micro_batch = 0;
  int rounds = 7;
  bool graph = false, describe = false, profiled = false;
  bench.app.add_option("--preset", preset, "The recipe whose model is trained");
  bench.app.add_option("--views", views, "Views a step, two a picture")->check(CLI::Range(4, 1 << 20));
  bench.app.add_option("--micro-batch", micro_batch, "Pictures at a time, two views each; 0: the whole batch")
      ->check(CLI::Range(0, 1 << 19));
  bench.app.add_option("--rounds", rounds, "Measured rounds, after one to warm up")->check(CLI::Range(1, 1000));
  CLI::Option* const graph_option = bench.app.add_flag("--graph", graph, "Capture the step once and replay it");
  bench.app.add_flag("--profile", profiled, "Print where the time of some steps goes, kernel by kernel, and end")
      ->excludes(graph_option);
  bench.app.add_flag("--describe", describe, "Print the recipe's figures instead, for the peers to do the same");
  bench.parse(argc, argv);

  const PictureRecipe& r = recipe(preset);
  const int size = r.size > 0 ? r.size : 32;
  if (describe) {
    const bench::Json figures = {{"width", r.width},
                                 {"size", size},
                                 {"head_hidden", r.head_hidden},
                                 {"epochs", r.epochs},
                                 {"batch_size", r.batch_size},
                                 {"lr", r.lr},
                                 {"momentum", r.momentum},
                                 {"weight_decay", r.weight_decay},
                                 {"warmup_epochs", r.warmup_epochs},
                                 {"temperature", r.temperature}};
    std::printf("%s\n", figures.dump().c_str());
    return 0;
  }
  nn::SimCLR model({.encoder = nn::make_resnet(r.arch, {.stem = r.stem, .width = r.width}),
                    .head = head_options(r),
                    .views_apart = r.views_apart});
  model.to(bench.device);
  nn::Sgd optimizer(model.parameters(), {.momentum = 0.9, .weight_decay = 5e-4}, nn::constant(0.01f));
  const Tensor x = bench.random({views, size, size, 3}, 7);
  const bench::Call step = [&] {
    const Tensor z = nn::in_micro_batches(model, x, micro_batch > 0 ? micro_batch : views);
    nn::nt_xent(z, {.temperature = r.temperature}).backward();
    optimizer.step();
  };
  if (profiled) {
    simclr::Profile profile(bench.device);
    while (profile.steps() == 0 || profile.seconds() < bench.seconds) {
      step();
      profile.end_step();
    }
    std::printf("%s\n", profile.table().c_str());
    return 0;
  }
  std::size_t peak = bench.peak_bytes(step);
  peak += simclr::Context::of(bench.device).allocator().stats().in_use;  // values, gradients, momentum and views count

  const double sample = bench.seconds / rounds;
  bench::Timed whole(bench.device, {step}, sample, graph);
  const auto all = bench::resnet18_convolutions(views, size, 3, r.width);
  bench::Timed alone(bench.device, {convolutions(bench, all)}, sample, graph);
  double flop = -all.front().flop();  // the first has no gradient of its input
  for (const bench::Convolution& c : all) flop += 3 * c.count * c.flop();
  std::vector<double> steps, convolving;
  for (int i = 0; i < rounds; ++i) {
    steps.push_back(whole.sample());
    convolving.push_back(alone.sample());
  }
  const bench::Times s = bench::summarize(steps), c = bench::summarize(convolving);
  bench.print("train_step", {{"preset", preset},
                             {"views", views},
                             {"micro_batch", micro_batch},
                             {"graph", graph},
                             {"step_seconds", s.median},
                             {"step_least", s.least},
                             {"step_most", s.most},
                             {"spread", s.spread()},
                             {"tflops", flop / s.median / 1e12},
                             {"convolution_seconds", c.median},
                             {"over_convolutions", s.median / c.median},
                             {"share_of_limit", c.median / s.median},
                             {"peak_bytes", peak},
                             {"views_per_second", static_cast<double>(views) / s.median}});
}
