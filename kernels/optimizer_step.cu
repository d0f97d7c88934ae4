// SGD, LARS and AdamW on a GPU (the equations stand in the header). Arenas [n], segments [P,3]. Elements are dealt to
// warps in runs; a warp finds its first segment by bisection while its values are on their way, and walks on from
// there, so one launch serves all parameters. Nothing that changes from step to step comes from the host:
//   LARS: norms_kernel   sums of squares of every piece (a block's part of a segment), in f64; the last block of a
//                        segment adds them up, in their order, to the segment's factors
//   update_kernel        the update, 16 bytes at a time; the last block to read the step advances it. Nothing where
//                        bad_step is set, which note_nonfinite does before it in a pass of its own
// "The last" is found by counting in integers, which no order of the blocks can change. Blocks and segments both
// ascend, so block + segment numbers all pieces without a list of them. Segments come from device memory unchecked:
// they are compared with positions inside the arenas and never used as addresses.
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/optimizer_step.h>
#include <simclr/kernels/shared/lars_ratio.h>

#include <cmath>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int update_threads = 256;
constexpr int lane_vectors = 2;  // a lane's share of a run, all on their way together

/// Elements of a warp's run, `width` of them a vector.
template <int width>
constexpr std::int64_t run_size = 32 * lane_vectors* width;

template <int width>
constexpr std::int64_t block_size = update_threads / 32 * run_size<width>;

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

/// True for one thread, that of the last of `count` blocks to call this. What each block has done before, the last one
/// finds done. One thread a block calls it; `arrived` is 0 before and after.
__device__ inline bool last_to_arrive(unsigned* arrived, unsigned count) {
  __threadfence();
  const bool last = atomicInc(arrived, count - 1) == count - 1;
  __threadfence();
  return last;
}

/// The learning rates, and the step that chooses among them.
struct Timetable {
  const float* rates;
  std::int64_t count;
  std::int32_t* step;
  unsigned* readers;             // blocks of this launch that have read the step
  const std::int32_t* bad_step;  // may be null

  __device__ bool stopped() const { return bad_step != nullptr && *bad_step != -1; }

  __device__ double rate(std::int32_t at) const {
    const std::int64_t entry = at < count ? at : count - 1;
    return static_cast<double>(rates[entry < 0 ? 0 : entry]);
  }

  /// The step, which is one later for the next launch. One thread of every block calls it.
  __device__ std::int32_t advance() const {
    const std::int32_t now = *step;
    if (last_to_arrive(readers, gridDim.x)) *step = now + 1;
    return now;
  }
};

/// Sums of squares of w and of g + decay w over a piece; LarsRule::bolts: of w and of g.
struct Squares {
  double w, g;
};

/// What the update multiplies a segment's g + decay w with.
struct LarsFactors {
  float rate, decay;
};

