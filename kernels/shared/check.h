#pragma once

// Private: checks that every op's public function makes before it calls a device's kernel.

#include <simclr/core/tensor.h>

#include <cstddef>
#include <string>

namespace simclr::kernels {

/// What a device computes with: f32 and f64 on the CPU, f32 and bf16 on a GPU.
inline bool computes_with(Device device, DType dtype) {
  return dtype == DType::f32 || dtype == (device.type == DeviceType::cpu ? DType::f64 : DType::bf16);
}

/// A floating dtype that the device computes with, and every tensor of the dtype and device of the first.
template <class... Others>
void check_floats(const char* op, const Tensor& first, const Others&... others) {
  SIMCLR_CHECK(first.defined() && computes_with(first.device(), first.dtype()), op, ": wants f32 or ",
               first.defined() && first.device().type != DeviceType::cpu ? "bf16" : "f64", ", got ", describe(first));
  [[maybe_unused]] const auto same = [&](const Tensor& other) {
    SIMCLR_CHECK(other.defined() && other.dtype() == first.dtype() && other.device() == first.device(), op, ": got ",
                 describe(other), " beside ", describe(first), "; dtypes and devices must be the same");
  };
  (same(others), ...);
}

/// What stands beside activations of `dtype`, parameters, statistics and their gradients: f32 beside bf16.
inline DType parameter_dtype(DType dtype) {
  return dtype == DType::bf16 ? DType::f32 : dtype;
}

/// Every tensor on the device of `x`, and of the dtype of its parameters.
template <class... Parameters>
void check_parameters(const char* op, const Tensor& x, const Parameters&... parameters) {
  const auto fits = [&](const Tensor& p) {
    SIMCLR_CHECK(p.defined() && p.dtype() == parameter_dtype(x.dtype()) && p.device() == x.device(), op, ": got ",
                 describe(p), " beside ", describe(x), "; ",
                 x.dtype() == DType::bf16 ? "parameters of bf16 activations are f32, on their device"
                                          : "dtypes and devices must be the same");
  };
  (fits(parameters), ...);
}

inline void check_rank(const char* op, const char* what, const Tensor& tensor, int rank) {
  SIMCLR_CHECK(tensor.defined() && tensor.rank() == rank, op, ": ", what, " must have ", rank, " dimensions, got ",
               describe(tensor));
}

inline void check_shape(const char* op, const char* what, const Tensor& tensor, const Shape& shape) {
  SIMCLR_CHECK(tensor.defined() && tensor.shape() == shape, op, ": ", what, " must be ", shape, ", got ",
               describe(tensor));
}

/// Whether some memory belongs to both.
inline bool overlap(const Tensor& x, const Tensor& y) {
  const auto* px = static_cast<const std::byte*>(x.raw_data());
  const auto* py = static_cast<const std::byte*>(y.raw_data());
  return x.numel() > 0 && y.numel() > 0 && px < py + y.bytes() && py < px + x.bytes();
}

/// For an error message: what to do where `channels` stand in x's second place, as PyTorch has them.
inline std::string layout_hint(const Shape& x, std::int64_t channels) {
  if (x.rank() != 4 || x[1] != channels || x[3] == channels) return "";
  return "; it looks like [N,C,H,W], and this library's images are [N,H,W,C]: move the channels to the end";
}

/// Calls body(T{}) with T float or double, for f32 or f64.
template <class Body>
decltype(auto) dispatch_float(DType dtype, Body&& body) {
  return dtype == DType::f64 ? body(double{}) : body(float{});
}

}  // namespace simclr::kernels
