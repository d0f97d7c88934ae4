#pragma once

// Private: the sizes that conv2d's implementations work with.

#include <simclr/kernels/conv2d.h>

namespace simclr::kernels {

/// A convolution's sizes by the letters of conv2d.h; y is [n,p,q,o].
struct Conv2dSizes {
  std::int64_t n, h, w, c, o, k, l, p, q;
  PerAxis stride, padding;

  Conv2dSizes(const Shape& x, const Shape& weights, const Conv2dGeometry& geometry)
      : n(x[0]),
        h(x[1]),
        w(x[2]),
        c(x[3]),
        o(weights[0]),
        k(weights[1]),
        l(weights[2]),
        p((h + 2 * geometry.padding.height - k) / geometry.stride.height + 1),
        q((w + 2 * geometry.padding.width - l) / geometry.stride.width + 1),
        stride(geometry.stride),
        padding(geometry.padding) {}

  auto operator<=>(const Conv2dSizes&) const = default;
};

}  // namespace simclr::kernels
