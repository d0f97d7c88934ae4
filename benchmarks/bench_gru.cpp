// Times a layer of gated recurrent units in two directions, forward and backward: full sequences, and lengths spread
// evenly over 1..T, as texts have them.
#include "common.h"

#include <simclr/kernels/gru.h>

namespace kernels = simclr::kernels;
using simclr::Shape;
using simclr::Tensor;

namespace {

/// A layer: its tensors, and what training does with them.
struct Layer {
  Tensor x, lengths, dy;
  std::vector<kernels::GruWeights> directions;
  kernels::GruGradients gradients;
  kernels::GruResult result = {};

  void forward() { result = kernels::gru_forward(x, lengths, directions); }
  void backward() { kernels::gru_backward(dy, {}, result.saved, gradients); }
};

Layer make_layer(const bench::Bench& bench, const Shape& shape, std::int64_t size, const Tensor& lengths) {
  const auto f32 = [&](const Shape& of) { return Tensor::zeros(of, simclr::DType::f32, bench.device); };
  Layer layer{bench.random(shape, 1), lengths, bench.random({shape[0], shape[1], 2 * size}, 2), {}, {}};
  layer.gradients.dx = Tensor::empty_like(layer.x);
  for (std::uint64_t i = 0; i < 2; ++i) {
    const Shape w_ih{3 * size, shape[2]}, w_hh{3 * size, size}, bias{3 * size};
    layer.directions.push_back({bench.random(w_ih, 3 + i), bench.random(w_hh, 5 + i), f32(bias), f32(bias)});
    layer.gradients.directions.push_back({f32(w_ih), f32(w_hh), f32(bias), f32(bias)});
  }
  return layer;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times a bidirectional layer of gated recurrent units, forward and backward.");
  std::int64_t sequences = 0, steps = 32, inputs = 256, width = 256;
  bench.app.add_option("--sequences", sequences, "Sequences a batch; as it is: 1024 on cuda, 128 on cpu")
      ->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--steps", steps, "Steps of a sequence")->check(CLI::Range(1, 1 << 16));
  bench.app.add_option("--inputs", inputs, "Values a step")->check(CLI::Range(1, 1 << 16));
  bench.app.add_option("--width", width, "Values of the state, each direction")->check(CLI::Range(1, 1 << 14));
  bench.parse(argc, argv);
  if (sequences == 0) sequences = bench.by_device(1024, 128, 2);

  const Shape shape{sequences, steps, inputs};
  for (const bool full : {true, false}) {
    std::vector<std::int32_t> length(static_cast<std::size_t>(sequences));
    double own = 0;  // steps
    for (std::int64_t i = 0; i < sequences; ++i) {
      length[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(full ? steps : 1 + i * 7919 % steps);
      own += length[static_cast<std::size_t>(i)];
    }
    const Tensor lengths = full ? Tensor() : Tensor::from(length, {sequences}).to(bench.device);
    const double products = own * 2 * 3 * static_cast<double>(width) * static_cast<double>(inputs + width);
    const std::string figures = ", " + std::to_string(sequences) + "x" + std::to_string(steps) + "x" +
                                std::to_string(inputs) + " to 2x" + std::to_string(width) +
                                (full ? "" : ", lengths 1 to " + std::to_string(steps));
    bench.measure("gru forward" + figures, {.flop = 2 * products}, [&]() -> bench::Call {
      return [layer = make_layer(bench, shape, width, lengths)]() mutable { layer.forward(); };
    });
    bench.measure("gru backward" + figures, {.flop = 4 * products}, [&]() -> bench::Call {
      Layer layer = make_layer(bench, shape, width, lengths);
      layer.forward();
      return [layer]() mutable { layer.backward(); };
    });
  }
  return bench.exit_code();
}
