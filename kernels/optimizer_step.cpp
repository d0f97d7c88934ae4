// SGD, LARS and AdamW on the CPU (the equations stand in the header). Segments are cut into blocks of fixed size;
// threads share the blocks, and each block is one loop over memory. What a block computes depends on nothing but its
// place, so every thread count gives the same bits. LARS reads the arenas once before that, for the norms.
#include <simclr/core/parallel.h>
#include <simclr/kernels/optimizer_step.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/optimizer_step.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

namespace simclr::kernels {
namespace {

constexpr std::int64_t block_size = 1 << 14;  // elements; four arenas of it fit in a second-level cache

struct Block {
  std::int64_t begin;
  std::int64_t count;
  std::int64_t segment;
};

std::int64_t segment_count(const OptimizerArena& arena) {
  return arena.segments.dim(0);
}

Segment segment(const OptimizerArena& arena, std::int64_t i) {
  const auto* row = arena.segments.data<const std::int32_t>() + 3 * i;
  return {row[0], row[1], row[2]};
}

std::vector<Block> cut(const char* op, const OptimizerArena& arena) {
  std::vector<Block> blocks;
  blocks.reserve(static_cast<std::size_t>(segment_count(arena) + arena.values.numel() / block_size));
  std::int64_t previous = 0;
  for (std::int64_t i = 0; i < segment_count(arena); ++i) {
    const auto [begin, end, flags] = segment(arena, i);
    SIMCLR_CHECK(begin >= previous && end >= begin && end <= arena.values.numel(), op, ": segment ", i, " is [", begin,
                 ", ", end, ") after ", previous, " in arenas of ", arena.values.numel(),
                 "; segments must ascend without overlap");
    for (std::int64_t at = begin; at < end; at += block_size) {
      blocks.push_back({at, std::min(block_size, end - at), i});
    }
    previous = end;
  }
  return blocks;
}

/// body(block index) for all blocks; those of small tensors go together.
template <class Body>
void for_blocks(const std::vector<Block>& blocks, const Body& body) {
  std::int64_t elements = 0;
  for (const Block& block : blocks) elements += block.count;
  const auto n = static_cast<std::int64_t>(blocks.size());
  parallel_for(n, std::max<std::int64_t>(block_size * n / std::max<std::int64_t>(elements, 1), 1),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) body(static_cast<std::size_t>(i));
               });
}

std::int32_t& step_of(const char* op, OptimizerArena& arena) {
  auto& step = *arena.step.data<std::int32_t>();
  SIMCLR_CHECK(step >= 0, op, ": the step count is ", step, ", it cannot be negative");
  return step;
}

/// The new values of one block, rounded, to where bf16 training reads them.
template <class T>
void write_shadow(OptimizerArena& arena, const T* w, const Block& block) {
  if (!arena.shadow.defined()) return;
  auto* shadow = arena.shadow.data<BFloat16>();
  for (std::int64_t i = block.begin; i < block.begin + block.count; ++i) {
    shadow[i] = BFloat16(static_cast<float>(w[i]));
  }
}

double learning_rate(const OptimizerArena& arena, std::int32_t step) {
  return scheduled_rate(arena.learning_rates.data<const float>(), arena.learning_rates.numel(), step);
}

/// Whether updates are off, see OptimizerArena::bad_step.
bool stopped(const OptimizerArena& arena) {
  return arena.bad_step.defined() && *arena.bad_step.data<const std::int32_t>() != -1;
}

void note_nonfinite_cpu(const Tensor& x_tensor, const Tensor& step, Tensor& bad_step) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* x = x_tensor.data<const T>();
    std::atomic<bool> found = false;
    parallel_for(x_tensor.numel(), 2 * block_size, [&](std::int64_t begin, std::int64_t end) {
      using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
      Bits bits = 0;  // a floating-point sum would be taken one after the other, or in memory
      for (std::int64_t i = begin; i < end; ++i) bits |= std::bit_cast<Bits>(x[i] - x[i]);  // of 0, or NaN
      if (bits != 0) found = true;
    });
    if (found) bad_step.copy_from(step);
  });
}

