#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

#include <cstdint>

/// Dropout (Srivastava et al., JMLR 2014), whose mask is a function of a key and of nothing else:
///   y[n,e] = x[n,e] / (1 - p) where element e of view n is kept, else 0
/// It is dropped with probability p, by 16 random bits of (seed; sample, epoch, view, layer, e): neither its place in
/// the batch, nor threads, processes, the step's number, nor how far the view is padded at its end change it.
/// x [N,...] f32 or f64 on the CPU, f32 or bf16 on a GPU; keys i32 [N,3], the bits of each view's u32 (sample, epoch,
/// view), on its device: Input::keys. Throws Error for other dtypes, devices and shapes. A dropped NaN or Inf gives
/// NaN, so that a fault stays visible.
namespace simclr::kernels {

struct DropoutOptions {
  double p = 0.1;  // 0 .. 1 - 2^-16; it is rounded to a multiple of 2^-16
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;  // dropouts of one seed draw alike where they have one number
};

/// y of x's shape. The gradient is the same function: dx = dropout_apply(dy, keys, options). Backward needs the keys;
/// the mask is drawn again, and nothing of x's size is kept. Throws Error for a p outside 0 .. 1 - 2^-16.
SIMCLR_API Tensor dropout_apply(const Tensor& x, const Tensor& keys, const DropoutOptions& options);

struct DropoutKernels {
  Kernel<"dropout", void(const Tensor& x, const Tensor& keys, const DropoutOptions& options, Tensor& y)> apply;
};

SIMCLR_API extern const Slot<DropoutKernels> dropout_slot;

}  // namespace simclr::kernels
