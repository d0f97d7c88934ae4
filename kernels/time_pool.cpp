// Pooling over time on the CPU, channels innermost: every inner loop runs over the channels of one step.
//   mean: y = (1 / length) sum of x_t, t < length, summed in f64;  dx_t = dy / length, 0 behind the length
//   max:  y = max of x_t, t < length;  dx_t = dy where t won
#include <simclr/core/parallel.h>
#include <simclr/kernels/shared/check_lengths.h>
#include <simclr/kernels/shared/data_or_null.h>
#include <simclr/kernels/shared/lengths.h>
#include <simclr/kernels/shared/pool.h>
#include <simclr/kernels/time_pool.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace simclr::kernels {
namespace {

/// Sequences that make a piece.
std::int64_t grain_of(const Tensor& x) {
  return items_a_piece({.bytes = 8 * x.dim(1) * x.dim(2)});
}

void mean_forward_cpu(const Tensor& x_tensor, const Tensor& lengths, Tensor& y_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t steps = x_tensor.dim(1), channels = x_tensor.dim(2);
    const T* x = x_tensor.data<T>();
    const std::int32_t* length = lengths_or_null(lengths);
    T* y = y_tensor.data<T>();
    parallel_for(x_tensor.dim(0), grain_of(x_tensor), [=](std::int64_t begin, std::int64_t end) {
      std::vector<double> total(static_cast<std::size_t>(channels));
      double* sum = total.data();
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t own = length_of(length, n, steps);
        std::fill(total.begin(), total.end(), 0.0);
        for (std::int64_t t = 0; t < own; ++t) {
          const T* step = x + (n * steps + t) * channels;
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) sum[c] += static_cast<double>(step[c]);
        }
        const auto count = static_cast<double>(std::max<std::int64_t>(own, 1));
        for (std::int64_t c = 0; c < channels; ++c) y[n * channels + c] = static_cast<T>(sum[c] / count);
      }
    });
  });
}

void mean_backward_cpu(const Tensor& dy_tensor, const Tensor& lengths, Tensor& dx_tensor) {
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t steps = dx_tensor.dim(1), channels = dx_tensor.dim(2);
    const T* dy = dy_tensor.data<T>();
    const std::int32_t* length = lengths_or_null(lengths);
    T* dx = dx_tensor.data<T>();
    parallel_for(dx_tensor.dim(0), grain_of(dx_tensor), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t own = length_of(length, n, steps);
        const T* gradient = dy + n * channels;
        T* first = dx + n * steps * channels;
        const auto count = static_cast<T>(own);
        if (own > 0) {
          for (std::int64_t c = 0; c < channels; ++c) first[c] = gradient[c] / count;
        }
        for (std::int64_t t = 1; t < own; ++t) std::copy_n(first, channels, first + t * channels);
        std::fill(first + own * channels, first + steps * channels, T{0});
      }
    });
  });
}

void max_forward_cpu(const Tensor& x_tensor, const Tensor& lengths, Tensor& y_tensor, Tensor& argmax_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t steps = x_tensor.dim(1), channels = x_tensor.dim(2);
    const T* x = x_tensor.data<T>();
    const std::int32_t* length = lengths_or_null(lengths);
    T* y = y_tensor.data<T>();
    std::int32_t* argmax = argmax_tensor.data<std::int32_t>();
    parallel_for(x_tensor.dim(0), grain_of(x_tensor), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const std::int64_t own = length_of(length, n, steps);
        T* best = y + n * channels;
        std::int32_t* winner = argmax + n * channels;
        std::fill_n(best, channels, own > 0 ? std::numeric_limits<T>::lowest() : T{0});
        std::fill_n(winner, channels, own > 0 ? 0 : no_winner);  // lengths are possible
        for (std::int64_t t = 0; t < own; ++t) {
          const T* step = x + (n * steps + t) * channels;
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) {
            take_maximum(best[c], winner[c], step[c], static_cast<std::int32_t>(t));
          }
        }
      }
    });
  });
}