template <class T>
void sgd_block(T* __restrict w, const T* __restrict g, T* __restrict v, std::int64_t n, T lr, T momentum, T decay,
               bool nesterov) {
  for (std::int64_t i = 0; i < n; ++i) {
    w[i] -= lr * momentum_move(v[i], decayed(g[i], w[i], decay), momentum, nesterov);
  }
}

void sgd_cpu(OptimizerArena& arena, Tensor& momentum, const SgdOptions& options) {
  if (stopped(arena)) return;
  const auto blocks = cut("sgd_step", arena);
  std::int32_t& step = step_of("sgd_step", arena);
  dispatch_float(arena.values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *w = arena.values.data<T>(), *v = momentum.data<T>();
    const T* g = arena.gradients.data<const T>();
    const T lr = static_cast<T>(learning_rate(arena, step));
    for_blocks(blocks, [&](std::size_t i) {
      const auto [begin, count, s] = blocks[i];
      const double decay = decay_of(segment(arena, s).flags, options.weight_decay);
      sgd_block(w + begin, g + begin, v + begin, count, lr, static_cast<T>(options.momentum), static_cast<T>(decay),
                options.nesterov);
      write_shadow(arena, w, blocks[i]);
    });
  });
  ++step;
}

/// Sums of squares of w and of g + decay w; LarsRule::bolts: of w and of g.
struct Squares {
  double w = 0;
  double g = 0;
};

template <class T>
Squares squares_block(const T* w, const T* g, std::int64_t n, T decay) {
  double ww = 0, gg = 0;
#pragma omp simd reduction(+ : ww, gg)
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = decayed(g[i], w[i], decay);
    ww += static_cast<double>(w[i]) * static_cast<double>(w[i]);
    gg += static_cast<double>(d) * static_cast<double>(d);
  }
  return {ww, gg};
}

template <class T>
void lars_block(T* __restrict w, const T* __restrict g, T* __restrict v, std::int64_t n, T inner, T outer, T decay,
                T momentum, bool nesterov) {
  for (std::int64_t i = 0; i < n; ++i) {
    w[i] -= outer * momentum_move(v[i], inner * decayed(g[i], w[i], decay), momentum, nesterov);
  }
}

void lars_cpu(OptimizerArena& arena, Tensor& momentum, const LarsOptions& options) {
  if (stopped(arena)) return;
  const auto blocks = cut("lars_step", arena);
  std::int32_t& step = step_of("lars_step", arena);
  dispatch_float(arena.values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *w = arena.values.data<T>(), *v = momentum.data<T>();
    const T* g = arena.gradients.data<const T>();
    const double lr = learning_rate(arena, step);
    const bool bolts = options.rule == LarsRule::bolts;
    const auto decay = [&](const Segment& s) { return decay_of(s.flags, options.weight_decay); };

    std::vector<Squares> partial(blocks.size());
    for_blocks(blocks, [&](std::size_t i) {
      const auto [begin, count, index] = blocks[i];
      const Segment s = segment(arena, index);
      if ((s.flags & segment_adapt) != 0) {
        partial[i] = squares_block(w + begin, g + begin, count, static_cast<T>(bolts ? 0.0 : decay(s)));
      }
    });
    std::vector<Squares> total(static_cast<std::size_t>(segment_count(arena)));
    for (std::size_t i = 0; i < blocks.size(); ++i) {  // in the blocks' order
      Squares& sum = total[static_cast<std::size_t>(blocks[i].segment)];
      sum.w += partial[i].w;
      sum.g += partial[i].g;
    }

    for_blocks(blocks, [&](std::size_t i) {
      const auto [begin, count, index] = blocks[i];
      const Segment s = segment(arena, index);
      const Squares& sum = total[static_cast<std::size_t>(index)];
      const LarsFactors f = lars_factors(options, (s.flags & segment_adapt) != 0, sum.w, sum.g, decay(s), lr);
      lars_block(w + begin, g + begin, v + begin, count, static_cast<T>(f.inner), static_cast<T>(f.outer),
                 static_cast<T>(f.decay), static_cast<T>(options.momentum), options.nesterov);
      write_shadow(arena, w, blocks[i]);
    });
  });
  ++step;
}

