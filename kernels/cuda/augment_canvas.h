#pragma once

// Private to augmentation on a GPU: a view in the making by one block, and the colours of its pixels.

#include <simclr/kernels/cuda/augment_gather.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

using namespace gpu;

inline constexpr int share = 4;  // pixels that a thread works on at once
inline constexpr std::int32_t resident_size = 32;
template <bool resident>
inline constexpr int block_threads = resident ? 256 : 512;
static_assert(share * block_threads<true> == resident_size * resident_size);

template <int C>
using Pixels = Pixel<C>[share];

/// A view in the making, as one thread sees it.
template <int C, bool resident>
struct Canvas {
  static constexpr int threads = block_threads<resident>;

  std::int32_t size;
  float *planes, *spare;  // [C][S * S]; a resident view has no spare ones
  Pixels<C> x;            // a resident view's pixels of this thread; else those at work

  __device__ std::int32_t pixels() const { return size * size; }
  __device__ std::int32_t chunks() const { return resident ? 1 : (pixels() + threads * share - 1) / (threads * share); }

  /// Row and column of pixel k of a chunk; false where the view has no such pixel.
  __device__ bool place(std::int32_t chunk, int k, std::int32_t& row, std::int32_t& column) const {
    if constexpr (resident) {  // a warp a row: no division, and a warp's reads of a picture lie side by side
      row = static_cast<std::int32_t>(threadIdx.x) / 32 + k * (threads / 32);
      column = lane_index();
      return row < size && column < size;
    } else {
      const std::int32_t pixel = (chunk * share + k) * threads + static_cast<std::int32_t>(threadIdx.x);
      row = pixel / size;
      column = pixel - row * size;
      return pixel < pixels();
    }
  }

  /// pixel = body(row, column, pixel) for all pixels of a chunk.
  template <class Body>
  __device__ void each(std::int32_t chunk, const Body& body) {
#pragma unroll
    for (int k = 0; k < share; ++k) {
      std::int32_t row, column;
      if (place(chunk, k, row, column)) x[k] = body(row, column, x[k]);
    }
  }

  __device__ void get(std::int32_t chunk, const float* from) {
    each(chunk, [&](std::int32_t row, std::int32_t column, Pixel<C> pixel) {
#pragma unroll
      for (int c = 0; c < C; ++c) pixel.channel[c] = from[c * pixels() + row * size + column];
      return pixel;
    });
  }
  __device__ void put(std::int32_t chunk, float* to) {
    each(chunk, [&](std::int32_t row, std::int32_t column, Pixel<C> pixel) {
#pragma unroll
      for (int c = 0; c < C; ++c) to[c * pixels() + row * size + column] = pixel.channel[c];
      return pixel;
    });
  }

  /// body(chunk) makes the pixels from what is not in the planes.
  template <class Body>
  __device__ void create(const Body& body) {
    for (std::int32_t chunk = 0; chunk < chunks(); ++chunk) {
      body(chunk);
      if constexpr (!resident) put(chunk, planes);
    }
  }
  /// body(chunk) changes pixels by themselves.
  template <class Body>
  __device__ void change(const Body& body) {
    for (std::int32_t chunk = 0; chunk < chunks(); ++chunk) {
      if constexpr (!resident) get(chunk, planes);
      body(chunk);
      if constexpr (!resident) put(chunk, planes);
    }
  }
  /// body(chunk) makes pixels from any of the planes.
  template <class Body>
  __device__ void gather(const Body& body) {
    __syncthreads();  // all pixels are in their planes; those that are resident still have to go there
    if constexpr (resident) {
      put(0, planes);
      __syncthreads();
      body(0);
    } else {
      for (std::int32_t chunk = 0; chunk < chunks(); ++chunk) {
        body(chunk);
        put(chunk, spare);
      }
      float* const made = spare;
      spare = planes;
      planes = made;
    }
  }
  /// body(chunk) gives the pixels their last change, then they go to `out` through `stage`.
  template <class T, class Body>
  __device__ void finish(T* out, T* stage, const Body& body) {
    for (std::int32_t chunk = 0; chunk < chunks(); ++chunk) {
      const std::int32_t begin = chunk * threads * share;
      const std::int32_t count = C * min(pixels() - begin, threads * share);
      if constexpr (!resident) get(chunk, planes);
      body(chunk);
      __syncthreads();  // nobody reads the stage any more, nor what it shares memory with
      each(chunk, [&](std::int32_t row, std::int32_t column, Pixel<C> pixel) {
#pragma unroll
        for (int c = 0; c < C; ++c) stage[(row * size + column - begin) * C + c] = narrow_to<T>(pixel.channel[c]);
        return pixel;
      });
      __syncthreads();
      T* const to = out + std::int64_t{begin} * C;
      const auto thread = static_cast<std::int32_t>(threadIdx.x);
      std::int32_t done = 0;
      if (reinterpret_cast<std::uintptr_t>(to) % sizeof(uint4) == 0) {
        constexpr auto width = static_cast<std::int32_t>(sizeof(uint4) / sizeof(T));
        for (std::int32_t i = thread; i < count / width; i += threads) {
          reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(stage)[i];
        }
        done = count / width * width;
      }
      for (std::int32_t i = done + thread; i < count; i += threads) to[i] = stage[i];
    }
  }
  /// The same of a view of one channel that is one of several in `out`, `step` of them.
  template <class T, class Body>
  __device__ void finish_apart(T* out, std::int32_t step, const Body& body) {
    static_assert(C == 1);
    for (std::int32_t chunk = 0; chunk < chunks(); ++chunk) {
      if constexpr (!resident) get(chunk, planes);
      body(chunk);
      each(chunk, [&](std::int32_t row, std::int32_t column, Pixel<C> pixel) {
        out[std::int64_t{row * size + column} * step] = narrow_to<T>(pixel.channel[0]);
        return pixel;
      });
    }
    __syncthreads();  // nobody reads tables and planes any more
  }
};

