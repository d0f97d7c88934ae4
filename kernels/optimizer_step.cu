// SGD, LARS and AdamW on a GPU (the equations stand in the header). Arenas [n], segments [P,3]. Elements are dealt to
// warps in runs; a warp finds its first segment by bisection while its values are on their way, and walks on from
// there, so one launch serves all parameters. Nothing that changes from step to step comes from the host:
//   LARS: norms_kernel   sums of squares of every piece (a run's part of a segment), in f64
//   SGD, LARS: rates_kernel    a segment's rate, for LARS from its pieces in their order
//   AdamW: adamw_factors_kernel   what depends on the step
//   update_kernel        the update, 16 bytes at a time, and the step's advance: here nobody reads it any more
// Runs and segments both ascend, so run + segment numbers all pieces without a list of them. Segments come from device
// memory unchecked: they are compared with positions inside the arenas and never used as addresses.
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/optimizer_step.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int update_threads = 256;
constexpr int lane_vectors = 2;  // a lane's share of a run, all on their way together

/// Elements of a warp's run, `width` of them a vector.
template <int width>
constexpr std::int64_t run_size = 32 * lane_vectors* width;

/// Segments in device memory; `count` of them.
struct Segments {
  const Segment* list;
  int count;

  /// The first one at or behind `from` that ends behind element i; `count` where none does.
  __device__ int walk(int from, std::int64_t i) const {
    while (from < count && list[from].end <= i) ++from;
    return from;
  }
  __device__ int find(std::int64_t i) const {
    int low = 0, high = count;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (list[middle].end > i) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
};

__device__ inline std::int64_t warp_run() {
  return static_cast<std::int64_t>(blockIdx.x) * (update_threads / 32) + threadIdx.x / 32;
}

/// Where vector j of this lane starts.
template <int width>
__device__ std::int64_t lane_element(std::int64_t run, int j) {
  return run * run_size<width> + (j * 32 + lane_index()) * width;
}

__device__ inline double learning_rate(const float* rates, std::int64_t count, const std::int32_t* step) {
  const std::int64_t at = *step < count ? *step : count - 1;
  return static_cast<double>(rates[at < 0 ? 0 : at]);
}

/// Sums of squares of w and of g + decay w over a piece.
struct Squares {
  double w, g;
};

template <int width>
__global__ void __launch_bounds__(update_threads) norms_kernel(const float* w, const float* g, std::int64_t n,
                                                               Segments segments, float weight_decay, Squares* pieces) {
  const std::int64_t run = warp_run(), begin = run * run_size<width>;
  const std::int64_t end = begin + run_size<width> < n ? begin + run_size<width> : n;
  Pack<width> values[lane_vectors], gradients[lane_vectors];
#pragma unroll
  for (int j = 0; j < lane_vectors; ++j) {
    const std::int64_t i = lane_element<width>(run, j);
    if (i + width <= n) {
      values[j] = load<width>(w + i);
      gradients[j] = load<width>(g + i);
    } else {
#pragma unroll
      for (int k = 0; k < width; ++k) {
        values[j][k] = i + k < n ? w[i + k] : 0.0f;
        gradients[j][k] = i + k < n ? g[i + k] : 0.0f;
      }
    }
  }
  for (int s = segments.find(begin); s < segments.count; ++s) {
    const Segment segment = segments.list[s];
    if (segment.begin >= end) break;
    if ((segment.flags & segment_adapt) == 0) continue;
    const float decay = (segment.flags & segment_decay) != 0 ? weight_decay : 0.0f;
    Squares sum = {0, 0};
#pragma unroll
    for (int j = 0; j < lane_vectors; ++j) {
#pragma unroll
      for (int k = 0; k < width; ++k) {
        const std::int64_t i = lane_element<width>(run, j) + k;
        if (i < segment.begin || i >= segment.end) continue;
        const float d = gradients[j][k] + decay * values[j][k];
        sum.w += static_cast<double>(values[j][k]) * static_cast<double>(values[j][k]);
        sum.g += static_cast<double>(d) * static_cast<double>(d);
      }
    }
    sum = {warp_sum(sum.w), warp_sum(sum.g)};
    if (lane_index() == 0) pieces[run + s] = sum;
  }
}

constexpr int rate_threads = 128;

/// rates[s] = lr, times LARS's ratio where the segment adapts. Without `pieces` none does. A block a segment.
__global__ void __launch_bounds__(rate_threads)
    rates_kernel(Segments segments, std::int64_t n, const float* learning_rates, std::int64_t entries,
                 const std::int32_t* step, const Squares* pieces, std::int64_t run_elements, double trust,
                 float* rates) {
  const auto s = static_cast<int>(blockIdx.x);
  const Segment segment = segments.list[s];
  Squares sum = {0, 0};
  if (pieces != nullptr && (segment.flags & segment_adapt) != 0) {
    const std::int64_t begin = max(segment.begin, 0), end = segment.end < n ? segment.end : n;
    for (std::int64_t run = begin / run_elements + threadIdx.x; run * run_elements < end; run += rate_threads) {
      sum.w += pieces[run + s].w;
      sum.g += pieces[run + s].g;
    }
  }
  sum = {block_sum<rate_threads>(sum.w), block_sum<rate_threads>(sum.g)};
  if (threadIdx.x != 0) return;
  const double ratio = sum.w == 0 || sum.g == 0 ? 1.0 : trust * sqrt(sum.w) / sqrt(sum.g);
  rates[s] = static_cast<float>(learning_rate(learning_rates, entries, step) * ratio);
}

/// What AdamW takes from the step, the same for all elements.
struct AdamwFactors {
  float keep;                 // 1 - lr weight_decay, of segments that decay
  float rate;                 // lr / (1 - beta1^t)
  float inverse_root_beta2t;  // 1 / sqrt(1 - beta2^t)
};

__global__ void adamw_factors_kernel(const float* learning_rates, std::int64_t entries, const std::int32_t* step,
                                     AdamwOptions options, AdamwFactors* factors) {
  const double lr = learning_rate(learning_rates, entries, step);
  const double t = static_cast<double>(max(*step, 0)) + 1;
  *factors = {static_cast<float>(1 - lr * options.weight_decay), static_cast<float>(lr / (1 - pow(options.beta1, t))),
              static_cast<float>(1 / sqrt(1 - pow(options.beta2, t)))};
}

/// Writes new values, and what of them is kept in bf16.
template <int N>
__device__ void write_values(float* w, BFloat16* shadow, std::int64_t i, const Pack<N>& values) {
  store<N>(w + i, values);
  if (shadow != nullptr) store<N>(shadow + i, values);
}

/// A rule reads what an update takes, `read<N>(i)`, and does it, `update<N>(i, operands, flags, segment)`.
template <int N>
struct MomentumOperands {
  Pack<N> w, g, v;
};

template <bool lars>
struct Momentum {
  template <int N>
  using Operands = MomentumOperands<N>;

