// Clips: what is read of video files, folders of frames and arrays, whatever was read before, and what hostile ones
// say.

#include <simclr/core/error.h>
#include <simclr/data/npy.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_io.h>

#include "support/catch.h"
#include "support/clips.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#ifdef SIMCLR_HAVE_FFMPEG
#include "support/videos.h"
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using test::Bytes;
using test::message_of;
using test::Numbers;
using test::read;
using test::up_to;

namespace {

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A grey frame of one brightness.
void write_frame(const std::string& path, std::uint8_t level, int width = 3) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_png(path,
            {.height = 2, .width = width, .channels = 1, .pixels = Bytes(static_cast<std::size_t>(2 * width), level)});
}

}  // namespace

TEST_CASE("a folder of frames is a clip in the order of the numbers in their names") {
  const test::TempDir folder;
  for (const int k : {2, 10, 1})
    write_frame(folder.path("clip/f" + std::to_string(k) + ".png"), static_cast<std::uint8_t>(k));
  write_bytes(folder.path("clip/notes.txt"), "no frame");
  const auto clip = open_clip(folder.path("clip"));
  CHECK(clip->info().frames == 3);
  CHECK(clip->info().channels == 1);
  CHECK(clip->info().rate == 0);
  const Bytes all = read(*clip, {0, 1, 2, 2});
  for (const auto& [at, level] : std::vector<std::pair<std::size_t, int>>{{0, 1}, {6, 2}, {12, 10}, {18, 10}}) {
    CHECK(std::count(all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(at) + 6,
                     level) == 6);
  }

  write_frame(folder.path("clip/f3.png"), 3, 4);
  CHECK_THAT(message_of([&] { read(*open_clip(folder.path("clip")), up_to(4)); }),
             Contains("f3.png: 4x2 pixels") && Contains("all frames of a clip are of one size and kind"));
  std::filesystem::create_directory(folder.path("empty"));
  CHECK_THAT(message_of([&] { open_clip(folder.path("empty")); }), Contains("a folder without a"));
}

TEST_CASE("an array is a clip: frames as picture_arrays.h has pictures, of any type") {
  const test::TempDir folder;
  std::vector<std::uint16_t> values(5 * 4 * 6);
  std::iota(values.begin(), values.end(), std::uint16_t{1000});
  std::string file = npy_header("<u2", {5, 4, 6});
  file.append(reinterpret_cast<const char*>(values.data()), values.size() * 2);
  write_bytes(folder.path("a.npy"), file);
  const auto clip = open_clip(folder.path("a.npy"));
  CHECK(clip->info().frames == 5);
  CHECK(clip->info().height == 4);
  CHECK(clip->info().width == 6);
  CHECK(clip->info().dtype == DType::u16);
  const Bytes some = read(*clip, {1, 4});
  CHECK(std::memcmp(some.data(), values.data() + 24, 48) == 0);
  CHECK(std::memcmp(some.data() + 48, values.data() + 96, 48) == 0);

  std::string floats = npy_header("<f4", {2, 4, 6});
  std::vector<float> numbers(48, 0.5f);
  numbers[30] = std::nanf("");
  floats.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4);
  write_bytes(folder.path("b.npy"), floats);
  const auto other = open_clip(folder.path("b.npy"));
  CHECK(read(*other, {0}).size() == 96);
  CHECK_THAT(message_of([&] { read(*other, {0, 1}); }), Contains("b.npy: a frame has the value nan"));
}

TEST_CASE("messages about arrays speak of frames") {
  const test::TempDir folder;
  const auto said = [&](const char* descr, const std::vector<std::int64_t>& shape) {
    std::int64_t bytes = descr[2] - '0';
    for (const std::int64_t size : shape) bytes *= size;
    write_bytes(folder.path("a.npy"), npy_header(descr, shape) + std::string(static_cast<std::size_t>(bytes), '\0'));
    return message_of([&] { open_clip(folder.path("a.npy")); });
  };
  CHECK_THAT(said("|u1", {24, 32}), Contains("a clip is [T,H,W], [T,H,W,C] or [T,C,H,W]: save x[None] of a single"));
  CHECK_THAT(said("|u1", {5, 24, 32, 2, 1}), Contains("or [T,C,H,W]: reshape it"));
  CHECK_THAT(said("|u1", {24, 32, 3}), Contains("may be one frame or many; save x[None] of one frame"));
  CHECK_THAT(said("|u1", {4, 2, 5, 2}), Contains("enlarge the frames"));
  CHECK_THAT(said("<i8", {4, 24, 32}), Contains("; frames are of uint8, bool"));
  CHECK_THAT(said("|u1", {0, 24, 32}), Contains("holds no frame"));
}

