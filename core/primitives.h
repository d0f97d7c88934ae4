#pragma once

#include <simclr/core/slot.h>

namespace simclr {

class Tensor;

/// The few operations that tensors and autograd need themselves. Arguments are already checked: same
/// shape, and the same dtype and device unless said otherwise.
struct PrimitivesKernels {
  /// y = value, rounded to y's dtype.
  void (*fill)(Tensor& y, double value);
  /// y = a + b; y may be a or b. Floating dtypes.
  void (*add)(const Tensor& a, const Tensor& b, Tensor& y);
  /// y = x; either may be in host memory.
  void (*copy)(const Tensor& x, Tensor& y);
  /// y = x converted between any two dtypes (rounded to nearest; u8 and i32 saturate).
  void (*cast)(const Tensor& x, Tensor& y);
};

SIMCLR_API extern const Slot<PrimitivesKernels> primitives_slot;

}  // namespace simclr
