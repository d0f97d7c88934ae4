// Augmentation on a GPU: from the bytes of a picture to the normalised view [S,S,C], for all views of a batch:
//   resize the crop (flipped or not), then rotate -> jitter up to contrast, and the sum of grey
//   -> the rest of jitter, grey -> blur down, blur along -> (x - mean) / deviation
// What does not look at neighbours is done in passing; the arithmetic of a pixel is the CPU's
// (shared/augment_pixels.h). Nothing is kept for a backward pass: no gradient flows back through a view. Launch: a
// thread a view draws the transforms (cuda/augment_parameters.cu); then a block a view, 256 threads for views of up to
// 32 x 32 pixels: four pixels a thread stay in registers from the resize to the store, and shared memory serves what
// looks at neighbours and the store in 16 bytes. Larger views take 512 threads, two blocks a multiprocessor: they lie
// in planes [C][S * S], in shared memory where they fit, else in global memory, and each pass goes over them four
// pixels a thread at a time (cuda/augment_canvas.h).
// Tests: tests/device/test_augment.cpp compares with the CPU's views; tests/test_augment.cpp has the plain loops
// (reference_resize, and those of each test).
#include <simclr/kernels/cuda/augment_canvas.h>
#include <simclr/kernels/cuda/launch.h>

#include <limits>

namespace simclr::kernels {

/// In cuda/augment_parameters.cu.
void SIMCLR_KERNELS(augment_draw)(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                                  const AugmentKey& key, Tensor& parameters);

namespace {

using namespace gpu;

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

/// A block's shared memory, cut up; see Task.
template <int C, bool resident>
struct Memory {
  float* canvas;
  std::int32_t* first;
  float *factor, *weights, *kernel;

  __device__ Memory(float* all, const Task& task) : canvas(all) {
    const std::int32_t size = task.policy.size;
    float* const behind = canvas + block_threads<resident> * share * C;
    first = reinterpret_cast<std::int32_t*>(behind);
    factor = behind + 2 * size;
    weights = factor + 2 * size;
    kernel = weights + 2 * size * task.table_taps;
  }

  __device__ Taps rows(const ResizeAxis& down, const Task& task) const {
    return {down, task.policy.size, false, first, factor, weights, down.taps <= task.table_taps};
  }
  __device__ Taps columns(const ResizeAxis& across, const Task& task, bool flip) const {
    const std::int32_t size = task.policy.size;
    return {across,
            size,
            flip,
            first + size,
            factor + size,
            weights + size * task.table_taps,
            across.taps <= task.table_taps};
  }

