#include "../file.h"
#include "image_codecs.h"

#include <simclr/core/error.h>
#include <simclr/core/file.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

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

std::string ending_of(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

bool is_picture_name(const std::string& path) {
  const std::string ending = ending_of(path);
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".jpe" || ending == ".jfif" ||
         ending == ".jif";
}

std::string picture_kind(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto at = [&](std::size_t offset, std::string_view magic) {
    return text.size() > offset && text.substr(offset).starts_with(magic);
  };
  using namespace std::string_view_literals;
  if (at(0, "\xff\xd8\xff"sv)) return ".jpg";
  if (at(0, "\x89PNG\r\n\x1a\n"sv)) return ".png";
  if (at(0, "RIFF"sv) && at(8, "WEBP"sv)) return ".webp";
  if (at(0, "GIF8"sv)) return ".gif";
  if (at(0, "II*\0"sv) || at(0, "MM\0*"sv) || at(0, "II+\0"sv) || at(0, "MM\0+"sv)) return ".tif";
  if (at(4, "ftypavif"sv) || at(4, "ftypavis"sv)) return ".avif";
  if (at(4, "ftyphei"sv) || at(4, "ftyphev"sv) || at(4, "ftypmif1"sv) || at(4, "ftypmsf1"sv)) return ".heic";
  if (at(4, "JXL \r\n\x87\n"sv) || at(0, "\xff\x0a"sv)) return ".jxl";
  if (at(4, "jP  \r\n\x87\n"sv)) return ".jp2";
  if (at(0, "8BPS"sv)) return ".psd";
  if (at(0, "\x76\x2f\x31\x01"sv)) return ".exr";
  if (at(0, "qoif"sv)) return ".qoi";
  // Two letters could begin any text: so of a bitmap the size of its second header, too, and of a portable one the
  // white space behind them.
  if (at(0, "BM"sv) && bytes.size() > 17 && (bytes[14] == 12 || (bytes[14] >= 40 && bytes[14] <= 124)) &&
      bytes[15] == 0 && bytes[16] == 0 && bytes[17] == 0) {
    return ".bmp";
  }
  if (bytes.size() > 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' && std::isspace(bytes[2]) != 0) {
    return ".pnm";
  }
  return {};
}

Picture decode_picture(std::span<const std::uint8_t> bytes, const std::string& name) {
  SIMCLR_CHECK(!bytes.empty(), name, ": the file is empty");
  const std::string kind = picture_kind(bytes);
  if (kind == ".jpg") return decode_jpeg(bytes, name);
  if (kind == ".png") return decode_png(bytes, name);
  fail(name, ": neither a JPEG nor a PNG picture by its content", kind.empty() ? "" : " but " + kind, "; convert it");
}

std::vector<std::uint16_t> samples_of_16_bits(std::span<const std::uint8_t> bytes, const std::string& name) {
  constexpr std::size_t depth = 24;  // where every PNG says how many bits a sample has
  if (picture_kind(bytes) != ".png" || bytes.size() <= depth || bytes[depth] != 16) return {};
  return decode_png_16_bits(bytes, name);
}

Picture read_picture(const std::string& path) {
  try {
    Picture picture = decode_picture(read_file(path, "picture", max_picture_file), path);
    picture.warning = printable(picture.warning);
    return picture;
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

void write_png(const std::string& path, const Picture& picture, Existing existing) {
  const auto bytes = png_bytes(picture, path);
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, existing);
}

}  // namespace simclr::data
