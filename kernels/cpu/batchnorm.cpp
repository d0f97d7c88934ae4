// The loops of batchnorm.h. Memory is read in its order, for nothing is slower than a pattern that the processor does
// not foresee. A step that fits into registers goes down a run of steps there, with what belongs to its lanes and
// their sums; a longer one finds these in the nearest cache.
#include "batchnorm.h"

#include "isa.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

constexpr std::int64_t run_steps = 32;  // f32 adds up so many values; f64 takes over from there
/// The most vectors of a step that goes down a run, and those of a longer step that are taken together.
constexpr int tall_vectors = vector_registers / 4, wide_vectors = 4;

/// `count` vectors of neighbouring lanes; with `whole` false a single one, of which only some lanes count.
template <class T, int vectors, bool whole>
struct Block {
  static constexpr int count = vectors;
  struct Values {
    Vector<T> v[count];
  };
  std::int64_t lane, index, steps;  // `steps` blocks below one another, the first from `index` on
  int partial;                      // lanes that count

  [[gnu::always_inline]] Values load(const T* from) const {
    Values values;
    if constexpr (whole) {
#pragma GCC unroll 8
      for (int i = 0; i < count; ++i) values.v[i] = kernels::SIMCLR_ISA::load(from + i * lanes<T>);
    } else {
      values.v[0] = Vector<T>{};
      for (int k = 0; k < partial; ++k) values.v[0][k] = from[k];
    }
    return values;
  }

  [[gnu::always_inline]] void store(T* to, const Values& values) const {
    if constexpr (whole) {
#pragma GCC unroll 8
      for (int i = 0; i < count; ++i) kernels::SIMCLR_ISA::store(to + i * lanes<T>, values.v[i]);
    } else {
      for (int k = 0; k < partial; ++k) to[k] = values.v[0][k];
    }
  }
};

/// Calls body(block) for all values, and end(lanes) after each run of steps.
template <class T, class Body, class End>
[[gnu::always_inline]] inline void for_blocks(const RowSteps& s, Body body, End end) {
  constexpr std::int64_t tall = tall_vectors * lanes<T>, wide = wide_vectors * lanes<T>;
  const std::int64_t whole = s.elements / s.width;
  for (std::int64_t step = s.begin, steps; step < s.end; step += steps) {
    const std::int64_t left = (s.end < whole ? s.end : whole) - step;
    steps = left > run_steps ? run_steps : left > 0 ? left : 1;
    const std::int64_t width = left > 0 ? s.width : s.elements - step * s.width;
    const std::int64_t height = width <= tall ? steps : 1;
    for (std::int64_t row = 0; row < steps; row += height) {
      const std::int64_t index = (step + row) * s.width;
      std::int64_t lane = 0;
      if (width == tall) {
        body(Block<T, tall_vectors, true>{0, index, height, 0});
        lane = tall;
      }
      for (; width - lane >= wide; lane += wide) body(Block<T, wide_vectors, true>{lane, index + lane, height, 0});
      for (; width - lane >= lanes<T>; lane += lanes<T>) body(Block<T, 1, true>{lane, index + lane, height, 0});
      if (lane < width) body(Block<T, 1, false>{lane, index + lane, height, static_cast<int>(width - lane)});
    }
    end(width);
  }
}

/// Two sums for each lane, taken for a run of steps before they go to f64.
template <class T>
struct RunSums {
  RowSums<T> to;
  std::int64_t width;

  T* first() const { return to.run; }
  T* second() const { return to.run + width; }
  void end(std::int64_t lanes) const {
    for (std::int64_t i = 0; i < lanes; ++i) to.first[i] += static_cast<double>(first()[i]);
    for (std::int64_t i = 0; i < lanes; ++i) to.second[i] += static_cast<double>(second()[i]);
    for (std::int64_t i = 0; i < 2 * width; ++i) to.run[i] = 0;
  }
};

