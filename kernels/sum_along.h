#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Sums along one dimension of a tensor, and the way back. A negative dim counts from the end. f32 or f64 on the CPU,
/// f32 or bf16 on a GPU, where the sums of bf16 are f32. Throws Error for a dim that is not there and for what does not
/// fit.
namespace simclr::kernels {

/// x [outer...,n,inner...] -> y [outer...,inner...], the sum over dimension `dim`, which is n long. Accumulates in f64,
/// in a fixed order.
SIMCLR_API Tensor sum_along(const Tensor& x, int dim);
/// Backward: dx [outer...,n,inner...] of `shape` and `dtype`, dy [outer...,inner...] for each of the n.
SIMCLR_API Tensor spread_along(const Tensor& dy, const Shape& shape, int dim, DType dtype);

/// A tensor as [outer,n,inner].
struct Along {
  std::int64_t outer, n, inner;
};

struct SumAlongKernels {
  Kernel<"sum along", void(const Tensor& x, const Along& along, Tensor& y)> sum;
  Kernel<"spread along", void(const Tensor& dy, const Along& along, Tensor& dx)> spread;
};

SIMCLR_API extern const Slot<SumAlongKernels> sum_along_slot;

}  // namespace simclr::kernels