TEST_CASE("frames in Fortran's order are the same") {
  const test::TempDir folder;
  std::string header = npy_header("|u1", {3, 4, 6});
  const auto at = header.find("False");
  header.replace(at, 5, "True ");
  for (int i = 0; i < 3 * 4 * 6; ++i) header += static_cast<char>(i);  // [t,y,x] at t + 3 y + 12 x
  write_bytes(folder.path("f.npy"), header);
  const Bytes frame = read(*open_clip(folder.path("f.npy")), {2});
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 6; ++x) CHECK(frame[static_cast<std::size_t>(6 * y + x)] == 2 + 3 * y + 12 * x);
  }
}

TEST_CASE("what is no clip is told in one line, with what to do") {
  const test::TempDir folder;
  write_bytes(folder.path("empty.mp4"), "");
  CHECK_THAT(message_of([&] { open_clip(folder.path("empty.mp4")); }), Contains("empty.mp4: the file is empty"));
  CHECK_THAT(message_of([&] { open_clip(folder.path("none.mp4")); }), Contains("none.mp4"));
  write_frame(folder.path("x/picture.mp4.png"), 3);
  std::filesystem::rename(folder.path("x/picture.mp4.png"), folder.path("picture.mp4"));
  CHECK_THAT(message_of([&] { open_clip(folder.path("picture.mp4")); }),
             Contains("a picture (.png) and no clip; put the frames of each clip into a folder"));
  write_bytes(folder.path("text.mp4"), "#EXTM3U\n#EXTINF:1\n/etc/passwd\n");
  const std::string message = message_of([&] { open_clip(folder.path("text.mp4")); });
#ifdef SIMCLR_HAVE_FFMPEG
  CHECK_THAT(message, Contains("text.mp4: no video that can be read by its content"));
#else
  CHECK_THAT(message, Contains("install libavformat-dev, libavcodec-dev and libswscale-dev"));
#endif
  CHECK(std::count(message.begin(), message.end(), '\n') == 0);
  write_frame(folder.path("clip/1.png"), 1);
  const auto clip = open_clip(folder.path("clip"));
  CHECK_THAT(message_of([&] { read(*clip, {0, 1}); }), Contains("frames 0 to 1 of 1"));
  CHECK_THAT(message_of([&] { read(*clip, {0, -1}); }), Contains("ascending"));
}

TEST_CASE("names tell which files are clips, and which package they need") {
  CHECK(is_clip_name("a/B.NPY"));
  CHECK_FALSE(is_clip_name("a.jpg"));
#ifdef SIMCLR_HAVE_FFMPEG
  CHECK(is_clip_name("v.MP4"));
  CHECK(missing_clip_package(".mp4").empty());
#else
  CHECK_FALSE(is_clip_name("v.MP4"));
  CHECK(missing_clip_package(".mp4") == "libavformat-dev, libavcodec-dev and libswscale-dev");
#endif
  CHECK(missing_clip_package(".txt").empty());
}

#ifdef SIMCLR_HAVE_FFMPEG

namespace {

/// The brightness in the corner of a frame that its bar is not in.
int corner_of(const Bytes& frames, std::size_t k, const ClipInfo& info) {
  const std::size_t column = k < 40 ? static_cast<std::size_t>(info.width) - 1 : 0;
  const std::size_t at = k * static_cast<std::size_t>(info.frame_bytes()) + 3 * column;
  return (frames[at] + frames[at + 1] + frames[at + 2]) / 3;
}

}  // namespace

