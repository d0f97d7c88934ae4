#pragma once

// Where a pixel of a view comes from, on a GPU: from a crop of a picture in the arena, by the taps that resize it,
// or from other pixels of the view, in planes [C][S * S], by rotation and blur.

#include <simclr/kernels/cuda/language.h>
#include <simclr/kernels/shared/augment_source.h>

#include <cstddef>
#include <type_traits>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

template <int C>
struct Pixel {
  float channel[C];
};

/// The values of an arena as a kernel reads them. Bytes, of which most pictures are, have kernels of their own; all
/// else shares those that ask for the type at each value: nvcc takes seconds a kernel.
using Bytes = const std::uint8_t*;

struct AnyValues {
  const void* at;
  DType dtype;  // u8, u16 or f32

  __device__ float operator[](std::int64_t i) const {
    switch (dtype) {
      case DType::u16: return static_cast<const std::uint16_t*>(at)[i];
      case DType::f32: return static_cast<const float*>(at)[i];
      default: return static_cast<const std::uint8_t*>(at)[i];
    }
  }
  __device__ AnyValues operator+(std::int64_t i) const {
    return {static_cast<const char*>(at) + i * size_of(dtype), dtype};
  }
  __device__ bool operator==(std::nullptr_t) const { return at == nullptr; }
};

template <class Values>
Values values_of(const Tensor& pixels) {
  if constexpr (std::is_same_v<Values, Bytes>) {
    return pixels.data<const std::uint8_t>();
  } else {
    return {pixels.raw_data(), pixels.dtype()};
  }
}

/// What white is among the values.
__device__ inline float white_in(Bytes) {
  return white_of<std::uint8_t>;
}
__device__ inline float white_in(const AnyValues& values) {
  return values.dtype == DType::u16   ? white_of<std::uint16_t>
         : values.dtype == DType::f32 ? white_of<float>
                                      : white_of<std::uint8_t>;
}

/// Whether what a kernel makes of C channels at once is one channel of a view of any count, 1 (grey) among them.
template <class Values, int C>
inline constexpr bool one_of_several = C == 1 && !std::is_same_v<Values, Bytes>;

/// The arena and its ImageRefs, in device memory.
template <class Values>
struct Pictures {
  Values values;
  std::int64_t value_count;
  const ImageRef* refs;
  std::int64_t count;
};

/// A view's crop of a picture: null where index, picture or crop are impossible.
template <class Values>
struct Source {
  Values box;  // the crop's first value
  std::int64_t pitch;
  std::int32_t channels, height, width;  // of the crop
  bool apart;                            // one channel is read alone, as it is
};

/// `p` is the parameters of the view, which is `channel` of `view_channels` where it is one of several.
template <int C, class Values>
__device__ Source<Values> find_source(const Pictures<Values>& pictures, std::int32_t at, const AugmentParameters& p,
                                      std::int32_t view_channels, std::int32_t channel) {
  const Source<Values> none = {};
  if (at < 0 || at >= pictures.count) return none;
  const ImageRef picture = pictures.refs[at];
  if (!is_picture(picture, view_channels)) return none;
  const std::int32_t channels = picture.channels;
  if (picture.offset < 0 || picture.offset > pictures.value_count ||
      std::int64_t{picture.height} * picture.width > (pictures.value_count - picture.offset) / channels) {
    return none;
  }
  if (!crop_fits(p, picture)) return none;
  const std::int64_t pitch = std::int64_t{picture.width} * channels;
  const Values box = pictures.values + picture.offset + p.crop_top * pitch + std::int64_t{p.crop_left} * channels;
  const bool apart = one_of_several<Values, C> && !is_colour(view_channels);
  return {apart ? box + channel : box, pitch, channels, p.crop_height, p.crop_width, apart};
}

/// One pixel of the crop, 0 .. white: alpha laid over white, colour to luma where the view is grey.
template <int C, class Values>
__device__ Pixel<C> read_source(const Source<Values>& source, std::int32_t y, std::int32_t x) {
  const Values from = source.box + y * source.pitch + std::int64_t{x} * source.channels;
  const bool colourless = source.channels == 1 || source.apart;
  Rgb colour;
  colour.r = colour.g = colour.b = static_cast<float>(from[0]);
  if (!colourless) {
    colour.g = static_cast<float>(from[1]);
    colour.b = static_cast<float>(from[2]);
    if (source.channels == 4) {
      const float white = white_in(source.box);
      colour = over_white(colour, static_cast<float>(from[3]) / white, white);
    }
  }
  if constexpr (C == 3) {
    return {{colour.r, colour.g, colour.b}};
  } else {
    return {{colourless ? colour.r : luma(colour)}};
  }
}

