// Elementwise functions on the CPU: one pass at the memory's speed; the maths is in the header.
#include <simclr/core/primitives.h>
#include <simclr/kernels/cpu/rows.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/elementwise.h>

#include <cmath>
#include <vector>

namespace simclr::kernels {
namespace {

constexpr std::int64_t grain = items_a_piece({.bytes = 8});  // elements

/// y[i] = value(i).
template <class T, class Value>
void map(Tensor& y_tensor, Value value) {
  T* y = y_tensor.data<T>();
  parallel_for(y_tensor.numel(), grain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) y[i] = value(i);
  });
}

void multiply_cpu(const Tensor& a_tensor, const Tensor& b_tensor, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *a = a_tensor.data<T>(), *b = b_tensor.data<T>();
    map<T>(y, [=](std::int64_t i) { return a[i] * b[i]; });
  });
}

void scale_cpu(const Tensor& x_tensor, double factor, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* x = x_tensor.data<T>();
    const T by = static_cast<T>(factor);
    map<T>(y, [=](std::int64_t i) { return x[i] * by; });
  });
}

void relu_forward_cpu(const Tensor& x_tensor, Tensor& y) {
  dispatch_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* x = x_tensor.data<T>();
    map<T>(y, [=](std::int64_t i) { return relu(x[i]); });
  });
}

void relu_backward_cpu(const Tensor& dy_tensor, const Tensor& y_tensor, Tensor& dx) {
  dispatch_float(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *dy = dy_tensor.data<T>(), *y = y_tensor.data<T>();
    map<T>(dx, [=](std::int64_t i) { return relu_gradient(dy[i], y[i]); });
  });
}

/// y = value(x, row's value of the same column).
template <class Value>
void map_rows(const Tensor& x_tensor, const Tensor& row_tensor, Tensor& y_tensor, Value value) {
  dispatch_float(y_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(x_tensor);
    const T *x = x_tensor.data<T>(), *row = row_tensor.data<T>();
    std::vector<T> spread;
    rows.spread(spread, [=](std::int64_t c) { return row[c]; });
    const T* lanes = spread.data();
    T* y = y_tensor.data<T>();
    rows.for_each([=](const RowSteps& steps) {
      for_each_step(steps, [=](std::int64_t offset, std::int64_t n) {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) y[offset + i] = value(x[offset + i], lanes[i]);
      });
    });
  });
}

void add_bias_cpu(const Tensor& x, const Tensor& bias, Tensor& y) {
  map_rows(x, bias, y, [](auto value, auto b) { return value + b; });
}

void multiply_rows_cpu(const Tensor& x, const Tensor& row, Tensor& y) {
  map_rows(x, row, y, [](auto value, auto factor) { return value * factor; });
}

void bias_backward_cpu(const Tensor& dy_tensor, Tensor& dbias) {
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Rows rows(dy_tensor);
    const T* dy = dy_tensor.data<T>();
    std::vector<double> sums(static_cast<std::size_t>(rows.channels()));
    rows.sum<double>(sums.data(), nullptr, [=](const RowSteps& steps, const RowSums<double>& to) {
      for_each_step(steps, [=](std::int64_t offset, std::int64_t n) {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) to.first[i] += static_cast<double>(dy[offset + i]);
      });
    });
    T* out = dbias.data<T>();
    for (std::int64_t c = 0; c < rows.channels(); ++c) out[c] = static_cast<T>(sums[c]);
  });
}

void sum_cpu(const Tensor& x_tensor, Tensor& y) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* x = x_tensor.data<T>();
    const std::int64_t n = x_tensor.numel();
    const std::int64_t blocks = (n + grain - 1) / grain;
    std::vector<double> partial(static_cast<std::size_t>(blocks));
    parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
      double total = 0;
#pragma omp simd reduction(+ : total)
      for (std::int64_t i = begin; i < end; ++i) total += static_cast<double>(x[i]);
      partial[static_cast<std::size_t>(begin / grain)] = total;
    });
    double total = 0;
    for (const double value : partial) total += value;
    *y.data<T>() = static_cast<T>(total);
  });
}

void normalize_forward_cpu(const Tensor& x_tensor, Tensor& u_tensor, Tensor& norm_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t size = x_tensor.dim(1);
    const T* x_first = x_tensor.data<T>();
    T *u_first = u_tensor.data<T>(), *norms = norm_tensor.data<T>();
    parallel_for(x_tensor.dim(0), items_a_piece({.bytes = 8 * size}), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* x = x_first + row * size;
        T* u = u_first + row * size;
        double squares = 0;
#pragma omp simd reduction(+ : squares)
        for (std::int64_t i = 0; i < size; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        const double norm = std::sqrt(squares);
        norms[row] = static_cast<T>(norm);
        if (squares == 0) {
          std::fill_n(u, size, T{0});
        } else {
#pragma omp simd
          for (std::int64_t i = 0; i < size; ++i) u[i] = static_cast<T>(static_cast<double>(x[i]) / norm);
        }
      }
    });
  });
}

