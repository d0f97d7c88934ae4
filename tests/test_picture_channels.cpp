// Pictures of more than 8 bits and of other channels than grey, RGB and alpha: what is read of TIFF, PNG and .npy, what
// a folder serves.
#include <simclr/core/error.h>
#include <simclr/data/decoded_cache.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/image_folder.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/data/pictures/picture_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/source_folder.h"
#include "support/temp_dir.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;

namespace {

struct Layout {
  int height = 2, width = 3, channels = 5, bits = 16;
  int meaning = 1;  // black is 0; 2: RGB
  int format = 1;   // no sign; 3: floating point
  int alpha = 0;    // what the first channel beside the colours is; 2: alpha
  int colours = 1;  // channels that the meaning names
};

void append(Bytes& bytes, std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

/// A little-endian TIFF of one strip without compression: its values are `values`, of layout.bits each.
template <class T>
Bytes tiff(const Layout& l, const std::vector<T>& values) {
  const int extra = l.channels - l.colours;
  Bytes tables;  // behind the directory: bits, formats and extra samples
  const auto entries = static_cast<std::uint32_t>(extra > 0 ? 10 : 9);
  const std::uint32_t tables_at = 8 + 2 + 12 * entries + 4;
  Bytes file = {'I', 'I', 42, 0, 8, 0, 0, 0};
  append(file, entries, 2);
  const auto strip_at = tables_at + 2 * static_cast<std::uint32_t>(2 * l.channels + std::max(extra, 0));
  const auto entry = [&](int tag, int type, int count, std::uint32_t value) {
    append(file, static_cast<std::uint64_t>(tag), 2);
    append(file, static_cast<std::uint64_t>(type), 2);
    append(file, static_cast<std::uint64_t>(count), 4);
    append(file, value, 4);
  };
  /// A list of shorts: in the entry where two fit.
  const auto list = [&](int tag, const std::vector<int>& shorts) {
    const auto at = tables_at + static_cast<std::uint32_t>(tables.size());
    std::uint32_t inside = 0;
    for (std::size_t i = 0; i < shorts.size(); ++i) {
      if (shorts.size() <= 2) inside |= static_cast<std::uint32_t>(shorts[i]) << (16 * i);
      append(tables, static_cast<std::uint64_t>(shorts[i]), 2);
    }
    entry(tag, 3, static_cast<int>(shorts.size()), shorts.size() <= 2 ? inside : at);
  };
  entry(256, 3, 1, static_cast<std::uint32_t>(l.width));
  entry(257, 3, 1, static_cast<std::uint32_t>(l.height));
  list(258, std::vector<int>(static_cast<std::size_t>(l.channels), l.bits));
  entry(259, 3, 1, 1);
  entry(262, 3, 1, static_cast<std::uint32_t>(l.meaning));
  entry(273, 4, 1, strip_at);
  entry(277, 3, 1, static_cast<std::uint32_t>(l.channels));
  entry(279, 4, 1, static_cast<std::uint32_t>(values.size() * sizeof(T)));
  if (extra > 0) {
    std::vector<int> kinds(static_cast<std::size_t>(extra));
    kinds[0] = l.alpha;
    list(338, kinds);
  }
  list(339, std::vector<int>(static_cast<std::size_t>(l.channels), l.format));
  append(file, 0, 4);
  file.insert(file.end(), tables.begin(), tables.end());
  REQUIRE(file.size() == strip_at);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
  file.insert(file.end(), bytes, bytes + values.size() * sizeof(T));
  return file;
}

std::vector<std::uint16_t> ramp(int count, int step = 1000) {
  std::vector<std::uint16_t> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<std::uint16_t>(17 + i * step));
  return values;
}

template <class T>
std::vector<T> values_of(const Raster& raster) {
  REQUIRE(raster.dtype == dtype_of<T>);
  std::vector<T> values(raster.bytes.size() / sizeof(T));
  std::memcpy(values.data(), raster.bytes.data(), raster.bytes.size());
  return values;
}

bool reads_tiff() {
  return is_read_kind(".tif");
}

}  // namespace

