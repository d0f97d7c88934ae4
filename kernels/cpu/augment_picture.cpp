// One view of a picture on the CPU, in float planes [C][S][S] that stay in a thread's scratch:
//   crop -> resize rows, then columns (flip folded into the columns) -> rotate -> jitter -> grey -> blur
//   -> normalise into [S,S,C]
// Each step is a loop over pixels that vectorises; the arithmetic of a pixel is in shared/augment_pixels.h.
#include <simclr/core/error.h>
#include <simclr/kernels/cpu/augment_picture.h>

#include <algorithm>
#include <vector>

namespace simclr::kernels {
namespace {

/// Memory that grows to the largest view a thread has made.
class Buffer {
 public:
  float* get(std::size_t count) {
    if (values_.size() < count) values_.resize(count);
    return values_.data();
  }

 private:
  std::vector<float> values_;
};

/// A view in the making: C planes of S x S floats in [0,1], and a second set to work into.
struct View {
  std::int32_t size, channels;
  float *planes, *spare;

  std::int64_t pixels() const { return std::int64_t{size} * size; }
  float* plane(int c) const { return planes + c * pixels(); }
};

/// One axis of a resize, ready: position i takes taps first[i] + k with weights[k * target + i], k < count.
struct Taps {
  std::vector<std::int32_t> first;
  std::vector<float> weights;
  std::int32_t count = 0;

