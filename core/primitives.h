#pragma once

#include <simclr/core/slot.h>

namespace simclr {

class Tensor;

/// The few operations that tensors and autograd need themselves. Arguments are already checked: same
/// shape, and the same dtype and device unless said otherwise.
struct PrimitivesKernels {
  /// y = value, rounded to y's dtype.
  Kernel<"fill", void(Tensor& y, double value)> fill;
  /// y = a + b; y may be a or b. Floating dtypes.
  Kernel<"add", void(const Tensor& a, const Tensor& b, Tensor& y)> add;
  /// y = x; either may be in host memory.
  Kernel<"copy", void(const Tensor& x, Tensor& y)> copy;
  /// y = x converted between any two dtypes (rounded to nearest; u8 and i32 saturate).
  Kernel<"cast", void(const Tensor& x, Tensor& y)> cast;
};

SIMCLR_API extern const Slot<PrimitivesKernels> primitives_slot;

}  // namespace simclr