TEST_CASE("a TIFF of several channels keeps them all, with all their bits") {
  if (!reads_tiff()) return;
  for (const int channels : {2, 4, 5, 16}) {
    CAPTURE(channels);
    const auto values = ramp(6 * channels, 300);
    const Raster raster = decode_raster(tiff(Layout{.channels = channels}, values), "a.tif");
    CHECK((raster.height == 2 && raster.width == 3 && raster.channels == channels && raster.bands));
    CHECK(values_of<std::uint16_t>(raster) == values);
  }
  const Bytes bytes(24, 7);
  const Raster nir = decode_raster(tiff(Layout{.channels = 4, .bits = 8, .meaning = 2, .colours = 3}, bytes), "a.tif");
  CHECK((nir.channels == 4 && nir.bands && nir.dtype == DType::u8));
  const std::vector<std::uint16_t> many(6 * 17);
  CHECK_THAT(message_of([&] { decode_raster(tiff(Layout{.channels = 17}, many), "a.tif"); }),
             Contains("a.tif: a TIFF of 17 channels; 1 to 16 are read"));

  const Layout with_sign{.channels = 1, .format = 2};
  CHECK(values_of<std::uint16_t>(decode_raster(tiff(with_sign, ramp(6)), "a.tif")) == ramp(6));
  CHECK_THAT(message_of([&] {
               decode_raster(tiff(with_sign, std::vector<std::int16_t>{0, 1, -1024, 3, 4, 5}), "a.tif");
             }),
             Contains("a.tif: a TIFF with values below 0, as CT scans have; add what makes the least"));
}

TEST_CASE("grey, RGB and alpha of 16 bits are pictures, not bands") {
  if (!reads_tiff()) return;
  for (const auto& [channels, colours, meaning, alpha] :
       {std::array{1, 1, 1, 0}, std::array{3, 3, 2, 0}, std::array{4, 3, 2, 2}, std::array{3, 1, 1, 0}}) {
    CAPTURE(channels, colours);
    const auto values = ramp(6 * channels, 700);
    const Layout layout{.channels = channels, .meaning = meaning, .alpha = alpha, .colours = colours};
    const Raster raster = decode_raster(tiff(layout, values), "a.tif");
    CHECK((raster.channels == channels && !raster.bands));
    CHECK(values_of<std::uint16_t>(raster) == values);
  }
  const auto values = ramp(6, 900);
  const Raster white = decode_raster(tiff(Layout{.channels = 1, .meaning = 0}, values), "a.tif");
  CHECK(values_of<std::uint16_t>(white)[3] == 65535 - values[3]);
  // Multiplied by its alpha, and divided by it again.
  const Layout shaded{.height = 1, .width = 1, .channels = 4, .meaning = 2, .alpha = 1, .colours = 3};
  const std::vector<std::uint16_t> half = {10000, 0, 40000, 32768}, plain = {19999, 0, 65535, 32768};
  CHECK(values_of<std::uint16_t>(decode_raster(tiff(shaded, half), "a.tif")) == plain);
  // The reader of bytes keeps the upper 8, as before.
  CHECK(decode_picture(tiff(Layout{.channels = 1}, values), "a.tif").pixels[5] == values[5] >> 8);
}

TEST_CASE("a PNG of 16 bits keeps them, turned upright and with its transparency") {
  const Bytes rows = {0x12, 0x34, 0xff, 0x01, 0x00, 0x05, 0x80, 0x00};  // big-endian
  const Bytes grey = plain_png(2, 2, 16, png_grey, rows);
  const Raster raster = decode_raster(grey, "a.png");
  CHECK((raster.channels == 1 && !raster.bands));
  CHECK(values_of<std::uint16_t>(raster) == std::vector<std::uint16_t>{0x1234, 0xff01, 0x0005, 0x8000});
  CHECK(decode_picture(grey, "a.png").pixels == Bytes{0x12, 0xff, 0x00, 0x80});
  CHECK(decode_raster(small_png(), "a.png").dtype == DType::u8);

  const Raster clear = decode_raster(plain_png(1, 2, 16, png_grey_alpha, rows), "a.png");
  CHECK(values_of<std::uint16_t>(clear) == std::vector<std::uint16_t>{0x1234, 0x1234, 0x1234, 0xff01, 5, 5, 5, 0x8000});

  Bytes turned(grey.begin(), grey.begin() + 33);  // the signature and IHDR
  append_chunk(turned, "eXIf", {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0});
  turned.insert(turned.end(), grey.begin() + 33, grey.end());
  CHECK(values_of<std::uint16_t>(decode_raster(turned, "a.png")) ==
        std::vector<std::uint16_t>{0x8000, 0x0005, 0xff01, 0x1234});

  const Bytes cut(grey.begin(), grey.end() - 12);  // without the end marker
  const Raster mended = decode_raster(cut, "a.png");
  CHECK(mended.bytes == raster.bytes);
  CHECK_THAT(mended.warning, Contains("a.png: the picture is whole, but its end marker is missing"));
}

