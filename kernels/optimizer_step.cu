// SGD, LARS and AdamW on a GPU. Arenas [n], segments [P,3]; the equations stand in optimizer_step.h, and the arithmetic
// of an element, the CPU's too, in shared/optimizer_step.h:
//   norms_kernel   LARS: sums of squares of every piece (a block's part of a segment), in f64; the last block of a
//                  segment adds them up, in their order, to the segment's factors
//   update_kernel  the update; the last block to read the step advances it. Nothing where bad_step is set, which
//                  note_nonfinite does before it in a pass of its own
//   clip_sums_kernel, clip_kernel  the sum of squares of all gradients, in f64: pieces of as many blocks as n says,
//   which
//                  each block of the second adds up, in their order, before it scales its elements
// There is no backward pass. Nothing that changes from step to step comes from the host.
// Launch: elements are dealt to warps in runs (cuda/optimizer_arena.h), 16 bytes a lane at a time, eight warps a block;
// a warp finds its first segment by bisection while its values are on their way, and walks on from there, so one launch
// serves all parameters. "The last" is found by counting in integers, which no order of the blocks can change. Blocks
// and segments both ascend, so block + segment numbers all pieces without a list of them. Segments come from device
// memory unchecked: they are compared with positions inside the arenas and never used as addresses.
// Tests: tests/device/test_optimizer_step.cpp compares with the CPU in f64; tests/test_optimizer_step.cpp has the plain
// loops (those that each test gives to run_all).
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/cuda/optimizer_rules.h>

#include <algorithm>
#include <cmath>

namespace simclr::kernels {
namespace {

using namespace gpu;

/// Sums of squares of w and of g + decay w over a piece; LarsRule::bolts: of w and of g.
struct Squares {
  double w, g;
};

/// A thread's part of its warp's run.
template <int width>
struct RunValues {
  Pack<width> w[lane_vectors], g[lane_vectors];

  /// 0 behind element n.
  __device__ void read(const float* values, const float* gradients, std::int64_t n) {
#pragma unroll
    for (int j = 0; j < lane_vectors; ++j) {
      const std::int64_t i = lane_element<width>(warp_run(), j);
      if (i + width <= n) {
        w[j] = load<width>(values + i);
        g[j] = load<width>(gradients + i);
      } else {
#pragma unroll
        for (int k = 0; k < width; ++k) {
          w[j][k] = i + k < n ? values[i + k] : 0.0f;
          g[j][k] = i + k < n ? gradients[i + k] : 0.0f;
        }
      }
    }
  }