  /// `mirrored` flips the target; the weights of a position sum to `unit`.
  void fill(std::int32_t source, std::int32_t target, Interpolation interpolation, bool mirrored, float unit) {
    const ResizeAxis axis(source, target, interpolation);
    count = axis.taps;
    first.resize(target);
    weights.resize(static_cast<std::size_t>(count) * target);
    for (std::int32_t i = 0; i < target; ++i) {
      const std::int32_t at = mirrored ? target - 1 - i : i, begin = axis.first(i);
      first[at] = begin;
      float total = 0;
      for (std::int32_t k = 0; k < count; ++k) {
        const float w = axis.weight(i, begin + k);
        weights[k * target + at] = w;
        total += w;
      }
      for (std::int32_t k = 0; k < count; ++k) weights[k * target + at] *= unit / total;
    }
  }
};

struct Scratch {
  Buffer staged, row, planes, spare, kernel;
  Taps rows, columns;
};

thread_local Scratch scratch;

/// row[j] = sum of weights[k * stride] * source row k, two rows a pass.
template <class T>
void blend_rows(const T* source, std::int64_t pitch, std::int32_t taps, const float* weights, std::int32_t stride,
                std::int32_t length, float* row) {
  for (std::int32_t k = 0; k < taps; k += 2) {
    const bool pair = k + 1 < taps;
    const T *a = source + k * pitch, *b = pair ? a + pitch : a;
    const float wa = weights[k * stride], wb = pair ? weights[(k + 1) * stride] : 0.0f;
    if (k == 0) {
#pragma omp simd
      for (std::int32_t j = 0; j < length; ++j) row[j] = wa * static_cast<float>(a[j]) + wb * static_cast<float>(b[j]);
    } else {
#pragma omp simd
      for (std::int32_t j = 0; j < length; ++j) row[j] += wa * static_cast<float>(a[j]) + wb * static_cast<float>(b[j]);
    }
  }
}

/// out[i] = sum over k of weights[k * size + i] * row[first[i] + k * step], for interleaved channels.
void blend_columns(const float* row, std::int32_t step, const std::int32_t* first, std::int32_t taps,
                   const float* weights, std::int32_t size, float* out) {
#pragma omp simd
  for (std::int32_t i = 0; i < size; ++i) out[i] = weights[i] * row[first[i]];
  for (std::int32_t k = 1; k < taps; ++k) {
    const float* from = row + k * step;
    const float* w = weights + k * size;
#pragma omp simd
    for (std::int32_t i = 0; i < size; ++i) out[i] += w[i] * from[first[i]];
  }
}

/// Resizes an h x w box with interleaved channels, values 0 .. `white`, to planes in [0,1]; `pitch` is a row's length.
template <class T>
void resize(const T* box, std::int32_t channels, std::int64_t pitch, float white, const AugmentParameters& p,
            Interpolation interpolation, const View& view) {
  const std::int32_t size = view.size;
  Taps &rows = scratch.rows, &columns = scratch.columns;
  rows.fill(p.crop_height, size, interpolation, false, 1.0f / white);
  columns.fill(p.crop_width, size, interpolation, p.flip != 0, 1.0f);
  for (std::int32_t& first : columns.first) first *= channels;

  const std::int32_t length = p.crop_width * channels;
  float* row = scratch.row.get(length);
  for (std::int32_t y = 0; y < size; ++y) {
    blend_rows(box + rows.first[y] * pitch, pitch, rows.count, rows.weights.data() + y, size, length, row);
    for (int c = 0; c < channels; ++c) {
      float* out = view.plane(c) + std::int64_t{y} * size;
      blend_columns(row + c, channels, columns.first.data(), columns.count, columns.weights.data(), size, out);
    }
  }
  if (interpolation == Interpolation::bicubic || white == 1.0f) {  // the cubic overshoots at edges; f32 may be anything
    float* x = view.planes;
#pragma omp simd
    for (std::int64_t i = 0; i < channels * view.pixels(); ++i) x[i] = clip(x[i]);
  }
}

/// The crop as floats 0 .. white for sources that need more than resizing: alpha laid over white, or colour to luma.
template <int channels, class P>
const float* stage(const P* box, const ImageRef& picture, const AugmentParameters& p) {
  float* staged = scratch.staged.get(static_cast<std::size_t>(p.crop_height) * p.crop_width * channels);
  float* out = staged;
  for (std::int32_t y = 0; y < p.crop_height; ++y) {
    const P* from = box + std::int64_t{y} * picture.width * picture.channels;
    for (std::int32_t x = 0; x < p.crop_width; ++x, from += picture.channels, out += channels) {
      const float alpha = picture.channels == 4 ? static_cast<float>(from[3]) / white_of<P> : 1.0f;
      const Rgb stored = {static_cast<float>(from[0]), static_cast<float>(from[1]), static_cast<float>(from[2])};
      const Rgb colour = over_white(stored, alpha, white_of<P>);
      if constexpr (channels == 1) {
        out[0] = luma(colour);
      } else {
        out[0] = colour.r, out[1] = colour.g, out[2] = colour.b;
      }
    }
  }
  return staged;
}

template <class P>
void crop_and_resize(const P* pixels, const ImageRef& picture, const AugmentParameters& p, Interpolation interpolation,
                     const View& view) {
  const std::int64_t pitch = std::int64_t{picture.width} * picture.channels;
  constexpr float white = white_of<P>;
  const P* box = pixels + p.crop_top * pitch + std::int64_t{p.crop_left} * picture.channels;
  if (!is_colour(view.channels)) {
    resize(box, view.channels, pitch, white, p, interpolation, view);
  } else if (picture.channels == 1) {
    resize(box, 1, pitch, white, p, interpolation, view);
    for (int c = 1; c < view.channels; ++c) std::copy_n(view.planes, view.pixels(), view.plane(c));
  } else if (view.channels == 1) {
    resize(stage<1>(box, picture, p), 1, p.crop_width, white, p, interpolation, view);
  } else if (picture.channels == 4) {
    resize(stage<3>(box, picture, p), 3, std::int64_t{3} * p.crop_width, white, p, interpolation, view);
  } else {
    resize(box, 3, pitch, white, p, interpolation, view);
  }
}

/// Turns the view about its centre; what comes from outside is 0.
void rotate(View& view, float degrees) {
  const std::int32_t size = view.size;
  const Rotation rotation(degrees, size);
  for (std::int32_t y = 0; y < size; ++y) {
    for (std::int32_t x = 0; x < size; ++x) {
      const auto [x0, y0, fx, fy] = rotation.source(y, x);
      const float wx[2] = {x0 >= 0 && x0 < size ? 1.0f - fx : 0.0f, x0 + 1 >= 0 && x0 + 1 < size ? fx : 0.0f};
      const float wy[2] = {y0 >= 0 && y0 < size ? 1.0f - fy : 0.0f, y0 + 1 >= 0 && y0 + 1 < size ? fy : 0.0f};
      const std::int64_t xs[2] = {std::clamp(x0, 0, size - 1), std::clamp(x0 + 1, 0, size - 1)};
      const std::int64_t ys[2] = {std::clamp(y0, 0, size - 1), std::clamp(y0 + 1, 0, size - 1)};
      for (int c = 0; c < view.channels; ++c) {
        const float* p = view.plane(c);
        view.spare[c * view.pixels() + std::int64_t{y} * size + x] =
            wy[0] * (wx[0] * p[ys[0] * size + xs[0]] + wx[1] * p[ys[0] * size + xs[1]]) +
            wy[1] * (wx[0] * p[ys[1] * size + xs[0]] + wx[1] * p[ys[1] * size + xs[1]]);
      }
    }
  }
  std::swap(view.planes, view.spare);
}

/// Replaces every pixel of a colour view by body(pixel).
template <class Body>
void each_rgb(const View& view, const Body& body) {
  float *r = view.plane(0), *g = view.plane(1), *b = view.plane(2);
  const std::int64_t n = view.pixels();
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const Rgb out = body(Rgb{r[i], g[i], b[i]});
    r[i] = out.r, g[i] = out.g, b[i] = out.b;
  }
}

/// Blends every value with `base`.
void blend_all(const View& view, float base, float factor) {
  float* x = view.planes;
#pragma omp simd
  for (std::int64_t i = 0; i < view.channels * view.pixels(); ++i) x[i] = blend(x[i], base, factor);
}

float mean_grey(const View& view) {
  constexpr std::int64_t chunk = 1024;  // as many whole numbers fit 32 bits
  const float *r = view.plane(0), *g = view.plane(view.channels == 3 ? 1 : 0), *b = view.plane(view.channels - 1);
  std::int64_t total = 0;
  for (std::int64_t begin = 0; begin < view.pixels(); begin += chunk) {
    const std::int64_t end = std::min(begin + chunk, view.pixels());
    std::int32_t sum = 0;
    if (view.channels == 3) {
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = begin; i < end; ++i) sum += to_grey_units(grey({r[i], g[i], b[i]}));
    } else {
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = begin; i < end; ++i) sum += to_grey_units(r[i]);
    }
    total += sum;
  }
  return mean_of_grey_units(total, view.size);
}

