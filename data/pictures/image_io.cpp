#include "../file.h"
#include "image_codecs.h"
#include "orientation.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

namespace simclr::data {

void check_size(std::int64_t height, std::int64_t width, const std::string& name) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  constexpr std::int64_t most_pixels = std::int64_t{1} << 20;  // more would only be slow
#else
  constexpr std::int64_t most_pixels = max_picture_pixels;
#endif
  SIMCLR_CHECK(height >= 1 && width >= 1, name, ": a picture of ", width, " x ", height, " pixels");
  SIMCLR_CHECK(height <= max_picture_side && width <= max_picture_side && height * width <= most_pixels, name,
               ": a picture of ", width, " x ", height, " pixels, at most ", max_picture_side, " a side and ",
               most_pixels, " in all are read; scale it down");
}

void check_packing(std::int64_t bytes, std::size_t file_bytes, std::int64_t most_packed, const std::string& name) {
  constexpr std::int64_t harmless = std::int64_t{64} << 20;
  SIMCLR_CHECK(bytes <= harmless || bytes / most_packed <= static_cast<std::int64_t>(file_bytes), name, ": a file of ",
               file_bytes, " bytes cannot hold ", bytes, " bytes of pixels; a damaged copy?");
}

void allocate(Picture& picture, std::int64_t height, std::int64_t width, int channels, const std::string& name) {
  check_size(height, width, name);
  picture.height = static_cast<std::int32_t>(height);
  picture.width = static_cast<std::int32_t>(width);
  picture.channels = channels;
  picture.pixels.resize(static_cast<std::size_t>(height * width * channels));
}

namespace {

/// What a download may leave in a picture's place, and what to do; empty: something else.
std::string instead_of_picture(std::span<const std::uint8_t> bytes) {
  const std::span<const std::uint8_t> first = bytes.first(std::min<std::size_t>(bytes.size(), 256));
  const std::string begin = lower_case(std::string(first.begin(), first.end()));
  if (begin.starts_with("version https://git-lfs.")) return "a pointer of git-lfs, not the picture: run git lfs pull";
  const std::size_t text = begin.find_first_not_of("\xef\xbb\xbf \t\r\n");
  if (text == std::string::npos) return {};
  for (const char* page : {"<!doctype html", "<html"}) {
    if (begin.compare(text, std::string_view(page).size(), page) == 0) {
      return "a web page (HTML), not a picture: download the picture itself again";
    }
  }
  return {};
}

/// The kind of a picture that this build reads.
const PictureKind& kind_of(std::span<const std::uint8_t> bytes, const std::string& name) {
  SIMCLR_CHECK(!bytes.empty(), name, ": the file is empty");
  const std::string kind = picture_kind(bytes);
  const PictureKind* row = find_kind(kind);
  const std::string instead = row ? "" : instead_of_picture(bytes);
  SIMCLR_CHECK(instead.empty(), name, ": ", instead);
  SIMCLR_CHECK(row, name, ": no ", read_kinds(), " picture by its content", kind.empty() ? "" : " but " + kind,
               "; convert it");
  SIMCLR_CHECK(row->decode, name, ": this build reads no ", row->name, "; install ", row->packages,
               " and build again, or convert it");
  return *row;
}

/// What `read` returns. Its warning or Error becomes printable: some decoders quote the file's bytes, or break lines.
template <class Read>
auto in_printable_words(const Read& read) {
  try {
    auto picture = read();
    picture.warning = printable(picture.warning);
    return picture;
  } catch (const Error& error) {
    throw Error(printable(error.what()));
  }
}

}  // namespace

void check_finite(std::span<const std::uint8_t> bytes, std::int64_t width, std::int64_t channels,
                  const std::string& name) {
  const auto* values = reinterpret_cast<const float*>(bytes.data());
  const std::int64_t count = std::ssize(bytes) / std::int64_t{sizeof(float)};
  const std::int64_t at =
      std::find_if(values, values + count, [](float value) { return !std::isfinite(value); }) - values;
  if (at == count) return;
  fail(name, ": the value in row ", at / channels / width, ", column ", at / channels % width, ", channel ",
       at % channels, " is ", values[at], "; give missing values a number");
}

Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name) {
  return in_printable_words([&] {
    Picture picture = kind_of(bytes, name).decode(bytes, name);
    turn_upright(picture, orientation_of(bytes, picture_kind(bytes)));
    return picture;
  });
}

Raster decode_raster(std::span<const std::uint8_t> bytes, const std::string& name) {
  return in_printable_words([&] {
    const bool array = picture_kind(bytes) == ".npy";  // not in the table: in a folder of pictures it is none
    const auto decode = array ? &decode_npy_raster : kind_of(bytes, name).decode_raster;
    if (decode == nullptr) return raster_of(decode_picture(bytes, name));
    Raster raster = decode(bytes, name);
    if (raster.dtype == DType::f32) check_finite(raster.bytes, raster.width, raster.channels, name);
    return raster;
  });
}

Raster raster_of(Picture picture, DType dtype) {
  return {.height = picture.height,
          .width = picture.width,
          .channels = picture.channels / static_cast<std::int32_t>(size_of(dtype)),
          .dtype = dtype,
          .bytes = std::move(picture.pixels),
          .warning = std::move(picture.warning)};
}

Picture read_picture(const std::string& path) {
  return decode_picture(read_file(path, "picture", max_picture_file), path);
}

Raster read_raster(const std::string& path) {
  return decode_raster(read_file(path, "picture", max_picture_file), path);
}

std::vector<std::uint8_t> png_bytes(const Picture& picture, const std::string& name) {
  const std::int64_t pixels = std::int64_t{picture.height} * picture.width;
  SIMCLR_CHECK(picture.height >= 1 && picture.width >= 1 && picture.height <= max_picture_side &&
                   picture.width <= max_picture_side && pixels <= max_picture_pixels,
               "write_png: ", name, ": a picture of ", picture.width, " x ", picture.height, " pixels, 1 to ",
               max_picture_side, " a side and at most ", max_picture_pixels, " in all are possible");
  SIMCLR_CHECK(picture.channels == 1 || picture.channels == 3 || picture.channels == 4, "write_png: ", name, ": ",
               picture.channels, " channels, 1, 3 or 4 are possible");
  SIMCLR_CHECK(static_cast<std::int64_t>(picture.pixels.size()) == pixels * picture.channels, "write_png: ", name, ": ",
               picture.pixels.size(), " bytes, the picture's size needs ", pixels * picture.channels);
  return encode_png(picture, name);
}

void write_png(const std::string& path, const Picture& picture, Existing existing) {
  const auto bytes = png_bytes(picture, path);
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, existing);
}

}  // namespace simclr::data
