// Times the optimizers' update of ResNet-18's parameters.
#include "common.h"

#include <simclr/kernels/optimizer_step.h>
#include <simclr/nn/resnet.h>

#include <cstdio>

namespace kernels = simclr::kernels;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

/// What one update works on.
struct Training {
  kernels::OptimizerArena arena;
  Tensor first, second;  // the optimizer's state
};

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times an update of all parameters; with --dtype bf16 their shadow is written too.");
  std::int64_t width = 64;
  bench.app.add_option("--width", width, "Channels of ResNet-18's first stage")->check(CLI::Range(1, 1024));
  bench.parse(argc, argv);

  const auto model = nn::resnet18({.width = width});
  const std::vector<nn::Parameter> parameters = model->parameters();
  const nn::ParameterArena memory = nn::make_arena(parameters);
  std::vector<std::int32_t> segments;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto begin = static_cast<std::int32_t>(memory.offsets[i]);
    const auto size = static_cast<std::int32_t>(parameters[i].value.numel());
    const bool weight = parameters[i].role == nn::Role::weight;
    segments.insert(segments.end(),
                    {begin, begin + size, weight ? kernels::segment_decay | kernels::segment_adapt : 0});
    count += size;
  }
  const auto training = [&](int states) {
    Training t;
    t.arena.values = memory.values.clone().to(bench.device);
    t.arena.gradients = Tensor::full(memory.values.shape(), 0.01, simclr::DType::f32, bench.device);
    t.arena.segments = Tensor::from(segments, {static_cast<std::int64_t>(parameters.size()), 3}).to(bench.device);
    t.arena.learning_rates = Tensor::full({1}, 1e-4, simclr::DType::f32, bench.device);
    t.arena.step = Tensor::zeros({1}, simclr::DType::i32, bench.device);
    if (bench.dtype == simclr::DType::bf16) {
      t.arena.shadow = Tensor::zeros(memory.values.shape(), simclr::DType::bf16, bench.device);
    }
    t.first = Tensor::zeros_like(t.arena.values);
    if (states == 2) t.second = Tensor::zeros_like(t.arena.values);
    return t;
  };

  char figures[64];
  std::snprintf(figures, sizeof figures, " step, %.1f M parameters", static_cast<double>(count) / 1e6);
  const double bytes = 4.0 * static_cast<double>(count);
  const double shadow = bench.dtype == simclr::DType::bf16 ? bytes / 2 : 0;
  // Values and state are read and written, gradients read; LARS reads values and gradients once more, for the norms.
  bench.measure(std::string("sgd") + figures, {.bytes = 5 * bytes + shadow, .in_place = true}, [&]() -> bench::Call {
    return
        [t = training(1)]() mutable { kernels::sgd_step(t.arena, t.first, {.momentum = 0.9, .weight_decay = 5e-4}); };
  });
  bench.measure(std::string("lars") + figures, {.bytes = 7 * bytes + shadow, .in_place = true}, [&]() -> bench::Call {
    return [t = training(1)]() mutable { kernels::lars_step(t.arena, t.first, {}); };
  });
  bench.measure(std::string("adamw") + figures, {.bytes = 7 * bytes + shadow, .in_place = true}, [&]() -> bench::Call {
    return [t = training(2)]() mutable { kernels::adamw_step(t.arena, t.first, t.second, {}); };
  });
  return bench.exit_code();
}
