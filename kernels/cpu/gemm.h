#pragma once

// Private: the serial matrix product of the CPU.

#include "matrix.h"

namespace simclr::kernels {

/// Rows [i, i + rows) and columns [j, j + columns) of a product.
struct GemmPart {
  std::int64_t i, rows, j, columns;
};

template <class T>
struct GemmFunctions {
  std::int64_t panel;    // columns of b that are packed together
  std::int64_t rows;     // what `rows` of a part is best a multiple of
  std::int64_t scratch;  // memory that `multiply` needs, in T

  /// Values of b [k,n], packed.
  std::int64_t (*packed)(std::int64_t n, std::int64_t k);
  /// packed = alpha b, columns [j, j + columns) of it; j is a multiple of `panel`.
  void (*pack)(const Matrix<const T>& b, std::int64_t n, std::int64_t k, std::int64_t j, std::int64_t columns, T alpha,
               T* packed);
  /// A part of c = a packed + beta c; part.j is a multiple of `panel`, and so are part.columns unless they are c's
  /// last.
  void (*multiply_packed)(const Matrix<const T>& a, const T* packed, const Matrix<T>& c, const GemmPart& part,
                          std::int64_t k, T beta);
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
