// Augmentation on a GPU: a block a view, from the picture's bytes to one store of the normalised view [S,S,C]; all
// views of a batch in one launch, after one that draws their transforms (cuda/augment_parameters.cu). The arithmetic
// of a pixel is the CPU's (shared/augment_pixels.h). What does not look at neighbours is done in passing:
//   resize, or then rotate -> jitter up to contrast, sum of grey -> the rest of jitter, grey -> blur down, blur along
//   -> normalise
// Views of up to 32 x 32 pixels are resident: four pixels a thread stay in registers from the resize to the store, and
// shared memory serves what looks at neighbours and the store in 16 bytes. Larger ones lie in planes [C][S * S], in
// shared memory where they fit, else in global memory, and each pass goes over them four pixels a thread at a time.
#include <simclr/kernels/cuda/augment_gather.h>
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>

#include <limits>

namespace simclr::kernels {

/// In cuda/augment_parameters.cu.
void SIMCLR_KERNELS(augment_draw)(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                                  const AugmentKey& key, Tensor& parameters);

namespace {

using namespace gpu;

constexpr int share = 4;  // pixels that a thread works on at once
constexpr std::int32_t resident_size = 32;
template <bool resident>
constexpr int block_threads = resident ? 256 : 512;
static_assert(share * block_threads<true> == resident_size * resident_size);

template <int C>
using Pixels = Pixel<C>[share];

/// What all blocks share. Shared memory holds, in this order: `canvas` [block's pixels][C]; of rows and columns `first`
/// [2][S], `factor` [2][S] and `weights` [2][table_taps][S]; `kernel` [S / 2 + 1]; planes, where they fit.
struct Task {
  Pictures pictures;
  const std::int32_t* index;
  std::uint32_t batch, views;
  const AugmentParameters* parameters;
  AugmentPolicy policy;
  float mean[3], inverse[3];  // of normalisation
  std::int32_t table_taps;    // axes of more taps weigh them as they go
  float* scratch;             // global memory for planes; null where they are shared
  std::int64_t set_floats;    // of one set of planes; a block has two where there may be rotation or blur
  std::int64_t block_floats;  // of a block's scratch
};

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

template <int C, bool resident, class T>
__global__ void __launch_bounds__(block_threads<resident>, resident ? 4 : 2) augment_kernel(Task task, T* views) {
  constexpr int threads = block_threads<resident>;
  SIMCLR_DYNAMIC_SHARED(float, canvas);
  const std::int32_t size = task.policy.size;
  const auto thread = static_cast<std::int32_t>(threadIdx.x);
  auto* const first = reinterpret_cast<std::int32_t*>(canvas + threads * share * C);
  float* const factor = canvas + threads * share * C + 2 * size;
  float* const weights = factor + 2 * size;
  float* const kernel = weights + 2 * size * task.table_taps;

  for (std::uint32_t at = blockIdx.x; at < task.views; at += gridDim.x) {
    const std::int64_t begin = std::int64_t{at} * size * size * C;
    const AugmentParameters& p = task.parameters[at];
    const Source source = find_source(task.pictures, task.index[at % task.batch], p);
    if (source.box == nullptr) {
      for (std::int32_t i = thread; i < size * size * C; i += threads) {
        views[begin + i] = narrow_to<T>(std::numeric_limits<float>::quiet_NaN());
      }
      continue;
    }

    // Tables; the crop as floats, where it fits.
    const Interpolation interpolation = task.policy.interpolation;
    const ResizeAxis down(source.height, size, interpolation), across(source.width, size, interpolation);
    const Taps rows = {down, size, false, first, factor, weights, down.taps <= task.table_taps};
    const Taps columns = {across,
                          size,
                          p.flip != 0,
                          first + size,
                          factor + size,
                          weights + size * task.table_taps,
                          across.taps <= task.table_taps};
    for (std::int32_t i = thread; i < 2 * size; i += threads) {
      if (i < size) {
        rows.fill(i, 1.0f / 255.0f);
      } else {
        columns.fill(i - size, 1.0f);
      }
    }
    const std::int32_t radius = p.blur ? blur_radius(task.policy, p.sigma) : 0;
    if (p.blur) {
      for (std::int32_t d = thread; d <= radius; d += threads) kernel[d] = blur_weight(d, p.sigma);
    }
    const bool staged = resident && std::int64_t{source.height} * source.width <= threads * share;
    if (staged) {
      for (std::int32_t y = thread / 32; y < source.height; y += threads / 32) {
        for (std::int32_t x = lane_index(); x < source.width; x += 32) {
          const Pixel<C> pixel = read_source<C>(source, y, x);
#pragma unroll
          for (int c = 0; c < C; ++c) canvas[(y * source.width + x) * C + c] = pixel.channel[c];
        }
      }
    }
    __syncthreads();

    // The view up to contrast, whose place in the order is `contrast`.
    int contrast = 0;
    while (contrast < 4 && p.jitter && p.order[contrast] != 1) ++contrast;
    const bool wants_mean = p.jitter && contrast < 4 && p.contrast != 1.0f;
    Canvas<C, resident> view;
    view.size = size;
    if constexpr (resident) {
      view.planes = canvas;
    } else {
      view.planes = task.scratch != nullptr ? task.scratch + blockIdx.x * task.block_floats : kernel + size / 2 + 1;
      view.spare = view.planes + task.set_floats;
    }
    std::int64_t units = 0;
    const auto begin_jitter = [&](std::int32_t chunk) {
      jitter<C>(view.x, p, 0, contrast, 0.0f);
      if (!wants_mean) return;
      view.each(chunk, [&](std::int32_t, std::int32_t, const Pixel<C>& pixel) {
        units += to_grey_units(grey_of(pixel));
        return pixel;
      });
    };
    const bool rotates = p.rotate != 0;
    view.create([&](std::int32_t chunk) {
#pragma unroll
      for (int k = 0; k < share; ++k) view.x[k] = {};
      const auto from_stage = [&](std::int32_t y, std::int32_t x) {
        Pixel<C> pixel;
#pragma unroll
        for (int c = 0; c < C; ++c) pixel.channel[c] = canvas[(y * source.width + x) * C + c];
        return pixel;
      };
      const auto from_picture = [&](std::int32_t y, std::int32_t x) { return read_source<C>(source, y, x); };
      if (staged && down.taps == 2 && across.taps == 2) {
        view.each(chunk, [&](std::int32_t row, std::int32_t column, const Pixel<C>&) {
          return resample<C, 2>(rows, columns, row, column, from_stage);
        });
      } else if (staged) {
        view.each(chunk, [&](std::int32_t row, std::int32_t column, const Pixel<C>&) {
          return resample<C, 0>(rows, columns, row, column, from_stage);
        });
      } else {
        view.each(chunk, [&](std::int32_t row, std::int32_t column, const Pixel<C>&) {
          return resample<C, 0>(rows, columns, row, column, from_picture);
        });
      }
      if (interpolation == Interpolation::bicubic) {  // the cubic overshoots at edges
#pragma unroll
        for (int k = 0; k < share; ++k) {
#pragma unroll
          for (int c = 0; c < C; ++c) view.x[k].channel[c] = clip(view.x[k].channel[c]);
        }
      }
      if (!rotates) begin_jitter(chunk);
    });
    if (rotates) {
      const Rotation rotation(p.angle, size);
      view.gather([&](std::int32_t chunk) {
        view.each(chunk, [&](std::int32_t row, std::int32_t column, const Pixel<C>&) {
          return rotated<C>(view.planes, size, rotation, row, column);
        });
        begin_jitter(chunk);
      });
    }

    // The rest.
    float mean = 0;
    if (wants_mean) {
      const std::int64_t total = block_sum<threads>(units);
      const double whole = static_cast<double>(size) * static_cast<double>(size) * static_cast<double>(grey_units);
      mean = static_cast<float>(static_cast<double>(total) / whole);
    }
    const auto end_jitter = [&](std::int32_t) {
      if (p.jitter) jitter<C>(view.x, p, contrast, 4, mean);
      if constexpr (C == 3) {
        if (p.grayscale) each_rgb(view.x, [](Rgb pixel) { return Rgb{grey(pixel), grey(pixel), grey(pixel)}; });
      }
    };
    if (p.blur) {
      view.change(end_jitter);
      float total = kernel[0];
      for (std::int32_t d = 1; d <= radius; ++d) total += 2 * kernel[d];
      const bool repeated = task.policy.blur_kernel == whole_kernel;
      for (int axis = 0; axis < 2; ++axis) {
        view.gather([&](std::int32_t chunk) {
          view.each(chunk, [&](std::int32_t row, std::int32_t column, const Pixel<C>&) {
            return blurred<C>(view.planes, size, kernel, radius, 1.0f / total, repeated, axis == 0, row, column);
          });
        });
      }
    }
    view.finish(views + begin, reinterpret_cast<T*>(canvas), [&](std::int32_t chunk) {
      if (!p.blur) end_jitter(chunk);
#pragma unroll
      for (int k = 0; k < share; ++k) {
#pragma unroll
        for (int c = 0; c < C; ++c) view.x[k].channel[c] = (view.x[k].channel[c] - task.mean[c]) * task.inverse[c];
      }
    });
    // The next view needs no barrier: tables and planes were last read before those of finish().
  }
}

// Launchers.

template <int C, bool resident, class T>
void launch_augment(Task task, Tensor& views) {
  constexpr int threads = block_threads<resident>;
  constexpr std::int64_t table_floats = 8192, shared_bytes = 160 << 10;
  [[maybe_unused]] constexpr std::int64_t scratch_bytes = std::int64_t{1} << 30;  // enough for all blocks at 400 pixels
  const std::int64_t size = task.policy.size;
  const Device device = views.device();
  task.table_taps = static_cast<std::int32_t>(std::min<std::int64_t>(16, table_floats / (2 * size)));
  std::int64_t floats = threads * share * C + 4 * size + 2 * size * task.table_taps + size / 2 + 1;
  auto blocks = static_cast<unsigned>(task.views);
  Tensor scratch;
  if constexpr (!resident) {
    const bool gathers = task.policy.rotation_probability > 0 || task.policy.blur_probability > 0;
    task.set_floats = size * size * C;
    task.block_floats = task.set_floats * (gathers ? 2 : 1);
    blocks = static_cast<unsigned>(std::min<std::int64_t>(task.views, 2 * multiprocessors(device)));
    if ((floats + task.block_floats) * 4 <= shared_bytes) {
      floats += task.block_floats;
    } else {
      blocks = static_cast<unsigned>(std::clamp<std::int64_t>(scratch_bytes / 4 / task.block_floats, 1, blocks));
      scratch = Tensor::empty({blocks, task.block_floats}, DType::f32, device);
      task.scratch = scratch.data<float>();
    }
  }
  launch("augment_kernel", device, {blocks, threads, static_cast<std::size_t>(floats) * 4},
         augment_kernel<C, resident, T>, task, views.data<T>());
}

void augment_gpu(const Tensor& bytes, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                 const Tensor& parameters, Tensor& views) {
  Task task = {};
  task.pictures = {bytes.data<std::uint8_t>(), bytes.numel(), reinterpret_cast<const ImageRef*>(refs.raw_data()),
                   refs.numel() / static_cast<std::int64_t>(sizeof(ImageRef))};
  task.index = index.data<std::int32_t>();
  SIMCLR_CHECK(views.dim(0) < std::int64_t{1} << 31, "augment: ", views.dim(0), " views are too many for one call");
  task.batch = static_cast<std::uint32_t>(index.numel());
  task.views = static_cast<std::uint32_t>(views.dim(0));
  task.parameters = reinterpret_cast<const AugmentParameters*>(parameters.raw_data());
  task.policy = policy;
  for (int c = 0; c < policy.channels; ++c) {
    task.mean[c] = policy.mean[c];
    task.inverse[c] = 1.0f / policy.stddev[c];
  }
  dispatch_float(views.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if (policy.size <= resident_size) {
      policy.channels == 3 ? launch_augment<3, true, T>(task, views) : launch_augment<1, true, T>(task, views);
    } else {
      policy.channels == 3 ? launch_augment<3, false, T>(task, views) : launch_augment<1, false, T>(task, views);
    }
  });
}

}  // namespace

extern const AugmentKernels SIMCLR_KERNELS(augment);
const AugmentKernels SIMCLR_KERNELS(augment) = {augment_gpu, SIMCLR_KERNELS(augment_draw)};

}  // namespace simclr::kernels
