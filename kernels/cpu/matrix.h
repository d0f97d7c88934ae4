#pragma once

// Private: the serial matrix product that gemm and im2col share, on plain memory.

#include <cstdint>

namespace simclr::kernels {

/// A matrix as it lies in memory.
template <class T>
struct Matrix {
  T* data;
  std::int64_t stride;      // from one stored row to the next
  bool transposed = false;  // the stored rows are the matrix's columns

  Matrix from_row(std::int64_t row) const { return {data + (transposed ? row : row * stride), stride, transposed}; }
  Matrix from_column(std::int64_t column) const {
    return {data + (transposed ? column * stride : column), stride, transposed};
  }
};

/// c = alpha a b + beta c with a [m,k], b [k,n], c [m,n], on the calling thread alone. T is float or double; c must
/// not be transposed, nor overlap a or b. Cutting c into parts changes no bit of it.
template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c, std::int64_t m, std::int64_t n,
              std::int64_t k, T alpha = T{1}, T beta = T{0});

}  // namespace simclr::kernels
