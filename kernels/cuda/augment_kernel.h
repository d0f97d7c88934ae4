#pragma once

// Private to augmentation on a GPU: the kernel that makes views and its launch, for the sources that compile it.

#include <simclr/kernels/cuda/augment_canvas.h>
#include <simclr/kernels/cuda/launch.h>

#include <limits>

namespace simclr::kernels {

inline namespace SIMCLR_TARGET {

/// What all blocks share. Shared memory holds, in this order: `canvas` [block's pixels][C]; of rows and columns `first`
/// [2][S], `factor` [2][S] and `weights` [2][table_taps][S]; `kernel` [S / 2 + 1]; planes, where they fit.
template <class Values>
struct Task {
  Pictures<Values> pictures;
  const std::int32_t* index;
  std::uint32_t batch, views;  // one_of_several: each channel is a view
  const AugmentParameters* parameters;
  AugmentPolicy policy;
  float mean[most_channels], inverse[most_channels];  // of normalisation
  std::int32_t table_taps;                            // axes of more taps weigh them as they go
  float* scratch;                                     // global memory for planes; null where they are shared
  std::int64_t set_floats;    // of one set of planes; a block has two where there may be rotation or blur
  std::int64_t block_floats;  // of a block's scratch
};

/// A block's shared memory, cut up; see Task.
template <int C, bool resident>
struct Memory {
  float* canvas;
  std::int32_t* first;
  float *factor, *weights, *kernel;

  template <class Values>
  __device__ Memory(float* all, const Task<Values>& task) : canvas(all) {
    const std::int32_t size = task.policy.size;
    float* const behind = canvas + block_threads<resident> * share * C;
    first = reinterpret_cast<std::int32_t*>(behind);
    factor = behind + 2 * size;
    weights = factor + 2 * size;
    kernel = weights + 2 * size * task.table_taps;
  }

  template <class Values>
  __device__ Taps rows(const ResizeAxis& down, const Task<Values>& task) const {
    return {down, task.policy.size, false, first, factor, weights, down.taps <= task.table_taps};
  }
  template <class Values>
  __device__ Taps columns(const ResizeAxis& across, const Task<Values>& task, bool flip) const {
    const std::int32_t size = task.policy.size;
    return {across,
            size,
            flip,
            first + size,
            factor + size,
            weights + size * task.table_taps,
            across.taps <= task.table_taps};
  }

  template <class Values>
  __device__ Canvas<C, resident> view(const Task<Values>& task) const {
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

/// What an impossible picture looks like; every `step`th of `count` values is its.
template <int threads, class T>
__device__ void fill_with_nan(T* view, std::int32_t count, std::int32_t step) {
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < count; i += threads) {
    view[std::int64_t{i} * step] = narrow_to<T>(std::numeric_limits<float>::quiet_NaN());
  }
}

/// The taps of both axes, which make 1 of `white`, and the blur's weights.
template <int threads>
__device__ void fill_tables(const Taps& rows, const Taps& columns, float white, float* kernel, std::int32_t radius,
                            bool blurs, float sigma) {
  const auto thread = static_cast<std::int32_t>(threadIdx.x);
  for (std::int32_t i = thread; i < 2 * rows.size; i += threads) {
    if (i < rows.size) {
      rows.fill(i, 1.0f / white);
    } else {
      columns.fill(i - rows.size, 1.0f);
    }
  }
  if (!blurs) return;
  for (std::int32_t d = thread; d <= radius; d += threads) kernel[d] = blur_weight(d, sigma);
}

/// A crop that fits into the canvas, as floats [height][width][C].
template <int C, int threads, class Values>
__device__ void stage_crop(const Source<Values>& source, float* canvas) {
  for (std::int32_t y = static_cast<std::int32_t>(threadIdx.x) / 32; y < source.height; y += threads / 32) {
    for (std::int32_t x = lane_index(); x < source.width; x += 32) {
      const Pixel<C> pixel = read_source<C>(source, y, x);
#pragma unroll
      for (int c = 0; c < C; ++c) canvas[(y * source.width + x) * C + c] = pixel.channel[c];
    }
  }
}

/// A chunk of the view from the crop, which is in the canvas where it is `staged`.
template <int C, bool resident, class Values>
__device__ void resize(Canvas<C, resident>& view, std::int32_t chunk, const Taps& rows, const Taps& columns,
                       const Source<Values>& source, bool staged, const float* canvas) {
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
  // f32 may be anything, and the cubic overshoots at edges.
  if (white_in(source.box) == 1.0f || rows.axis.interpolation == Interpolation::bicubic) {
#pragma unroll
    for (int k = 0; k < share; ++k) {
#pragma unroll
      for (int c = 0; c < C; ++c) view.x[k].channel[c] = clip(view.x[k].channel[c]);
    }
  }
}

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

/// `first`: the channel of the policy that is the pixels' first.
template <int C, class Values>
__device__ void normalise(Pixels<C>& x, const Task<Values>& task, std::int32_t first) {
#pragma unroll
  for (int k = 0; k < share; ++k) {
#pragma unroll
    for (int c = 0; c < C; ++c) {
      x[k].channel[c] = normalised(x[k].channel[c], task.mean[first + c], task.inverse[first + c]);
    }
  }
}

/// Ends a view with end(chunk), one of several `channels` or whole; `stage` is shared memory.
template <bool one, int C, bool resident, class T, class End>
__device__ void store(Canvas<C, resident>& view, T* out, std::int32_t channels, float* stage, const End& end) {
  if constexpr (one) {
    view.finish_apart(out, channels, end);
  } else {
    view.finish(out, reinterpret_cast<T*>(stage), end);
  }
}

template <class Values, int C, bool resident, class T>
__global__ void __launch_bounds__(block_threads<resident>, resident ? 4 : 2)
    augment_kernel(Task<Values> task, T* views) {
  constexpr bool one = one_of_several<Values, C>;
  constexpr int threads = block_threads<resident>;
  SIMCLR_DYNAMIC_SHARED(float, all);
  const Memory<C, resident> memory(all, task);
  const std::int32_t size = task.policy.size;
  for (std::uint32_t at = blockIdx.x; at < task.views; at += gridDim.x) {
    const std::int32_t channels = one ? task.policy.channels : C;
    const std::uint32_t row = one ? at / static_cast<std::uint32_t>(channels) : at;
    const std::int32_t channel = one ? static_cast<std::int32_t>(at % static_cast<std::uint32_t>(channels)) : 0;
    T* const out = views + std::int64_t{row} * size * size * channels + channel;

    // 1 the picture, the view's transforms, and the crop
    const AugmentParameters& p = task.parameters[row];
    const auto source = find_source<C>(task.pictures, task.index[row % task.batch], p, channels, channel);
    if (source.box == nullptr) {
      fill_with_nan<threads>(out, size * size * C, one ? channels : 1);
      continue;
    }

    // 2 tables; the crop as floats, where it fits
    const Taps rows = memory.rows(ResizeAxis(source.height, size, task.policy.interpolation), task);
    const Taps columns = memory.columns(ResizeAxis(source.width, size, task.policy.interpolation), task, p.flip != 0);
    const std::int32_t radius = p.blur ? blur_radius(task.policy, p.sigma) : 0;
    fill_tables<threads>(rows, columns, white_in(source.box), memory.kernel, radius, p.blur != 0, p.sigma);
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
    store<one>(view, out, channels, memory.canvas, [&](std::int32_t) {
      if (!p.blur) colours.end(view.x);
      normalise<C>(view.x, task, channel);
    });
    // The next view needs no barrier: tables and planes were last read before those of finish().
  }
}

// Launchers.

template <class Values, int C, bool resident, class T>
void launch_augment(Task<Values> task, Tensor& views) {
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
      const Shape shape = {static_cast<std::int64_t>(blocks), task.block_floats};  // nvcc fails on a list in the call
      scratch = Tensor::empty(shape, DType::f32, device);
      task.scratch = scratch.data<float>();
    }
  }
  launch("augment_kernel", device, {blocks, threads, static_cast<std::size_t>(floats) * 4},
         augment_kernel<Values, C, resident, T>, task, views.data<T>());
}

template <class Values, int C, class T>
void launch_for_size(Task<Values> task, Tensor& views) {
  const std::int64_t count = views.dim(0) * (one_of_several<Values, C> ? task.policy.channels : 1);
  SIMCLR_CHECK(count < std::int64_t{1} << 31, "augment: ", count, " views are too many for one call");
  task.views = static_cast<std::uint32_t>(count);
  task.policy.size <= resident_size ? launch_augment<Values, C, true, T>(task, views)
                                    : launch_augment<Values, C, false, T>(task, views);
}

/// Views of T.
template <class Values, class T>
void augment_values(const Tensor& pixels, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                    const Tensor& parameters, Tensor& views) {
  Task<Values> task = {};
  task.pictures = {values_of<Values>(pixels), pixels.numel(), reinterpret_cast<const ImageRef*>(refs.raw_data()),
                   refs.numel() / static_cast<std::int64_t>(sizeof(ImageRef))};
  task.index = index.data<std::int32_t>();
  task.batch = static_cast<std::uint32_t>(index.numel());
  task.parameters = reinterpret_cast<const AugmentParameters*>(parameters.raw_data());
  task.policy = policy;
  for (int c = 0; c < policy.channels; ++c) {
    task.mean[c] = policy.mean[c];
    task.inverse[c] = 1.0f / policy.stddev[c];
  }
  policy.channels == 3 ? launch_for_size<Values, 3, T>(task, views) : launch_for_size<Values, 1, T>(task, views);
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
