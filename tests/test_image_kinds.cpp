// WebP, TIFF, GIF, BMP and PNM: small files of the fuzzer's corpus against the PNG of the same pixels; what is damaged,
// too large or no picture; and which way is up. Kinds that the build does not read are named with the package they
// need.

#include <simclr/core/error.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_list.h>

#include "support/catch.h"
#include "support/damaged_picture.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/source_folder.h"
#include "support/temp_dir.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
namespace fs = std::filesystem;

namespace {

std::string corpus(const std::string& name) {
  return source_folder() + "/fuzz/corpus/images/" + name;
}

std::string decode_error(const Bytes& bytes) {
  return message_of([&] { decode_picture(bytes, "a picture"); });
}

/// The colours alone, three a pixel.
Bytes rgb_of(const Picture& picture) {
  Bytes rgb;
  for (std::size_t i = 0; i < picture.pixels.size(); i += static_cast<std::size_t>(picture.channels)) {
    for (std::size_t c = 0; c < 3; ++c) rgb.push_back(picture.pixels[i + (picture.channels == 1 ? 0 : c)]);
  }
  return rgb;
}

/// Whether the build reads the file; if not, checks that the error names the package.
bool is_read(const std::string& name) {
  const std::string package = missing_package(ending_of(name));
  if (package.empty()) return true;
  CHECK_THAT(message_of([&] { read_picture(corpus(name)); }),
             Contains(name + ": this build reads no ") && Contains("install " + package + " and build again"));
  return false;
}

double largest_difference(const Bytes& a, const Bytes& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double{1} * a[i] - b[i]));
  return largest;
}

void append_le(Bytes& bytes, std::uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

Bytes bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

/// EXIF data with this orientation alone.
Bytes exif(std::uint8_t orientation, bool little) {
  if (little) return {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0};
  return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0};
}

/// The same as some programs write it into a PNG's text, behind its keyword.
std::string raw_profile(std::uint8_t orientation) {
  std::string text = "\nexif\n      26\n";
  for (const std::uint8_t byte : exif(orientation, false)) {
    for (const int nibble : {byte >> 4, byte & 15}) text += "0123456789abcdef"[nibble];
  }
  return text + "\n";
}

/// A PNG with one more chunk behind its header.
Bytes with_chunk(const Bytes& png, std::string_view type, const Bytes& content) {
  Bytes out(png.begin(), png.begin() + 33);
  append_chunk(out, type, content);
  out.insert(out.end(), png.begin() + 33, png.end());
  return out;
}

}  // namespace

TEST_CASE("Files of every kind have the pixels of the PNG that they were made from") {
  std::size_t compared = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(corpus("")))) {
    const std::string name = entry.path().filename().string();
    const std::string twin = corpus(name.substr(0, name.find('.')) + ".png");
    if (ending_of(name) == ".png" || ending_of(name) == ".jpg" || !fs::exists(twin) || name == "deep.pgm") continue;
    INFO(name);
    if (!is_read(name)) continue;
    ++compared;
    const Picture picture = read_picture(entry.path().string()), expected = read_picture(twin);
    CHECK(picture.height == expected.height);
    CHECK(picture.width == expected.width);
    CHECK(rgb_of(picture) == rgb_of(expected));
    if (name.starts_with("rgba.") || name.starts_with("transparent.")) CHECK(picture.pixels == expected.pixels);
    CHECK(picture.channels == (name.starts_with("l.") && name != "l.bmp"                       ? 1
                               : name.starts_with("1.") && name != "1.bmp"                     ? 1
                               : name.starts_with("rgba.") || name.starts_with("transparent.") ? 4
                                                                                               : 3));
    CHECK(picture.warning.empty());
  }
  CHECK(compared >= 11);
}