/// Turns a grey or colour view about its mean grey; of another each channel about its own.
void change_contrast(const View& view, float factor) {
  if (is_colour(view.channels)) {
    blend_all(view, mean_grey(view), factor);
    return;
  }
  for (int c = 0; c < view.channels; ++c) {
    const View one = {view.size, 1, view.plane(c), nullptr};
    blend_all(one, mean_grey(one), factor);
  }
}

/// The four operations in the drawn order; a neutral factor changes nothing and is skipped.
void jitter(const View& view, const AugmentParameters& p) {
  const bool colour = view.channels == 3;
  for (const std::int32_t operation : p.order) {
    if (operation == 0 && p.brightness != 1.0f) {
      blend_all(view, 0.0f, p.brightness);
    } else if (operation == 1 && p.contrast != 1.0f) {
      change_contrast(view, p.contrast);
    } else if (operation == 2 && p.saturation != 1.0f && colour) {
      each_rgb(view, [factor = p.saturation](Rgb x) { return blend(x, grey(x), factor); });
    } else if (operation == 3 && p.hue != 0.0f && colour) {
      each_rgb(view, [shift = p.hue](Rgb x) { return shift_hue(x, shift); });
    }
  }
}

/// Gaussian blur, down the columns into a padded row and then along it.
void blur(View& view, std::int32_t radius, float sigma, bool repeated) {
  const std::int32_t size = view.size;
  float* weights = scratch.kernel.get(radius + 1);
  float total = 0;
  for (std::int32_t d = 0; d <= radius; ++d) {
    weights[d] = blur_weight(d, sigma);
    total += d == 0 ? weights[d] : 2 * weights[d];
  }
  for (std::int32_t d = 0; d <= radius; ++d) weights[d] /= total;

  float* row = scratch.row.get(size + 2 * radius) + radius;
  for (int c = 0; c < view.channels; ++c) {
    const float* from = view.plane(c);
    for (std::int32_t y = 0; y < size; ++y) {
      const float* middle = from + std::int64_t{y} * size;
#pragma omp simd
      for (std::int32_t x = 0; x < size; ++x) row[x] = weights[0] * middle[x];
      for (std::int32_t d = 1; d <= radius; ++d) {
        const float* above = from + std::int64_t{blur_source(y - d, size, repeated)} * size;
        const float* below = from + std::int64_t{blur_source(y + d, size, repeated)} * size;
        const float w = weights[d];
#pragma omp simd
        for (std::int32_t x = 0; x < size; ++x) row[x] += w * (above[x] + below[x]);
      }
      for (std::int32_t d = 1; d <= radius; ++d) {
        row[-d] = row[blur_source(-d, size, repeated)];
        row[size - 1 + d] = row[blur_source(size - 1 + d, size, repeated)];
      }
      float* out = view.spare + c * view.pixels() + std::int64_t{y} * size;
#pragma omp simd
      for (std::int32_t x = 0; x < size; ++x) out[x] = weights[0] * row[x];
      for (std::int32_t d = 1; d <= radius; ++d) {
        const float w = weights[d];
#pragma omp simd
        for (std::int32_t x = 0; x < size; ++x) out[x] += w * (row[x - d] + row[x + d]);
      }
    }
  }
  std::swap(view.planes, view.spare);
}

