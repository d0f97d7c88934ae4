#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Pooling of sequences over time, without their padding: x [N,T,C] -> [N,C]. lengths i32 [N] in 0..T, or undefined:
/// all T steps are a sequence's own. f32 or f64 on the CPU, f32 or bf16 on a GPU; outputs and gradients have their
/// argument's dtype. A sequence of length 0 gives 0, and takes no gradient. What padding holds is not looked at; its
/// gradient is 0. Every function throws Error for other dtypes, devices, ranks and shapes.
/// A length outside 0..T is an Error on the CPU (sequence and value are named). A GPU cannot throw: there the
/// sequence's row, and its gradient, become NaN.
namespace simclr::kernels {

/// y[n] = (1 / lengths[n]) sum of x[n,t] over t < lengths[n].
SIMCLR_API Tensor mean_over_time_forward(const Tensor& x, const Tensor& lengths);
/// dx [N,steps,C] from dy [N,C]: each step of its own gets its share. Backward needs lengths.
SIMCLR_API Tensor mean_over_time_backward(const Tensor& dy, const Tensor& lengths, std::int64_t steps);

struct MaxOverTimeResult {
  Tensor y;       // [N,C]; NaN where a step of its own holds NaN or -Inf, so that faults stay visible
  Tensor argmax;  // i32 [N,C]: the step that won, the first of equals; -1: the length is 0, -2: it is impossible
};

/// y[n] = the largest x[n,t] over t < lengths[n], for each channel.
SIMCLR_API MaxOverTimeResult max_over_time_forward(const Tensor& x, const Tensor& lengths);
/// dx [N,steps,C]: each dy [N,C] goes to its winner. Backward needs argmax.
SIMCLR_API Tensor max_over_time_backward(const Tensor& dy, const Tensor& argmax, std::int64_t steps);

struct TimePoolKernels {
  Kernel<"mean over time forward", void(const Tensor& x, const Tensor& lengths, Tensor& y)> mean_forward;
  Kernel<"mean over time backward", void(const Tensor& dy, const Tensor& lengths, Tensor& dx)> mean_backward;
  Kernel<"max over time forward", void(const Tensor& x, const Tensor& lengths, Tensor& y, Tensor& argmax)> max_forward;
  Kernel<"max over time backward", void(const Tensor& dy, const Tensor& argmax, Tensor& dx)> max_backward;
};

SIMCLR_API extern const Slot<TimePoolKernels> time_pool_slot;

}  // namespace simclr::kernels