  __device__ Canvas<C, resident> view(const Task& task) const {
    Canvas<C, resident> view;
    view.size = task.policy.size;
    if constexpr (resident) {
      view.planes = canvas;
    } else {
      view.planes =
          task.scratch != nullptr ? task.scratch + blockIdx.x * task.block_floats : kernel + task.policy.size / 2 + 1;
      view.spare = view.planes + task.set_floats;
    }
    return view;
  }
};

/// What an impossible picture looks like.
template <int threads, class T>
__device__ void fill_with_nan(T* view, std::int32_t count) {
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < count; i += threads) {
    view[i] = narrow_to<T>(std::numeric_limits<float>::quiet_NaN());
  }
}

/// The taps of both axes, and the blur's weights.
template <int threads>
__device__ void fill_tables(const Taps& rows, const Taps& columns, float* kernel, std::int32_t radius, bool blurs,
                            float sigma) {
  const auto thread = static_cast<std::int32_t>(threadIdx.x);
  for (std::int32_t i = thread; i < 2 * rows.size; i += threads) {
    if (i < rows.size) {
      rows.fill(i, 1.0f / 255.0f);
    } else {
      columns.fill(i - rows.size, 1.0f);
    }
  }
  if (!blurs) return;
  for (std::int32_t d = thread; d <= radius; d += threads) kernel[d] = blur_weight(d, sigma);
}

/// A crop that fits into the canvas, as floats [height][width][C].
template <int C, int threads>
__device__ void stage_crop(const Source& source, float* canvas) {
  for (std::int32_t y = static_cast<std::int32_t>(threadIdx.x) / 32; y < source.height; y += threads / 32) {
    for (std::int32_t x = lane_index(); x < source.width; x += 32) {
      const Pixel<C> pixel = read_source<C>(source, y, x);
#pragma unroll
      for (int c = 0; c < C; ++c) canvas[(y * source.width + x) * C + c] = pixel.channel[c];
    }
  }
}

/// A chunk of the view from the crop, which is in the canvas where it is `staged`.
template <int C, bool resident>
__device__ void resize(Canvas<C, resident>& view, std::int32_t chunk, const Taps& rows, const Taps& columns,
                       const Source& source, bool staged, const float* canvas) {
#pragma unroll
  for (int k = 0; k < share; ++k) view.x[k] = {};
  const auto from_stage = [&](std::int32_t y, std::int32_t x) {
    Pixel<C> pixel;
#pragma unroll
    for (int c = 0; c < C; ++c) pixel.channel[c] = canvas[(y * source.width + x) * C + c];
    return pixel;
  };
  const auto from_picture = [&](std::int32_t y, std::int32_t x) { return read_source<C>(source, y, x); };
  if (staged && rows.axis.taps == 2 && columns.axis.taps == 2) {
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
  if (rows.axis.interpolation == Interpolation::bicubic) {  // the cubic overshoots at edges
#pragma unroll
    for (int k = 0; k < share; ++k) {
#pragma unroll
      for (int c = 0; c < C; ++c) view.x[k].channel[c] = clip(view.x[k].channel[c]);
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

/// Turns the view about its centre; after(chunk) goes on with the pixels.
template <int C, bool resident, class After>
__device__ void rotate(Canvas<C, resident>& view, float degrees, const After& after) {
  const Rotation rotation(degrees, view.size);
  view.gather([&](std::int32_t chunk) {
    view.each(chunk, [&](std::int32_t row, std::int32_t column, const Pixel<C>&) {
      return rotated<C>(view.planes, view.size, rotation, row, column);
    });
    after(chunk);
  });
}

/// Down the columns, then along the rows. `weights` is one half of the kernel, not normalised.
template <int C, bool resident>
__device__ void blur(Canvas<C, resident>& view, const float* weights, std::int32_t radius, bool repeated) {
  float total = weights[0];
  for (std::int32_t d = 1; d <= radius; ++d) total += 2 * weights[d];
  for (int axis = 0; axis < 2; ++axis) {
    view.gather([&](std::int32_t chunk) {
      view.each(chunk, [&](std::int32_t row, std::int32_t column, const Pixel<C>&) {
        return blurred<C>(view.planes, view.size, weights, radius, 1.0f / total, repeated, axis == 0, row, column);
      });
    });
  }
}

template <int C>
__device__ void normalise(Pixels<C>& x, const Task& task) {
#pragma unroll
  for (int k = 0; k < share; ++k) {
#pragma unroll
    for (int c = 0; c < C; ++c) x[k].channel[c] = normalised(x[k].channel[c], task.mean[c], task.inverse[c]);
  }
}

template <int C, bool resident, class T>
__global__ void __launch_bounds__(block_threads<resident>, resident ? 4 : 2) augment_kernel(Task task, T* views) {
  constexpr int threads = block_threads<resident>;
  SIMCLR_DYNAMIC_SHARED(float, all);
  const Memory<C, resident> memory(all, task);
  const std::int32_t size = task.policy.size;
  for (std::uint32_t at = blockIdx.x; at < task.views; at += gridDim.x) {
    T* const out = views + std::int64_t{at} * size * size * C;

    // 1 the picture, the view's transforms, and the crop
    const AugmentParameters& p = task.parameters[at];
    const Source source = find_source(task.pictures, task.index[at % task.batch], p);
    if (source.box == nullptr) {
      fill_with_nan<threads>(out, size * size * C);
      continue;
    }

    // 2 tables; the crop as floats, where it fits
    const Taps rows = memory.rows(ResizeAxis(source.height, size, task.policy.interpolation), task);
    const Taps columns = memory.columns(ResizeAxis(source.width, size, task.policy.interpolation), task, p.flip != 0);
    const std::int32_t radius = p.blur ? blur_radius(task.policy, p.sigma) : 0;
    fill_tables<threads>(rows, columns, memory.kernel, radius, p.blur != 0, p.sigma);
    const bool staged = resident && std::int64_t{source.height} * source.width <= threads * share;
    if (staged) stage_crop<C, threads>(source, memory.canvas);
    __syncthreads();

    // 3 resize; the colours up to contrast, unless the view is turned before them
    Canvas<C, resident> view = memory.view(task);
    Colours<C> colours(p);
    const bool rotates = p.rotate != 0;
    view.create([&](std::int32_t chunk) {
      resize(view, chunk, rows, columns, source, staged, memory.canvas);
      if (!rotates) colours.begin(view, chunk);
    });

    // 4 rotate, and the colours up to contrast
    if (rotates) rotate(view, p.angle, [&](std::int32_t chunk) { colours.begin(view, chunk); });

    // 5 the mean grey that contrast turns about
    colours.template find_mean<threads>(size);

    // 6 the other colours and the blur
    if (p.blur) {
      view.change([&](std::int32_t) { colours.end(view.x); });
      blur(view, memory.kernel, radius, task.policy.blur_kernel == whole_kernel);
    }

    // 7 normalise and store; without blur the other colours first, in passing
    view.finish(out, reinterpret_cast<T*>(memory.canvas), [&](std::int32_t) {
      if (!p.blur) colours.end(view.x);
      normalise<C>(view.x, task);
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
