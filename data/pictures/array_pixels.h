#pragma once

// Private: how pictures lie in a NumPy array, and what its values become. The one place that knows: of an array that is
// one picture (image_io.h) and of one that is many (picture_arrays.h).

#include <simclr/core/dtype.h>
#include <simclr/data/npy.h>

#include <cstdint>
#include <span>
#include <string>

namespace simclr::data {

/// Pictures of one shape and type.
struct ArrayPixels {
  std::int64_t count = 1, height = 0, width = 0, channels = 1;
  /// Of the pictures' values: u8 of uint8 and bool (true is 255), u16 of uint16 and int16, f32 of float32 and float64.
  DType dtype = DType::u8;
  bool as_they_are = false;       // a picture's bytes in the array are its values [height,width,channels]
  std::int64_t picture_step = 0;  // in values: from one picture to the next
  std::int64_t row_step = 0, column_step = 0, channel_step = 0;

  std::int64_t values() const { return height * width * channels; }  // of a picture
  std::int64_t bytes() const { return values() * size_of(dtype); }
  /// Two channels, and four or more: an array names none of them alpha.
  bool bands() const { return channels == 2 || channels > 3; }
};

/// What an array is, which messages speak of; of `frames` one clip.
enum class ArrayOf { picture, pictures, frames };

/// Of an array that is one picture, [H,W], [H,W,C] or [C,H,W], or many: [N,H,W], [N,H,W,C] or [N,C,H,W]. C is 1 to 16.
/// Where either axis could be the channels', it is the one of 1, 3 or 4, else the one that leaves pictures square.
/// Throws Error, opened by `name`, for other types, for shapes that are none of these or could be several, and for
/// pictures above the limits of image_io.h.
ArrayPixels array_pixels(const NpyHeader& header, ArrayOf what, const std::string& name);

/// Fills `out` with a picture's values [height,width,channels]; `from` are the array's bytes from the picture's first
/// value on. Throws Error, opened by `name`, where they end too early, and for an integer below 0.
void read_pixels(const NpyHeader& header, const ArrayPixels& pixels, std::span<const std::uint8_t> from,
                 std::span<std::uint8_t> out, const std::string& name);

}  // namespace simclr::data
