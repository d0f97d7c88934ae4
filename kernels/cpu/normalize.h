#pragma once

// Private: rows on the unit sphere, and the way back, for similarity.cpp and nt_xent.cpp.

#include <simclr/core/parallel.h>
#include <simclr/core/tensor.h>
#include <simclr/kernels/shared/unit_row.h>

#include <array>
#include <cmath>

namespace simclr::kernels {

inline constexpr std::int64_t row_grain = 64;  // rows of an embedding that make a piece

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

/// |z| of z [R,D], f64 [R].
template <class T>
Tensor row_norms(const Tensor& z) {
  Tensor norm = Tensor::empty({z.dim(0)}, DType::f64);
  const std::int64_t width = z.dim(1);
  const T* from = z.data<T>();
  double* norms = norm.data<double>();
  parallel_for(z.dim(0), items_a_piece({.bytes = 8 * width}), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) norms[i] = std::sqrt(dot(from + i * width, from + i * width, width));
  });
  return norm;
}

/// One row of dz = (du - (du.u)u) scale / |z|, all of it in double. dz may be du. Returns du.u.
template <class Gradient, class T>
double normalize_backward(const Gradient* du, const T* z, double norm, double scale, std::int64_t width, T* dz) {
  const NormBackward<double> back(dot(du, z, width), norm, scale);
  for (std::int64_t d = 0; d < width; ++d) dz[d] = static_cast<T>(back(double{du[d]}, double{z[d]}));
  return back.along * norm;
}

}  // namespace simclr::kernels