TEST_CASE("a PNM of more than 8 bits keeps them, stretched to 16") {
  const auto pgm = [](const std::string& header, const Bytes& samples) {
    Bytes file(header.begin(), header.end());
    file.insert(file.end(), samples.begin(), samples.end());
    return file;
  };
  const auto values = [&](const std::string& header, const Bytes& samples = {}) {
    return values_of<std::uint16_t>(decode_raster(pgm(header, samples), "a.pgm"));
  };
  CHECK(values("P5 2 1 65535\n", {0x12, 0x34, 0xff, 0xff}) == std::vector<std::uint16_t>{0x1234, 65535});
  CHECK(values("P5 3 1 1023\n", {0, 0, 2, 0, 3, 255}) == std::vector<std::uint16_t>{0, 32800, 65535});
  CHECK(values("P3 1 1 4095 0 4095 1") == std::vector<std::uint16_t>{0, 65535, 16});
  CHECK(decode_raster(pgm("P5 2 1 255\n", {7, 8}), "a.pgm").dtype == DType::u8);
  CHECK(decode_picture(pgm("P5 2 1 65535\n", {0x12, 0x34, 0xff, 0xff}), "a.pgm").pixels == Bytes{0x12, 0xff});
}

TEST_CASE("a TIFF of floating-point numbers is read, but for NaN") {
  if (!reads_tiff()) return;
  std::vector<float> values = {0.0f, 0.25f, -1.0f, 2.5f, 1e-6f, 1.0f};
  const Layout layout{.channels = 1, .bits = 32, .format = 3};
  CHECK(values_of<float>(decode_raster(tiff(layout, values), "a.tif")) == values);
  values[4] = NAN;
  CHECK_THAT(message_of([&] { decode_raster(tiff(layout, values), "a.tif"); }),
             Contains("a.tif: the value in row 1, column 1, channel 0 is nan"));
  for (const Layout& white : {Layout{.channels = 1, .bits = 32, .meaning = 0, .format = 3},
                              Layout{.channels = 2, .meaning = 0}, Layout{.channels = 3, .meaning = 0}}) {
    CHECK_THAT(message_of([&] { decode_raster(tiff(white, Bytes(36)), "a.tif"); }), Contains("in which 0 is white"));
  }
}

namespace {

template <class T>
Bytes npy(const std::string& descr, const std::string& shape, const std::vector<T>& values, bool fortran = false) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
  header.resize(117, ' ');
  header += '\n';
  Bytes file = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0};
  file.insert(file.end(), header.begin(), header.end());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
  file.insert(file.end(), bytes, bytes + values.size() * sizeof(T));
  return file;
}

}  // namespace

TEST_CASE("an array is a picture, however its dimensions lie") {
  const auto values = ramp(2 * 3 * 4);
  const Raster plain = decode_raster(npy("<u2", "(2, 3, 4)", values), "a.npy");
  CHECK((plain.height == 2 && plain.width == 3 && plain.channels == 4 && plain.bands));
  CHECK(values_of<std::uint16_t>(plain) == values);

  const Raster turned = decode_raster(npy("<u2", "(2, 3, 4)", values, true), "a.npy");
  CHECK(values_of<std::uint16_t>(turned)[1] == values[6]);   // the next channel lies 2 * 3 values on
  CHECK(values_of<std::uint16_t>(turned)[4] == values[2]);   // the next column 2
  CHECK(values_of<std::uint16_t>(turned)[12] == values[1]);  // the next row 1

  const std::vector<float> floats(3 * 20 * 30, 0.5f);
  const Raster first = decode_raster(npy("<f4", "(3, 20, 30)", floats), "a.npy");
  CHECK((first.height == 20 && first.width == 30 && first.channels == 3 && !first.bands));
  CHECK(decode_raster(npy("|u1", "(4, 6)", Bytes(24, 3)), "a.npy").dtype == DType::u8);
  CHECK(values_of<std::uint16_t>(decode_raster(npy(">u2", "(1, 1)", Bytes{1, 2}), "a.npy"))[0] == 0x0102);
  CHECK_THAT(message_of([&] { decode_raster(npy("<i8", "(2, 3)", std::vector<std::int64_t>(6)), "a.npy"); }),
             Contains("a.npy: an array of <i8; pictures are of uint8"));
  CHECK_THAT(message_of([&] {
               decode_raster(npy("<i2", "(1, 2)", std::vector<std::int16_t>{4, -1}), "a.npy");
             }),
             Contains("a.npy: an array with values below 0"));
  CHECK_THAT(message_of([&] { decode_raster(npy("<f4", "(5)", floats), "a.npy"); }),
             Contains("a picture is [H,W], [H,W,C] or [C,H,W]"));
  CHECK_THAT(message_of([&] { decode_raster(npy("<f4", "(20, 30, 17)", floats), "a.npy"); }), Contains("17 channels"));
}

