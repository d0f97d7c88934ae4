// Sums along a dimension on the CPU; the maths is in the header.
#include <simclr/core/parallel.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/sum_along.h>

#include <algorithm>
#include <vector>

namespace simclr::kernels {
namespace {

/// body(o) for each of the outer ones.
template <class Body>
void for_outer(const Along& along, const Body& body) {
  const std::int64_t bytes = 8 * along.n * along.inner;
  parallel_for(along.outer, items_a_piece({.bytes = bytes}), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) body(o);
  });
}

void sum_cpu(const Tensor& x_tensor, const Along& along, Tensor& y_tensor) {
  const auto [outer, n, inner] = along;
  dispatch_float(x_tensor.dtype(), [&, n = n, inner = inner](auto zero) {
    using T = decltype(zero);
    const T* x_first = x_tensor.data<T>();
    T* y = y_tensor.data<T>();
    if (inner == 1) {
      return for_outer(along, [=](std::int64_t o) {
        const T* x = x_first + o * n;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
        y[o] = static_cast<T>(sum);
      });
    }
    for_outer(along, [=](std::int64_t o) {
      std::vector<double> sums(static_cast<std::size_t>(inner), 0.0);
      double* sum = sums.data();
      for (std::int64_t i = 0; i < n; ++i) {
        const T* x = x_first + (o * n + i) * inner;
#pragma omp simd
        for (std::int64_t k = 0; k < inner; ++k) sum[k] += static_cast<double>(x[k]);
      }
      std::transform(sum, sum + inner, y + o * inner, [](double value) { return static_cast<T>(value); });
    });
  });
}

void spread_cpu(const Tensor& dy_tensor, const Along& along, Tensor& dx_tensor) {
  const auto [outer, n, inner] = along;
  dispatch_float(dx_tensor.dtype(), [&, n = n, inner = inner](auto zero) {
    using T = decltype(zero);
    const T* dy = dy_tensor.data<T>();
    T* dx = dx_tensor.data<T>();
    if (inner == 1) return for_outer(along, [=](std::int64_t o) { std::fill_n(dx + o * n, n, dy[o]); });
    const Along rows{along.outer * n, 1, inner};
    for_outer(rows, [=](std::int64_t row) { std::copy_n(dy + row / n * inner, inner, dx + row * inner); });
  });
}

struct Cut {
  Along along;
  Shape without;  // the shape without the dimension
};

Cut cut_at(const char* op, const Shape& shape, int dim) {
  const int rank = shape.rank(), at = dim < 0 ? dim + rank : dim;
  SIMCLR_CHECK(at >= 0 && at < rank, op, ": dimension ", dim, " of ", shape, ", which has ", rank);
  std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  Along along{1, sizes[static_cast<std::size_t>(at)], 1};
  for (int i = 0; i < at; ++i) along.outer *= shape[i];
  for (int i = at + 1; i < rank; ++i) along.inner *= shape[i];
  sizes.erase(sizes.begin() + at);
  return {along, Shape(sizes)};
}

}  // namespace

extern const SumAlongKernels sum_along_cpu;
const SumAlongKernels sum_along_cpu = {sum_cpu, spread_cpu};

Tensor sum_along(const Tensor& x, int dim) {
  check_floats("sum_along", x);
  const auto [along, without] = cut_at("sum_along", x.shape(), dim);
  Tensor y = Tensor::empty(without, parameter_dtype(x.dtype()), x.device());
  if (y.numel() == 0) return y;
  constexpr std::int64_t most_columns = 32 * 65535;       // of a bias on a GPU
  if (along.outer == 1 && along.inner <= most_columns) {  // over a matrix's rows, which a bias knows how to part
    Tensor row = y.reshape({along.inner});
    bias_backward(x.detach().reshape({along.n, along.inner}), row);
  } else {
    sum_along_slot.on(x.device()).sum(x, along, y);
  }
  return y;
}

Tensor spread_along(const Tensor& dy, const Shape& shape, int dim, DType dtype) {
  constexpr const char* op = "spread_along";
  const auto [along, without] = cut_at(op, shape, dim);
  check_shape(op, "dy", dy, without);
  Tensor dx = Tensor::empty(shape, dtype, dy.device());
  check_floats(op, dx);
  check_parameters(op, dx, dy);
  if (dx.numel() > 0) sum_along_slot.on(dy.device()).spread(dy, along, dx);
  return dx;
}

}  // namespace simclr::kernels