  float *w, *v;
  const float *g, *rates;
  BFloat16* shadow;
  float momentum, weight_decay;
  bool nesterov;

  template <int N>
  __device__ MomentumOperands<N> read(std::int64_t i) const {
    return {load<N>(w + i), load<N>(g + i), load<N>(v + i)};
  }

  template <int N>
  __device__ void update(std::int64_t i, MomentumOperands<N> x, std::int32_t flags, int segment) const {
    const float decay = (flags & segment_decay) != 0 ? weight_decay : 0.0f, rate = rates[segment];
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float gradient = x.g[k] + decay * x.w[k];
      const float d = lars ? rate * gradient : gradient;
      const float m = momentum * x.v[k] + d;
      const float move = nesterov ? d + momentum * m : m;
      x.v[k] = m;
      x.w[k] -= lars ? move : rate * move;
    }
    store<N>(v + i, x.v);
    write_values(w, shadow, i, x.w);
  }
};

template <int N>
struct AdamwOperands {
  Pack<N> w, g, m, v;
};

struct Adamw {
  template <int N>
  using Operands = AdamwOperands<N>;

  float *w, *m, *v;
  const float* g;
  BFloat16* shadow;
  const AdamwFactors* factors;
  float beta1, beta2, one_minus_beta1, one_minus_beta2, eps;

