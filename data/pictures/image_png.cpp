#ifdef SIMCLR_HAVE_PNG

#include "image_codecs.h"
#include "orientation.h"

#include <simclr/core/error.h>

#include <png.h>

#include <bit>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>

namespace simclr::data {
namespace {

/// One picture on its way in or out. libpng reports errors by a call that must not return: it jumps.
struct Codec {
  bool reading = true;
  int sample_bytes = 1;  // of what is read, which a picture has as channels
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::uint8_t> input;
  std::vector<std::uint8_t> output;
  std::vector<png_bytep> rows;
  bool whole = false;      // all rows were read
  bool truncated = false;  // the file ended before the picture's end marker
  char message[128] = {};

  ~Codec() {
    if (reading) {
      png_destroy_read_struct(&png, &info, nullptr);
    } else {
      png_destroy_write_struct(&png, &info);
    }
  }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  Codec& codec = *static_cast<Codec*>(png_get_error_ptr(png));
  std::snprintf(codec.message, sizeof(codec.message), "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_input(png_structp png, png_bytep out, png_size_t count) {
  Codec& codec = *static_cast<Codec*>(png_get_io_ptr(png));
  if (codec.input.size() < count) {
    codec.truncated = true;
    png_error(png, "the file is truncated");
  }
  std::memcpy(out, codec.input.data(), count);
  codec.input = codec.input.subspan(count);
}

void write_output(png_structp png, png_bytep bytes, png_size_t count) {
  Codec& codec = *static_cast<Codec*>(png_get_io_ptr(png));
  codec.output.insert(codec.output.end(), bytes, bytes + count);
}

void flush_output(png_structp) {}

void point_rows(Codec& codec, const Picture& picture) {
  const std::size_t stride = std::size_t(picture.width) * std::size_t(picture.channels);
  codec.rows.resize(std::size_t(picture.height));
  for (std::size_t y = 0; y < codec.rows.size(); ++y) {
    codec.rows[y] = const_cast<png_bytep>(picture.pixels.data() + y * stride);  // writing only reads them
  }
}

void open(Codec& codec, std::span<const std::uint8_t> bytes, const std::string& name) {
  codec.input = bytes;
  codec.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &codec, on_error, on_warning);
  if (codec.png) codec.info = png_create_info_struct(codec.png);
  SIMCLR_CHECK(codec.info, name, ": no memory for libpng");
}

/// Reads what comes before the rows; false where they cannot follow.
bool read_header(Codec& codec, const std::string& name) {
  png_set_read_fn(codec.png, &codec, read_input);
  png_set_user_limits(codec.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_size() says what is too large
  // All but palette, transparency and pixels is skipped: libpng would take as many bytes as a chunk's header promises.
  png_set_keep_unknown_chunks(codec.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(codec.png, codec.info);
  const png_uint_32 height = png_get_image_height(codec.png, codec.info);
  const png_uint_32 width = png_get_image_width(codec.png, codec.info);
  check_size(height, width, name);
  // DEFLATE shrinks at most 1032 times: a header that promises more is wrong, whatever follows.
  if (png_get_rowbytes(codec.png, codec.info) / 1032 * height <= codec.input.size()) return true;
  std::snprintf(codec.message, sizeof(codec.message), "too few data for %u x %u pixels", width, height);
  return false;
}

/// Decodes into `picture`; false after an error. Nothing with a destructor lives in this frame, which longjmp leaves.
bool read(Codec& codec, Picture& picture, const std::string& name) {
  if (setjmp(png_jmpbuf(codec.png))) return codec.whole && codec.truncated;
  png_structp png = codec.png;
  if (!read_header(codec, name)) return false;
  const png_uint_32 height = png_get_image_height(png, codec.info);
  const png_uint_32 width = png_get_image_width(png, codec.info);
  const int type = png_get_color_type(png, codec.info);
  const bool alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png, codec.info, PNG_INFO_tRNS) != 0;
  const bool colour = (type & PNG_COLOR_MASK_COLOR) != 0;
  png_set_expand(png);  // palette to RGB, 1, 2 and 4 bits to 8, a transparent colour to alpha
  if (codec.sample_bytes == 1) png_set_strip_16(png);  // the upper 8 bits
  if constexpr (std::endian::native == std::endian::little) {
    if (codec.sample_bytes == 2) png_set_swap(png);
  }
  if (alpha && !colour) png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, codec.info);
  allocate(picture, height, width, codec.sample_bytes * (alpha ? 4 : colour ? 3 : 1), name);
  if (png_get_rowbytes(png, codec.info) != std::size_t{width} * std::size_t(picture.channels)) {
    png_error(png, "unexpected row size");
  }
  point_rows(codec, picture);
  png_read_image(png, codec.rows.data());
  codec.whole = true;
  png_read_end(png, nullptr);
  return true;
}

/// `sample_bytes`: 2 where all 16 bits are kept. The picture's channels are bytes then.
Picture decode(std::span<const std::uint8_t> bytes, const std::string& name, int sample_bytes) {
  Codec codec;
  codec.sample_bytes = sample_bytes;
  open(codec, bytes, name);
  Picture picture;
  SIMCLR_CHECK(read(codec, picture, name), name, ": damaged PNG: ", codec.message);
  if (codec.truncated) picture.warning = name + no_end_marker;
  return picture;
}

bool write(Codec& codec, const Picture& picture) {
  if (setjmp(png_jmpbuf(codec.png))) return false;
  png_set_write_fn(codec.png, &codec, write_output, flush_output);
  png_set_user_limits(codec.png, max_picture_side, max_picture_side);
  const int type = picture.channels == 1   ? PNG_COLOR_TYPE_GRAY
                   : picture.channels == 3 ? PNG_COLOR_TYPE_RGB
                                           : PNG_COLOR_TYPE_RGB_ALPHA;
  png_set_IHDR(codec.png, codec.info, static_cast<png_uint_32>(picture.width), static_cast<png_uint_32>(picture.height),
               8, type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(codec.png, codec.info);
  png_write_image(codec.png, codec.rows.data());
  png_write_end(codec.png, nullptr);
  return true;
}

}  // namespace

Picture decode_png(std::span<const std::uint8_t> bytes, const std::string& name) {
  return decode(bytes, name, 1);
}

Raster decode_png_raster(std::span<const std::uint8_t> bytes, const std::string& name) {
  const bool deep = is_16_bit_png(bytes);
  Picture picture = decode(bytes, name, deep ? 2 : 1);
  turn_upright(picture, orientation_of(bytes, ".png"));
  return raster_of(std::move(picture), deep ? DType::u16 : DType::u8);
}

std::vector<std::uint8_t> encode_png(const Picture& picture, const std::string& name) {
  Codec codec;
  codec.reading = false;
  codec.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &codec, on_error, on_warning);
  if (codec.png) codec.info = png_create_info_struct(codec.png);
  SIMCLR_CHECK(codec.info, name, ": no memory for libpng");
  point_rows(codec, picture);
  SIMCLR_CHECK(write(codec, picture), "write_png: ", name, ": ", codec.message);
  return std::move(codec.output);
}

}  // namespace simclr::data

#endif  // SIMCLR_HAVE_PNG
