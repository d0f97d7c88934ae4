#include "array_pixels.h"

#include "image_codecs.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace simclr::data {
namespace {

using Sizes = std::vector<std::int64_t>;

/// "u1", "f8": what NumPy calls a type, without its order.
std::string type_of(const NpyHeader& header) {
  return header.kind + std::to_string(header.value_bytes);
}

bool is_swapped(const NpyHeader& header) {
  return header.value_bytes > 1 && header.big_endian != (std::endian::native == std::endian::big);
}

std::string word_for(ArrayOf what) {
  return what == ArrayOf::frames ? "frame" : "picture";
}

DType dtype_of(const NpyHeader& header, ArrayOf what, const std::string& name) {
  const std::string type = type_of(header);
  if (type == "u1" || type == "b1") return DType::u8;
  if (type == "u2" || type == "i2") return DType::u16;
  if (type == "f4" || type == "f8") return DType::f32;
  fail(name, ": an array of ", header.descr, "; ", word_for(what),
       "s are of uint8, bool, uint16, int16, float32 or float64: convert it, ",
       header.kind == 'f' ? "by x.astype('float32')" : "values from 0 to 255 by x.astype('uint8')");
}

/// A number of sizeof(T) bytes as the array has it, in this machine's order.
template <class T>
T value_at(const std::uint8_t* at, bool swapped) {
  std::uint8_t bytes[sizeof(T)];
  std::memcpy(bytes, at, sizeof(T));
  if (swapped) std::reverse(bytes, bytes + sizeof(T));
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

/// The shape of an array, in words, and which of its axes are a picture's.
class Axes {
 public:
  Axes(const NpyHeader& header, ArrayOf what, const std::string& name)
      : shape_(header.shape), many_(what != ArrayOf::picture), word_(word_for(what)) {
    what_ = name + ": an array " + header.shape_text();
    const std::size_t first = many_ ? 1 : 0;
    SIMCLR_CHECK(shape_.size() == first + 2 || shape_.size() == first + 3, what_, "; ",
                 what == ArrayOf::picture    ? "a picture is [H,W], [H,W,C] or [C,H,W]"
                 : what == ArrayOf::pictures ? "pictures are [N,H,W], [N,H,W,C] or [N,C,H,W]"
                                             : "a clip is [T,H,W], [T,H,W,C] or [T,C,H,W]",
                 !many_ || shape_.size() != 2 ? ": reshape it"
                 : what == ArrayOf::pictures  ? ": unroll its rows by x.reshape(-1, H, W)"
                                              : ": save x[None] of a single frame");
    row = first;
    column = first + 1;
    if (shape_.size() == first + 3) {
      choose(shape_[first], shape_[first + 1], shape_[first + 2]);
      row = channels_first_ ? first + 1 : first;
      column = row + 1;
      channel = channels_first_ ? first : first + 2;
    } else if (many_) {
      check_strip(shape_[1], shape_[2]);
    }
  }

  std::size_t row = 0, column = 0, channel = none;  // in the shape; channel may be none
  static constexpr std::size_t none = 3 + 1;

 private:
  static bool usual(std::int64_t channels) { return channels == 1 || channels == 3 || channels == 4; }
  static bool possible(std::int64_t channels) { return channels >= 1 && channels <= most_bands; }

  void choose(std::int64_t a, std::int64_t b, std::int64_t c) {
    if (!possible(a) && !possible(c)) {
      fail(what_, " of ", c, " channels; 1 to ", most_bands, " are read: choose some");
    }
    if (possible(a) != possible(c)) {
      channels_first_ = possible(a);
    } else if (usual(a) != usual(c)) {
      channels_first_ = usual(a);
    } else {
      SIMCLR_CHECK((a == b) != (b == c), what_, " may have its channels ", many_ ? "second" : "first",
                   " or last; enlarge the ", word_, "s to more than ", most_bands, " pixels a side");
      channels_first_ = b == c;
    }
  }

  /// [N,H,W] is also what one picture [H,W,C] looks like.
  void check_strip(std::int64_t height, std::int64_t width) const {
    SIMCLR_CHECK(!usual(width) && (width > most_bands || height <= most_bands), what_, " may be one ", word_,
                 " or many; save x[None] of one ", word_, ", x[..., None] of grey ones");
  }

  const Sizes shape_;
  const bool many_;
  const std::string word_;
  std::string what_;
  bool channels_first_ = false;
};

template <class From, class Change>
void convert(const ArrayPixels& a, std::span<const std::uint8_t> from, std::uint8_t* out, bool swapped,
             const Change& change) {
  for (std::int64_t y = 0; y < a.height; ++y) {
    for (std::int64_t x = 0; x < a.width; ++x) {
      for (std::int64_t c = 0; c < a.channels; ++c) {
        const std::int64_t at = y * a.row_step + x * a.column_step + c * a.channel_step;
        const auto value = change(value_at<From>(from.data() + at * std::int64_t{sizeof(From)}, swapped));
        std::memcpy(out, &value, sizeof value);
        out += sizeof value;
      }
    }
  }
}

}  // namespace

ArrayPixels array_pixels(const NpyHeader& header, ArrayOf what, const std::string& name) {
  ArrayPixels a;
  a.dtype = dtype_of(header, what, name);
  const Axes axes(header, what, name);
  const Sizes& shape = header.shape;
  Sizes steps(shape.size());
  std::int64_t step = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {  // from the dimension that lies closest
    const std::size_t at = header.fortran_order ? i : shape.size() - 1 - i;
    steps[at] = step;
    step *= shape[at];
  }
  if (what != ArrayOf::picture) {
    a.count = shape[0];
    a.picture_step = steps[0];
    SIMCLR_CHECK(step > 0, name, ": an array ", header.shape_text(), " holds no ", word_for(what));
  }
  a.height = shape[axes.row];
  a.width = shape[axes.column];
  a.row_step = steps[axes.row];
  a.column_step = steps[axes.column];
  if (axes.channel != Axes::none) {
    a.channels = shape[axes.channel];
    a.channel_step = steps[axes.channel];
  }
  check_size(a.height, a.width, name);
  SIMCLR_CHECK(a.bytes() <= 8 * max_picture_pixels, name, ": ", word_for(what), "s of ", a.width, " x ", a.height,
               " pixels with ", a.channels, " channels; cut them into tiles");
  const std::string type = type_of(header);
  const bool kept = type == "u1" || type == "u2" || type == "f4";
  a.as_they_are =
      kept && !is_swapped(header) && !header.fortran_order && (a.channels == 1 || axes.channel > axes.column);
  return a;
}

void read_pixels(const NpyHeader& header, const ArrayPixels& a, std::span<const std::uint8_t> from,
                 std::span<std::uint8_t> out, const std::string& name) {
  const std::int64_t last =
      (a.height - 1) * a.row_step + (a.width - 1) * a.column_step + (a.channels - 1) * a.channel_step;
  SIMCLR_CHECK(std::ssize(from) >= (last + 1) * header.value_bytes, name, ": the file is truncated");
  SIMCLR_CHECK(std::ssize(out) == a.bytes(), name, ": ", out.size(), " bytes for a picture of ", a.bytes());
  const bool swapped = is_swapped(header);
  const std::string type = type_of(header);
  if (a.as_they_are) {
    std::copy_n(from.begin(), out.size(), out.begin());
  } else if (type == "u1") {
    convert<std::uint8_t>(a, from, out.data(), swapped, [](std::uint8_t value) { return value; });
  } else if (type == "b1") {
    convert<std::uint8_t>(a, from, out.data(), swapped,
                          [](std::uint8_t value) { return static_cast<std::uint8_t>(value == 0 ? 0 : 255); });
  } else if (type == "u2") {
    convert<std::uint16_t>(a, from, out.data(), swapped, [](std::uint16_t value) { return value; });
  } else if (type == "i2") {
    convert<std::int16_t>(a, from, out.data(), swapped, [&name](std::int16_t value) {
      if (value < 0) fail(name, ": an array with ", negative_values);
      return static_cast<std::uint16_t>(value);
    });
  } else if (type == "f4") {
    convert<float>(a, from, out.data(), swapped, [](float value) { return value; });
  } else {
    convert<double>(a, from, out.data(), swapped, [](double value) { return static_cast<float>(value); });
  }
}

}  // namespace simclr::data
