// The steps of gated recurrent units on the CPU; with p = W_i x and q = W_h h + b_h, the equations are
//   r, z = s(p + b_i + q);  n = tanh(p_n + b_in + r q_n);  h' = n + z (h - n)
//   dp_n = dh' (1 - z)(1 - n n);  dp_r = dp_n q_n r (1 - r);  dp_z = dh' (h - n) z (1 - z);  dq = (dp_r, dp_z, r dp_n)
//   dh = dh' z + W_h^T dq
// Only the steps within the lengths are there: row start_i + t is step t of sequence i. Sequences are taken in groups
// of like length, each for all its steps by one thread, so that threads never wait for one another. Groups depend on
// the sizes alone, and so do the bits. The loops over a step's values are in cpu/gru.cpp.
#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/gru.h>
#include <simclr/kernels/cpu/own_steps.h>
#include <simclr/kernels/gru.h>
#include <simclr/kernels/shared/check.h>

#include "gemm.h"

#include <algorithm>
#include <type_traits>

namespace simclr::kernels {
namespace {

template <class T>
const GruFunctions<T>& loops() {
  if constexpr (std::is_same_v<T, float>) {
    return gru_loops().f32;
  } else {
    return gru_loops().f64;
  }
}

template <class T>
const GemmFunctions<T>& products() {
  if constexpr (std::is_same_v<T, float>) {
    return gemm_loops().f32;
  } else {
    return gemm_loops().f64;
  }
}

/// What every group of a direction reads.
template <class T>
struct Direction {
  const GruDirection& of;
  const OwnSteps own;
  const std::vector<std::int64_t> order = own.by_length();
  const std::int64_t size = of.w_hh.dim(1), columns = size * of.count, column = size * of.index;
  const std::int64_t group;  // sequences that one thread takes at a time

  explicit Direction(const GruDirection& direction)
      : of(direction), own(direction.lengths, direction.sequences, direction.steps), group(sequences_a_group()) {}

  std::int64_t sequence(std::int64_t j) const { return order[static_cast<std::size_t>(j)]; }
  std::int64_t length(std::int64_t j) const { return own.length[static_cast<std::size_t>(sequence(j))]; }
  /// The step t that sequence j, in order of length, takes as its s-th.
  std::int64_t step(std::int64_t j, std::int64_t s) const { return of.index == 0 ? s : length(j) - 1 - s; }
  std::int64_t row(std::int64_t j, std::int64_t s) const {
    return own.start[static_cast<std::size_t>(sequence(j))] + step(j, s);
  }
  /// The offset in y of what sequence j gives at its s-th step.
  std::int64_t output(std::int64_t j, std::int64_t s) const {
    return (sequence(j) * of.steps + step(j, s)) * columns + column;
  }
  std::int64_t last(std::int64_t j) const { return sequence(j) * columns + column; }
  /// How many of sequences first, first + 1, ... before `end` have an s-th step: the first ones, being the longest.
  std::int64_t active(std::int64_t first, std::int64_t end, std::int64_t s) const {
    std::int64_t j = first;
    while (j < end && length(j) > s) ++j;
    return j - first;
  }

 private:
  /// As many as make good use of a row of weights, but enough groups for several threads.
  std::int64_t sequences_a_group() const {
    const std::int64_t rows = products<T>().rows, wanted = (of.sequences / 8 + rows - 1) / rows * rows;
    return std::clamp(wanted, rows, 4 * rows);
  }
};

/// b [k,n], as multiply_packed wants it.
template <class T>
Tensor packed(const Matrix<const T>& b, std::int64_t n, std::int64_t k) {
  const Tensor memory = Tensor::empty({products<T>().packed(n, k)}, dtype_of<T>);
  products<T>().pack(b, n, k, 0, n, T{1}, memory.data<T>());
  return memory;
}

template <class T>
struct ForwardGroup {
  const Direction<T>& direction;
  const T *product, *weights;
  T *states, *gates, *y, *last;

