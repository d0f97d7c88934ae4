#pragma once

// Private: elementwise functions of one value, shared by the CPU and CUDA. T is what is computed with.

#include <simclr/kernels/shared/target.h>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// 0 or, where x is NaN or Inf, NaN: what a closed gate lets through, so that faults stay visible.
template <class T>
SIMCLR_HOST_DEVICE inline T closed(T x) {
  return x - x;
}

template <class T>
SIMCLR_HOST_DEVICE inline T relu(T x) {
  return x > T{0} ? x : closed(x);
}

/// The gradient behind a ReLU whose output was y.
template <class T>
SIMCLR_HOST_DEVICE inline T relu_gradient(T dy, T y) {
  return y > T{0} ? dy : closed(dy);
}

/// An element of du's gradient through u = x / norm: (du - (du.u) u) / norm. Rows of norm 0 pass nothing: closed(du).
SIMCLR_HOST_DEVICE inline double normalize_gradient(double du, double u, double dot, double norm) {
  return (du - dot * u) / norm;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
