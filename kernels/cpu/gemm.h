#pragma once

// Private: the serial matrix product of the CPU.

#include "../matrix.h"

namespace simclr::kernels {

template <class T>
struct GemmFunctions {
  std::int64_t scratch;  // memory that `multiply` needs, in T
  /// As kernels::multiply (matrix.h).
  void (*multiply)(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c, std::int64_t m,
                   std::int64_t n, std::int64_t k, T alpha, T beta, T* scratch);
};

struct GemmLoops {
  GemmFunctions<float> f32;
  GemmFunctions<double> f64;
};

const GemmLoops& gemm_loops();

}  // namespace simclr::kernels
