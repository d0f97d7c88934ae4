// Times batch normalisation with ReLU, without and with the addition of a residual, as training runs it: at the shapes
// of ResNet-18's four stages.
#include "common.h"

#include <simclr/kernels/batchnorm.h>

namespace kernels = simclr::kernels;
using simclr::Shape;
using simclr::Tensor;

namespace {

/// One layer: its tensors, and what training does with them.
struct Layer {
  Tensor x, residual, dy;
  Tensor gamma, beta, running_mean, running_var, dgamma, dbeta;
  kernels::BatchnormSaved saved = {};
  Tensor y = {}, masked = {}, dx = {};

  std::int64_t rows() const { return x.numel() / x.dim(-1); }

  void forward() {
    const auto statistics = kernels::batchnorm_finalize(kernels::batchnorm_sums(x), rows(), gamma.dtype(), 1e-5, 0.1,
                                                        running_mean, running_var);
    y = kernels::batchnorm_apply(x, statistics, gamma, beta, residual, true);
    saved = {x, gamma, beta, statistics, residual.defined() ? y : Tensor(), true};
  }

  void backward() {
    masked = residual.defined() ? Tensor::empty_like(dy) : Tensor();
    kernels::batchnorm_backward_sums(dy, saved, dgamma, dbeta, masked);
    const bool split = masked.defined();
    dx = kernels::batchnorm_backward_data(split ? masked : dy, split, saved, dgamma, dbeta, rows(), true);
  }
};

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times batch normalisation + ReLU (+ addition), forward and backward, in training.");
  std::int64_t views = 0, size = 32, width = 64;
  bench.app.add_option("--views", views, "Views a batch; as it is: 1024 on cuda, 64 on cpu")
      ->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--size", size, "Side of the views, in pixels")->check(CLI::Range(8, 1024));
  bench.app.add_option("--width", width, "Channels of the first stage")->check(CLI::Range(1, 1024));
  bench.parse(argc, argv);
  if (views == 0) views = bench.by_device(1024, 64, 2);

  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t side = size >> stage, channels = width << stage;
    const Shape shape{views, side, side, channels};
    const Tensor x = bench.random(shape, 1), residual = bench.random(shape, 2), dy = bench.random(shape, 3);
    const auto bytes = static_cast<double>(x.bytes());
    for (const bool add : {false, true}) {
      const auto layer = [&] {
        const auto full = [&](double value) {
          return Tensor::full({channels}, value, simclr::DType::f32, bench.device);
        };
        return Layer{.x = x.clone(),
                     .residual = add ? residual.clone() : Tensor(),
                     .dy = dy.clone(),
                     .gamma = full(1),
                     .beta = full(0),
                     .running_mean = full(0),
                     .running_var = full(1),
                     .dgamma = full(0),
                     .dbeta = full(0)};
      };
      const std::string name = std::string("batchnorm") + (add ? " + add" : "") + " + relu ";
      const std::string figures = ", " + std::to_string(views) + "x" + std::to_string(side) + "x" +
                                  std::to_string(side) + "x" + std::to_string(channels);
      // Two passes, the statistics standing between them. Forward: x; x (and the residual) to y.
      bench.measure(name + "forward" + figures, {.bytes = (add ? 4 : 3) * bytes},
                    [&]() -> bench::Call { return [layer = layer()]() mutable { layer.forward(); }; });
      // Backward: dy and x, and where the mask comes from y, that too and the masked dy; that and x to dx.
      bench.measure(name + "backward" + figures, {.bytes = (add ? 7 : 5) * bytes}, [&]() -> bench::Call {
        Layer own = layer();
        own.forward();
        return [layer = own]() mutable { layer.backward(); };
      });
    }
  }
  return bench.exit_code();
}
