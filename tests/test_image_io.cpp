// The JPEG and PNG decoders and the PNG writer: whole pictures, damaged ones, and disks that are full.

#include <simclr/core/error.h>
#include <simclr/data/pictures/image_io.h>

#include "support/catch.h"
#include "support/damaged_picture.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/temp_dir.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::string decode_error(const Bytes& bytes) {
  return message_of([&] { decode_picture(bytes, "a picture"); });
}

}  // namespace

TEST_CASE("JPEG: colour and grey decode to their levels") {
  const Picture colour = decode_picture(small_jpeg(), "jpeg");
  REQUIRE(colour.height == 16);
  REQUIRE(colour.width == 24);
  REQUIRE(colour.channels == 3);
  const auto pixel = [&](int y, int x, int c) {
    return int{colour.pixels[static_cast<std::size_t>((y * 24 + x) * 3 + c)]};
  };
  const int levels[6][3] = {{10, 128, 128}, {200, 128, 128}, {90, 60, 170},
                            {40, 200, 100}, {255, 128, 128}, {0, 128, 128}};
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 24; ++x) {
      const int* ycc = levels[y / 8 * 3 + x / 8];
      const double cb = ycc[1] - 128, cr = ycc[2] - 128;
      const double rgb[3] = {ycc[0] + 1.402 * cr, ycc[0] - 0.344136 * cb - 0.714136 * cr, ycc[0] + 1.772 * cb};
      // Flat blocks have no rounding but the colour conversion's.
      for (int c = 0; c < 3; ++c) CHECK(std::abs(pixel(y, x, c) - std::clamp(rgb[c], 0.0, 255.0)) <= 1.0);
    }
  }
  const Picture grey = decode_picture(flat_jpeg(9, 5, 1, {77, 201}), "jpeg");
  REQUIRE(grey.height == 9);
  REQUIRE(grey.width == 5);
  REQUIRE(grey.channels == 1);
  for (int y = 0; y < 9; ++y) CHECK(grey.pixels[static_cast<std::size_t>(y * 5 + 4)] == (y < 8 ? 77 : 201));
}

TEST_CASE("JPEG: CMYK and YCCK become RGB") {
  const Bytes levels = {200, 90, 40, 255, 120, 180, 60, 128, 255, 128, 128, 0};
  for (const int transform : {0, 2}) {
    const Picture picture = decode_picture(flat_jpeg(8, 24, 4, levels, transform), "jpeg");
    REQUIRE(picture.channels == 3);
    for (std::size_t block = 0; block < 3; ++block) {
      const std::uint8_t* level = &levels[4 * block];
      const double cb = level[1] - 128, cr = level[2] - 128, y = level[0];
      const double turned[3] = {y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb};
      for (std::size_t c = 0; c < 3; ++c) {
        const double left = transform == 0 ? level[c] : 255 - std::clamp(turned[c], 0.0, 255.0);  // by the ink
        CAPTURE(transform, block, c);
        CHECK(std::abs(picture.pixels[3 * 8 * block + c] - left * level[3] / 255) <= 1.0);  // two roundings
      }
    }
  }
  for (const int transform : {-1, 1, 3}) {
    CHECK_THAT(decode_error(flat_jpeg(8, 24, 4, levels, transform)), Contains("CMYK colours that do not say"));
  }
}

TEST_CASE("JPEG: a file without its tables is refused") {
  for (const int marker : {0xdb, 0xc4}) {
    for (int which = 0; which < (marker == 0xc4 ? 2 : 1); ++which) {
      Bytes bytes = small_jpeg();
      int seen = 0;
      for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
        if (bytes[i] == 0xff && bytes[i + 1] == marker && seen++ == which) bytes[i + 1] = 0xe5;  // a note
      }
      REQUIRE(seen > which);
      CAPTURE(marker, which);
#ifdef SIMCLR_HAVE_JPEG  // knows the usual Huffman tables of a film's pictures
      if (marker == 0xc4) continue;
#endif
      CHECK_THAT(decode_error(bytes), Contains("a picture: damaged or unsupported JPEG: ") && Contains("table"));
    }
  }
}