TEST_CASE("Lossy files are near to what they were made from") {
  for (const auto& [name, source] : {std::pair("lossy.webp", "l.png"), std::pair("jpeg.tif", "rgb.png")}) {
    INFO(name);
    if (!is_read(name)) continue;
    const Bytes rgb = rgb_of(read_picture(corpus(name))), expected = rgb_of(read_picture(corpus(source)));
    REQUIRE(rgb.size() == expected.size());
    double sum = 0;
    for (std::size_t i = 0; i < rgb.size(); ++i) sum += std::abs(double{1} * rgb[i] - expected[i]);
    CHECK(sum / double(rgb.size()) < 16);  // waves of few pixels
  }
  if (is_read("lossy-alpha.webp")) CHECK(read_picture(corpus("lossy-alpha.webp")).channels == 4);
}

TEST_CASE("TIFF: inks, brightness apart from colour, and what is no picture") {
  if (!is_read("cmyk.tif")) return;
  // PIL makes inks of colours without black: they come back as they were.
  CHECK(rgb_of(read_picture(corpus("cmyk.tif"))) == rgb_of(read_picture(corpus("rgb.png"))));
  CHECK(largest_difference(rgb_of(read_picture(corpus("ycbcr.tif"))), rgb_of(read_picture(corpus("rgb.png")))) <= 3);
  CHECK_THAT(
      message_of([] { read_picture(corpus("five.tif")); }),
      EndsWith("five.tif: a TIFF of 5 channels that is no picture: 1 of colour and one of transparency are read"));
  CHECK_THAT(
      message_of([] { read_picture(corpus("float.tif")); }),
      EndsWith(
          "float.tif: a TIFF of floating-point samples of 32 bits; 1 to 16 bits without a sign are read, convert it"));
}

TEST_CASE("BMP: masks and runs") {
  const Picture masks = read_picture(corpus("masks.bmp"));
  CHECK(masks.channels == 3);
  CHECK_THAT(message_of([] { read_picture(corpus("masks.none.bmp")); }), EndsWith("BMP: masks of no bits"));
  CHECK(masks.pixels == Bytes{0, 0, 255, 255, 255, 255, 255, 0, 0, 0, 255, 0});  // the lowest row comes first
  const Picture runs = read_picture(corpus("runs.bmp"));
  CHECK(runs.pixels == Bytes{3, 2, 1, 9, 8, 7, 6, 5, 4, 6, 5, 4});
  // Two by turns, an end of the row, one more, and the end: what is left out is of the first colour.
  CHECK(read_picture(corpus("runs-4.bmp")).pixels == Bytes{6, 5, 4, 3, 2, 1, 6, 5, 4, 9, 8, 7});
}

TEST_CASE("What a download leaves in a picture's place is called what it is") {
  CHECK(decode_error(bytes_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")) ==
        "a picture: a pointer of git-lfs, not the picture: run git lfs pull");
  for (const char* page : {"<!DOCTYPE html><html>", "\n <HTML lang=en>", "\xef\xbb\xbf<!doctype HTML>"}) {
    CHECK(decode_error(bytes_of(page)) ==
          "a picture: a web page (HTML), not a picture: download the picture itself again");
  }
  CHECK_THAT(decode_error(bytes_of("a line")), Contains("convert it"));
}

TEST_CASE("A PNG that is too large is no damaged one") {
  const Bytes png = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
                     0x52, 0x00, 0x01, 0x11, 0x70, 0x00, 0x00, 0x0b, 0xb8, 0x08, 0x02, 0x00, 0x00, 0x00, 0x42,
                     0xe3, 0xfc, 0x5b, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60,
                     0x20, 0x15, 0x00, 0x00, 0x00, 0x32, 0x00, 0x01, 0x41, 0x3c, 0x9c, 0x16};
  CHECK_THAT(decode_error(png), Contains("at most 65500 a side") && Contains("scale it down") && !Contains("damaged"));
}

