// Times a whole SimCLR training step (forward, NT-Xent, backward, SGD) beside its convolutions alone, in turn, and
// prints one JSON line.
#include "common.h"
#include "recipes/picture_recipes.h"
#include "resnet18.h"
#include "step.h"

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
  std::int64_t micro_batch = 0;
  bench::StepOptions options{.preset = "reference", .views = 128};
  bench.app.add_option("--micro-batch", micro_batch, "Pictures at a time, two views each; 0: the whole batch")
      ->check(CLI::Range(0, 1 << 19));
  options.add_to(bench.app, "one of train_cifar's");
  bench.parse(argc, argv);

  const PictureRecipe& r = recipe(options.preset);
  const std::int64_t views = options.views_of(r);
  const int size = r.size > 0 ? r.size : 32;
  if (options.describe) {
    const bench::Json figures = {{"width", r.width},
                                 {"views", views},
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
  const auto all = bench::resnet18_convolutions(views, size, 3, r.width);
  double flop = -all.front().flop();  // the first has no gradient of its input
  for (const bench::Convolution& c : all) flop += 3 * c.count * c.flop();
  const bench::Beside beside{.make = [&] { return convolutions(bench, all); },
                             .figures =
                                 [&](double seconds, double convolving) {
                                   return bench::Json{{"tflops", flop / seconds / 1e12},
                                                      {"convolution_seconds", convolving},
                                                      {"over_convolutions", seconds / convolving},
                                                      {"share_of_limit", convolving / seconds}};
                                 }};
  bench::measure_step(bench, options, "train_step", {{"preset", options.preset}, {"micro_batch", micro_batch}}, views,
                      step, beside);
}
