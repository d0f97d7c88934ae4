#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Optimizer updates, one call for all parameters of a model. Values, gradients and state are flat arenas [n] with the
/// same layout, f32, on the CPU also f64. The learning rate and the step count live in device memory, so
/// that a captured step replays truly. On a GPU a step is one launch, for LARS two. Every step moves arena.values, its
/// own state (of the values' shape, dtype and device) and arena.step, and throws Error where a tensor of the arena or
/// the state has another shape, dtype or device than it says, and for impossible options.
namespace simclr::kernels {

/// One parameter's place in the arenas. `segments` tensors hold these as i32 [P,3], ascending and disjoint; elements
/// outside them stay as they are. The CPU refuses other segments and a negative step; a GPU, which cannot look at them
/// without waiting, stays inside the arenas but updates whatever elements, and takes a negative step for the first.
struct Segment {
  std::int32_t begin;
  std::int32_t end;
  std::int32_t flags;
};
inline constexpr std::int32_t segment_decay = 1;  // takes weight decay
inline constexpr std::int32_t segment_adapt = 2;  // takes LARS's layer-wise adaptation

/// What every update reads and moves.
struct OptimizerArena {
  Tensor values;          // [n], updated
  Tensor gradients;       // [n]
  Tensor segments;        // i32 [P,3], see Segment
  Tensor learning_rates;  // f32 [T]: the schedule; steps past its end use the last entry
  Tensor step;            // i32 [1]: updates made so far; advanced by one
  Tensor shadow = {};     // bf16 [n], optional: gets the new values, rounded
  Tensor bad_step = {};   // i32 [1], optional: while it is not -1, updates change nothing, `step` included
  Tensor counters = {};   // a GPU's own, made at the first step; two steps at the same time must not share it
};

/// Writes `step` over `bad_step`, both i32 [1], where an element of x is NaN or Inf; else leaves it. Before an update,
/// of its gradients: then it is not made, and values and state stay as they were before the fault, with no wait for a
/// GPU.
SIMCLR_API void note_nonfinite(const Tensor& x, const Tensor& step, Tensor bad_step);

/// Clips gradients by their norm, as PyTorch's clip_grad_norm_: g *= min(1, most / (|g| + 1e-6)), with |g| of all of
/// `gradients` [n] together, summed up in f64 in an order that depends on n alone. `norm` f64 [1] gets |g| as it was.
/// Where that is NaN the gradients stay. To be called before an update, on a GPU two launches. Throws Error for a
/// `most` that is not positive and finite, and for a norm of another shape, dtype or device.
SIMCLR_API void clip_gradient_norm(Tensor gradients, double most, Tensor norm);

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 0.0;
  bool nesterov = false;
};
/// PyTorch's SGD: g += weight_decay w; v = momentum v + g; w -= lr (nesterov ? g + momentum v : v).
/// `momentum` holds v [n], zeros before the first step.
SIMCLR_API void sgd_step(OptimizerArena& arena, Tensor& momentum, const SgdOptions& options);

/// Which LARS: google-research/simclr's, or that of PyTorch Lightning Bolts, which solo-learn has too.
enum class LarsRule : std::int32_t { simclr = 0, bolts = 1 };

struct LarsOptions {
  double momentum = 0.9;
  double weight_decay = 1e-6;
  double trust_coefficient = 0.001;
  bool nesterov = false;
  bool clip = false;  // a layer's rate becomes min(trust_coefficient |w| / |g|, lr) instead of lr times the first
  LarsRule rule = LarsRule::simclr;
};
/// LARS (You et al., arXiv 1708.03888), for d = g + weight_decay w.
/// simclr: ratio = trust_coefficient |w| / |d|, 1 where either norm is 0 and for segments without segment_adapt;
///         v = momentum v + lr ratio d; w -= (nesterov ? momentum v + lr ratio d : v).
/// bolts:  ratio = trust_coefficient |w| / (|g| + weight_decay |w| + 1e-8), 1 for segments without segment_adapt and,
///         with d = g, where |w| or |g| is 0; v = momentum v + ratio d; w -= lr (nesterov ? ratio d + momentum v : v).
///         Since lr stays outside of v, what v holds moves by the learning rate of today.
/// clip:   ratio = min(ratio / lr, 1) where it is not 1 already.
/// `momentum` holds v [n], zeros before the first step.
SIMCLR_API void lars_step(OptimizerArena& arena, Tensor& momentum, const LarsOptions& options);

struct AdamwOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
};
/// AdamW (Loshchilov & Hutter, arXiv 1711.05101), PyTorch's form: w -= lr weight_decay w;
/// m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2; w -= lr mhat / (sqrt(vhat) + eps). m and v are [n], zeros
/// before the first step.
SIMCLR_API void adamw_step(OptimizerArena& arena, Tensor& m, Tensor& v, const AdamwOptions& options);

/// Throw Error for options outside their ranges (negative, not finite, a beta of 1 or more). The steps call them; an
/// optimizer calls them once when it is made, so that a mistake shows before training starts.
SIMCLR_API void check_options(const SgdOptions& options);
SIMCLR_API void check_options(const LarsOptions& options);
SIMCLR_API void check_options(const AdamwOptions& options);

struct OptimizerStepKernels {
  Kernel<"optimizer look for NaN", void(const Tensor& x, const Tensor& step, Tensor& bad_step)> note_nonfinite;
  Kernel<"optimizer sgd", void(OptimizerArena& arena, Tensor& momentum, const SgdOptions& options)> sgd;
  Kernel<"optimizer lars", void(OptimizerArena& arena, Tensor& momentum, const LarsOptions& options)> lars;
  Kernel<"optimizer adamw", void(OptimizerArena& arena, Tensor& m, Tensor& v, const AdamwOptions& options)> adamw;
  Kernel<"optimizer clip", void(Tensor& gradients, double most, Tensor& norm)> clip;
};

SIMCLR_API extern const Slot<OptimizerStepKernels> optimizer_step_slot;

}  // namespace simclr::kernels
