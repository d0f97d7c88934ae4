#include "file.h"
#include "image_codecs.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>
#include <simclr/data/image_io.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace simclr::data {

void allocate(Picture& picture, std::int64_t height, std::int64_t width, int channels, const std::string& name) {
  SIMCLR_CHECK(height >= 1 && width >= 1, name, ": a picture of ", height, " x ", width, " pixels");
  SIMCLR_CHECK(height <= max_picture_side && width <= max_picture_side && height * width <= max_picture_pixels, name,
               ": a picture of ", height, " x ", width, " pixels, at most ", max_picture_side, " a side and ",
               max_picture_pixels, " in all are read; scale it down");
  picture.height = static_cast<std::int32_t>(height);
  picture.width = static_cast<std::int32_t>(width);
  picture.channels = channels;
  picture.pixels.resize(static_cast<std::size_t>(height * width * channels));
}

Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name) {
  constexpr std::uint8_t jpeg[] = {0xff, 0xd8, 0xff};
  constexpr std::uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const auto starts_with = [&](std::span<const std::uint8_t> magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  SIMCLR_CHECK(!bytes.empty(), name, ": the file is empty");
  if (starts_with(jpeg)) return decode_jpeg(bytes, name);
  if (starts_with(png)) return decode_png(bytes, name);
  fail(name, ": neither a JPEG nor a PNG picture by its content; convert it");
}

bool is_picture_name(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

Picture read_picture(const std::string& path) {
  try {
    return decode_picture(read_file(path, "picture", max_picture_file), path);
  } catch (const Error& error) {
    throw Error(printable(error.what()));
  }
}

std::vector<std::uint8_t> png_bytes(const Picture& picture, const std::string& name) {
  const std::int64_t pixels = std::int64_t{picture.height} * picture.width;
  SIMCLR_CHECK(picture.height >= 1 && picture.width >= 1 && picture.height <= max_picture_side &&
                   picture.width <= max_picture_side && pixels <= max_picture_pixels,
               "write_png: ", name, ": a picture of ", picture.height, " x ", picture.width, " pixels, 1 to ",
               max_picture_side, " a side and at most ", max_picture_pixels, " in all are possible");
  SIMCLR_CHECK(picture.channels == 1 || picture.channels == 3 || picture.channels == 4, "write_png: ", name, ": ",
               picture.channels, " channels, 1, 3 or 4 are possible");
  SIMCLR_CHECK(static_cast<std::int64_t>(picture.pixels.size()) == pixels * picture.channels, "write_png: ", name, ": ",
               picture.pixels.size(), " bytes, the picture's size needs ", pixels * picture.channels);
  return encode_png(picture, name);
}

void write_png(const std::string& path, const Picture& picture) {
  const auto bytes = png_bytes(picture, path);
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace simclr::data
