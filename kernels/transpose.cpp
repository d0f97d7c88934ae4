// The transpose on the CPU: tiles that the nearest cache holds on both sides.
#include <simclr/core/parallel.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/transpose.h>

#include <algorithm>

namespace simclr::kernels {
namespace {

constexpr std::int64_t tile = 32;  // rows and columns

void to_columns(const Tensor& x_tensor, Tensor& y_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = x_tensor.dim(0), columns = x_tensor.dim(1), across = (columns + tile - 1) / tile;
    const std::int64_t tiles = (rows + tile - 1) / tile * across, bytes = 2 * tile * tile * std::int64_t{sizeof(T)};
    const T* x = x_tensor.data<T>();
    T* y = y_tensor.data<T>();
    parallel_for(tiles, items_a_piece({.bytes = bytes}), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const std::int64_t top = t / across * tile, left = t % across * tile;
        const std::int64_t bottom = std::min(top + tile, rows), right = std::min(left + tile, columns);
        for (std::int64_t c = left; c < right; ++c) {
          for (std::int64_t r = top; r < bottom; ++r) y[c * rows + r] = x[r * columns + c];
        }
      }
    });
  });
}

}  // namespace

extern const TransposeKernels transpose_cpu;
const TransposeKernels transpose_cpu = {to_columns};

Tensor transpose(const Tensor& x) {
  check_floats("transpose", x);
  check_rank("transpose", "x", x, 2);
  Tensor y = Tensor::empty({x.dim(1), x.dim(0)}, x.dtype(), x.device());
  if (x.numel() > 0) transpose_slot.on(x.device()).transpose(x, y);
  return y;
}

}  // namespace simclr::kernels