TEST_CASE("PNG: every colour type has its stated channels") {
  const auto check = [](const Bytes& png, int channels, const Bytes& pixels) {
    const Picture picture = decode_picture(png, "png");
    CHECK(picture.height == 1);
    CHECK(picture.width == 2);
    CHECK(picture.channels == channels);
    CHECK(picture.pixels == pixels);
  };
  check(plain_png(1, 2, 8, png_grey, {7, 250}), 1, {7, 250});
  check(plain_png(1, 2, 8, png_rgb, {1, 2, 3, 4, 5, 6}), 3, {1, 2, 3, 4, 5, 6});
  check(plain_png(1, 2, 8, png_rgb_alpha, {1, 2, 3, 4, 5, 6, 7, 8}), 4, {1, 2, 3, 4, 5, 6, 7, 8});
  check(plain_png(1, 2, 8, png_grey_alpha, {9, 100, 8, 0}), 4, {9, 9, 9, 100, 8, 8, 8, 0});
  check(plain_png(1, 2, 1, png_grey, {0x40}), 1, {0, 255});
  check(plain_png(1, 2, 4, png_grey, {0x3f}), 1, {51, 255});
  check(plain_png(1, 2, 16, png_grey, {0x12, 0xff, 0xfe, 0x00}), 1, {0x12, 0xfe});
  check(plain_png(1, 2, 16, png_rgb, {1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0}), 3, {1, 2, 3, 4, 5, 6});
  check(plain_png(1, 2, 16, png_grey_alpha, {1, 0, 2, 0, 3, 0, 4, 0}), 4, {1, 1, 1, 2, 3, 3, 3, 4});
  const Bytes palette = {10, 20, 30, 40, 50, 60};
  check(plain_png(1, 2, 8, png_palette, {1, 0}, palette), 3, {40, 50, 60, 10, 20, 30});
  check(plain_png(1, 2, 2, png_palette, {0x40}, palette), 3, {40, 50, 60, 10, 20, 30});
  check(plain_png(1, 2, 8, png_palette, {1, 0}, palette, {77}), 4, {40, 50, 60, 255, 10, 20, 30, 77});
  check(plain_png(1, 2, 8, png_rgb, {1, 2, 3, 4, 5, 6}, {}, {0, 4, 0, 5, 0, 6}), 4, {1, 2, 3, 255, 4, 5, 6, 0});
  check(plain_png(1, 2, 8, png_grey, {7, 250}, {}, {0, 7}), 4, {7, 7, 7, 0, 250, 250, 250, 255});
}

TEST_CASE("A truncated picture is an error wherever pixels are missing") {
  for (const Bytes& whole : {small_jpeg(), small_png()}) {
    const Picture picture = decode_picture(whole, "a picture");
    CHECK(picture.warning.empty());
    std::size_t usable = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      INFO("the first " << size << " of " << whole.size() << " bytes");
      try {
        const Picture cut = decode_picture(part, "a picture");
        CHECK(cut.pixels == picture.pixels);
        CHECK_THAT(cut.warning, Contains("a picture: the picture is whole, but its end marker is missing"));
        ++usable;
        CHECK(size + 24 >= whole.size());  // what follows the pixels: the marker, and of a PNG a checksum or two
      } catch (const Error& error) {
        CHECK_THAT(error.what(), Contains("a picture: "));
      }
    }
#ifndef SIMCLR_HAVE_JPEG  // stb cannot tell whether a JPEG is whole
    if (whole[0] == 0xff) {
      CHECK(usable == 0);
      continue;
    }
#endif
    CHECK(usable >= 2);
  }
}

