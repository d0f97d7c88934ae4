#include "image_codecs.h"

#include <simclr/core/text.h>

#include <algorithm>
#include <string_view>

namespace simclr::data {

const std::vector<PictureKind>& picture_kinds() {
  using Decoder = decltype(&decode_png);
  using RasterDecoder = decltype(&decode_png_raster);
#if defined(SIMCLR_HAVE_JPEG) || defined(SIMCLR_HAVE_STB)
  constexpr Decoder jpeg = &decode_jpeg;
#else
  constexpr Decoder jpeg = nullptr;
#endif
#if defined(SIMCLR_HAVE_PNG) || defined(SIMCLR_HAVE_STB)
  constexpr Decoder png = &decode_png;
  constexpr RasterDecoder png_raster = &decode_png_raster;
#else
  constexpr Decoder png = nullptr;
  constexpr RasterDecoder png_raster = nullptr;
#endif
#ifdef SIMCLR_HAVE_WEBP
  constexpr Decoder webp = &decode_webp;
#else
  constexpr Decoder webp = nullptr;
#endif
#ifdef SIMCLR_HAVE_TIFF
  constexpr Decoder tiff = &decode_tiff;
  constexpr RasterDecoder tiff_raster = &decode_tiff_raster;
#else
  constexpr Decoder tiff = nullptr;
  constexpr RasterDecoder tiff_raster = nullptr;
#endif
  static const std::vector<PictureKind> kinds = {
      {"JPEG", {".jpg", ".jpeg", ".jpe", ".jfif", ".jif"}, jpeg, "libjpeg62-turbo-dev or libstb-dev"},
      {"PNG", {".png"}, png, "libpng-dev or libstb-dev", png_raster},
      {"WebP", {".webp"}, webp, "libwebp-dev"},
      {"TIFF", {".tif", ".tiff"}, tiff, "libtiff-dev", tiff_raster},
      {"GIF", {".gif"}, &decode_gif, ""},
      {"BMP", {".bmp"}, &decode_bmp, ""},
      {"PNM", {".pnm", ".ppm", ".pgm", ".pbm"}, &decode_pnm, "", &decode_pnm_raster},
  };
  return kinds;
}

const PictureKind* find_kind(std::string_view ending) {
  for (const PictureKind& kind : picture_kinds()) {
    if (std::find(kind.endings.begin(), kind.endings.end(), ending) != kind.endings.end()) return &kind;
  }
  return nullptr;
}

bool is_picture_name(const std::string& path) {
  return is_read_kind(ending_of(path));
}

bool is_read_kind(const std::string& kind) {
  const PictureKind* row = find_kind(kind);
  return row != nullptr && row->decode != nullptr;
}

std::string missing_package(const std::string& kind) {
  const PictureKind* row = find_kind(kind);
  return row != nullptr && row->decode == nullptr ? row->packages : "";
}

std::string read_kinds() {
  std::vector<std::string> names;
  for (const PictureKind& kind : picture_kinds()) {
    if (kind.decode != nullptr) names.emplace_back(kind.name);
  }
  return one_of(names);
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
  if (at(0, "\x93NUMPY"sv)) return ".npy";
  // Two letters could begin any text: so of a bitmap the size of its second header, too, and of a portable one the
  // white space behind them.
  if (at(0, "BM"sv) && bytes.size() > 17 && (bytes[14] == 12 || (bytes[14] >= 16 && bytes[14] <= 124)) &&
      bytes[15] == 0 && bytes[16] == 0 && bytes[17] == 0) {
    return ".bmp";
  }
  if (bytes.size() > 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' && std::isspace(bytes[2]) != 0) {
    return bytes[1] == '7' ? ".pam" : ".pnm";
  }
  return {};
}

}  // namespace simclr::data
