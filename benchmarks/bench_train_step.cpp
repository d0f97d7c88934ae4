// Times a whole SimCLR training step (forward, NT-Xent, backward, SGD) beside its convolutions alone, in turn, and
// prints one JSON line.
#include "common.h"
#include "common/recipes.h"

#include <simclr/simclr.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

using simclr::Shape;
using simclr::Tensor;
namespace kernels = simclr::kernels;
namespace nn = simclr::nn;

namespace {

/// One convolution of the model: its tensors, ready to run.
struct Convolution {
  Tensor x, w, dy, dw;
  kernels::Conv2dGeometry geometry;
  bool first;  // the pictures need no gradient

  void run() {
    kernels::conv2d_forward(x, w, geometry);
    if (!first) kernels::conv2d_backward_data(dy, w, x.shape(), geometry);
    kernels::conv2d_backward_weights(x, dy, dw, geometry);
  }
};

Convolution convolution(const Shape& x, std::int64_t out, int kernel, int stride, bool first) {
  const kernels::Conv2dGeometry geometry{stride, kernel / 2};
  const Shape w{out, kernel, kernel, x[3]};
  return {bench::random(x, 1),
          bench::random(w, 2),
          bench::random(conv2d_output_shape(x, w, geometry), 3),
          Tensor::empty(w),
          geometry,
          first};
}

/// ResNet-18 with the CIFAR stem.
std::vector<Convolution> resnet18_convolutions(std::int64_t views, std::int64_t size, std::int64_t channels,
                                               std::int64_t width) {
  std::vector<Convolution> all = {convolution({views, size, size, channels}, width, 3, 1, true)};
  std::int64_t in = width;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t out = width << stage;
    const int stride = stage == 0 ? 1 : 2;
    all.push_back(convolution({views, size, size, in}, out, 3, stride, false));
    if (stage > 0) all.push_back(convolution({views, size, size, in}, out, 1, stride, false));
    size = (size + stride - 1) / stride;
    for (int i = 0; i < 3; ++i) all.push_back(convolution({views, size, size, out}, out, 3, 1, false));
    in = out;
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  std::string preset = "reference";
  std::int64_t views = 128;
  int rounds = 7, threads = simclr::threads();
  CLI::App app("Times a training step beside its convolutions alone.");
  app.option_defaults()->always_capture_default();
  app.add_option("--preset", preset, "The recipe whose model is trained");
  app.add_option("--views", views, "Views a step, two an image")->check(CLI::Range(4, 1 << 20));
  app.add_option("--rounds", rounds, "Measured rounds, after one to warm up")->check(CLI::Range(1, 1000));
  app.add_option("--threads", threads, "Compute threads");
  bool describe = false;
  app.add_flag("--describe", describe, "Print the model's figures instead, for the peers to build the same");
  CLI11_PARSE(app, argc, argv);
  simclr::set_threads(threads);

  const Recipe& r = recipe(preset);
  const int size = r.size > 0 ? r.size : 32;
  if (describe) {
    const nlohmann::json figures = {{"width", r.width}, {"size", size}, {"head_hidden", r.head_hidden}};
    std::printf("%s\n", figures.dump().c_str());
    return 0;
  }
  nn::SimCLR model({.encoder = nn::make_resnet(r.arch, {.stem = r.stem, .width = r.width}),
                    .head = {.hidden = r.head_hidden, .out = r.head_out, .batchnorm = r.head_batchnorm}});
  nn::Sgd optimizer(model.parameters(), {.momentum = 0.9, .weight_decay = 5e-4}, nn::constant(0.01f));
  const Tensor x = bench::random({views, size, size, 3}, 7);
  auto convolutions = resnet18_convolutions(views, size, 3, r.width);

  const auto step = [&] {
    const Tensor loss = nn::nt_xent(model(x), {.temperature = r.temperature});
    loss.backward();
    optimizer.step();
  };
  const auto convolve = [&] {
    for (Convolution& c : convolutions) c.run();
  };
  step();
  convolve();
  std::vector<double> steps, alone;
  for (int i = 0; i < rounds; ++i) {
    steps.push_back(bench::seconds(step));
    alone.push_back(bench::seconds(convolve));
  }
  const bench::Times s = bench::summarize(steps), c = bench::summarize(alone);
  const nlohmann::ordered_json line = {{"case", "train_step"},
                                       {"preset", preset},
                                       {"views", views},
                                       {"threads", simclr::threads()},
                                       {"step_seconds", s.median},
                                       {"step_least", s.least},
                                       {"step_most", s.most},
                                       {"convolution_seconds", c.median},
                                       {"over_convolutions", s.median / c.median},
                                       {"views_per_second", static_cast<double>(views) / s.median}};
  std::printf("%s\n", line.dump().c_str());
}