template <class T>
void sums(const RowSteps& s, const T* x, const T* shift, const RowSums<T>& to) {
  const RunSums<T> run{to, s.width};
  for_blocks<T>(
      s,
      [&](auto block) {
        using Values = typename decltype(block)::Values;
        const Values from = block.load(shift + block.lane);
        Values sum = block.load(run.first() + block.lane), squares = block.load(run.second() + block.lane);
        std::int64_t index = block.index;
        for (std::int64_t step = 0; step < block.steps; ++step, index += s.width) {
          const Values value = block.load(x + index);
#pragma GCC unroll 8
          for (int i = 0; i < block.count; ++i) {
            const Vector<T> d = value.v[i] - from.v[i];
            sum.v[i] += d;
            squares.v[i] += d * d;
          }
        }
        block.store(run.first() + block.lane, sum);
        block.store(run.second() + block.lane, squares);
      },
      [&](std::int64_t width) { run.end(width); });
}

template <bool with_residual, bool relu, class T>
void apply_as(const RowSteps& s, const BatchnormLanes<T>& k, const T* x, const T* residual, T* y) {
  for_blocks<T>(
      s,
      [&](auto block) {
        using Values = typename decltype(block)::Values;
        const Values mean = block.load(k.mean + block.lane), scale = block.load(k.scale + block.lane),
                     beta = block.load(k.beta + block.lane);
        std::int64_t index = block.index;
        for (std::int64_t step = 0; step < block.steps; ++step, index += s.width) {
          Values value = block.load(x + index);
          [[maybe_unused]] Values added;
          if constexpr (with_residual) added = block.load(residual + index);
#pragma GCC unroll 8
          for (int i = 0; i < block.count; ++i) {
            Vector<T> v = (value.v[i] - mean.v[i]) * scale.v[i] + beta.v[i];
            if constexpr (with_residual) v += added.v[i];
            if constexpr (relu) v = v > 0 ? v : v - v;  // 0, or NaN
            value.v[i] = v;
          }
          block.store(y + index, value);
        }
      },
      [](std::int64_t) {});
}

template <class T>
void apply(const RowSteps& s, const BatchnormLanes<T>& k, const T* x, const T* residual, bool relu, T* y) {
  if (residual != nullptr) {
    relu ? apply_as<true, true>(s, k, x, residual, y) : apply_as<true, false>(s, k, x, residual, y);
  } else {
    relu ? apply_as<false, true>(s, k, x, residual, y) : apply_as<false, false>(s, k, x, residual, y);
  }
}

/// The gradient behind the ReLU.
template <BatchnormMask mask, class V, class Values>
[[gnu::always_inline]] inline V behind(V dy, V centred, const Values& y, const Values& scale, const Values& beta,
                                       int i) {
  if constexpr (mask == BatchnormMask::none) return dy;
  const V output = mask == BatchnormMask::output ? y.v[i] : centred * scale.v[i] + beta.v[i];
  return output > 0 ? dy : dy - dy;  // 0, or NaN
}

template <BatchnormMask mask, bool kept, class T>
void backward_sums_as(const RowSteps& s, const BatchnormLanes<T>& k, const T* dy, const T* x, const T* y, T* masked,
                      const RowSums<T>& to) {
  const RunSums<T> run{to, s.width};
  for_blocks<T>(
      s,
      [&](auto block) {
        using Values = typename decltype(block)::Values;
        const Values mean = block.load(k.mean + block.lane), scale = block.load(k.scale + block.lane),
                     beta = block.load(k.beta + block.lane);
        Values sum = block.load(run.first() + block.lane), sum_centred = block.load(run.second() + block.lane);
        std::int64_t index = block.index;
        for (std::int64_t step = 0; step < block.steps; ++step, index += s.width) {
          Values g = block.load(dy + index);
          const Values value = block.load(x + index);
          [[maybe_unused]] Values output;
          if constexpr (mask == BatchnormMask::output) output = block.load(y + index);
#pragma GCC unroll 8
          for (int i = 0; i < block.count; ++i) {
            const Vector<T> centred = value.v[i] - mean.v[i];
            g.v[i] = behind<mask>(g.v[i], centred, output, scale, beta, i);
            sum.v[i] += g.v[i];
            sum_centred.v[i] += g.v[i] * centred;
          }
          if constexpr (kept) block.store(masked + index, g);
        }
        block.store(run.first() + block.lane, sum);
        block.store(run.second() + block.lane, sum_centred);
      },
      [&](std::int64_t width) { run.end(width); });
}