TEST_CASE("frames of a video are the same whether it is decoded from the start or from the key frame before them") {
  const test::TempDir folder;
  const auto check = [&](const std::string& file, const test::VideoOptions& options) {
    DYNAMIC_SECTION(file) {
      CAPTURE(file, options.codec, options.b_frames, options.between_keys, options.first_second);
      const std::string path = folder.path(file);
      test::write_video(path, options);
      const auto whole = open_clip(path);
      const ClipInfo& info = whole->info();
      CHECK(info.frames == options.frames);
      CHECK(info.rate == Approx(options.rate));
      CHECK(info.height == options.height);
      CHECK(info.width == options.width);
      const Bytes all = read(*whole, up_to(info.frames));
      const auto frame = [&](const Bytes& of, std::size_t k) {
        const auto bytes = static_cast<std::ptrdiff_t>(info.frame_bytes());
        return Bytes(of.begin() + static_cast<std::ptrdiff_t>(k) * bytes,
                     of.begin() + static_cast<std::ptrdiff_t>(k + 1) * bytes);
      };
      std::size_t different = 0;
      for (std::size_t k = 1; k < static_cast<std::size_t>(info.frames); ++k)
        different += frame(all, k) != frame(all, k - 1) ? 1 : 0;
      CHECK(different == static_cast<std::size_t>(info.frames) - 1);
      for (int k = 0; k + 1 < options.frames; ++k) {  // a wrong frame is off by 37 or more
        const int level = test::level_of(k);
        const double expected = options.codec == "mjpeg" ? level : (level - 16) * 255.0 / 219;
        CAPTURE(k);
        CHECK(std::abs(corner_of(all, static_cast<std::size_t>(k), info) - expected) < 25);
      }
      const auto again = open_clip(path);
      for (int k = 0; k < options.frames; ++k) {
        const std::int64_t start = k * 7 % options.frames;  // each one, to and fro
        CAPTURE(start);
        const Numbers numbers = {start, std::min<std::int64_t>(start + 3, options.frames - 1)};
        const Bytes fresh = read(*open_clip(path), numbers), later = read(*again, numbers);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          const Bytes expected = frame(all, static_cast<std::size_t>(numbers[i]));
          CHECK(frame(fresh, i) == expected);
          CHECK(frame(later, i) == expected);
        }
      }
    }
  };
  check("b.mp4", {});
  check("b.mkv", {});
  check("late.mkv", {.first_second = 2});
  check("far.mp4", {.between_keys = 300, .b_frames = 1});
  check("plain.avi", {.b_frames = 0});
  check("j.avi", {.codec = "mjpeg", .b_frames = 0});
  check("m.mkv", {.codec = "mpeg2video", .between_keys = 15});
  check("b.avi", {});
  check("m.mpg", {.codec = "mpeg2video"});
  check("m1.mpg", {.codec = "mpeg2video", .b_frames = 0});
  check("m.ts", {.codec = "mpeg2video"});
  check("f.flv", {.codec = "flv", .b_frames = 0});
  check("short.flv", {.codec = "flv", .frames = 6, .b_frames = 0});
  check("w.wmv", {.codec = "wmv2", .b_frames = 0});
  const auto check_if_there = [&](const std::string& file, const test::VideoOptions& options) {
    if (avcodec_find_encoder_by_name(options.codec.c_str()) != nullptr) check(file, options);
  };
  check_if_there("t.ogv", {.codec = "libtheora", .b_frames = 0});
  check_if_there("v.webm", {.codec = "libvpx", .b_frames = 0});
  if (avcodec_find_encoder_by_name("libx264") == nullptr) return;
  // Open groups: frames that are shown before a key frame, and decoded behind it, lean on the group before.
  const std::string open = "open-gop=1:bframes=3:b-adapt=0:scenecut=0:keyint=12:min-keyint=12";
  check("open.mkv", {.codec = "libx264", .b_frames = 3, .x264_params = open});
  check("open.mp4", {.codec = "libx264", .b_frames = 3, .x264_params = open});
  for (const char* file : {"h.avi", "h.ts", "h.flv", "h.mp4"}) check(file, {.codec = "libx264"});
  check("far.avi", {.codec = "libx264", .between_keys = 25});
}

TEST_CASE("a last frame that stays, and sound that goes on, are no damage") {
  const test::TempDir folder;
  test::write_video(folder.path("stays.mp4"), {.frames = 20, .b_frames = 0, .last_frames = 50});
  const auto stays = open_clip(folder.path("stays.mp4"));
  REQUIRE(stays->info().frames == 69);
  const bool last = read(*stays, {19}) == read(*stays, {68});
  CHECK(last);
  CHECK(read(*stays, up_to(69)).size() == static_cast<std::size_t>(69 * stays->info().frame_bytes()));

  for (const char* file : {"sound.mkv", "sound.mov", "sound.avi", "sound.wmv"}) {
    CAPTURE(file);
    const bool plain = std::string(file).ends_with(".wmv");
    test::write_video(folder.path(file),
                      {.codec = plain ? "wmv2" : "mpeg4", .b_frames = plain ? 0 : 2, .sound_frames = 100});
    const auto sound = open_clip(folder.path(file));
    CHECK(sound->info().frames == 60);
    const Bytes all = read(*sound, up_to(60));
    const bool whole =
        read(*open_clip(folder.path(file)), {59}) == Bytes(all.end() - sound->info().frame_bytes(), all.end());
    CHECK(whole);
  }
  Bytes cut = test::read_bytes(folder.path("sound.mkv"));
  cut.resize(cut.size() / 2);
  CHECK_THAT(message_of([&] { read(*open_clip(cut, "cut.mkv"), {59}); }), Contains("cut.mkv: damaged or cut off"));
}