  template <int N>
  __device__ AdamwOperands<N> read(std::int64_t i) const {
    return {load<N>(w + i), load<N>(g + i), load<N>(m + i), load<N>(v + i)};
  }

  template <int N>
  __device__ void update(std::int64_t i, AdamwOperands<N> x, std::int32_t flags, int) const {
    const AdamwFactors f = *factors;
    const float keep = (flags & segment_decay) != 0 ? f.keep : 1.0f;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      x.m[k] = beta1 * x.m[k] + one_minus_beta1 * x.g[k];
      x.v[k] = beta2 * x.v[k] + one_minus_beta2 * (x.g[k] * x.g[k]);
      x.w[k] = keep * x.w[k] - f.rate * x.m[k] / (sqrtf(x.v[k]) * f.inverse_root_beta2t + eps);
    }
    store<N>(m + i, x.m);
    store<N>(v + i, x.v);
    write_values(w, shadow, i, x.w);
  }
};

template <int width, class Rule>
__global__ void __launch_bounds__(update_threads, 4)
    update_kernel(Rule rule, Segments segments, std::int64_t n, std::int32_t* step) {
  if (blockIdx.x == 0 && threadIdx.x == 0) *step += 1;
  const std::int64_t run = warp_run();
  typename Rule::template Operands<width> operands[lane_vectors];
#pragma unroll
  for (int j = 0; j < lane_vectors; ++j) {
    const std::int64_t i = lane_element<width>(run, j);
    if (i + width <= n) operands[j] = rule.template read<width>(i);
  }
  int s = segments.find(run * run_size<width>);
#pragma unroll
  for (int j = 0; j < lane_vectors; ++j) {
    const std::int64_t i = lane_element<width>(run, j);
    s = segments.walk(s, i);
    if (s == segments.count || i >= n) continue;
    const Segment segment = segments.list[s];
    if (segment.begin <= i && i + width <= segment.end && i + width <= n) {
      rule.template update<width>(i, operands[j], segment.flags, s);
    } else if constexpr (width > 1) {  // a segment begins or ends among these elements
      int at = s;
      for (std::int64_t one = i; one < i + width && one < n; ++one) {
        at = segments.walk(at, one);
        if (at == segments.count) break;
        const Segment own = segments.list[at];
        if (own.begin <= one) rule.template update<1>(one, rule.template read<1>(one), own.flags, at);
      }
    }
  }
}

// Launchers.

Segments segments_of(const OptimizerArena& arena) {
  static_assert(sizeof(Segment) == 3 * sizeof(std::int32_t));
  return {static_cast<const Segment*>(arena.segments.raw_data()), static_cast<int>(arena.segments.dim(0))};
}

BFloat16* shadow_of(const OptimizerArena& arena) {
  return arena.shadow.defined() ? arena.shadow.data<BFloat16>() : nullptr;
}

template <int width>
unsigned blocks_of(const OptimizerArena& arena) {
  return blocks_for(arena.values.numel(), update_threads / 32 * run_size<width>);
}

/// body(number of elements that may be read at once): 4 where every arena starts at 16 bytes.
template <class Body>
void dispatch_width(bool aligned, const Body& body) {
  if (aligned) {
    body(std::integral_constant<int, 4>{});
  } else {
    body(std::integral_constant<int, 1>{});
  }
}

