#pragma once

// Private to the emulated device: what stands in for a vendor's library computes on the CPU, in f32.

#include <simclr/core/tensor.h>

namespace simclr::emu {

/// The values as f32 on the CPU: a view where they are f32 already, for emulated memory is host memory.
inline Tensor on_host(const Tensor& x) {
  if (x.dtype() == DType::f32) return Tensor::wrap(x.raw_data(), x.shape(), DType::f32);
  return x.to(DType::f32).to(Device{});
}

/// The same memory, which the caller keeps alive: what a captured step holds of a tensor.
inline Tensor memory_of(const Tensor& x) {
  return Tensor::wrap(x.raw_data(), x.shape(), x.dtype(), x.device());
}

/// Rounds values into a tensor of the emulated device; nothing to do where `values` views it.
inline void back_to(Tensor& y, const Tensor& values) {
  if (y.raw_data() != values.raw_data()) y.copy_from(values);
}

}  // namespace simclr::emu