  /// Sequences [first, end) in order of length; `memory` has room for their h and W_h h.
  void run(std::int64_t first, std::int64_t end, T* memory) const {
    const Direction<T>& d = direction;
    const std::int64_t size = d.size, most = d.length(first);
    T *h = memory, *hidden = memory + (end - first) * size;
    std::fill(h, hidden, T{0});
    const T *b_ih = d.of.b_ih.template data<T>(), *b_hh = d.of.b_hh.template data<T>();
    for (std::int64_t s = 0; s < most; ++s) {
      const std::int64_t active = d.active(first, end, s);
      products<T>().multiply_packed({h, size}, weights, {hidden, 3 * size}, {0, active, 0, 3 * size}, size, T{0});
      for (std::int64_t j = 0; j < active; ++j) {
        const std::int64_t row = d.row(first + j, s);
        T* own = h + j * size;
        std::copy_n(own, size, states + row * size);
        loops<T>().forward(product + row * 3 * size, hidden + j * 3 * size, b_ih, b_hh, own, size,
                           gates + row * 4 * size, own);
        std::copy_n(own, size, y + d.output(first + j, s));
      }
    }
    for (std::int64_t j = first; j < end; ++j) {
      std::copy_n(h + (j - first) * size, size, last + d.last(j));
      T* behind = y + (d.sequence(j) * d.of.steps + d.length(j)) * d.columns + d.column;
      for (std::int64_t t = d.length(j); t < d.of.steps; ++t, behind += d.columns) std::fill_n(behind, size, T{0});
    }
  }
};

void forward_cpu(const GruDirection& direction, const Tensor& product, Tensor& states, Tensor& gates, Tensor& y,
                 Tensor& last) {
  dispatch_float(product.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Direction<T> d(direction);
    const Tensor weights = packed<T>({direction.w_hh.data<const T>(), d.size, true}, 3 * d.size, d.size);
    const ForwardGroup<T> groups{
        d,           product.data<const T>(), weights.data<const T>(), states.data<T>(), gates.data<T>(),
        y.data<T>(), last.data<T>()};
    PerThread<Tensor> memory;
    parallel_for(direction.sequences, d.group, [&](std::int64_t first, std::int64_t end, int thread) {
      const Tensor& own = memory.get(thread, [&] { return Tensor::empty({d.group * 4 * d.size}, dtype_of<T>); });
      groups.run(first, end, own.data<T>());
    });
  });
}

template <class T>
struct BackwardGroup {
  const Direction<T>& direction;
  const T *dy, *dlast;  // may be null
  const T *states, *gates, *weights;
  T *dproduct, *dhidden;

  /// Sequences [first, end) in order of length; `memory` has room for their dh and the gradient of W_h h.
  void run(std::int64_t first, std::int64_t end, T* memory) const {
    const Direction<T>& d = direction;
    const std::int64_t size = d.size, most = d.length(first);
    T *dh = memory, *at_step = memory + (end - first) * size;
    std::fill(dh, at_step, T{0});
    for (std::int64_t j = first; j < end && dlast != nullptr; ++j) {
      std::copy_n(dlast + d.last(j), size, dh + (j - first) * size);
    }
    for (std::int64_t s = most - 1; s >= 0; --s) {
      const std::int64_t active = d.active(first, end, s);
      for (std::int64_t j = 0; j < active; ++j) {
        const std::int64_t row = d.row(first + j, s);
        T *own = dh + j * size, *through = at_step + j * 3 * size;
        if (dy != nullptr) {
          const T* from = dy + d.output(first + j, s);
          for (std::int64_t i = 0; i < size; ++i) own[i] += from[i];
        }
        loops<T>().backward(gates + row * 4 * size, states + row * size, size, own, dproduct + row * 3 * size, through);
        std::copy_n(through, 3 * size, dhidden + row * 3 * size);
      }
      products<T>().multiply_packed({at_step, 3 * size}, weights, {dh, size}, {0, active, 0, size}, 3 * size, T{1});
    }
  }
};

void backward_cpu(const GruDirection& direction, const Tensor& dy, const Tensor& dlast, const Tensor& states,
                  const Tensor& gates, Tensor& dproduct, Tensor& dhidden) {
  dispatch_float(states.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Direction<T> d(direction);
    const Tensor weights = packed<T>({direction.w_hh.data<const T>(), d.size}, d.size, 3 * d.size);
    const BackwardGroup<T> groups{d,
                                  dy.defined() ? dy.data<const T>() : nullptr,
                                  dlast.defined() ? dlast.data<const T>() : nullptr,
                                  states.data<const T>(),
                                  gates.data<const T>(),
                                  weights.data<const T>(),
                                  dproduct.data<T>(),
                                  dhidden.data<T>()};
    PerThread<Tensor> memory;
    parallel_for(direction.sequences, d.group, [&](std::int64_t first, std::int64_t end, int thread) {
      const Tensor& own = memory.get(thread, [&] { return Tensor::empty({d.group * 4 * d.size}, dtype_of<T>); });
      groups.run(first, end, own.data<T>());
    });
  });
}

}  // namespace

extern const GruKernels gru_cpu;
const GruKernels gru_cpu = {forward_cpu, backward_cpu};

}  // namespace simclr::kernels
