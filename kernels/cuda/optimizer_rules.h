#pragma once

// Private to the optimizers on a GPU: what an update reads, computes and writes, N elements at a time. The arithmetic
// of an element is the CPU's (shared/optimizer_step.h).
//
// A rule has `factors(timetable, step)`, the same for all elements of a step; it reads what an update takes,
// `read<N>(i)`, and does it, `update<N>(i, operands, factors, flags, segment)`.

#include <simclr/kernels/cuda/optimizer_arena.h>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// What LARS multiplies a segment's g + decay w with, on its way into v.
struct AdaptedSegment {
  float rate, decay;
};

/// Writes new values, and what of them is kept in bf16.
template <int N>
__device__ void write_values(float* w, BFloat16* shadow, std::int64_t i, const Pack<N>& values) {
  store<N>(w + i, values);
  if (shadow != nullptr) store<N>(shadow + i, values);
}

template <int N>
struct MomentumOperands {
  Pack<N> w, g, v;
};

enum class MomentumRule { sgd, lars, bolts };

template <MomentumRule rule>
struct Momentum {
  using Factors = float;  // the learning rate
  template <int N>
  using Operands = MomentumOperands<N>;

  float *w, *v;
  const float* g;
  const AdaptedSegment* adapted;  // of LARS, for segments that adapt
  BFloat16* shadow;
  float momentum, weight_decay;
  bool nesterov;

  __device__ float factors(const Timetable& timetable, std::int32_t step) const {
    return static_cast<float>(timetable.rate(step));
  }

  template <int N>
  __device__ MomentumOperands<N> read(std::int64_t i) const {
    return {load<N>(w + i), load<N>(g + i), load<N>(v + i)};
  }

  template <int N>
  __device__ void update(std::int64_t i, MomentumOperands<N> x, float lr, std::int32_t flags, int segment) const {
    float decay = (flags & segment_decay) != 0 ? weight_decay : 0.0f;
    float rate = rule == MomentumRule::bolts ? 1.0f : lr;
    if (rule != MomentumRule::sgd && (flags & segment_adapt) != 0) {
      rate = adapted[segment].rate;
      decay = adapted[segment].decay;
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float gradient = decayed(x.g[k], x.w[k], decay);
      const float d = rule == MomentumRule::sgd ? gradient : rate * gradient;
      const float move = momentum_move(x.v[k], d, momentum, nesterov);
      x.w[k] -= rule == MomentumRule::lars ? move : lr * move;
    }
    store<N>(v + i, x.v);
    write_values(w, shadow, i, x.w);
  }
};

template <int N>
struct AdamwOperands {
  Pack<N> w, g, m, v;
};

/// Of one step, the same for all elements.
struct AdamwFactors {
  AdamwStep<float> step;
  float keep;  // 1 - lr weight_decay, of segments that decay
};

struct Adamw {
  using Factors = AdamwFactors;
  template <int N>
  using Operands = AdamwOperands<N>;

  float *w, *m, *v;
  const float* g;
  BFloat16* shadow;
  AdamwConstants<float> constants;
  double log_beta1, log_beta2, weight_decay;

  __device__ AdamwFactors factors(const Timetable& timetable, std::int32_t step) const {
    const double lr = timetable.rate(step), t = static_cast<double>(max(step, 0)) + 1;
    return {{static_cast<float>(-lr / expm1(t * log_beta1)), static_cast<float>(1 / sqrt(-expm1(t * log_beta2)))},
            static_cast<float>(1 - lr * weight_decay)};
  }

  template <int N>
  __device__ AdamwOperands<N> read(std::int64_t i) const {
    return {load<N>(w + i), load<N>(g + i), load<N>(m + i), load<N>(v + i)};
  }

  template <int N>
  __device__ void update(std::int64_t i, AdamwOperands<N> x, const AdamwFactors& f, std::int32_t flags, int) const {
    const float keep = (flags & segment_decay) != 0 ? f.keep : 1.0f;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      adamw_update(x.w[k], x.m[k], x.v[k], x.g[k], keep, constants, f.step);
    }
    store<N>(m + i, x.m);
    store<N>(v + i, x.v);
    write_values(w, shadow, i, x.w);
  }
};

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