TEST_CASE("files of several channels have the same values, however they lie") {
  std::vector<std::uint16_t> bands;
  std::vector<float> floats;
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 13; ++x) {
      for (int c = 0; c < 5; ++c) bands.push_back(static_cast<std::uint16_t>(1000 * y + 77 * x + 9001 * c));
      for (int c = 0; c < 3; ++c) floats.push_back(static_cast<float>(y / 8.0 - x / 16.0 + c / 2.0));
    }
  }
  int compared = 0;  // tests/fuzz/make_corpus.py made them: strips, tiles, a plane a channel, either order of bytes
  for (const auto& file : std::filesystem::directory_iterator(source_folder() + "/fuzz/corpus/images")) {
    const std::string name = file.path().filename().string();
    const bool whole = name.starts_with("bands.");
    if (!whole && !name.starts_with("floats.")) continue;
    if (ending_of(name) == ".tif" && !reads_tiff()) continue;
    CAPTURE(name);
    if (whole && ending_of(name) == ".npy") {  // 9 x 13 x 5 may also be 9 channels of 13 x 5
      CHECK_THAT(message_of([&] { read_raster(file.path().string()); }), Contains("channels first or last"));
      continue;
    }
    const Raster raster = read_raster(file.path().string());
    CHECK((raster.height == 9 && raster.width == 13 && raster.channels == (whole ? 5 : 3) && raster.bands == whole));
    CHECK((whole ? values_of<std::uint16_t>(raster) == bands : values_of<float>(raster) == floats));
    ++compared;
  }
  CHECK(compared == (reads_tiff() ? 11 : 2));
}

TEST_CASE("arrays are the pictures of a folder that holds no others") {
  const TempDir dir;
  dir.write("arrays/a.npy", npy("|u1", "(4, 6)", Bytes(24, 3)));
  CHECK(list_pictures(dir.path("arrays")).files == std::vector<std::string>{"a.npy"});
  dir.write("arrays/b.png", small_png());
  const PictureList list = list_pictures(dir.path("arrays"));
  CHECK(list.files == std::vector<std::string>{"b.png"});
  CHECK(list.left_out.text() == "1 .npy file");
}

TEST_CASE("a folder serves each picture in its own type, and refuses other channels by name") {
  if (!reads_tiff()) return;
  const TempDir dir;
  const std::string path = dir.path("pictures");
  for (int i = 0; i < 5; ++i) {
    dir.write("pictures/deep" + std::to_string(i) + ".tif", tiff(Layout{.channels = 5}, ramp(30)));
  }
  dir.write("pictures/flat.tif", tiff(Layout{.channels = 5, .bits = 8}, Bytes(30, 9)));
  dir.write("pictures/grey.tif", tiff(Layout{.channels = 1}, ramp(6)));
  const PictureList list = list_pictures(path);
  const PictureChannels channels = channels_of_pictures(list);
  CHECK(channels.channels == 5);
  CHECK(channels.text() ==
        "channels: 5, as 6 of 7 pictures have that were looked at; 1 has grey or RGB: pictures of others are skipped");

  const std::shared_ptr<const Dataset> folder = image_folder(list, 1, channels.channels);
  REQUIRE(folder->size() == 7);
  CHECK((folder->sample(0).dtype == DType::u16 && folder->sample(0).shape == Shape({2, 3, 5})));
  CHECK(folder->sample(0).finite);
  CHECK(folder->sample(5).dtype == DType::u8);
  CHECK_THAT(message_of([&] { folder->sample(6); }), Contains("grey.tif: has 1 channels of grey, RGB or alpha, and"));
  CHECK_THAT(message_of([&] { image_folder(list, 1, 3)->sample(0); }),
             Contains("deep0.tif: has 5 channels, and views"));

  const DecodedCache cache(folder);
  for (int again = 0; again < 2; ++again) CHECK(cache.sample(1).values<std::uint16_t>()[3] == 3017);
}