template <class T>
void adamw_block(T* __restrict w, const T* __restrict g, T* __restrict m, T* __restrict v, std::int64_t n, T keep,
                 const AdamwConstants<T>& constants, const AdamwStep<T>& step) {
  for (std::int64_t i = 0; i < n; ++i) {
    adamw_update(w[i], m[i], v[i], g[i], keep, constants, step);
  }
}

void adamw_cpu(OptimizerArena& arena, Tensor& m, Tensor& v, const AdamwOptions& options) {
  if (stopped(arena)) return;
  const auto blocks = cut("adamw_step", arena);
  std::int32_t& step = step_of("adamw_step", arena);
  dispatch_float(arena.values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *w = arena.values.data<T>(), *pm = m.data<T>(), *pv = v.data<T>();
    const T* g = arena.gradients.data<const T>();
    const double lr = learning_rate(arena, step);
    const double t = static_cast<double>(step) + 1;
    const AdamwConstants<T> constants(options);
    const AdamwStep<T> factors = {static_cast<T>(lr / (1 - std::pow(options.beta1, t))),
                                  static_cast<T>(1 / std::sqrt(1 - std::pow(options.beta2, t)))};
    for_blocks(blocks, [&](std::size_t i) {
      const auto [begin, count, s] = blocks[i];
      const T keep = static_cast<T>(1 - lr * decay_of(segment(arena, s).flags, options.weight_decay));
      adamw_block(w + begin, g + begin, pm + begin, pv + begin, count, keep, constants, factors);
      write_shadow(arena, w, blocks[i]);
    });
  });
  ++step;
}

void clip_cpu(Tensor& gradients, double most, Tensor& norm) {
  dispatch_float(gradients.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* g = gradients.data<T>();
    const std::int64_t n = gradients.numel(), blocks = (n + block_size - 1) / block_size;
    std::vector<double> partial(static_cast<std::size_t>(blocks));
    parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const std::int64_t first = b * block_size, count = std::min(block_size, n - first);
        partial[static_cast<std::size_t>(b)] = squares_block(g + first, g + first, count, T{0}).w;
      }
    });
    double squares = 0;
    for (const double each : partial) squares += each;  // in the blocks' order
    *norm.data<double>() = std::sqrt(squares);
    const double factor = clip_factor(std::sqrt(squares), most);
    if (factor == 1) return;
    parallel_for(n, block_size, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) g[i] *= static_cast<T>(factor);
    });
  });
}

void check_arena(const char* op, const OptimizerArena& arena) {
  check_floats(op, arena.values, arena.gradients);
  SIMCLR_CHECK(arena.values.dtype() != DType::bf16, op, ": wants f32, got ", describe(arena.values),
               "; bf16 copies of the values go to the arena's shadow");
  check_rank(op, "values", arena.values, 1);
  check_shape(op, "gradients", arena.gradients, arena.values.shape());
  const auto control = [&](const char* what, const Tensor& tensor, DType dtype, bool shape_fits, const char* shape) {
    SIMCLR_CHECK(shape_fits && tensor.dtype() == dtype && tensor.device() == arena.values.device(), op, ": ", what,
                 " must be ", dtype, " ", shape, " on ", arena.values.device(), ", got ", describe(tensor));
  };
  const Tensor &segments = arena.segments, &rates = arena.learning_rates, &step = arena.step;
  control("segments", segments, DType::i32, segments.defined() && segments.rank() == 2 && segments.dim(1) == 3,
          "[P,3]");
  control("learning_rates", rates, DType::f32, rates.defined() && rates.rank() == 1 && rates.numel() > 0,
          "[T], T at least 1,");
  control("step", step, DType::i32, step.defined() && step.shape() == Shape{1}, "[1]");
  const Tensor& bad = arena.bad_step;
  control("bad_step", bad.defined() ? bad : step, DType::i32, !bad.defined() || bad.shape() == Shape{1}, "[1]");
  if (arena.shadow.defined()) {
    control("shadow", arena.shadow, DType::bf16, arena.shadow.shape() == arena.values.shape(), "of the values' shape");
  }
}

void check_state(const char* op, const char* what, const OptimizerArena& arena, const Tensor& state) {
  check_shape(op, what, state, arena.values.shape());
  check_floats(op, arena.values, state);
}