template <int width, class Rule>
void update(OptimizerArena& arena, const Rule& rule) {
  launch("update_kernel", arena.values.device(), {std::max(blocks_of<width>(arena), 1u), update_threads},
         update_kernel<width, Rule>, rule, segments_of(arena), arena.values.numel(), arena.step.data<std::int32_t>());
}

template <bool lars>
void momentum_step(OptimizerArena& arena, Tensor& momentum, float factor, double weight_decay, bool nesterov,
                   double trust) {
  const Device device = arena.values.device();
  const Segments segments = segments_of(arena);
  const std::int64_t n = arena.values.numel();
  const Tensor rates = Tensor::empty({segments.count}, DType::f32, device);
  const Momentum<lars> rule = {arena.values.data<float>(),
                               momentum.data<float>(),
                               arena.gradients.data<float>(),
                               rates.data<float>(),
                               shadow_of(arena),
                               factor,
                               static_cast<float>(weight_decay),
                               nesterov};
  dispatch_width(aligned16(rule.w, rule.v, rule.g, rule.shadow), [&](auto width_constant) {
    constexpr int width = width_constant;
    Tensor memory;
    Squares* pieces = nullptr;
    if constexpr (lars) {
      const unsigned blocks = blocks_of<width>(arena);
      memory = Tensor::empty({std::int64_t{blocks} * (update_threads / 32) + segments.count, 2}, DType::f64, device);
      pieces = static_cast<Squares*>(memory.raw_data());
      launch("norms_kernel", device, {blocks, update_threads}, norms_kernel<width>, rule.w, rule.g, n, segments,
             rule.weight_decay, pieces);
    }
    launch("rates_kernel", device, {static_cast<unsigned>(segments.count), rate_threads}, rates_kernel, segments, n,
           arena.learning_rates.data<float>(), arena.learning_rates.numel(), arena.step.data<std::int32_t>(), pieces,
           run_size<width>, trust, rates.data<float>());
    update<width>(arena, rule);
  });
}

void sgd_gpu(OptimizerArena& arena, Tensor& momentum, const SgdOptions& options) {
  momentum_step<false>(arena, momentum, static_cast<float>(options.momentum), options.weight_decay, options.nesterov,
                       1.0);
}

void lars_gpu(OptimizerArena& arena, Tensor& momentum, const LarsOptions& options) {
  momentum_step<true>(arena, momentum, static_cast<float>(options.momentum), options.weight_decay, options.nesterov,
                      options.trust_coefficient);
}

void adamw_gpu(OptimizerArena& arena, Tensor& m, Tensor& v, const AdamwOptions& options) {
  const Tensor memory = Tensor::empty({3}, DType::f32, arena.values.device());
  auto* factors = static_cast<AdamwFactors*>(memory.raw_data());
  launch("adamw_factors_kernel", arena.values.device(), {1, 1}, adamw_factors_kernel,
         arena.learning_rates.data<float>(), arena.learning_rates.numel(), arena.step.data<std::int32_t>(), options,
         factors);
  const Adamw rule = {arena.values.data<float>(),
                      m.data<float>(),
                      v.data<float>(),
                      arena.gradients.data<float>(),
                      shadow_of(arena),
                      factors,
                      static_cast<float>(options.beta1),
                      static_cast<float>(options.beta2),
                      static_cast<float>(1 - options.beta1),
                      static_cast<float>(1 - options.beta2),
                      static_cast<float>(options.eps)};
  dispatch_width(aligned16(rule.w, rule.m, rule.v, rule.g, rule.shadow),
                 [&](auto width) { update<decltype(width)::value>(arena, rule); });
}

}  // namespace

extern const OptimizerStepKernels SIMCLR_KERNELS(optimizer_step);
const OptimizerStepKernels SIMCLR_KERNELS(optimizer_step) = {sgd_gpu, lars_gpu, adamw_gpu};

}  // namespace simclr::kernels
