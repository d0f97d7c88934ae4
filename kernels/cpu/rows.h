#pragma once

// Private: a tensor [...,C] on the CPU as steps of rows (row_steps.h), on several threads. Rows are cut into blocks by
// the sizes alone, and the blocks' sums are added in order, so bits do not depend on the thread count.

#include <simclr/core/parallel.h>
#include <simclr/core/tensor.h>
#include <simclr/kernels/cpu/row_steps.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace simclr::kernels {

class Rows {
 public:
  explicit Rows(const Tensor& x)
      : elements_(x.numel()), channels_(x.dim(-1)), width_(channels_ * rows_a_step(channels_)) {}

  std::int64_t channels() const { return channels_; }
  std::int64_t width() const { return width_; }

  /// value(c) for each lane, behind the lanes that are there already.
  template <class T, class Value>
  void spread(std::vector<T>& lanes, Value value) const {
    const auto first = static_cast<std::int64_t>(lanes.size());
    lanes.resize(lanes.size() + static_cast<std::size_t>(width_));
    T* to = lanes.data() + first;
    for (std::int64_t c = 0; c < channels_; ++c) to[c] = value(c);
    for (std::int64_t i = channels_; i < width_; ++i) to[i] = to[i - channels_];
  }

  /// body(RowSteps) over all steps, on several threads.
  template <class Body>
  void for_each(const Body& body) const {
    parallel_for(count(), items_a_piece({.bytes = 16 * width_}), [&](std::int64_t begin, std::int64_t end) {
      body(RowSteps{width_, elements_, begin, end});
    });
  }

  /// first[c], and second[c] unless it is null, = what add(RowSteps, RowSums<T>) adds for their lanes.
  template <class T, class Add>
  void sum(double* first, double* second, const Add& add) const {
    const std::int64_t block = std::max<std::int64_t>((1 << 15) / std::max<std::int64_t>(width_, 1) + 1,
                                                      (count() + most_blocks - 1) / most_blocks);
    const std::int64_t blocks = (count() + block - 1) / block;
    const std::int64_t sums = second == nullptr ? 1 : 2;
    const Tensor scratch = Tensor::empty({blocks, sums * channels_}, DType::f64);
    double* partial = scratch.data<double>();
    parallel_for(count(), block, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> lanes(static_cast<std::size_t>(sums * width_));
      std::vector<T> run(lanes.size());
      const RowSums<T> to{lanes.data(), sums == 1 ? nullptr : lanes.data() + width_, run.data()};
      add(RowSteps{width_, elements_, begin, end}, to);
      double* folded = partial + begin / block * sums * channels_;
      fold(to.first, folded);
      if (sums == 2) fold(to.second, folded + channels_);
    });
    const auto add_up = [&](std::int64_t skipped, double* sum) {
      std::fill_n(sum, channels_, 0.0);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const double* from = partial + b * sums * channels_ + skipped;
        for (std::int64_t c = 0; c < channels_; ++c) sum[c] += from[c];
      }
    };
    add_up(0, first);
    if (sums == 2) add_up(channels_, second);
  }

 private:
  static constexpr std::int64_t most_blocks = 64;

  std::int64_t count() const { return width_ == 0 ? 0 : (elements_ + width_ - 1) / width_; }

  static std::int64_t rows_a_step(std::int64_t channels) {
    constexpr std::int64_t whole_vectors = 64, widest = 4096;  // values
    const std::int64_t rows = whole_vectors / std::gcd(whole_vectors, std::max<std::int64_t>(channels, 1));
    return rows * channels <= widest ? rows : 1;
  }

  void fold(const double* lanes, double* sums) const {
    std::copy_n(lanes, channels_, sums);
    for (std::int64_t i = channels_; i < width_; i += channels_) {
      for (std::int64_t c = 0; c < channels_; ++c) sums[c] += lanes[i + c];
    }
  }

  std::int64_t elements_, channels_, width_;
};

/// body(offset, n) for each of some steps: its n elements from `offset` on, the first being channel 0.
template <class Body>
void for_each_step(const RowSteps& steps, Body body) {
  for (std::int64_t step = steps.begin; step < steps.end; ++step) {
    const std::int64_t offset = step * steps.width;
    body(offset, std::min(steps.width, steps.elements - offset));
  }
}

}  // namespace simclr::kernels