#ifdef SIMCLR_HAVE_JPEG
TEST_CASE("JPEG: what stands in the place of the end marker does not spoil a whole picture, nor complete a part") {
  const Bytes whole = small_jpeg();
  const Picture picture = decode_picture(whole, "a picture");
  const Bytes scan(whole.begin(), whole.end() - 2);  // without the end marker
  const Bytes part(whole.begin(), whole.end() - 8);
  const Bytes zeros(300, 0), text(300, 'x'), thumbnail = flat_jpeg(8, 8, 1, {9});
  for (const Bytes& rest : {zeros, text, thumbnail}) {
    Bytes bytes = scan;
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    const Picture read = decode_picture(bytes, "a picture");
    CHECK(read.pixels == picture.pixels);
    CHECK_THAT(read.warning, Contains("end marker is missing"));
  }
  Bytes bytes = part;
  bytes.insert(bytes.end(), zeros.begin(), zeros.end());
  CHECK_THAT(decode_error(bytes), Contains("a picture: damaged or unsupported JPEG: "));
}
#endif

TEST_CASE("A damaged picture never does more than throw") {
  int errors = 0;
  for (const Bytes& whole : {small_jpeg(), small_png()}) errors += test::decode_with_changed_bytes(whole);
  CHECK(errors > 100);
}

TEST_CASE("What cannot be decoded is named") {
  CHECK(decode_error({}) == "a picture: the file is empty");
  CHECK(decode_error({'q', 'o', 'i', 'f', 0, 0}) ==
        "a picture: no " + read_kinds() + " picture by its content but .qoi; convert it");

  // Headers that promise more than is read, before memory is taken.
  CHECK_THAT(decode_error(flat_jpeg(65000, 65000, 1, {1})), Contains("a picture of 65000 x 65000 pixels, at most"));
  CHECK_THAT(decode_error(flat_jpeg(65535, 8, 1, {1})), Contains("a picture: "));
  CHECK_THAT(decode_error(plain_png(1, 70000, 8, png_grey, {1, 2, 3})), Contains("a picture: "));
  CHECK_THAT(decode_error(plain_png(60000, 60000, 8, png_rgb, Bytes(60000))), Contains("a picture: "));
  CHECK_THAT(decode_error(plain_png(0x7fffffff, 1, 8, png_grey, {})), Contains("a picture: "));
}

TEST_CASE("write_png writes all of a picture or nothing") {
  const TempDir dir;
  for (const int channels : {1, 3, 4}) {
    Picture picture{.height = 5, .width = 7, .channels = channels, .pixels = {}};
    for (int i = 0; i < 35 * channels; ++i) picture.pixels.push_back(static_cast<std::uint8_t>(37 * i));
    const std::string path = dir.path("sheet.png");
    write_png(path, picture);
    const Picture back = read_picture(path);
    CHECK(back.height == 5);
    CHECK(back.width == 7);
    CHECK(back.channels == channels);
    CHECK(back.pixels == picture.pixels);
    CHECK(decode_picture(png_bytes(picture, "a picture"), "a picture").pixels == picture.pixels);
  }
  CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 1);

  const Picture good{.height = 1, .width = 1, .channels = 1, .pixels = {5}};
  CHECK_THAT(message_of([&] { write_png(dir.path("no/such.png"), good); }),
             Contains("write " + dir.path("no/such.png") + ": ") && Contains("make the folder first"));
  fs::create_directory(dir.path("taken.png"));
  CHECK_THAT(message_of([&] { write_png(dir.path("taken.png"), good); }), Contains("not a regular file"));
  Picture bad = good;
  bad.channels = 2;
  CHECK_THAT(message_of([&] { write_png("x.png", bad); }), Contains("x.png: 2 channels, 1, 3 or 4 are possible"));
  bad.channels = 3;
  CHECK_THAT(message_of([&] { write_png("x.png", bad); }), Contains("x.png: 1 bytes, the picture's size needs 3"));
  bad.height = 0;
  CHECK_THAT(message_of([&] { write_png("x.png", bad); }), Contains("x.png: a picture of 1 x 0 pixels"));
  CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 2);  // and no leftovers
}