void max_backward_cpu(const Tensor& dy_tensor, const Tensor& argmax_tensor, Tensor& dx_tensor) {
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t steps = dx_tensor.dim(1), channels = dx_tensor.dim(2);
    const T* dy = dy_tensor.data<T>();
    const std::int32_t* argmax = argmax_tensor.data<std::int32_t>();
    T* dx = dx_tensor.data<T>();
    parallel_for(dx_tensor.dim(0), grain_of(dx_tensor), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* gradient = dy + n * channels;
        const std::int32_t* winner = argmax + n * channels;
        for (std::int64_t t = 0; t < steps; ++t) {
          T* step = dx + (n * steps + t) * channels;
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) step[c] = maximum_gradient(gradient[c], winner[c], t);
        }
      }
    });
  });
}

void check_steps(const char* op, std::int64_t steps) {
  SIMCLR_CHECK(steps >= 0 && steps <= std::numeric_limits<std::int32_t>::max(), op, ": ", steps,
               " steps; they must be numbered by an i32");
}

void check_input(const char* op, const Tensor& x, const Tensor& lengths) {
  check_floats(op, x);
  check_rank(op, "x", x, 3);
  check_steps(op, x.dim(1));
  check_lengths(op, x, lengths, x.dim(0), x.dim(1));
}

void check_gradient(const char* op, const Tensor& dy, std::int64_t steps) {
  check_floats(op, dy);
  check_rank(op, "dy", dy, 2);
  check_steps(op, steps);
}

}  // namespace

extern const TimePoolKernels time_pool_cpu;
const TimePoolKernels time_pool_cpu = {mean_forward_cpu, mean_backward_cpu, max_forward_cpu, max_backward_cpu};

Tensor mean_over_time_forward(const Tensor& x, const Tensor& lengths) {
  check_input("mean_over_time_forward", x, lengths);
  Tensor y = Tensor::empty({x.dim(0), x.dim(2)}, x.dtype(), x.device());
  time_pool_slot.on(x.device()).mean_forward(x, lengths, y);
  return y;
}

Tensor mean_over_time_backward(const Tensor& dy, const Tensor& lengths, std::int64_t steps) {
  constexpr const char* op = "mean_over_time_backward";
  check_gradient(op, dy, steps);
  check_lengths(op, dy, lengths, dy.dim(0), steps);
  Tensor dx = Tensor::empty({dy.dim(0), steps, dy.dim(1)}, dy.dtype(), dy.device());
  time_pool_slot.on(dy.device()).mean_backward(dy, lengths, dx);
  return dx;
}

MaxOverTimeResult max_over_time_forward(const Tensor& x, const Tensor& lengths) {
  check_input("max_over_time_forward", x, lengths);
  const Shape shape = {x.dim(0), x.dim(2)};
  MaxOverTimeResult result{Tensor::empty(shape, x.dtype(), x.device()), Tensor::empty(shape, DType::i32, x.device())};
  time_pool_slot.on(x.device()).max_forward(x, lengths, result.y, result.argmax);
  return result;
}

Tensor max_over_time_backward(const Tensor& dy, const Tensor& argmax, std::int64_t steps) {
  constexpr const char* op = "max_over_time_backward";
  check_gradient(op, dy, steps);
  SIMCLR_CHECK(argmax.defined() && argmax.dtype() == DType::i32 && argmax.device() == dy.device(), op,
               ": argmax must be i32 on ", dy.device(), ", got ", describe(argmax));
  check_shape(op, "argmax", argmax, dy.shape());
  Tensor dx = Tensor::empty({dy.dim(0), steps, dy.dim(1)}, dy.dtype(), dy.device());
  time_pool_slot.on(dy.device()).max_backward(dy, argmax, dx);
  return dx;
}

}  // namespace simclr::kernels
