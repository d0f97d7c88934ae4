// Times every convolution of ResNet-18 with the CIFAR stem, forward and both gradients.
#include "common.h"
#include "resnet18.h"

#include <cstdio>

namespace kernels = simclr::kernels;
using simclr::Tensor;

int main(int argc, char** argv) {
  bench::Bench bench("Times ResNet-18's convolutions, each shape once.");
  std::int64_t views = 0, size = 32, width = 64;
  bench.app.add_option("--views", views, "Views a batch; as it is: 1024 on cuda, 32 on cpu")
      ->check(CLI::Range(1, 1 << 20));
  bench.app.add_option("--size", size, "Side of the views, in pixels")->check(CLI::Range(8, 1024));
  bench.app.add_option("--width", width, "Channels of the first stage")->check(CLI::Range(1, 1024));
  bench.parse(argc, argv);
  if (views == 0) views = bench.by_device(1024, 32, 2);

  for (const bench::Convolution& c : bench::resnet18_convolutions(views, size, 3, width)) {
    const bool stem = c.x[3] == 3;
    const Tensor x = bench.random(c.x, 1), w = bench.random(c.w, 2), dy = bench.random(c.y(), 3);
    const std::string figures = ", " + std::to_string(views) + "x" + std::to_string(c.x[1]) + "x" +
                                std::to_string(c.x[2]) + "x" + std::to_string(c.x[3]) + " to " +
                                std::to_string(c.w[0]) + ", " + std::to_string(c.w[1]) + "x" + std::to_string(c.w[2]) +
                                " stride " + std::to_string(c.geometry.stride.height);
    const bench::Cost cost{
        .bytes = static_cast<double>(x.bytes() + w.bytes() + dy.bytes()),
        .flop = c.flop(),
    };

    bench.measure("conv2d forward" + figures, cost, [&]() -> bench::Call {
      return [x = x.clone(), w = w.clone(), g = c.geometry, y = Tensor()]() mutable {
        y = kernels::conv2d_forward(x, w, g);
      };
    });
    if (!stem) {
      bench.measure("conv2d data gradient" + figures, cost, [&]() -> bench::Call {
        return [dy = dy.clone(), w = w.clone(), shape = c.x, g = c.geometry, dx = Tensor()]() mutable {
          dx = kernels::conv2d_backward_data(dy, w, shape, g);
        };
      });
    }
    bench.measure("conv2d weight gradient" + figures, cost, [&]() -> bench::Call {
      return [x = x.clone(), dy = dy.clone(), dw = Tensor::empty(c.w, simclr::DType::f32, bench.device),
              g = c.geometry]() mutable { kernels::conv2d_backward_weights(x, dy, dw, g); };
    });
  }
  return bench.exit_code();
}