template <BatchnormMask mask, class T>
void backward_sums_behind(const RowSteps& s, const BatchnormLanes<T>& k, const T* dy, const T* x, const T* y, T* masked,
                          const RowSums<T>& to) {
  masked != nullptr ? backward_sums_as<mask, true>(s, k, dy, x, y, masked, to)
                    : backward_sums_as<mask, false>(s, k, dy, x, y, masked, to);
}

template <class T>
void backward_sums(const RowSteps& s, const BatchnormLanes<T>& k, BatchnormMask mask, const T* dy, const T* x,
                   const T* y, T* masked, const RowSums<T>& to) {
  using enum BatchnormMask;
  switch (mask) {
    case none: return backward_sums_behind<none>(s, k, dy, x, y, masked, to);
    case output: return backward_sums_behind<output>(s, k, dy, x, y, masked, to);
    case input: return backward_sums_behind<input>(s, k, dy, x, y, masked, to);
  }
}

template <BatchnormMask mask, bool training, class T>
void backward_data_as(const RowSteps& s, const BatchnormLanes<T>& k, const T* dy, const T* x, const T* y, T* dx) {
  for_blocks<T>(
      s,
      [&](auto block) {
        using Values = typename decltype(block)::Values;
        const Values mean = block.load(k.mean + block.lane), scale = block.load(k.scale + block.lane),
                     beta = block.load(k.beta + block.lane);
        [[maybe_unused]] Values slope, constant;
        if constexpr (training)
          slope = block.load(k.slope + block.lane), constant = block.load(k.constant + block.lane);
        std::int64_t index = block.index;
        for (std::int64_t step = 0; step < block.steps; ++step, index += s.width) {
          Values g = block.load(dy + index);
          [[maybe_unused]] Values value, output;
          if constexpr (training || mask == BatchnormMask::input) value = block.load(x + index);
          if constexpr (mask == BatchnormMask::output) output = block.load(y + index);
#pragma GCC unroll 8
          for (int i = 0; i < block.count; ++i) {
            const Vector<T> centred = value.v[i] - mean.v[i];
            const Vector<T> scaled = scale.v[i] * behind<mask>(g.v[i], centred, output, scale, beta, i);
            g.v[i] = training ? scaled + (centred * slope.v[i] + constant.v[i]) : scaled;
          }
          block.store(dx + index, g);
        }
      },
      [](std::int64_t) {});
}

template <BatchnormMask mask, class T>
void backward_data_behind(const RowSteps& s, const BatchnormLanes<T>& k, const T* dy, const T* x, const T* y, T* dx) {
  k.slope != nullptr ? backward_data_as<mask, true>(s, k, dy, x, y, dx)
                     : backward_data_as<mask, false>(s, k, dy, x, y, dx);
}

template <class T>
void backward_data(const RowSteps& s, const BatchnormLanes<T>& k, BatchnormMask mask, const T* dy, const T* x,
                   const T* y, T* dx) {
  using enum BatchnormMask;
  switch (mask) {
    case none: return backward_data_behind<none>(s, k, dy, x, y, dx);
    case output: return backward_data_behind<output>(s, k, dy, x, y, dx);
    case input: return backward_data_behind<input>(s, k, dy, x, y, dx);
  }
}

template <class T>
constexpr BatchnormFunctions<T> functions = {sums<T>, apply<T>, backward_sums<T>, backward_data<T>};

}  // namespace

extern const BatchnormLoops batchnorm_loops;
const BatchnormLoops batchnorm_loops = {functions<float>, functions<double>};

}  // namespace simclr::kernels::SIMCLR_ISA