TEST_CASE("a frame stays where an AVI file leaves out those behind it") {
  const test::TempDir folder;
  for (const auto& [codec, b_frames] : {std::pair{"mpeg4", 2}, {"mpeg4", 0}, {"mjpeg", 0}, {"libx264", 2}}) {
    if (avcodec_find_encoder_by_name(codec) == nullptr) continue;
    CAPTURE(codec, b_frames);
    test::write_video(folder.path("p.avi"), {.codec = codec, .b_frames = b_frames, .pause = 20});
    const auto clip = open_clip(folder.path("p.avi"));
    CHECK(clip->info().frames == 80);
    const Bytes all = read(*clip, up_to(80));
    const auto frame = [&](std::size_t k) {
      const std::size_t bytes = static_cast<std::size_t>(clip->info().frame_bytes());
      return Bytes(all.begin() + static_cast<std::ptrdiff_t>(k * bytes),
                   all.begin() + static_cast<std::ptrdiff_t>((k + 1) * bytes));
    };
    const bool stays = frame(29) == frame(30) && frame(29) == frame(49), goes_on = frame(49) != frame(50);
    CHECK(stays);
    CHECK(goes_on);
    const bool same = read(*open_clip(folder.path("p.avi")), {60}) == frame(60);
    CHECK(same);
  }
}

TEST_CASE("a stream that begins within a group is read from its first key frame on") {
  const test::TempDir folder;
  const auto check = [&](const std::string& file, const std::string& codec) {
    CAPTURE(file);
    test::write_video(folder.path(file), {.codec = codec});
    const Bytes bytes = test::read_bytes(folder.path(file));
    const auto whole = open_clip(bytes, "whole");
    const Bytes all = read(*whole, up_to(60));
    for (std::ptrdiff_t cut = 188; cut < std::ssize(bytes) * 3 / 5; cut += 188 * 5) {  // at a packet's end
      CAPTURE(cut);
      const Bytes rest(bytes.begin() + cut, bytes.end());
      const auto later = open_clip(rest, "later");
      const std::int64_t frames = later->info().frames;
      CHECK(frames > 10);
      CHECK(frames <= 60);
      const Bytes last = read(*later, up_to(frames));
      const bool end = Bytes(all.end() - std::ssize(last), all.end()) == last;
      CHECK(end);
      for (const std::int64_t k : {std::int64_t{0}, frames / 2, frames - 1}) {
        const bool same = read(*open_clip(rest, "later"), {k}) == read(*whole, {60 - frames + k});
        CHECK(same);
      }
    }
  };
  check("m.ts", "mpeg2video");
  if (avcodec_find_encoder_by_name("libx264") != nullptr) check("h.ts", "libx264");
}

TEST_CASE("frames are turned upright as the file's matrix says") {
  const test::TempDir folder;
  test::write_video(folder.path("v.mp4"));
  const Bytes bytes = test::read_bytes(folder.path("v.mp4"));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t matrix = text.find("tkhd") + 44;  // nine numbers, big-endian: a b u c d v x y w
  const auto plain = open_clip(bytes, "plain");
  const int height = plain->info().height, width = plain->info().width;
  const Bytes from = read(*plain, {5});
  // Where x and y of the picture go: to ax + cy and bx + dy, of which one is of the other side.
  const auto check = [&](std::int8_t a, std::int8_t b, std::int8_t c, std::int8_t d) {
    CAPTURE(int{a}, int{b}, int{c}, int{d});
    Bytes turned = bytes;
    for (const auto& [at, value] : {std::pair{0, a}, {4, b}, {12, c}, {16, d}}) {  // 1 is 0x00010000
      const auto place = turned.begin() + static_cast<std::ptrdiff_t>(matrix) + at;
      std::fill_n(place, 4, std::uint8_t{0});
      place[1] = static_cast<std::uint8_t>(value);
      if (value < 0) place[0] = 0xff;
    }
    const auto clip = open_clip(turned, "turned");
    const int new_width = a != 0 ? width : height;
    REQUIRE(clip->info().width == new_width);
    REQUIRE(clip->info().height == (a != 0 ? height : width));
    const Bytes to = read(*clip, {5});
    int wrong = 0;
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const int across = a * x + c * y, down = b * x + d * y;
        const int new_x = across + (a + c < 0 ? new_width - 1 : 0);
        const int new_y = down + (b + d < 0 ? clip->info().height - 1 : 0);
        wrong += std::memcmp(&from[static_cast<std::size_t>(3 * (y * width + x))],
                             &to[static_cast<std::size_t>(3 * (new_y * new_width + new_x))], 3) == 0
                     ? 0
                     : 1;
      }
    }
    CHECK(wrong == 0);
  };
  check(1, 0, 0, 1);
  check(0, 1, -1, 0);  // a telephone held upright: a quarter clockwise
  check(-1, 0, 0, -1);
  check(0, -1, 1, 0);
}

#endif