TEST_CASE("PNM: plain and binary, of any largest value") {
  const auto pixels = [](const std::string& text) { return decode_picture(bytes_of(text), "pnm").pixels; };
  CHECK(read_picture(corpus("deep.pgm")).pixels == Bytes{7, 255});
  CHECK(pixels("P2\n# a note\n3 1 # another\n4 0 2 4") == Bytes{0, 128, 255});
  CHECK(pixels("P1\n3 2\n1 0 1\n010") == Bytes{0, 255, 0, 255, 0, 255});
  CHECK(pixels("P3 1 1 255 1 2 3") == Bytes{1, 2, 3});
  CHECK(pixels(std::string("P4 9 1\n\x80\x80", 10)) == Bytes{0, 255, 255, 255, 255, 255, 255, 255, 0});
  CHECK(pixels(std::string("P6 1 1 65535\n\x80\x80\x01\x01\xff\xff", 19)) == Bytes{128, 1, 255});
  CHECK_THAT(decode_error(bytes_of("P2 1 1 4 5")), Contains("a picture: damaged PNM: a value is larger"));
  CHECK_THAT(decode_error(bytes_of("P2 1 1 0 0")), Contains("its largest value"));
  CHECK_THAT(decode_error(bytes_of("P5 -1 1 255 0")), Contains("a number is expected"));
  CHECK_THAT(decode_error(bytes_of("P6 60000 50000 255 0")), Contains("a picture of 60000 x 50000 pixels, at most"));
  CHECK_THAT(decode_error(bytes_of("P5 9999999999 1 255 0")), Contains("a number is too large"));
  CHECK_THAT(decode_error(bytes_of("P5 100 100 255 0")), Contains("the file is truncated"));
  CHECK_THAT(decode_error(bytes_of("P7\nWIDTH 1\n")), Contains("but .pam; convert it"));
}

TEST_CASE("A truncated or damaged picture of any kind is an error in one line, or whole") {
  for (const std::string name : {"rgb.webp", "rgba.webp", "lossy.webp", "lossy-alpha.webp", "rgb.animated.webp",
                                 "rgb.tiff_lzw.tif", "jpeg.tif", "1.group4.tif", "rgb.tiles.tif", "p.tif", "p.gif",
                                 "transparent.gif", "p.bmp", "runs.bmp", "rgb.ppm", "1.pbm"}) {
    INFO(name);
    if (!is_read(name)) continue;
    const Bytes whole = read_bytes(corpus(name));
    const Picture picture = decode_picture(whole, "a picture");
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      INFO("the first " << size << " of " << whole.size() << " bytes");
      try {
        const Picture cut = decode_picture(part, "a picture");
        CHECK(cut.pixels == picture.pixels);
      } catch (const Error& error) {
        CHECK_THAT(error.what(), Contains("a picture: ") && !Contains("\n") && !Contains("4294967295"));
      }
    }
    test::decode_with_changed_bytes(whole);
  }
}

TEST_CASE("A header that promises more than is read is refused before memory is taken") {
  Bytes gif = bytes_of("GIF89a");
  append_le(gif, 65000, 2);
  append_le(gif, 65000, 2);
  gif.insert(gif.end(), {0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0});
  CHECK_THAT(decode_error(gif), Contains("a picture of 65000 x 65000 pixels, at most"));
  Bytes bmp = read_bytes(corpus("rgb.bmp"));
  bmp[20] = bmp[24] = 1;  // above 65500 a side
  CHECK_THAT(decode_error(bmp), Contains("pixels, at most 65500 a side"));
  bmp = read_bytes(corpus("rgb.bmp"));
  bmp[19] = bmp[23] = 60;
  CHECK_THAT(decode_error(bmp), Contains("a picture: damaged or unsupported BMP: the file is truncated"));
  if (is_read("rgb.strips.tif")) {
    Bytes tiff = read_bytes(corpus("rgb.strips.tif"));
    // The first two entries of the directory are the width and the height.
    tiff[18] = tiff[30] = 0;
    tiff[19] = tiff[31] = 255;
    CHECK_THAT(decode_error(tiff), Contains("a picture of 65280 x 65280 pixels, at most"));
    tiff = read_bytes(corpus("rgb.tiles.tif"));
    for (std::size_t at = 10; at + 12 < tiff.size() && at < 160; at += 12) {  // the tile's width and length
      if (tiff[at + 1] == 1 && (tiff[at] == 0x42 || tiff[at] == 0x43)) tiff[at + 9] = 0x40;
    }
    CHECK_THAT(decode_error(tiff), Contains("a picture: damaged or unsupported TIFF: tiles that are too large"));
    tiff = read_bytes(corpus("rgb.strips.tif"));
    tiff[19] = tiff[31] = 60;
    CHECK_THAT(decode_error(tiff), Contains("bytes cannot hold 708802911 bytes of pixels; a damaged copy?"));
  }
  // Runs of one colour, whose picture may end at once.
  bmp = read_bytes(corpus("runs.bmp"));
  bmp[19] = bmp[23] = 60;
  CHECK_THAT(decode_error(bmp),
             Contains("a picture: a file of 78 bytes cannot hold 235991044 bytes of pixels; a damaged copy?"));
  if (is_read("rgb.animated.webp")) {
    Bytes webp = read_bytes(corpus("rgb.animated.webp"));
    webp[25] = webp[28] = 0xff;  // of the canvas
    CHECK_THAT(decode_error(webp), Contains("a picture of 65293 x 65289 pixels, at most"));
  }
}