void normalise(const View& view, const AugmentPolicy& policy, float* out) {
  const std::int64_t n = view.pixels();
  if (view.channels == 1) {
    const float* x = view.plane(0);
    const float mean = policy.mean[0], inverse = 1.0f / policy.stddev[0];
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) out[i] = normalised(x[i], mean, inverse);
    return;
  }
  if (view.channels != 3) {
    for (int c = 0; c < view.channels; ++c) {
      const float* x = view.plane(c);
      const float mean = policy.mean[c], inverse = 1.0f / policy.stddev[c];
      for (std::int64_t i = 0; i < n; ++i) out[view.channels * i + c] = normalised(x[i], mean, inverse);
    }
    return;
  }
  const float *r = view.plane(0), *g = view.plane(1), *b = view.plane(2);
  const Rgb mean = {policy.mean[0], policy.mean[1], policy.mean[2]};
  const Rgb inverse = {1.0f / policy.stddev[0], 1.0f / policy.stddev[1], 1.0f / policy.stddev[2]};
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[3 * i] = normalised(r[i], mean.r, inverse.r);
    out[3 * i + 1] = normalised(g[i], mean.g, inverse.g);
    out[3 * i + 2] = normalised(b[i], mean.b, inverse.b);
  }
}

/// Of values of one type.
template <class P>
void make_view(const P* pixels, const ImageRef& picture, const AugmentPolicy& policy, const AugmentParameters& p,
               float* out) {
  check_picture(picture, policy.channels);
  SIMCLR_CHECK(crop_fits(p, picture), "augment: a crop of ", p.crop_height, " x ", p.crop_width, " pixels at (",
               p.crop_top, ",", p.crop_left, ") leaves sample ", picture.sample, " of ", picture.height, " x ",
               picture.width, " pixels");
  const std::size_t floats = static_cast<std::size_t>(policy.size) * policy.size * policy.channels;
  View view = {policy.size, policy.channels, scratch.planes.get(floats), scratch.spare.get(floats)};

  // 1 crop and resize, flip among it
  crop_and_resize(pixels, picture, p, policy.interpolation, view);
  // 2 rotate
  if (p.rotate) rotate(view, p.angle);
  // 3 colours
  if (p.jitter) jitter(view, p);
  if (p.grayscale && view.channels == 3) {
    each_rgb(view, [](Rgb x) { return Rgb{grey(x), grey(x), grey(x)}; });
  }
  // 4 blur
  if (p.blur) blur(view, blur_radius(policy, p.sigma), p.sigma, policy.blur_kernel == whole_kernel);
  // 5 normalise, channels innermost
  normalise(view, policy, out);
}

}  // namespace

void check_picture(const ImageRef& picture, std::int32_t channels) {
  SIMCLR_CHECK(is_picture(picture, channels), "augment: sample ", picture.sample, " is ", picture.height, " x ",
               picture.width, " pixels with ", picture.channels, " channels; for views of ", channels,
               " a picture has at least one pixel and ", picture_channels(channels), " channels");
}

void augment_picture(const std::uint8_t* pixels, const ImageRef& picture, const AugmentPolicy& policy,
                     const AugmentParameters& p, float* out) {
  make_view(pixels, picture, policy, p, out);
}

void augment_picture(const std::uint16_t* pixels, const ImageRef& picture, const AugmentPolicy& policy,
                     const AugmentParameters& p, float* out) {
  make_view(pixels, picture, policy, p, out);
}

void augment_picture(const float* pixels, const ImageRef& picture, const AugmentPolicy& policy,
                     const AugmentParameters& p, float* out) {
  make_view(pixels, picture, policy, p, out);
}

}  // namespace simclr::kernels
