#pragma once

// The convolutions of ResNet-18 with the CIFAR stem.

#include <simclr/kernels/conv2d.h>

#include <cstdint>
#include <vector>

namespace bench {

struct Convolution {
  simclr::Shape x, w;
  simclr::kernels::Conv2dGeometry geometry;
  int count;  // in the model

  simclr::Shape y() const { return conv2d_output_shape(x, w, geometry); }
  /// In one direction, once.
  double flop() const { return 2 * static_cast<double>(y().numel()) * static_cast<double>(w.numel() / w[0]); }
};

/// In the model's order; the first is the stem, whose input needs no gradient.
inline std::vector<Convolution> resnet18_convolutions(std::int64_t views, std::int64_t size, std::int64_t channels,
                                                      std::int64_t width) {
  std::vector<Convolution> all;
  const auto add = [&](std::int64_t in, std::int64_t out, int kernel, int stride, int count) {
    all.push_back({{views, size, size, in}, {out, kernel, kernel, in}, {stride, kernel / 2}, count});
  };
  add(channels, width, 3, 1, 1);
  add(width, width, 3, 1, 4);
  for (int stage = 1; stage < 4; ++stage) {
    const std::int64_t in = width << (stage - 1), out = width << stage;
    add(in, out, 3, 2, 1);
    add(in, out, 1, 2, 1);
    size = (size + 1) / 2;
    add(out, out, 3, 1, 3);
  }
  return all;
}

}  // namespace bench
