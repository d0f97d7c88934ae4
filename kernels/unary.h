#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Functions of one value, y = f(x). Any shape; f32 or f64 on the CPU, f32 or bf16 on a GPU; all tensors of a call
/// share shape, dtype and device, or Error is thrown. Outside of where f is defined y is what IEEE 754 says: log 0 =
/// -Inf, log and sqrt of negative numbers NaN, 1 / 0 = Inf; a NaN stays one. f32 errs by a few of its last bits; on the
/// CPU e^x is 0 below about 2^-125.
namespace simclr::kernels {

enum class Unary {
  exp,         // e^x
  log,         // the natural logarithm
  sqrt,        //
  reciprocal,  // 1 / x
  sigmoid,     // 1 / (1 + e^-x)
  tanh,        //
};

/// y = f(x).
SIMCLR_API Tensor unary_forward(Unary f, const Tensor& x);
/// dx = dy f'(x). Backward needs y alone, but of log x alone:
///   exp: dy y    log: dy / x    sqrt: dy / (2 y)    reciprocal: -dy y^2    sigmoid: dy y (1 - y)    tanh: dy (1 - y^2)
SIMCLR_API Tensor unary_backward(Unary f, const Tensor& dy, const Tensor& saved);

struct UnaryKernels {
  Kernel<"unary forward", void(Unary f, const Tensor& x, Tensor& y)> forward;
  Kernel<"unary backward", void(Unary f, const Tensor& dy, const Tensor& saved, Tensor& dx)> backward;
};

SIMCLR_API extern const Slot<UnaryKernels> unary_slot;

}  // namespace simclr::kernels
