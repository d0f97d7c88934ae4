// Pooling on the CPU, channels innermost: every inner loop runs over the channels of one pixel.
//   max:     y[oh,ow] = max of x[h,w], h in [oh s - p, oh s - p + k), w alike, inside the image
//   average: y = mean over all pixels, summed in f64
// The max's backward pass gathers: each input pixel asks the windows that cover it whether it won, so no
// two threads write one place.
#include <simclr/core/parallel.h>
#include <simclr/kernels/pool.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/pool.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace simclr::kernels {
namespace {

std::int64_t rows_of(std::int64_t elements_a_row) {
  return items_a_piece({.bytes = 8 * elements_a_row});
}

using Range = PoolRange<std::int64_t>;

Range window_of(std::int64_t out, std::int64_t size, const MaxPoolGeometry& g) {
  return window<std::int64_t>(out, size, g.kernel, g.stride, g.padding);
}

Range windows_of(std::int64_t in, std::int64_t windows, const MaxPoolGeometry& g) {
  return windows_over<std::int64_t>(in, windows, g.kernel, g.stride, g.padding);
}

void max_forward_cpu(const Tensor& x_tensor, const MaxPoolGeometry& g, Tensor& y_tensor, Tensor& argmax_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t height = x_tensor.dim(1), width = x_tensor.dim(2), channels = x_tensor.dim(3);
    const std::int64_t out_height = y_tensor.dim(1), out_width = y_tensor.dim(2);
    const T* x = x_tensor.data<T>();
    T* y = y_tensor.data<T>();
    std::int32_t* argmax = argmax_tensor.data<std::int32_t>();
    parallel_for(y_tensor.dim(0) * out_height, rows_of(out_width * channels),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row) {
                     const T* image = x + row / out_height * height * width * channels;
                     const Range over_h = window_of(row % out_height, height, g);
                     for (std::int64_t ow = 0; ow < out_width; ++ow) {
                       const Range over_w = window_of(ow, width, g);
                       T* best = y + (row * out_width + ow) * channels;
                       std::int32_t* winner = argmax + (row * out_width + ow) * channels;
                       const std::int64_t first = over_h.begin * width + over_w.begin;
                       std::copy_n(image + first * channels, channels, best);
                       std::fill_n(winner, channels, static_cast<std::int32_t>(first));
                       for (std::int64_t h = over_h.begin; h < over_h.end; ++h) {
                         for (std::int64_t w = over_w.begin; w < over_w.end; ++w) {
                           const auto place = static_cast<std::int32_t>(h * width + w);
                           const T* pixel = image + (h * width + w) * channels;
#pragma omp simd
                           for (std::int64_t c = 0; c < channels; ++c) {
                             take_maximum(best[c], winner[c], pixel[c], place);
                           }
                         }
                       }
                     }
                   }
                 });
  });
}

void max_backward_cpu(const Tensor& dy_tensor, const Tensor& argmax_tensor, const MaxPoolGeometry& g,
                      Tensor& dx_tensor) {
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t height = dx_tensor.dim(1), width = dx_tensor.dim(2), channels = dx_tensor.dim(3);
    const std::int64_t out_height = dy_tensor.dim(1), out_width = dy_tensor.dim(2);
    const T* dy = dy_tensor.data<T>();
    const std::int32_t* argmax = argmax_tensor.data<std::int32_t>();
    T* dx = dx_tensor.data<T>();
    parallel_for(dx_tensor.dim(0) * height, rows_of(width * channels), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t h = row % height;
        const std::int64_t image = row / height * out_height * out_width;  // first pixel of its outputs
        const Range over_h = windows_of(h, out_height, g);
        for (std::int64_t w = 0; w < width; ++w) {
          const Range over_w = windows_of(w, out_width, g);
          const auto place = static_cast<std::int32_t>(h * width + w);
          T* pixel = dx + (row * width + w) * channels;
          std::fill_n(pixel, channels, T{0});
          for (std::int64_t oh = over_h.begin; oh < over_h.end; ++oh) {
            for (std::int64_t ow = over_w.begin; ow < over_w.end; ++ow) {
              const std::int64_t out = (image + oh * out_width + ow) * channels;
              const std::int32_t* winner = argmax + out;
              const T* gradient = dy + out;
#pragma omp simd
              for (std::int64_t c = 0; c < channels; ++c) pixel[c] += winner[c] == place ? gradient[c] : T{0};
            }
          }
        }
      }
    });
  });
}