/// One axis of a resize: position i takes taps first[i] + k with weight(i, k), k < axis.taps.
struct Taps {
  ResizeAxis axis;
  std::int32_t size;
  bool mirrored;  // flips the target
  std::int32_t* first;
  float* factor;   // makes a position's weights sum to the unit
  float* weights;  // [taps][size], times the factor
  bool tabled;     // false: too many taps for `weights`, which is not used then

  __device__ std::int32_t target(std::int32_t i) const { return mirrored ? size - 1 - i : i; }

  __device__ void fill(std::int32_t i, float unit) const {
    const std::int32_t begin = axis.first(target(i));
    first[i] = begin;
    float total = 0;
    for (std::int32_t k = 0; k < axis.taps; ++k) total += axis.weight(target(i), begin + k);
    factor[i] = unit / total;
    if (!tabled) return;
    for (std::int32_t k = 0; k < axis.taps; ++k) {
      weights[k * size + i] = axis.weight(target(i), begin + k) * factor[i];
    }
  }

  __device__ float weight(std::int32_t i, std::int32_t k) const {
    return tabled ? weights[k * size + i] : axis.weight(target(i), first[i] + k) * factor[i];
  }
};

/// One pixel of the view, from pixels of the crop that read(y, x) gives. `taps` is 2 where both axes have two taps in
/// their tables, else 0.
template <int C, int taps, class Read>
__device__ Pixel<C> resample(const Taps& rows, const Taps& columns, std::int32_t y, std::int32_t x, const Read& read) {
  const std::int32_t top = rows.first[y], left = columns.first[x];
  const std::int32_t down = taps > 0 ? taps : rows.axis.taps, across = taps > 0 ? taps : columns.axis.taps;
  Pixel<C> sum = {};
#pragma unroll(taps > 0 ? taps : 1)
  for (std::int32_t i = 0; i < down; ++i) {
    Pixel<C> row = {};
#pragma unroll(taps > 0 ? taps : 1)
    for (std::int32_t j = 0; j < across; ++j) {
      const Pixel<C> pixel = read(top + i, left + j);
      const float w = taps > 0 ? columns.weights[j * columns.size + x] : columns.weight(x, j);
#pragma unroll
      for (int c = 0; c < C; ++c) row.channel[c] += w * pixel.channel[c];
    }
    const float w = taps > 0 ? rows.weights[i * rows.size + y] : rows.weight(y, i);
#pragma unroll
    for (int c = 0; c < C; ++c) sum.channel[c] += w * row.channel[c];
  }
  return sum;
}

/// The view turned about its centre, at one pixel; what comes from outside is 0.
template <int C>
__device__ Pixel<C> rotated(const float* planes, std::int32_t size, const Rotation& rotation, std::int32_t row,
                            std::int32_t column) {
  const auto [x0, y0, fx, fy] = rotation.source(row, column);
  Pixel<C> sum = {};
#pragma unroll
  for (int tap = 0; tap < 4; ++tap) {
    const std::int32_t y = y0 + tap / 2, x = x0 + tap % 2;
    if (x < 0 || x >= size || y < 0 || y >= size) continue;
    const float w = (tap / 2 == 0 ? 1.0f - fy : fy) * (tap % 2 == 0 ? 1.0f - fx : fx);
#pragma unroll
    for (int c = 0; c < C; ++c) sum.channel[c] += w * planes[(c * size + y) * size + x];
  }
  return sum;
}

/// Gaussian blur along one axis, at one pixel; weights sum to 1 / `scale`.
template <int C>
__device__ Pixel<C> blurred(const float* planes, std::int32_t size, const float* kernel, std::int32_t radius,
                            float scale, bool repeated, bool down, std::int32_t row, std::int32_t column) {
  Pixel<C> sum = {};
  for (std::int32_t d = -radius; d <= radius; ++d) {
    const float w = kernel[d < 0 ? -d : d];
    const std::int32_t at = down ? blur_source(row + d, size, repeated) * size + column
                                 : row * size + blur_source(column + d, size, repeated);
#pragma unroll
    for (int c = 0; c < C; ++c) sum.channel[c] += w * planes[c * size * size + at];
  }
#pragma unroll
  for (int c = 0; c < C; ++c) sum.channel[c] *= scale;
  return sum;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
