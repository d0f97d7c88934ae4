// Matrix product on the CPU: where c is large, b is packed once and c is cut into parts; the loops are in cpu/gemm.cpp.
#include <simclr/core/parallel.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/shared/check.h>

#include "cpu/gemm.h"

#include <algorithm>
#include <type_traits>

namespace simclr::kernels {

namespace {

template <class T>
const GemmFunctions<T>& loops() {
  if constexpr (std::is_same_v<T, float>) {
    return gemm_loops().f32;
  } else {
    return gemm_loops().f64;
  }
}

}  // namespace

template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c, std::int64_t m, std::int64_t n,
              std::int64_t k, T alpha, T beta) {
  const Tensor scratch = Tensor::empty({loops<T>().scratch}, dtype_of<T>);
  loops<T>().multiply(a, b, c, m, n, k, alpha, beta, scratch.template data<T>());
}

template void multiply(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&, std::int64_t,
                       std::int64_t, std::int64_t, float, float);
template void multiply(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&, std::int64_t,
                       std::int64_t, std::int64_t, double, double);

namespace {

std::int64_t divided_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// c [m,n] in parts of so many rows and columns, by its sizes alone. Narrow parts read a often and wide ones b, so
/// columns come first.
struct Cut {
  std::int64_t rows, columns;

  template <class T>
  static Cut of(std::int64_t m, std::int64_t n, std::int64_t k) {
    constexpr std::int64_t widest = 256;
    const GemmFunctions<T>& f = loops<T>();
    const std::int64_t outputs = items_a_piece({.flop = 2 * k});  // of a part
    const std::int64_t columns = std::min(n, widest);
    const std::int64_t rows = divided_up(std::max(outputs / columns, 4 * f.rows), f.rows) * f.rows;
    if (rows < m) return {rows, columns};
    return {m, std::min(n, divided_up(std::max<std::int64_t>(outputs / m, 1), widest) * widest)};
  }
};

/// Columns of c, a multiple of a panel's, whose part of b is packed at a time: 8 MiB of it, more where k is so large.
template <class T>
std::int64_t packed_columns(std::int64_t n, std::int64_t k) {
  constexpr std::int64_t bytes = 8 << 20, block = 1024;
  return std::min(n, std::max<std::int64_t>(bytes / (static_cast<std::int64_t>(sizeof(T)) * k) / block, 1) * block);
}

template <class T>
void multiply_in_parts(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c, std::int64_t m,
                       std::int64_t n, std::int64_t k, T alpha, T beta, const Cut& cut) {
  const GemmFunctions<T>& f = loops<T>();
  const std::int64_t at_a_time = packed_columns<T>(n, k);
  const Tensor memory = Tensor::empty({f.packed(at_a_time, k)}, dtype_of<T>);
  T* packed = memory.template data<T>();
  for (std::int64_t first = 0; first < n; first += at_a_time) {
    const std::int64_t columns = std::min(at_a_time, n - first);
    const Matrix<const T> right = b.from_column(first);
    const Matrix<T> out = c.from_column(first);
    const std::int64_t panels = items_a_piece({.bytes = 2 * static_cast<std::int64_t>(sizeof(T)) * f.panel * k});
    parallel_for(columns, panels * f.panel, [&](std::int64_t begin, std::int64_t end) {
      f.pack(right, columns, k, begin, end - begin, alpha, packed);
    });
    const std::int64_t down = divided_up(m, cut.rows), across = divided_up(columns, cut.columns);
    parallel_for(down * across, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        const std::int64_t i = part % down * cut.rows, j = part / down * cut.columns;
        f.multiply_packed(a, packed, out, {i, std::min(cut.rows, m - i), j, std::min(cut.columns, columns - j)}, k,
                          beta);
      }
    });
  }
}

void gemm_on_cpu(const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  const std::int64_t m = c.dim(0), n = c.dim(1), k = a.dim(options.transpose_a ? 0 : 1);
  if (m == 0 || n == 0) return;
  dispatch_float(c.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Matrix<const T> pa{a.data<const T>(), a.dim(1), options.transpose_a};
    const Matrix<const T> pb{b.data<const T>(), b.dim(1), options.transpose_b};
    const Matrix<T> pc{c.data<T>(), n, false};
    const T alpha = static_cast<T>(options.alpha), beta = static_cast<T>(options.beta);
    const Cut cut = Cut::of<T>(m, n, std::max<std::int64_t>(k, 1));
    if (k == 0 || (cut.rows >= m && cut.columns >= n)) {
      multiply<T>(pa, pb, pc, m, n, k, alpha, beta);
    } else {
      multiply_in_parts<T>(pa, pb, pc, m, n, k, alpha, beta, cut);
    }
  });
}

}  // namespace

extern const GemmKernels gemm_cpu;
const GemmKernels gemm_cpu = {gemm_on_cpu};

void gemm(const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  check_floats("gemm", c);
  check_floats("gemm", a, b);
  if (c.dtype() != parameter_dtype(a.dtype())) check_floats("gemm", a, c);
  SIMCLR_CHECK(c.defined() && c.device() == a.device(), "gemm: got ", describe(c), " beside ", describe(a),
               "; devices must be the same");
  check_rank("gemm", "a", a, 2);
  check_rank("gemm", "b", b, 2);
  const std::int64_t m = a.dim(options.transpose_a ? 1 : 0), k = a.dim(options.transpose_a ? 0 : 1);
  const std::int64_t n = b.dim(options.transpose_b ? 0 : 1);
  SIMCLR_CHECK(b.dim(options.transpose_b ? 1 : 0) == k, "gemm: a is ", describe(a),
               options.transpose_a ? " transposed" : "", " and b ", describe(b),
               options.transpose_b ? " transposed" : "", "; a's columns must be as many as b's rows");
  check_shape("gemm", "c", c, {m, n});
  SIMCLR_CHECK(!overlap(a, c) && !overlap(b, c), "gemm: c shares memory with a or b; give it memory of its own");
  gemm_slot.on(c.device()).gemm(a, b, c, options);
}

}  // namespace simclr::kernels
