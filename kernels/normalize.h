#pragma once

// Private: rows on the unit sphere, u = z/|z|, and the way back, for similarity.cpp and nt_xent.cpp.
// |z| = 0 gives u = 0 and a zero gradient. Norms are taken in double: an f32 norm would move every
// similarity of its row by the same relative error, which a small temperature then multiplies.

#include <simclr/core/parallel.h>
#include <simclr/core/tensor.h>

#include <Eigen/Core>
#include <array>
#include <cmath>

namespace simclr::kernels {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A tensor [R,C] as an Eigen matrix.
template <class T>
Eigen::Map<RowMajor<T>> as_matrix(const Tensor& tensor) {
  return {tensor.data<T>(), tensor.dim(0), tensor.dim(1)};
}

inline constexpr std::int64_t row_grain = 64;  // rows of an embedding; fewer are not worth a second thread

/// a.b, in double.
template <class A, class B>
double dot(const A* a, const B* b, std::int64_t width) {
  std::array<double, 8> lanes{};
  std::int64_t d = 0;
  for (; d + 8 <= width; d += 8) {
    for (std::size_t l = 0; l < 8; ++l) lanes[l] += double{a[d + l]} * double{b[d + l]};
  }
  for (std::size_t l = 0; d < width; ++d, ++l) lanes[l] += double{a[d]} * double{b[d]};
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

/// z [R,D] -> u [R,D], norm f64 [R].
template <class T>
void normalize_rows(const Tensor& z, Tensor& u, Tensor& norm) {
  const std::int64_t width = z.dim(1);
  const T* from = z.data<T>();
  T* to = u.data<T>();
  double* norms = norm.data<double>();
  parallel_for(z.dim(0), row_grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* row = from + i * width;
      norms[i] = std::sqrt(dot(row, row, width));
      for (std::int64_t d = 0; d < width; ++d) {
        to[i * width + d] = norms[i] == 0 ? T(0) : static_cast<T>(double{row[d]} / norms[i]);
      }
    }
  });
}

/// One row of dz = (du - (du.u)u) scale / |z|, all of it in double: du is often nearly parallel to u. dz may
/// be du.
template <class Gradient, class T>
void normalize_backward(const Gradient* du, const T* z, double norm, double scale, std::int64_t width, T* dz) {
  const double factor = norm == 0 ? 0 : scale / norm;
  const double along = norm == 0 ? 0 : dot(du, z, width) / (norm * norm);
  for (std::int64_t d = 0; d < width; ++d) dz[d] = static_cast<T>((double{du[d]} - along * double{z[d]}) * factor);
}

}  // namespace simclr::kernels
