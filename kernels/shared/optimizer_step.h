#pragma once

// Private: the arithmetic of an optimizer's step, shared by the CPU and CUDA. The equations stand in optimizer_step.h.
// T is what the arenas hold.

#include <simclr/kernels/optimizer_step.h>
#include <simclr/kernels/shared/target.h>

#include <cmath>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// The schedule's entry for a step: the last one from its end on, the first one where a step is negative.
SIMCLR_HOST_DEVICE inline double scheduled_rate(const float* rates, std::int64_t count, std::int32_t step) {
  const std::int64_t entry = step < count ? step : count - 1;
  return static_cast<double>(rates[entry < 0 ? 0 : entry]);
}

/// What clipping multiplies gradients of this norm with; 1 where that is NaN.
SIMCLR_HOST_DEVICE inline double clip_factor(double norm, double most) {
  const double factor = most / (norm + 1e-6);
  return factor < 1 ? factor : 1.0;
}

/// The weight decay of a segment.
SIMCLR_HOST_DEVICE inline double decay_of(std::int32_t flags, double weight_decay) {
  return (flags & segment_decay) != 0 ? weight_decay : 0.0;
}

/// The gradient with weight decay.
template <class T>
SIMCLR_HOST_DEVICE inline T decayed(T g, T w, T decay) {
  return g + decay * w;
}

/// v = momentum v + d. Returns what w moves by, against the gradient and without the learning rate.
template <class T>
SIMCLR_HOST_DEVICE inline T momentum_move(T& v, T d, T momentum, bool nesterov) {
  const T m = momentum * v + d;
  v = m;
  return nesterov ? d + momentum * m : m;
}

/// What LARS multiplies with: `inner` a gradient on its way into v, `outer` v on its way into w, `decay` w.
struct LarsFactors {
  double inner, outer, decay;
};

/// Of one segment. `ww` and `gg`: its sums of squares of w and of g (bolts) or g + decay w (simclr). NaN stays NaN.
SIMCLR_HOST_DEVICE inline LarsFactors lars_factors(const LarsOptions& options, bool adapts, double ww, double gg,
                                                   double decay, double lr) {
  const bool bolts = options.rule == LarsRule::bolts;
  double ratio = 1.0;
  if (adapts && (ww == 0 || gg == 0)) {
    decay = bolts ? 0.0 : decay;
  } else if (adapts) {
    const double w = std::sqrt(ww), g = std::sqrt(gg);
    ratio = bolts ? options.trust_coefficient * w / (g + decay * w + 1e-8) : options.trust_coefficient * w / g;
    if (options.clip) ratio = ratio >= lr ? 1.0 : ratio / lr;
  }
  return {bolts ? ratio : lr * ratio, bolts ? lr : 1.0, decay};
}

/// What no step of AdamW changes.
template <class T>
struct AdamwConstants {
  T beta1, beta2, one_minus_beta1, one_minus_beta2, eps;

  explicit AdamwConstants(const AdamwOptions& options)
      : beta1(static_cast<T>(options.beta1)),
        beta2(static_cast<T>(options.beta2)),
        one_minus_beta1(static_cast<T>(1 - options.beta1)),
        one_minus_beta2(static_cast<T>(1 - options.beta2)),
        eps(static_cast<T>(options.eps)) {}
};

/// What a step's elements have in common.
template <class T>
struct AdamwStep {
  T rate;                 // lr / (1 - beta1^t)
  T inverse_root_beta2t;  // 1 / sqrt(1 - beta2^t)
};

/// `keep` is 1 - lr weight_decay, 1 for segments without decay.
template <class T>
SIMCLR_HOST_DEVICE inline void adamw_update(T& w, T& m, T& v, T g, T keep, const AdamwConstants<T>& c,
                                            const AdamwStep<T>& step) {
  const T first = c.beta1 * m + c.one_minus_beta1 * g;
  const T second = c.beta2 * v + c.one_minus_beta2 * (g * g);
  m = first;
  v = second;
  w = keep * w - step.rate * first / (std::sqrt(second) * step.inverse_root_beta2t + c.eps);
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