TEST_CASE("Of names that say nothing of channels all may be looked at") {
  if (!reads_tiff()) return;
  const TempDir dir;
  dir.write("1.png", tiff(Layout{.channels = 5, .bits = 8}, Bytes(30, 9)));
  const PictureList list = list_pictures(dir.path());
  CHECK(channels_of_pictures(list).seen.empty());
  CHECK(channels_of_pictures(list, LookAt::all).channels == 5);
}

TEST_CASE("RGB with a channel of no meaning is RGB among RGB, and four channels among its own") {
  if (!reads_tiff()) return;
  const TempDir dir;
  const Layout rgb{.channels = 3, .meaning = 2, .colours = 3}, more{.channels = 4, .meaning = 2, .colours = 3};
  for (const char* name : {"1", "2"}) dir.write(std::string("mixed/") + name + ".tif", tiff(rgb, ramp(18)));
  dir.write("mixed/3.tif", tiff(more, ramp(24)));
  dir.write("alone/3.tif", tiff(more, ramp(24)));

  const PictureList mixed = list_pictures(dir.path("mixed"));
  const PictureChannels channels = channels_of_pictures(mixed);
  CHECK(channels.channels == 3);
  CHECK(
      channels.text() ==
      "channels: grey or RGB, as 3 of 3 pictures have that were looked at, of which 1 has a fourth that is not called "
      "alpha: it is left out");
  const auto folder = image_folder(mixed, 0, channels.channels);
  const Sample sample = folder->sample(2);
  CHECK(sample.shape == Shape({2, 3, 3}));
  const auto values = sample.values<std::uint16_t>();
  REQUIRE(values.size() == 18);
  CHECK((values[0] == 17 && values[2] == 2017 && values[3] == 4017 && values[17] == 22017));

  const PictureList alone = list_pictures(dir.path("alone"));
  CHECK(channels_of_pictures(alone).channels == 4);
  CHECK(image_folder(alone, 0, 4)->sample(0).shape == Shape({2, 3, 4}));
}

TEST_CASE("floating-point values beyond white are told of with what to do") {
  const auto said = [](const std::vector<float>& values) {
    FloatRange range;
    for (int i = 0; i < 3; ++i) range.add(values);
    return range.warning();
  };
  CHECK(said({0, 0.5f, 1}).empty());
  CHECK(said({}).empty());
  CHECK(
      said({0, 30, 200}) ==
      "the pictures' floating-point values go from 0 to 200 in the 3 pictures looked at, and what lies outside of 0 to "
      "1 becomes 0 or 1; save x / 255");
  CHECK_THAT(said({0, 4000}), Contains("; save x / x.max()"));
  CHECK_THAT(said({-0.9f, 0.8f}), Contains("; save (x + 1) / 2"));
  CHECK_THAT(said({-2.1f, 1.8f}), Contains("; save (x - x.min()) / (x.max() - x.min())"));
}

TEST_CASE("values that are no numbers are named by the view's maker") {
  std::vector<float> values(4 * 4, 0.5f), out(4 * 4);
  values[7] = std::numeric_limits<float>::infinity();
  const PictureViews views(Augmentation::evaluation(4, 1));
  Sample sample{.bytes = std::as_bytes(std::span(values)),
                .shape = {4, 4, 1},
                .dtype = DType::f32,
                .label = -1,
                .owner = nullptr};
  const auto view = [&] { views.make_view(sample, {.sample = 3}, std::as_writable_bytes(std::span(out)).data()); };
  CHECK_THAT(message_of(view), Contains("picture views: sample 3 has the value inf at number 7"));
  sample.finite = true;  // so says whoever has looked, once and not for each view
  view();
}
