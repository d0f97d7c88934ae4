#pragma once

// Private: a tensor [...,C] on the CPU as rows of channels, for loops that treat every channel alike.
// One step is as many whole rows as make a few hundred values, so that the inner loops are long even
// where there are few channels; what belongs to a channel is repeated for each row of a step (spread).

#include <simclr/core/parallel.h>
#include <simclr/core/tensor.h>

#include <algorithm>
#include <cstdint>

namespace simclr::kernels {

/// Two sums that are taken in one pass.
template <class T>
struct Pair {
  T first, second;
};

/// One value for each lane of a step, in aligned memory that is reused.
template <class T>
class Lanes {
 public:
  explicit Lanes(std::int64_t width) : values_(Tensor::empty({width}, dtype_of<T>)) {}
  T* data() const { return values_.data<T>(); }

 private:
  Tensor values_;
};

class Rows {
 public:
  explicit Rows(const Tensor& x)
      : channels_(x.dim(-1)),
        count_(channels_ == 0 ? 0 : x.numel() / channels_),
        rows_per_step_(std::max<std::int64_t>(1, 512 / std::max<std::int64_t>(channels_, 1))),
        width_(rows_per_step_ * channels_),
        steps_((count_ + rows_per_step_ - 1) / rows_per_step_) {}

  std::int64_t count() const { return count_; }
  std::int64_t channels() const { return channels_; }

  /// value(c) for each lane of a step.
  template <class T, class Value>
  Lanes<T> spread(Value value) const {
    const Lanes<T> spread(width_);
    T* lanes = spread.data();
    for (std::int64_t c = 0; c < channels_; ++c) lanes[c] = value(c);
    for (std::int64_t i = channels_; i < width_; ++i) lanes[i] = lanes[i - channels_];
    return spread;
  }

  /// body(offset, n) for each step: n elements from offset, the first being channel 0.
  template <class Body>
  void for_each_step(Body body) const {
    const std::int64_t end_of_all = count_ * channels_;
    parallel_for(steps_, items_a_piece({.bytes = 8 * width_}), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t step = begin; step < end; ++step) {
        const std::int64_t offset = step * width_;
        body(offset, std::min(width_, end_of_all - offset));
      }
    });
  }

  /// first[c] and second[c] = the sums over all rows of term(index, lane), a Pair<T>; index counts elements,
  /// lane their place in a step. Called once for each element. T holds the sum of a short run of rows; f64 takes
  /// over from there. Rows are cut into blocks by their count alone, and blocks are added in order, so the thread
  /// count does not change a bit.
  template <class T, class Term>
  void sum(double* first, double* second, Term term) const {
    const std::int64_t block = std::max<std::int64_t>(64, (steps_ + max_blocks - 1) / max_blocks);  // steps
    const std::int64_t blocks = (steps_ + block - 1) / block;
    const Tensor scratch = Tensor::empty({blocks, 2 * channels_}, DType::f64);  // reused memory
    double* partial = scratch.data<double>();
    parallel_for(steps_, block, [&](std::int64_t begin, std::int64_t end) {
      const Lanes<T> run_first(width_), run_second(width_);
      double* sums = partial + begin / block * 2 * channels_;
      std::fill_n(sums, 2 * channels_, 0.0);
      for (std::int64_t step = begin; step < end; step += run_steps) {
        sum_run(step, std::min(end, step + run_steps), run_first.data(), run_second.data(), term);
        fold(run_first.data(), sums);
        fold(run_second.data(), sums + channels_);
      }
    });
    parallel_for(channels_, 1 << 8, [&](std::int64_t begin, std::int64_t end) {
      std::fill(first + begin, first + end, 0.0);
      std::fill(second + begin, second + end, 0.0);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const double* from = partial + b * 2 * channels_;
        for (std::int64_t c = begin; c < end; ++c) first[c] += from[c];
        for (std::int64_t c = begin; c < end; ++c) second[c] += from[channels_ + c];
      }
    });
  }

 private:
  static constexpr std::int64_t max_blocks = 64;
  static constexpr std::int64_t run_steps = 32;

  /// One step after the other, in memory's order: several at once would save accumulator traffic, but runs
  /// at half the speed where the tensor does not fit into the caches.
  template <class T, class Term>
  void sum_run(std::int64_t step, std::int64_t stop, T* first, T* second, Term& term) const {
    std::fill_n(first, width_, T{0});
    std::fill_n(second, width_, T{0});
    for (; step < stop; ++step) {
      const std::int64_t offset = step * width_;
      const std::int64_t n = std::min(width_, count_ * channels_ - offset);
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) {
        const Pair<T> a = term(offset + i, i);
        first[i] += a.first;
        second[i] += a.second;
      }
    }
  }

  template <class T>
  void fold(const T* lanes, double* sums) const {
    for (std::int64_t row = 0; row < rows_per_step_; ++row) {
      for (std::int64_t c = 0; c < channels_; ++c) sums[c] += static_cast<double>(lanes[row * channels_ + c]);
    }
  }

  std::int64_t channels_, count_, rows_per_step_, width_, steps_;
};

}  // namespace simclr::kernels