  /// Of those of the block that lie in the segment. All threads call it.
  __device__ Squares squares_in(const Segment& segment, float decay) const {
    Squares sum = {0, 0};
#pragma unroll
    for (int j = 0; j < lane_vectors; ++j) {
#pragma unroll
      for (int k = 0; k < width; ++k) {
        const std::int64_t i = lane_element<width>(warp_run(), j) + k;
        if (i < segment.begin || i >= segment.end) continue;
        const float d = decayed(g[j][k], w[j][k], decay);
        sum.w += static_cast<double>(w[j][k]) * static_cast<double>(w[j][k]);
        sum.g += static_cast<double>(d) * static_cast<double>(d);
      }
    }
    return {block_sum<update_threads>(sum.w), block_sum<update_threads>(sum.g)};
  }
};

/// The sum of pieces[begin .. end). All threads call it.
__device__ inline Squares add_pieces(const Squares* pieces, std::int64_t begin, std::int64_t end) {
  Squares sum = {0, 0};
  for (std::int64_t block = begin + threadIdx.x; block < end; block += update_threads) {
    sum.w += pieces[block].w;
    sum.g += pieces[block].g;
  }
  return {block_sum<update_threads>(sum.w), block_sum<update_threads>(sum.g)};
}

template <int width>
__global__ void __launch_bounds__(update_threads)
    norms_kernel(const float* w, const float* g, std::int64_t n, Segments segments, LarsOptions options,
                 Timetable timetable, Squares* pieces, unsigned* arrived, AdaptedSegment* adapted) {
  // 1 the block's elements, on their way while its first segment is looked for
  constexpr std::int64_t size = block_size<width>;
  const std::int64_t begin = blockIdx.x * size, end = begin + size < n ? begin + size : n;
  RunValues<width> run;
  run.read(w, g, n);
  SIMCLR_SHARED(bool, last, [1]);
  for (int s = segments.find(begin); s < segments.count; ++s) {
    const Segment segment = segments.list[s];
    if (segment.begin >= end) break;
    if ((segment.flags & segment_adapt) == 0) continue;

    // 2 the block's piece of a segment
    const double decay = decay_of(segment.flags, options.weight_decay);
    const Squares piece = run.squares_in(segment, options.rule == LarsRule::bolts ? 0.0f : static_cast<float>(decay));

    // 3 is it the segment's last one to be ready?
    const std::int64_t first = max(segment.begin, 0) / size,
                       behind = (min(std::int64_t{segment.end}, n) + size - 1) / size;
    if (threadIdx.x == 0) {
      pieces[blockIdx.x + s] = piece;
      last[0] = last_to_arrive(arrived + s, static_cast<unsigned>(behind - first));
    }
    __syncthreads();
    if (!last[0]) continue;

    // 4 all pieces of the segment in the blocks' order, and what follows from them
    const Squares sum = add_pieces(pieces + s, first, behind);
    if (threadIdx.x == 0) {
      const double lr = timetable.rate(*timetable.step);
      const LarsFactors f = lars_factors(options, true, sum.w, sum.g, decay, lr);
      adapted[s] = {static_cast<float>(f.inner), static_cast<float>(f.decay)};
    }
  }
}

template <int width, class Rule>
__global__ void __launch_bounds__(update_threads, 4)
    update_kernel(Rule rule, Segments segments, std::int64_t n, Timetable timetable) {
  // 1 the run's elements, on their way while all else is found out
  const std::int64_t run = warp_run();
  typename Rule::template Operands<width> operands[lane_vectors];
#pragma unroll
  for (int j = 0; j < lane_vectors; ++j) {
    const std::int64_t i = lane_element<width>(run, j);
    if (i + width <= n) operands[j] = rule.template read<width>(i);
  }

  // 2 the step, its factors, and the run's first segment
  if (timetable.stopped()) return;  // all threads of all blocks
  SIMCLR_SHARED(typename Rule::Factors, factors, [1]);
  if (threadIdx.x == 0) factors[0] = rule.factors(timetable, timetable.advance());
  int s = segments.find(run * run_size<width>);
  __syncthreads();

  // 3 the update: a vector at once, where it lies in one segment
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

constexpr std::int64_t clip_elements = 16 * update_threads, most_clip_blocks = 1024;

__global__ void __launch_bounds__(update_threads) clip_sums_kernel(const float* g, std::int64_t n, double* pieces) {
  const std::int64_t stride = std::int64_t{gridDim.x} * update_threads;
  double sum = 0;
  for (std::int64_t i = std::int64_t{blockIdx.x} * update_threads + threadIdx.x; i < n; i += stride) {
    sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  }
  sum = block_sum<update_threads>(sum);
  if (threadIdx.x == 0) pieces[blockIdx.x] = sum;
}

/// As many blocks as pieces.
__global__ void __launch_bounds__(update_threads)
    clip_kernel(float* g, std::int64_t n, const double* pieces, double most, double* norm) {
  // 1 the norm, in every block
  double sum = 0;
  for (unsigned piece = threadIdx.x; piece < gridDim.x; piece += update_threads) sum += pieces[piece];
  const double length = std::sqrt(block_sum<update_threads>(sum));
  if (blockIdx.x == 0 && threadIdx.x == 0) *norm = length;
  // 2 the block's elements
  const double factor = clip_factor(length, most);
  if (factor == 1) return;
  const std::int64_t stride = std::int64_t{gridDim.x} * update_threads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * update_threads + threadIdx.x; i < n; i += stride) {
    g[i] *= static_cast<float>(factor);
  }
}

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
  auto* const factors = lars ? static_cast<AdaptedSegment*>(adapted.raw_data()) : nullptr;
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
  const Adamw rule = {
      arena.values.data<float>(),    m.data<float>(),         v.data<float>(),
      arena.gradients.data<float>(), shadow_of(arena),        AdamwConstants<float>(options),
      std::log(options.beta1),       std::log(options.beta2), options.weight_decay,
  };
  dispatch_width(aligned16(rule.w, rule.m, rule.v, rule.g, rule.shadow),
                 [&](auto width) { update<decltype(width)::value>(arena, rule); });
}

void clip_gpu(Tensor& gradients, double most, Tensor& norm) {
  const std::int64_t n = gradients.numel();
  const auto blocks = static_cast<unsigned>(std::clamp(n / clip_elements, std::int64_t{1}, most_clip_blocks));
  const Tensor pieces = Tensor::empty({std::int64_t{blocks}}, DType::f64, gradients.device());
  launch("clip_sums_kernel", gradients.device(), {blocks, update_threads}, clip_sums_kernel, gradients.data<float>(), n,
         pieces.data<double>());
  launch("clip_kernel", gradients.device(), {blocks, update_threads}, clip_kernel, gradients.data<float>(), n,
         pieces.data<double>(), most, norm.data<double>());
}

}  // namespace

extern const OptimizerStepKernels SIMCLR_KERNELS(optimizer_step);
const OptimizerStepKernels SIMCLR_KERNELS(optimizer_step) = {note_nonfinite_gpu, sgd_gpu, lars_gpu, adamw_gpu,
                                                             clip_gpu};

}  // namespace simclr::kernels
