#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Matrix product. CPU: loops of our own. CUDA: cuBLAS.
namespace simclr::kernels {

struct GemmOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  double alpha = 1.0;
  double beta = 0.0;  // 0: c need not be initialised
};

/// c = alpha op(a) op(b) + beta c, with op(a) [M,K], op(b) [K,N], c [M,N]. f32 or f64 on the CPU, f32 or bf16 on a GPU;
/// one dtype, but c may be f32 where a and b are bf16. Sums are taken in f32 (f64 for f64).
/// Throws Error when shapes, dtypes or devices do not match.
SIMCLR_API void gemm(const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options = {});

struct GemmKernels {
  Kernel<"gemm", void(const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options)> gemm;
};

SIMCLR_API extern const Slot<GemmKernels> gemm_slot;

}  // namespace simclr::kernels
