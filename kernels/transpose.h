#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// The transpose of a matrix. Products need none: gemm.h takes transposed factors.
namespace simclr::kernels {

/// x [R,C] -> y [C,R], y_cr = x_rc; f32 or f64 on the CPU, f32 or bf16 on a GPU. Backward is the same function of dy.
/// Throws Error for other ranks and dtypes.
SIMCLR_API Tensor transpose(const Tensor& x);

struct TransposeKernels {
  Kernel<"transpose", void(const Tensor& x, Tensor& y)> transpose;
};

SIMCLR_API extern const Slot<TransposeKernels> transpose_slot;

}  // namespace simclr::kernels