void check_at_least_zero(const char* op, const char* what, double value) {
  SIMCLR_CHECK(value >= 0 && std::isfinite(value), op, ": ", what, " is ", value, ", it must be at least 0");
}

void check_momentum(const char* op, double momentum, double weight_decay, bool nesterov) {
  check_at_least_zero(op, "momentum", momentum);
  check_at_least_zero(op, "weight_decay", weight_decay);
  SIMCLR_CHECK(!nesterov || momentum > 0, op, ": nesterov needs a momentum above 0");
}

}  // namespace

void check_options(const SgdOptions& options) {
  check_momentum("sgd", options.momentum, options.weight_decay, options.nesterov);
}

void check_options(const LarsOptions& options) {
  check_momentum("lars", options.momentum, options.weight_decay, options.nesterov);
  check_at_least_zero("lars", "trust_coefficient", options.trust_coefficient);
  SIMCLR_CHECK(options.rule == LarsRule::simclr || options.rule == LarsRule::bolts, "lars: rule is ",
               static_cast<int>(options.rule), ", there are simclr and bolts");
}

void check_options(const AdamwOptions& options) {
  for (const double beta : {options.beta1, options.beta2}) {
    SIMCLR_CHECK(beta >= 0 && beta < 1, "adamw: a beta is ", beta, ", it must be at least 0 and below 1");
  }
  check_at_least_zero("adamw", "eps", options.eps);
  check_at_least_zero("adamw", "weight_decay", options.weight_decay);
}

void note_nonfinite(const Tensor& x, const Tensor& step, Tensor bad_step) {
  check_floats("note_nonfinite", x);
  SIMCLR_CHECK(x.dtype() != DType::bf16, "note_nonfinite: wants f32, got ", describe(x));
  for (const Tensor& number : {step, bad_step}) {
    check_shape("note_nonfinite", "a step", number, {1});
    SIMCLR_CHECK(number.dtype() == DType::i32 && number.device() == x.device(),
                 "note_nonfinite: a step must be i32 on ", x.device(), ", got ", describe(number));
  }
  optimizer_step_slot.on(x.device()).note_nonfinite(x, step, bad_step);
}

void clip_gradient_norm(Tensor gradients, double most, Tensor norm) {
  check_floats("clip_gradient_norm", gradients);
  SIMCLR_CHECK(gradients.dtype() != DType::bf16, "clip_gradient_norm: wants f32, got ", describe(gradients));
  SIMCLR_CHECK(most > 0 && std::isfinite(most), "clip_gradient_norm: a norm of at most ", most,
               ", it must be above 0 and finite");
  check_shape("clip_gradient_norm", "norm", norm, {1});
  SIMCLR_CHECK(norm.dtype() == DType::f64 && norm.device() == gradients.device(),
               "clip_gradient_norm: the norm must be f64 on ", gradients.device(), ", got ", describe(norm));
  optimizer_step_slot.on(gradients.device()).clip(gradients, most, norm);
}

void sgd_step(OptimizerArena& arena, Tensor& momentum, const SgdOptions& options) {
  check_arena("sgd_step", arena);
  check_state("sgd_step", "momentum", arena, momentum);
  check_options(options);
  optimizer_step_slot.on(arena.values.device()).sgd(arena, momentum, options);
}

void lars_step(OptimizerArena& arena, Tensor& momentum, const LarsOptions& options) {
  check_arena("lars_step", arena);
  check_state("lars_step", "momentum", arena, momentum);
  check_options(options);
  optimizer_step_slot.on(arena.values.device()).lars(arena, momentum, options);
}

void adamw_step(OptimizerArena& arena, Tensor& m, Tensor& v, const AdamwOptions& options) {
  check_arena("adamw_step", arena);
  check_state("adamw_step", "m", arena, m);
  check_state("adamw_step", "v", arena, v);
  check_options(options);
  optimizer_step_slot.on(arena.values.device()).adamw(arena, m, v, options);
}

extern const OptimizerStepKernels optimizer_step_cpu;
const OptimizerStepKernels optimizer_step_cpu = {note_nonfinite_cpu, sgd_cpu, lars_cpu, adamw_cpu, clip_cpu};

}  // namespace simclr::kernels