/// A PNG's chunks, those of an animation with their number; "CRC" for one whose check is wrong.
std::vector<std::string> chunks_of(const std::vector<std::uint8_t>& png) {
  const auto number_at = [&png](std::size_t at) {
    std::uint32_t number = 0;
    for (std::size_t k = 0; k < 4; ++k) number = (number << 8) | png.at(at + k);
    return number;
  };
  std::vector<std::string> chunks;
  for (std::size_t at = 8; at < png.size(); at += 12 + number_at(at)) {
    const auto begin = png.begin() + static_cast<std::ptrdiff_t>(at);
    std::string type(begin + 4, begin + 8);
    std::uint32_t check = ~std::uint32_t{0};
    for (std::size_t k = at + 4; k < at + 8 + number_at(at); ++k) {
      check ^= png.at(k);
      for (int bit = 0; bit < 8; ++bit) check = (check >> 1) ^ ((check & 1) != 0 ? 0xedb88320u : 0u);
    }
    if (~check != number_at(at + 8 + number_at(at))) type = "CRC";
    if (type.ends_with("TL") || type == "fdAT") type += " " + std::to_string(number_at(at + 8));
    chunks.push_back(type);
  }
  return chunks;
}

TEST_CASE("An animated PNG is its first frame to other readers, and refuses what is none") {
  const auto frame = [](std::int32_t width, std::uint8_t level) {
    return png_bytes({.height = 2,
                      .width = width,
                      .channels = 1,
                      .pixels = std::vector<std::uint8_t>(2 * static_cast<std::size_t>(width), level)},
                     "a frame");
  };
  const Bytes first = frame(3, 10), second = frame(3, 20);
  CHECK(animated_png({first}, 8) == first);
  const Bytes both = animated_png({first, second}, 8);
  CHECK(decode_picture(both, "a").pixels == std::vector<std::uint8_t>(6, 10));
  CHECK(chunks_of(both) == std::vector<std::string>{"IHDR", "acTL 2", "fcTL 0", "IDAT", "fcTL 1", "fdAT 2", "IEND"});
  const auto refused = [](const std::vector<Bytes>& frames, int frames_a_second = 8) {
    return message_of([&] { animated_png(frames, frames_a_second); });
  };
  CHECK_THAT(refused({}), Contains("animated_png: 0 frames, 8 a second"));
  CHECK_THAT(refused({first}, 0), Contains("animated_png: 1 frame, 0 a second"));
  CHECK_THAT(refused({first, frame(4, 20)}), Contains("no PNG files of one size and kind"));
  CHECK_THAT(refused({first, {}}), Contains("no PNG files of one size and kind"));
  for (const auto bytes : {33, 40, 45, static_cast<int>(second.size()) - 1}) {
    const Bytes cut(second.begin(), second.begin() + bytes);
    CHECK_THAT(refused({first, cut}), Contains("a frame that is cut off"));
    CHECK_THAT(refused({cut}), Contains("a frame that is cut off"));  // of one frame, too
  }
  Bytes empty(second.begin(), second.begin() + 33);  // the signature, IHDR and IEND
  empty.insert(empty.end(), second.end() - 12, second.end());
  CHECK_THAT(refused({first, empty}), Contains("a frame that is cut off, without its data"));
}

TEST_CASE("A disk that takes no more leaves the old file and no new one") {
  const TempDir dir;
  const std::string path = dir.path("sheet.png");
  write_png(path, {.height = 1, .width = 1, .channels = 1, .pixels = {5}});
  Picture large{.height = 300, .width = 300, .channels = 3, .pixels = {}};
  std::uint32_t state = 1;
  for (int i = 0; i < 300 * 300 * 3; ++i) {
    large.pixels.push_back(static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24));
  }
  // A limit on the size of files stands in for a full disk: write() stops half-way, then fails.
  const auto previous_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit previous{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &previous) == 0);
  rlimit limit = previous;
  limit.rlim_cur = 10000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const std::string message = message_of([&] { write_png(path, large); });
  ::setrlimit(RLIMIT_FSIZE, &previous);
  std::signal(SIGXFSZ, previous_handler);
  CHECK_THAT(message, Contains("write " + path + ": ") && Contains("File too large; make room"));
  CHECK(read_picture(path).pixels == std::vector<std::uint8_t>{5});
  CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 1);
  write_png(path, large);
  CHECK(read_picture(path).pixels == large.pixels);
}