void global_average_forward_cpu(const Tensor& x_tensor, Tensor& y_tensor) {
  dispatch_float(x_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t pixels = x_tensor.dim(1) * x_tensor.dim(2), channels = x_tensor.dim(3);
    const T* x = x_tensor.data<T>();
    T* y = y_tensor.data<T>();
    parallel_for(x_tensor.dim(0), rows_of(pixels * channels), [=](std::int64_t begin, std::int64_t end) {
      std::vector<double> total(static_cast<std::size_t>(channels));
      double* sum = total.data();
      for (std::int64_t n = begin; n < end; ++n) {
        std::fill(total.begin(), total.end(), 0.0);
        for (std::int64_t p = 0; p < pixels; ++p) {
          const T* pixel = x + (n * pixels + p) * channels;
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) sum[c] += static_cast<double>(pixel[c]);
        }
        T* out = y + n * channels;
        for (std::int64_t c = 0; c < channels; ++c) out[c] = static_cast<T>(sum[c] / static_cast<double>(pixels));
      }
    });
  });
}

void global_average_backward_cpu(const Tensor& dy_tensor, Tensor& dx_tensor) {
  dispatch_float(dy_tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t pixels = dx_tensor.dim(1) * dx_tensor.dim(2), channels = dx_tensor.dim(3);
    const T* dy = dy_tensor.data<T>();
    T* dx = dx_tensor.data<T>();
    const auto count = static_cast<T>(pixels);
    parallel_for(dx_tensor.dim(0), rows_of(pixels * channels), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T* gradient = dy + n * channels;
        T* first = dx + n * pixels * channels;
        for (std::int64_t c = 0; c < channels; ++c) first[c] = gradient[c] / count;
        for (std::int64_t p = 1; p < pixels; ++p) std::copy_n(first, channels, first + p * channels);
      }
    });
  });
}

Shape max_pool_shape(const char* op, const Shape& x, const MaxPoolGeometry& g) {
  SIMCLR_CHECK(g.kernel >= 1 && g.stride >= 1 && g.padding >= 0 && g.padding <= g.kernel / 2, op, ": kernel ", g.kernel,
               ", stride ", g.stride, ", padding ", g.padding,
               "; kernel and stride must be at least 1, padding 0 to kernel / 2");
  SIMCLR_CHECK(x.rank() == 4, op, ": x must have 4 dimensions, got ", x);
  SIMCLR_CHECK(std::min(x[1], x[2]) >= 1 && std::min(x[1], x[2]) + 2 * g.padding >= g.kernel, op, ": a kernel of ",
               g.kernel, " with padding ", g.padding, " does not fit into ", x);
  SIMCLR_CHECK(x[1] * x[2] <= std::numeric_limits<std::int32_t>::max(), op, ": the images of ", x,
               " have more pixels than argmax can number");
  return {x[0], (x[1] + 2 * g.padding - g.kernel) / g.stride + 1, (x[2] + 2 * g.padding - g.kernel) / g.stride + 1,
          x[3]};
}

void check_global_average_shape(const char* op, const Shape& x) {
  SIMCLR_CHECK(x.rank() == 4 && x[1] >= 1 && x[2] >= 1, op, ": x must be [N,H,W,C] with at least one pixel, got ", x);
}

}  // namespace

extern const PoolKernels pool_cpu;
const PoolKernels pool_cpu = {max_forward_cpu, max_backward_cpu, global_average_forward_cpu,
                              global_average_backward_cpu};

MaxPoolResult max_pool_forward(const Tensor& x, const MaxPoolGeometry& geometry) {
  constexpr const char* op = "max_pool_forward";
  check_floats(op, x);
  const Shape shape = max_pool_shape(op, x.shape(), geometry);
  MaxPoolResult result{Tensor::empty(shape, x.dtype(), x.device()), Tensor::empty(shape, DType::i32, x.device())};
  pool_slot.on(x.device()).max_forward(x, geometry, result.y, result.argmax);
  return result;
}

Tensor max_pool_backward(const Tensor& dy, const Tensor& argmax, const Shape& x_shape,
                         const MaxPoolGeometry& geometry) {
  constexpr const char* op = "max_pool_backward";
  check_floats(op, dy);
  check_shape(op, "dy", dy, max_pool_shape(op, x_shape, geometry));
  check_shape(op, "argmax", argmax, dy.shape());
  SIMCLR_CHECK(argmax.dtype() == DType::i32 && argmax.device() == dy.device(), op, ": argmax must be i32 on ",
               dy.device(), ", got ", describe(argmax));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  pool_slot.on(dy.device()).max_backward(dy, argmax, geometry, dx);
  return dx;
}

Tensor global_average_pool_forward(const Tensor& x) {
  constexpr const char* op = "global_average_pool_forward";
  check_floats(op, x);
  check_global_average_shape(op, x.shape());
  Tensor y = Tensor::empty({x.dim(0), x.dim(3)}, x.dtype(), x.device());
  pool_slot.on(x.device()).global_average_forward(x, y);
  return y;
}

Tensor global_average_pool_backward(const Tensor& dy, const Shape& x_shape) {
  constexpr const char* op = "global_average_pool_backward";
  check_floats(op, dy);
  check_global_average_shape(op, x_shape);
  check_shape(op, "dy", dy, {x_shape[0], x_shape[3]});
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  pool_slot.on(dy.device()).global_average_backward(dy, dx);
  return dx;
}

}  // namespace simclr::kernels