TEST_CASE("A TIFF of one colour that is packed as well as can be is whole") {
  if (!is_read("rgb.strips.tif")) return;
  constexpr std::uint32_t width = 8192, height = 8448,
                          block = 1 << 17;            // grey, above the 64 MiB that are not looked at
  Bytes strip = {0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3};  // a ZSTD frame with a window of one block
  for (std::uint32_t done = 0; done < width * height; done += block) {
    const std::uint32_t last = done + block == width * height ? 1 : 0, run = 1;
    append_le(strip, block << 3 | run << 1 | last, 3);
    strip.push_back(200);
  }
  const std::uint32_t tags[][3] = {{256, 4, width},  // tag, type, value
                                   {257, 4, height},
                                   {258, 3, 8},
                                   {259, 3, 50000},  // ZSTD
                                   {262, 3, 1},
                                   {273, 4, 8 + 2 + 9 * 12 + 4},
                                   {277, 3, 1},
                                   {278, 4, height},
                                   {279, 4, static_cast<std::uint32_t>(strip.size())}};
  Bytes tiff = {'I', 'I', 42, 0, 8, 0, 0, 0, 9, 0};
  for (const auto& [tag, type, value] : tags) {
    append_le(tiff, tag, 2);
    append_le(tiff, type, 2);
    append_le(tiff, 1, 4);
    append_le(tiff, value, 4);
  }
  append_le(tiff, 0, 4);
  tiff.insert(tiff.end(), strip.begin(), strip.end());
  CHECK_THAT(decode_error(tiff), !Contains("cannot hold"));  // a libtiff without ZSTD says so
}

TEST_CASE("The orientation that a file states is applied") {
  // 2 x 3: ab / cd / ef as grey levels.
  const Bytes plain = plain_png(3, 2, 8, png_grey, {1, 2, 3, 4, 5, 6});
  const std::vector<Bytes> upright = {{1, 2, 3, 4, 5, 6}, {2, 1, 4, 3, 6, 5}, {6, 5, 4, 3, 2, 1}, {5, 6, 3, 4, 1, 2},
                                      {1, 3, 5, 2, 4, 6}, {5, 3, 1, 6, 4, 2}, {6, 4, 2, 5, 3, 1}, {2, 4, 6, 1, 3, 5}};
  const auto check = [&](const Bytes& file, int orientation) {
    INFO("orientation " << orientation);
    const Picture picture = decode_picture(file, "a picture");
    CHECK(picture.pixels == upright[static_cast<std::size_t>(orientation - 1)]);
    CHECK(picture.height == (orientation >= 5 ? 2 : 3));
    CHECK(picture.width == (orientation >= 5 ? 3 : 2));
  };
  for (std::uint8_t orientation = 1; orientation <= 8; ++orientation) {
    for (const bool little : {true, false}) check(with_chunk(plain, "eXIf", exif(orientation, little)), orientation);
    const std::string digit = std::to_string(orientation);
    for (const std::string& stated : {"=\"" + digit + "\"", ">" + digit + "<"}) {
      std::string text = "XML:com.adobe.xmp";
      text += std::string(5, '\0') + "<x tiff:Orientation" + stated;
      check(with_chunk(plain, "iTXt", bytes_of(text)), orientation);
    }
    std::string raw = "Raw profile type exif";
    raw += '\0';
    check(with_chunk(plain, "tEXt", bytes_of(raw + raw_profile(orientation))), orientation);
  }
  for (const std::uint8_t orientation : Bytes{0, 9, 255}) check(with_chunk(plain, "eXIf", exif(orientation, true)), 1);
  for (std::size_t size = 0; size < 26; ++size) {  // damage is no reason to refuse a picture
    Bytes part = exif(6, true);
    part.resize(size);
    if (size < 22) check(with_chunk(plain, "eXIf", part), 1);
  }

  const Picture jpeg = read_picture(corpus("turned.jpg"));
  CHECK(jpeg.height == 24);
  CHECK(jpeg.width == 8);
  const Picture png = read_picture(corpus("turned.png"));
  CHECK(png.height == 13);
  if (is_read("turned.webp")) CHECK(read_picture(corpus("turned.webp")).pixels == png.pixels);
}

