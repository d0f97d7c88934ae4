// Convolution 3x3 with stride 1 by Winograd's F(2x2,3x3) or F(4x4,3x3); the maths and the loops are in cpu/winograd.h.
// Tiles go in blocks, each with its own coefficients in a core's cache: nothing of the size of x times 4 is ever
// stored. dx is the same convolution of dy with the weights turned. dw is cut into parts of outputs and channels and
// into slices of tiles; slices are added up in order, and depend on the sizes alone, so bits do not depend on the
// thread count.
#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/conv2d.h>
#include <simclr/kernels/shared/check.h>

#include "winograd.h"

#include <algorithm>

namespace simclr::kernels::winograd {
namespace {

template <class T>
const WinogradFunctions<T>& loops(std::int64_t side) {
  const std::int64_t index = side == 4;
  if constexpr (std::is_same_v<T, float>) {
    return winograd_loops().f32[index];
  } else {
    return winograd_loops().f64[index];
  }
}

/// Memory of one thread, as long as its loop runs.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t values) : values_(values) {}
  T* of(int thread) {
    return memory_.get(thread, [this] { return Tensor::empty({values_}, dtype_of<T>); }).template data<T>();
  }

 private:
  std::int64_t values_;
  PerThread<Tensor> memory_;
};

template <class T>
void convolve(const Tensor& x, const Tensor& w, Tensor& y, const WinogradSizes& sizes, bool turned) {
  const WinogradFunctions<T>& f = loops<T>(sizes.side);
  Tensor coefficients = Tensor::empty({f.transformed_weights(sizes)}, dtype_of<T>);
  T* u = coefficients.data<T>();
  const std::int64_t rows = w.dim(0), channels = w.dim(3);
  const std::int64_t outputs = items_a_piece({.bytes = 8 * f.lanes * channels * sizes.coefficients()}) * f.lanes;
  parallel_for(rows, outputs, [&](std::int64_t begin, std::int64_t end) {
    (turned ? f.transform_weights_turned : f.transform_weights)(w.data<T>(), rows, channels, begin, end, u);
  });
  Scratch<T> scratch(f.convolve_scratch(sizes));
  parallel_for(sizes.tiles(), f.convolve_tiles(sizes), [&](std::int64_t first, std::int64_t last, int thread) {
    f.convolve(x.data<T>(), u, y.data<T>(), sizes, first, last, scratch.of(thread));
  });
}

template <class T>
void backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw, const WinogradSizes& sizes) {
  constexpr std::int64_t block = 64;  // outputs and channels of a part: its sums stay near the core
  const WinogradFunctions<T>& f = loops<T>(sizes.side);
  const std::int64_t across = (sizes.c + block - 1) / block, parts = (sizes.o + block - 1) / block * across;
  const auto part = [&](std::int64_t i) {
    const std::int64_t o = i / across * block, c = i % across * block;
    return WinogradPart{o, std::min(block, sizes.o - o), c, std::min(block, sizes.c - c)};
  };
  const std::int64_t step = sizes.coefficients() * part(0).sums();  // the largest
  const std::int64_t tiles = sizes.tiles();
  // Work for many threads, but slices so long that what they add up to costs little.
  const std::int64_t wanted = std::clamp<std::int64_t>(std::min(tiles / 192, 64 / parts), 1, 32);
  const std::int64_t length = (tiles + wanted - 1) / wanted, slices = (tiles + length - 1) / length;
  Tensor all_sums = Tensor::empty({parts * slices * step}, dtype_of<T>);
  T* sums = all_sums.data<T>();
  Scratch<T> scratch(f.gradient_scratch(part(0)));
  parallel_for(parts * slices, 1, [&](std::int64_t i, std::int64_t, int thread) {
    const std::int64_t first = i % slices * length;
    f.gradient_sums(x.data<T>(), dy.data<T>(), sizes, part(i / slices), first, std::min(first + length, tiles),
                    sums + i * step, scratch.of(thread));
  });
  parallel_for(parts, 1, [&](std::int64_t i, std::int64_t) {
    f.gradient(sums + i * slices * step, slices, step, sizes, part(i), dw.data<T>());
  });
}

/// The side of y's tiles, n pictures of p x q, that takes the least work; 0 where neither takes as few products as two
/// thirds of the direct sum's: tiles half empty are no gain.
std::int64_t tile_side(std::int64_t n, std::int64_t p, std::int64_t q) {
  constexpr std::int64_t weights = 64;  // transforming the weights takes about as long as the products of so many tiles
  const auto tiles = [&](std::int64_t side) { return n * ((p + side - 1) / side) * ((q + side - 1) / side); };
  const std::int64_t side = (tiles(4) + weights) * 36 < (tiles(2) + weights) * 16 ? 4 : 2;
  return tiles(side) * (side + 2) * (side + 2) <= 6 * n * p * q ? side : 0;
}

/// What a direction computes; the gradient of the input is a convolution of dy.
WinogradSizes sizes_of(Conv2dDirection direction, const Conv2dSizes& s) {
  if (direction == Conv2dDirection::backward_data) {
    return {s.n, s.p, s.q, s.o, s.h, s.w, s.c, 2 - s.padding.height, 2 - s.padding.width, tile_side(s.n, s.h, s.w)};
  }
  return {s.n, s.h, s.w, s.c, s.p, s.q, s.o, s.padding.height, s.padding.width, tile_side(s.n, s.p, s.q)};
}

bool serves(Conv2dDirection direction, const Conv2dSizes& s, DType dtype) {
  const int lanes = dtype == DType::f32 ? loops<float>(2).lanes : loops<double>(2).lanes;
  return s.k == 3 && s.l == 3 && s.stride == 1 && s.padding.height <= 2 && s.padding.width <= 2 && s.c % lanes == 0 &&
         s.o % lanes == 0 && sizes_of(direction, s).side != 0;
}

}  // namespace

std::string implementation(const Conv2dSizes& sizes, Conv2dDirection direction, DType dtype) {
  if (!serves(direction, sizes, dtype)) return "";
  return sizes_of(direction, sizes).side == 4 ? "winograd 4x4" : "winograd 2x2";
}

bool run(Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out, const Conv2dSizes& s) {
  if (!serves(direction, s, out.dtype())) return false;
  const WinogradSizes sizes = sizes_of(direction, s);
  dispatch_float(out.dtype(), [&](auto zero) {
    using T = decltype(zero);
    switch (direction) {
      case Conv2dDirection::forward: convolve<T>(a, b, out, sizes, false); break;
      case Conv2dDirection::backward_data: convolve<T>(a, b, out, sizes, true); break;
      case Conv2dDirection::backward_weights: backward_weights<T>(a, b, out, sizes); break;
    }
  });
  return true;
}

}  // namespace simclr::kernels::winograd