/// Blends all values with `base`.
template <int C>
__device__ void blend_all(Pixels<C>& x, float base, float factor) {
#pragma unroll
  for (int k = 0; k < share; ++k) {
#pragma unroll
    for (int c = 0; c < C; ++c) x[k].channel[c] = blend(x[k].channel[c], base, factor);
  }
}

template <class Body>
__device__ void each_rgb(Pixels<3>& x, const Body& body) {
#pragma unroll
  for (int k = 0; k < share; ++k) {
    const Rgb out = body(Rgb{x[k].channel[0], x[k].channel[1], x[k].channel[2]});
    x[k] = {{out.r, out.g, out.b}};
  }
}

__device__ inline float grey_of(const Pixel<3>& x) {
  return grey({x.channel[0], x.channel[1], x.channel[2]});
}
__device__ inline float grey_of(const Pixel<1>& x) {
  return x.channel[0];
}

/// Operations `begin` .. `end` - 1 of the drawn order; neutral factors change nothing and are skipped.
template <int C>
__device__ void jitter(Pixels<C>& x, const AugmentParameters& p, int begin, int end, float mean_grey) {
#pragma unroll 1
  for (int i = begin; i < end; ++i) {
    const std::int32_t operation = p.order[i];
    if (operation == 0 && p.brightness != 1.0f) blend_all<C>(x, 0.0f, p.brightness);
    if (operation == 1 && p.contrast != 1.0f) blend_all<C>(x, mean_grey, p.contrast);
    if constexpr (C == 3) {
      if (operation == 2 && p.saturation != 1.0f) {
        each_rgb(x, [factor = p.saturation](Rgb pixel) { return blend(pixel, grey(pixel), factor); });
      }
      if (operation == 3 && p.hue != 0.0f) {
        each_rgb(x, [shift = p.hue](Rgb pixel) { return shift_hue(pixel, shift); });
      }
    }
  }
}

/// The colours' part of a view, cut at contrast, which wants the mean grey of what comes before it.
template <int C>
struct Colours {
  const AugmentParameters& p;
  int contrast = 0;  // its place in the order
  bool wants_mean;
  std::int64_t units = 0;  // this thread's part of the sum of grey
  float mean = 0;

  __device__ explicit Colours(const AugmentParameters& parameters) : p(parameters) {
    while (contrast < 4 && p.jitter && p.order[contrast] != 1) ++contrast;
    wants_mean = p.jitter && contrast < 4 && p.contrast != 1.0f;
  }

  template <bool resident>
  __device__ void begin(Canvas<C, resident>& view, std::int32_t chunk) {
    jitter<C>(view.x, p, 0, contrast, 0.0f);
    if (!wants_mean) return;
    view.each(chunk, [&](std::int32_t, std::int32_t, const Pixel<C>& pixel) {
      units += to_grey_units(grey_of(pixel));
      return pixel;
    });
  }

  /// All threads call it.
  template <int threads>
  __device__ void find_mean(std::int32_t size) {
    if (wants_mean) mean = mean_of_grey_units(block_sum<threads>(units), size);
  }

  __device__ void end(Pixels<C>& x) const {
    if (p.jitter) jitter<C>(x, p, contrast, 4, mean);
    if constexpr (C == 3) {
      if (p.grayscale) each_rgb(x, [](Rgb pixel) { return Rgb{grey(pixel), grey(pixel), grey(pixel)}; });
    }
  }
};

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