TEST_CASE("Of a PNG's packed texts, which may be millions, the first 16 are looked at for an orientation") {
  const auto packed = [](const std::string& content) {
    Bytes chunk = bytes_of("Raw profile type exif");
    chunk.insert(chunk.end(), {0, 0, 0x78, 0x01});
    append_stored(chunk, bytes_of(content));
    return chunk;
  };
  Bytes png = with_chunk(plain_png(3, 2, 8, png_grey, {1, 2, 3, 4, 5, 6}), "zTXt", packed(raw_profile(6)));
  for (int before = 0; before <= 16; ++before) {
    INFO(before << " before it");
    CHECK(decode_picture(png, "a picture").height == (before < 16 ? 2 : 3));
    png = with_chunk(png, "zTXt", packed("\nexif\n       0\n\n"));
  }
}

TEST_CASE("Names count by the kinds that this build reads, and what it lacks is named") {
  const std::set<std::string> endings = {".jpg",  ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".webp", ".tif",
                                         ".tiff", ".gif",  ".bmp", ".ppm",  ".pgm", ".pbm", ".pnm"};
  for (const std::string& ending : endings) {
    INFO(ending);
    CHECK(is_picture_name("a" + ending) == missing_package(ending).empty());
  }
  CHECK(is_picture_name("a.JpG"));
  std::set<std::string> documented;  // in the rows of the guide's table: | kind | `.a .b` | what of it |
  std::ifstream guide(source_folder() + "/../docs/your-own-images.md");
  for (std::string line; std::getline(guide, line);) {
    const std::size_t begin = line.find("| `.");
    if (!line.starts_with("  | ") || begin == std::string::npos) continue;
    std::istringstream names(line.substr(begin + 3, line.find('`', begin + 3) - begin - 3));
    for (std::string name; names >> name;) documented.insert(name);
  }
  CHECK(documented.erase(".npy") == 1);  // in a folder without other pictures alone, so by no name
  CHECK(documented == endings);
  CHECK(!is_picture_name("a.avif"));
  CHECK(missing_package(".avif").empty());
  CHECK_THAT(read_kinds(), Contains("JPEG, PNG, ") && EndsWith("GIF, BMP or PNM"));

  const TempDir dir;
  dir.write("1.webp", read_bytes(corpus("rgb.webp")));
  dir.write("2", read_bytes(corpus("rgb.webp")));
  dir.write("3.heic", bytes_of("....ftypheic...."));
  const PictureList list = list_pictures(dir.path());
  if (is_read("rgb.webp")) {
    CHECK(list.files == std::vector<std::string>{"1.webp", "2"});
    CHECK(list.left_out.text() == "1 .heic picture");
  } else {
    CHECK(list.left_out.text() == "1 .heic picture, 2 .webp pictures that need a build with libwebp-dev");
  }
}
