#pragma once

// Private: checks that every op's public function makes before it calls a device's kernel.

#include <simclr/core/tensor.h>

namespace simclr::kernels {

/// f32 or f64, and every tensor of the dtype and device of the first.
template <class... Others>
void check_floats(const char* op, const Tensor& first, const Others&... others) {
  SIMCLR_CHECK(first.defined() && (first.dtype() == DType::f32 || first.dtype() == DType::f64), op,
               ": wants f32 or f64, got ", describe(first));
  [[maybe_unused]] const auto same = [&](const Tensor& other) {
    SIMCLR_CHECK(other.defined() && other.dtype() == first.dtype() && other.device() == first.device(), op, ": got ",
                 describe(other), " beside ", describe(first), "; dtypes and devices must be the same");
  };
  (same(others), ...);
}

inline void check_rank(const char* op, const char* what, const Tensor& tensor, int rank) {
  SIMCLR_CHECK(tensor.defined() && tensor.rank() == rank, op, ": ", what, " must have ", rank, " dimensions, got ",
               describe(tensor));
}

inline void check_shape(const char* op, const char* what, const Tensor& tensor, const Shape& shape) {
  SIMCLR_CHECK(tensor.defined() && tensor.shape() == shape, op, ": ", what, " must be ", shape, ", got ",
               describe(tensor));
}

/// Calls body(T{}) with T float or double, for f32 or f64.
template <class Body>
decltype(auto) dispatch_float(DType dtype, Body&& body) {
  return dtype == DType::f64 ? body(double{}) : body(float{});
}

}  // namespace simclr::kernels
