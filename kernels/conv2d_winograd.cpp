// Convolution 3x3 with stride 1 by Winograd's F(2x2,3x3); the maths and the loops are in cpu/winograd.h. Tiles go in
// blocks, each with its own coefficients in a core's cache: nothing of the size of x times 4 is ever stored. dx is the
// same convolution of dy with the weights turned. dw is cut into parts of outputs and channels and into slices of
// tiles; slices are added up in order, and depend on the sizes alone, so bits do not depend on the thread count.
#include <simclr/core/parallel.h>
#include <simclr/kernels/check.h>
#include <simclr/kernels/conv2d_cpu.h>

#include "cpu/winograd.h"

#include <algorithm>

namespace simclr::kernels::winograd {
namespace {

template <class T>
const WinogradFunctions<T>& loops() {
  if constexpr (std::is_same_v<T, float>) {
    return winograd_loops().f32;
  } else {
    return winograd_loops().f64;
  }
}

/// Calls body(scratch, first, last) for tiles [first, last) of each block of `step`, on several threads; scratch memory
/// of `values` a thread.
template <class T, class Body>
void for_blocks(std::int64_t count, std::int64_t step, std::int64_t values, const Body& body) {
  parallel_for((count + step - 1) / step, 1, [&](std::int64_t begin, std::int64_t end) {
    Tensor scratch = Tensor::empty({values}, dtype_of<T>);
    for (std::int64_t i = begin; i < end; ++i) {
      body(scratch.data<T>(), i * step, std::min((i + 1) * step, count));
    }
  });
}

template <class T>
void convolve(const Tensor& x, const Tensor& w, Tensor& y, const WinogradSizes& sizes, bool turned) {
  const WinogradFunctions<T>& f = loops<T>();
  Tensor coefficients = Tensor::empty({16 * sizes.o * sizes.c}, dtype_of<T>);
  T* u = coefficients.data<T>();
  const std::int64_t rows = w.dim(0), channels = w.dim(3);
  parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    (turned ? f.transform_weights_turned : f.transform_weights)(w.data<T>(), rows, channels, begin, end, u);
  });
  for_blocks<T>(sizes.tiles(), f.convolve_tiles(sizes), f.convolve_scratch(sizes),
                [&](T* scratch, std::int64_t first, std::int64_t last) {
                  f.convolve(x.data<T>(), u, y.data<T>(), sizes, first, last, scratch);
                });
}

template <class T>
void backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw, const WinogradSizes& sizes) {
  constexpr std::int64_t block = 64;  // outputs and channels of a part: its sums stay near the core
  const WinogradFunctions<T>& f = loops<T>();
  const std::int64_t across = (sizes.c + block - 1) / block, parts = (sizes.o + block - 1) / block * across;
  const auto part = [&](std::int64_t i) {
    const std::int64_t o = i / across * block, c = i % across * block;
    return WinogradPart{o, std::min(block, sizes.o - o), c, std::min(block, sizes.c - c)};
  };
  const std::int64_t step = part(0).sums();  // the largest
  const std::int64_t tiles = sizes.tiles();
  // Work for many threads, but slices so long that what they add up to costs little.
  const std::int64_t wanted = std::clamp<std::int64_t>(std::min(tiles / 192, 64 / parts), 1, 32);
  const std::int64_t length = (tiles + wanted - 1) / wanted, slices = (tiles + length - 1) / length;
  Tensor all_sums = Tensor::empty({parts * slices * step}, dtype_of<T>);
  T* sums = all_sums.data<T>();
  parallel_for(parts * slices, 1, [&](std::int64_t begin, std::int64_t end) {
    Tensor scratch = Tensor::empty({f.gradient_scratch(part(0))}, dtype_of<T>);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i % slices * length;
      f.gradient_sums(x.data<T>(), dy.data<T>(), sizes, part(i / slices), first, std::min(first + length, tiles),
                      sums + i * step, scratch.data<T>());
    }
  });
  parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      f.gradient(sums + i * slices * step, slices, step, sizes, part(i), dw.data<T>());
    }
  });
}

}  // namespace

bool serves(Conv2dDirection, const Conv2dSizes& s, DType dtype) {
  const int lanes = dtype == DType::f32 ? loops<float>().lanes : loops<double>().lanes;
  const auto fits = [](std::int64_t side) { return side >= 2 && side != 3; };  // tiles half empty are no gain
  return s.k == 3 && s.l == 3 && s.stride == 1 && s.padding <= 2 && s.c % lanes == 0 && s.o % lanes == 0 && fits(s.h) &&
         fits(s.w) && fits(s.p) && fits(s.q);
}

bool run(Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out, const Conv2dSizes& s) {
  if (!serves(direction, s, out.dtype())) return false;
  const WinogradSizes forward{s.n, s.h, s.w, s.c, s.p, s.q, s.o, s.padding};
  const WinogradSizes backward{s.n, s.p, s.q, s.o, s.h, s.w, s.c, 2 - s.padding};
  dispatch_float(out.dtype(), [&](auto zero) {
    using T = decltype(zero);
    switch (direction) {
      case Conv2dDirection::forward: convolve<T>(a, b, out, forward, false); break;
      case Conv2dDirection::backward_data: convolve<T>(a, b, out, backward, true); break;
      case Conv2dDirection::backward_weights: backward_weights<T>(a, b, out, forward); break;
    }
  });
  return true;
}

}  // namespace simclr::kernels::winograd