void normalize_backward_cpu(const Tensor& du_tensor, const Normalized& forward, Tensor& dx_tensor) {
  dispatch_float(du_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t size = du_tensor.dim(1);
    const T *du_first = du_tensor.data<T>(), *u_first = forward.u.data<T>(), *norms = forward.norm.data<T>();
    T* dx_first = dx_tensor.data<T>();
    parallel_for(du_tensor.dim(0), items_a_piece({.bytes = 8 * size}), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T *du = du_first + row * size, *u = u_first + row * size;
        T* dx = dx_first + row * size;
        const auto norm = static_cast<double>(norms[row]);
        if (norm == 0) {
          std::transform(du, du + size, dx, closed<T>);
          continue;
        }
        double dot = 0;
#pragma omp simd reduction(+ : dot)
        for (std::int64_t i = 0; i < size; ++i) dot += static_cast<double>(du[i]) * static_cast<double>(u[i]);
#pragma omp simd
        for (std::int64_t i = 0; i < size; ++i) {
          dx[i] = static_cast<T>(normalize_gradient(static_cast<double>(du[i]), static_cast<double>(u[i]), dot, norm));
        }
      }
    });
  });
}

const ElementwiseKernels& kernels_of(const Tensor& x) {
  return elementwise_slot.on(x.device());
}

void check_pair(const char* op, const Tensor& a, const char* what, const Tensor& b) {
  check_floats(op, a, b);
  check_shape(op, what, b, a.shape());
}

void check_bias(const char* op, const Tensor& x, const char* what, const Tensor& bias) {
  check_floats(op, x);
  check_parameters(op, x, bias);
  SIMCLR_CHECK(x.rank() >= 1, op, ": wants [...,C], got ", describe(x));
  check_shape(op, what, bias, {x.dim(-1)});
}

}  // namespace

extern const ElementwiseKernels elementwise_cpu;
const ElementwiseKernels elementwise_cpu = {
    multiply_cpu,      scale_cpu,         relu_forward_cpu, relu_backward_cpu,     add_bias_cpu,
    multiply_rows_cpu, bias_backward_cpu, sum_cpu,          normalize_forward_cpu, normalize_backward_cpu};

Tensor add(const Tensor& a, const Tensor& b) {
  check_pair("add", a, "b", b);
  Tensor y = Tensor::empty_like(a);
  primitives_slot.on(a.device()).add(a, b, y);
  return y;
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  check_pair("multiply", a, "b", b);
  Tensor y = Tensor::empty_like(a);
  kernels_of(a).multiply(a, b, y);
  return y;
}

Tensor scale(const Tensor& x, double factor) {
  check_floats("scale", x);
  Tensor y = Tensor::empty_like(x);
  kernels_of(x).scale(x, factor, y);
  return y;
}

Tensor relu_forward(const Tensor& x) {
  check_floats("relu_forward", x);
  Tensor y = Tensor::empty_like(x);
  kernels_of(x).relu_forward(x, y);
  return y;
}

Tensor relu_backward(const Tensor& dy, const Tensor& y) {
  check_pair("relu_backward", dy, "y", y);
  Tensor dx = Tensor::empty_like(dy);
  kernels_of(dy).relu_backward(dy, y, dx);
  return dx;
}

Tensor add_bias(const Tensor& x, const Tensor& bias) {
  check_bias("add_bias", x, "bias", bias);
  Tensor y = Tensor::empty_like(x);
  kernels_of(x).add_bias(x, bias, y);
  return y;
}

Tensor multiply_rows(const Tensor& x, const Tensor& row) {
  check_bias("multiply_rows", x, "row", row);
  Tensor y = Tensor::empty_like(x);
  kernels_of(x).multiply_rows(x, row, y);
  return y;
}

void bias_backward(const Tensor& dy, Tensor& dbias) {
  check_bias("bias_backward", dy, "dbias", dbias);
  kernels_of(dy).bias_backward(dy, dbias);
}

Tensor sum(const Tensor& x) {
  check_floats("sum", x);
  Tensor y = Tensor::empty({}, parameter_dtype(x.dtype()), x.device());
  kernels_of(x).sum(x, y);
  return y;
}

Normalized normalize_forward(const Tensor& x) {
  check_floats("normalize_forward", x);
  check_rank("normalize_forward", "x", x, 2);
  Normalized result{Tensor::empty_like(x), Tensor::empty({x.dim(0)}, parameter_dtype(x.dtype()), x.device())};
  kernels_of(x).normalize_forward(x, result.u, result.norm);
  return result;
}

Tensor normalize_backward(const Tensor& du, const Normalized& forward) {
  check_floats("normalize_backward", du, forward.u);
  check_parameters("normalize_backward", du, forward.norm);
  check_rank("normalize_backward", "du", du, 2);
  check_shape("normalize_backward", "u", forward.u, du.shape());
  check_shape("normalize_backward", "norm", forward.norm, {du.dim(0)});
  Tensor dx = Tensor::empty_like(du);
  kernels_of(du).normalize_backward(du, forward, dx);
  return dx;
}

}  // namespace simclr::kernels