template <int width>
__global__ void __launch_bounds__(update_threads)
    norms_kernel(const float* w, const float* g, std::int64_t n, Segments segments, LarsOptions options,
                 Timetable timetable, Squares* pieces, unsigned* arrived, LarsFactors* factors) {
  constexpr std::int64_t size = block_size<width>;
  const std::int64_t begin = blockIdx.x * size, end = begin + size < n ? begin + size : n;
  Pack<width> values[lane_vectors], gradients[lane_vectors];
#pragma unroll
  for (int j = 0; j < lane_vectors; ++j) {
    const std::int64_t i = lane_element<width>(warp_run(), j);
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
  SIMCLR_SHARED(bool, last, [1]);
  for (int s = segments.find(begin); s < segments.count; ++s) {
    const Segment segment = segments.list[s];
    if (segment.begin >= end) break;
    if ((segment.flags & segment_adapt) == 0) continue;
    const bool bolts = options.rule == LarsRule::bolts;
    const double weight_decay = (segment.flags & segment_decay) != 0 ? options.weight_decay : 0.0;
    const float decay = bolts ? 0.0f : static_cast<float>(weight_decay);
    Squares sum = {0, 0};
#pragma unroll
    for (int j = 0; j < lane_vectors; ++j) {
#pragma unroll
      for (int k = 0; k < width; ++k) {
        const std::int64_t i = lane_element<width>(warp_run(), j) + k;
        if (i < segment.begin || i >= segment.end) continue;
        const float d = gradients[j][k] + decay * values[j][k];
        sum.w += static_cast<double>(values[j][k]) * static_cast<double>(values[j][k]);
        sum.g += static_cast<double>(d) * static_cast<double>(d);
      }
    }
    sum = {block_sum<update_threads>(sum.w), block_sum<update_threads>(sum.g)};

    const std::int64_t first = max(segment.begin, 0) / size,
                       behind = (min(std::int64_t{segment.end}, n) + size - 1) / size;
    if (threadIdx.x == 0) {
      pieces[blockIdx.x + s] = sum;
      last[0] = last_to_arrive(arrived + s, static_cast<unsigned>(behind - first));
    }
    __syncthreads();
    if (!last[0]) continue;
    sum = {0, 0};
    for (std::int64_t block = first + threadIdx.x; block < behind; block += update_threads) {
      sum.w += pieces[block + s].w;
      sum.g += pieces[block + s].g;
    }
    sum = {block_sum<update_threads>(sum.w), block_sum<update_threads>(sum.g)};
    if (threadIdx.x == 0) {
      const double lr = timetable.rate(*timetable.step);
      const LarsRatio ratio = lars_ratio(options, true, sum.w, sum.g, weight_decay, lr);
      factors[s] = {static_cast<float>(bolts ? ratio.ratio : lr * ratio.ratio), static_cast<float>(ratio.decay)};
    }
  }
}

/// Writes new values, and what of them is kept in bf16.
template <int N>
__device__ void write_values(float* w, BFloat16* shadow, std::int64_t i, const Pack<N>& values) {
  store<N>(w + i, values);
  if (shadow != nullptr) store<N>(shadow + i, values);
}

/// A rule has `factors(timetable, step)`, the same for all elements of a step; it reads what an update takes,
/// `read<N>(i)`, and does it, `update<N>(i, operands, factors, flags, segment)`.
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
  const LarsFactors* adapted;  // of LARS, for segments that adapt
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
      const float gradient = x.g[k] + decay * x.w[k];
      const float d = rule == MomentumRule::sgd ? gradient : rate * gradient;
      const float m = momentum * x.v[k] + d;
      const float move = nesterov ? d + momentum * m : m;
      x.v[k] = m;
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

struct AdamwFactors {
  float keep;                 // 1 - lr weight_decay, of segments that decay
  float rate;                 // lr / (1 - beta1^t)
  float inverse_root_beta2t;  // 1 / sqrt(1 - beta2^t)
};

struct Adamw {
  using Factors = AdamwFactors;
  template <int N>
  using Operands = AdamwOperands<N>;

  float *w, *m, *v;
  const float* g;
  BFloat16* shadow;
  float beta1, beta2, one_minus_beta1, one_minus_beta2, eps;
  double log_beta1, log_beta2, weight_decay;

  __device__ AdamwFactors factors(const Timetable& timetable, std::int32_t step) const {
    const double lr = timetable.rate(step), t = static_cast<double>(max(step, 0)) + 1;
    return {static_cast<float>(1 - lr * weight_decay), static_cast<float>(-lr / expm1(t * log_beta1)),
            static_cast<float>(1 / sqrt(-expm1(t * log_beta2)))};
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
    update_kernel(Rule rule, Segments segments, std::int64_t n, Timetable timetable) {
  const std::int64_t run = warp_run();
  typename Rule::template Operands<width> operands[lane_vectors];
#pragma unroll
  for (int j = 0; j < lane_vectors; ++j) {
    const std::int64_t i = lane_element<width>(run, j);
    if (i + width <= n) operands[j] = rule.template read<width>(i);
  }
  if (timetable.stopped()) return;  // all threads of all blocks
  SIMCLR_SHARED(typename Rule::Factors, factors, [1]);
  if (threadIdx.x == 0) factors[0] = rule.factors(timetable, timetable.advance());
  int s = segments.find(run * run_size<width>);
  __syncthreads();
#pragma unroll
  for (int j = 0; j < lane_vectors; ++j) {
    const std::int64_t i = lane_element<width>(run, j);
    s = segments.walk(s, i);
    if (s == segments.count || i >= n) continue;
    const Segment segment = segments.list[s];
    if (segment.begin <= i && i + width <= segment.end && i + width <= n) {
      rule.template update<width>(i, operands[j], factors[0], segment.flags, s);
    } else if constexpr (width > 1) {  // a segment begins or ends among these elements
      int at = s;
      for (std::int64_t one = i; one < i + width && one < n; ++one) {
        at = segments.walk(at, one);
        if (at == segments.count) break;
        const Segment own = segments.list[at];
        if (own.begin > one) continue;
        rule.template update<1>(one, rule.template read<1>(one), factors[0], own.flags, at);
      }
    }
  }
}

struct NoteNonfinite {
  const float* x;
  const std::int32_t* step;
  std::int32_t* bad_step;

  template <int N>
  __device__ void at(std::int64_t i) const {
    const Pack<N> value = load<N>(x + i);
    float total = 0.0f;
#pragma unroll
    for (int k = 0; k < N; ++k) total += value[k] - value[k];  // 0, or NaN
    if (total != 0.0f) *bad_step = *step;                      // whoever writes, writes the same
  }
};

// Launchers.

void note_nonfinite_gpu(const Tensor& x, const Tensor& step, Tensor& bad_step) {
  const NoteNonfinite f{x.data<float>(), step.data<std::int32_t>(), bad_step.data<std::int32_t>()};
  map<4>(x.device(), x.numel(), aligned16(f.x), f);
}

Segments segments_of(const OptimizerArena& arena) {
  static_assert(sizeof(Segment) == 3 * sizeof(std::int32_t));
  return {static_cast<const Segment*>(arena.segments.raw_data()), static_cast<int>(arena.segments.dim(0))};
}

BFloat16* shadow_of(const OptimizerArena& arena) {
  return arena.shadow.defined() ? arena.shadow.data<BFloat16>() : nullptr;
}

template <int width>
unsigned blocks_of(const OptimizerArena& arena) {
  return blocks_for(arena.values.numel(), block_size<width>);
}

/// What blocks count themselves in, zeros between launches: the readers of the step, then a segment's arrivals each.
unsigned* counters_of(OptimizerArena& arena) {
  const Shape shape{1 + arena.segments.dim(0)};
  if (!arena.counters.defined() || arena.counters.shape() != shape) {
    arena.counters = Tensor::zeros(shape, DType::i32, arena.values.device());
  }
  return static_cast<unsigned*>(arena.counters.raw_data());
}

Timetable timetable_of(OptimizerArena& arena) {
  return {arena.learning_rates.data<float>(), arena.learning_rates.numel(), arena.step.data<std::int32_t>(),
          counters_of(arena), arena.bad_step.defined() ? arena.bad_step.data<std::int32_t>() : nullptr};
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
         update_kernel<width, Rule>, rule, segments_of(arena), arena.values.numel(), timetable_of(arena));
}

/// `options` are those of LARS; SGD's are among them.
template <MomentumRule kind>
void momentum_step(OptimizerArena& arena, Tensor& momentum, const LarsOptions& options) {
  constexpr bool lars = kind != MomentumRule::sgd;
  const Device device = arena.values.device();
  const Segments segments = segments_of(arena);
  const Tensor adapted = lars ? Tensor::empty({segments.count, 2}, DType::f32, device) : Tensor();
  auto* const factors = lars ? static_cast<LarsFactors*>(adapted.raw_data()) : nullptr;
  const Momentum<kind> rule = {arena.values.data<float>(),
                               momentum.data<float>(),
                               arena.gradients.data<float>(),
                               factors,
                               shadow_of(arena),
                               static_cast<float>(options.momentum),
                               static_cast<float>(options.weight_decay),
                               options.nesterov};
  dispatch_width(aligned16(rule.w, rule.v, rule.g, rule.shadow), [&](auto width_constant) {
    constexpr int width = width_constant;
    if constexpr (lars) {
      const unsigned blocks = blocks_of<width>(arena);
      const Tensor pieces = Tensor::empty({std::int64_t{blocks} + segments.count, 2}, DType::f64, device);
      launch("norms_kernel", device, {blocks, update_threads}, norms_kernel<width>, rule.w, rule.g,
             arena.values.numel(), segments, options, timetable_of(arena), static_cast<Squares*>(pieces.raw_data()),
             counters_of(arena) + 1, factors);
    }
    update<width>(arena, rule);
  });
}

void sgd_gpu(OptimizerArena& arena, Tensor& momentum, const SgdOptions& options) {
  momentum_step<MomentumRule::sgd>(
      arena, momentum,
      {.momentum = options.momentum, .weight_decay = options.weight_decay, .nesterov = options.nesterov});
}

void lars_gpu(OptimizerArena& arena, Tensor& momentum, const LarsOptions& options) {
  if (options.rule == LarsRule::bolts) {
    momentum_step<MomentumRule::bolts>(arena, momentum, options);
  } else {
    momentum_step<MomentumRule::lars>(arena, momentum, options);
  }
}

void adamw_gpu(OptimizerArena& arena, Tensor& m, Tensor& v, const AdamwOptions& options) {
  const Adamw rule = {arena.values.data<float>(),
                      m.data<float>(),
                      v.data<float>(),
                      arena.gradients.data<float>(),
                      shadow_of(arena),
                      static_cast<float>(options.beta1),
                      static_cast<float>(options.beta2),
                      static_cast<float>(1 - options.beta1),
                      static_cast<float>(1 - options.beta2),
                      static_cast<float>(options.eps),
                      std::log(options.beta1),
                      std::log(options.beta2),
                      options.weight_decay};
  dispatch_width(aligned16(rule.w, rule.m, rule.v, rule.g, rule.shadow),
                 [&](auto width) { update<decltype(width)::value>(arena, rule); });
}

}  // namespace

extern const OptimizerStepKernels SIMCLR_KERNELS(optimizer_step);
const OptimizerStepKernels SIMCLR_KERNELS(optimizer_step) = {note_nonfinite_gpu, sgd_gpu, lars_gpu, adamw_gpu};

}  // namespace simclr::kernels
