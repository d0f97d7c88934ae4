// Matrix product on the CPU: parallel_for splits c along its longer side; the loops are in cpu/gemm.cpp.
#include <simclr/core/parallel.h>
#include <simclr/kernels/check.h>
#include <simclr/kernels/gemm.h>

#include "cpu/gemm.h"

#include <algorithm>
#include <type_traits>

namespace simclr::kernels {

template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c, std::int64_t m, std::int64_t n,
              std::int64_t k, T alpha, T beta) {
  const auto run = [&](const GemmFunctions<T>& loops) {
    const Tensor scratch = Tensor::empty({loops.scratch}, dtype_of<T>);
    loops.multiply(a, b, c, m, n, k, alpha, beta, scratch.data<T>());
  };
  if constexpr (std::is_same_v<T, float>) {
    run(gemm_loops().f32);
  } else {
    run(gemm_loops().f64);
  }
}

template void multiply(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&, std::int64_t,
                       std::int64_t, std::int64_t, float, float);
template void multiply(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&, std::int64_t,
                       std::int64_t, std::int64_t, double, double);

namespace {

void gemm_on_cpu(const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  const std::int64_t m = c.dim(0), n = c.dim(1), k = a.dim(options.transpose_a ? 0 : 1);
  if (m == 0 || n == 0) return;
  dispatch_float(c.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Matrix<const T> pa{a.data<const T>(), a.dim(1), options.transpose_a};
    const Matrix<const T> pb{b.data<const T>(), b.dim(1), options.transpose_b};
    const Matrix<T> pc{c.data<T>(), n, false};
    const T alpha = static_cast<T>(options.alpha), beta = static_cast<T>(options.beta);
    constexpr std::int64_t worth_a_thread = 1 << 16;  // multiplications
    const std::int64_t grain = std::max<std::int64_t>(16, worth_a_thread / (std::min(m, n) * k + 1));
    if (m >= n) {
      parallel_for(m, grain, [&](std::int64_t begin, std::int64_t end) {
        multiply<T>(pa.from_row(begin), pb, pc.from_row(begin), end - begin, n, k, alpha, beta);
      });
    } else {
      parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
        multiply<T>(pa, pb.from_column(begin), pc.from_column(begin), m, end - begin, k, alpha, beta);
      });
    }
  });
}

bool overlap(const Tensor& x, const Tensor& y) {
  const auto* px = static_cast<const std::byte*>(x.raw_data());
  const auto* py = static_cast<const std::byte*>(y.raw_data());
  return x.numel() > 0 && y.numel() > 0 && px < py + y.bytes() && py < px + x.bytes();
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
