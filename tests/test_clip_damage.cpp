// Videos that are damaged, cut off or hostile: one line, or frames that are those of the whole file.

#include "support/catch.h"

#ifdef SIMCLR_HAVE_FFMPEG

#include <simclr/core/error.h>
#include <simclr/data/video/clip_io.h>

#include "support/clips.h"
#include "support/message_of.h"
#include "support/source_folder.h"
#include "support/temp_dir.h"
#include "support/videos.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using test::Bytes;
using test::message_of;
using test::Numbers;
using test::read;
using test::up_to;

TEST_CASE("times that no clip has are refused") {
  const test::TempDir folder;
  for (const double seconds : {9e15, 2e15}) {  // more than 2^60 ms
    CAPTURE(seconds);
    test::write_video(folder.path("far.mkv"), {.codec = "mjpeg", .b_frames = 0, .first_second = seconds});
    CHECK_THAT(message_of([&] { open_clip(folder.path("far.mkv")); }),
               Contains("far.mkv: damaged or cut off: a frame with an impossible time"));
  }
}

TEST_CASE("of a damaged video every answer is one line, or frames that do not depend on what was read before") {
  using Answer = std::pair<std::string, Bytes>;  // the message, the frames
  const auto answer = [](ClipReader& clip, const Numbers& numbers) {
    Answer got;
    got.first = message_of([&] { got.second = read(clip, numbers); });
    return got;
  };
  const auto look = [&](const Bytes& bytes) {
    Answer got;
    got.first = message_of([&] {
      const auto clip = open_clip(bytes, "damaged");
      const std::int64_t frames = std::min<std::int64_t>(clip->info().frames, 1000);
      const Answer all = answer(*clip, up_to(frames));
      for (const std::int64_t k : {frames / 2, std::int64_t{0}}) {
        const bool same = answer(*clip, {k}) == answer(*open_clip(bytes, "damaged"), {k});
        CAPTURE(k);
        CHECK(same);
      }
      got.second = all.second;
      if (all.first != "no error") fail(all.first);
    });
    return got;
  };
  const auto is_line = [](const std::string& message) {
    return message.find('\n') == std::string::npos && message.starts_with("damaged: ");
  };
  int refused = 0, files = 0;
  for (const auto& file : std::filesystem::directory_iterator(test::source_folder() + "/fuzz/corpus/clips")) {
    if (!is_clip_name(file.path()) || file.path().extension() == ".npy") continue;
    ++files;
    const Bytes bytes = test::read_bytes(file.path());
    CAPTURE(file.path());
    const auto [none, whole] = look(bytes);
    REQUIRE(none == "no error");
    const std::int64_t frame_bytes = open_clip(bytes, "damaged")->info().frame_bytes();
    CHECK(std::ssize(whole) == 6 * frame_bytes);
    for (std::size_t k = 0; k < 40; ++k) {
      const std::size_t place = k * bytes.size() / 40;
      CAPTURE(place);
      const auto [problem, frames] = look({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(place) + 1});
      CHECK((problem == "no error" || is_line(problem)));
      CHECK(frames.size() <= whole.size());
      for (std::ptrdiff_t at = 0; at < std::ssize(frames); at += frame_bytes) {  // the last one may stay
        const auto frame = frames.begin() + at;
        CHECK((std::equal(frame, frame + frame_bytes, whole.begin() + at) ||
               (at > 0 && std::equal(frame, frame + frame_bytes, frame - frame_bytes))));
      }
      Bytes flipped = bytes;
      flipped[place] ^= static_cast<std::uint8_t>(1 << k % 8);
      const std::string other = look(flipped).first;
      CHECK((other == "no error" || is_line(other)));
      refused += (problem == "no error" ? 0 : 1) + (other == "no error" ? 0 : 1);
    }
  }
  CHECK(files == 7);
  CHECK(refused > 200);
}

TEST_CASE("a hole in a file is told, not shown as a frame that stays") {
  const test::TempDir folder;
  test::write_video(folder.path("hole.mkv"));
  const Bytes whole = test::read_bytes(folder.path("hole.mkv"));
  Bytes hole = whole;
  for (std::size_t k = 0; k < 400; ++k) hole[whole.size() / 2 + k] = static_cast<std::uint8_t>(k * 73 + 11);
  const auto clip = open_clip(hole, "hole.mkv");
  CHECK_THAT(message_of([&] { read(*clip, up_to(60)); }),
             Contains("hole.mkv: damaged or cut off: no frame from 1.08 s to 1.72 s"));
  // Behind a hole a frame may lean on those that are lost.
  for (const std::int64_t k : {30, 43}) CHECK_THAT(message_of([&] { read(*clip, {k}); }), Contains("no frame from"));
  for (const std::int64_t k : {20, 27, 59}) {
    CAPTURE(k);
    const bool same = read(*clip, {k}) == read(*open_clip(whole, "whole.mkv"), {k});
    CHECK(same);
  }
}

TEST_CASE("a read that failed leaves no trace in those that follow") {
  const test::TempDir folder;
  const std::string path = folder.path("d.avi");
  test::write_video(path);
  const Bytes whole = test::read_bytes(path);
  Bytes damaged = whole;
  for (std::size_t k = 0; k < 400; ++k) damaged[whole.size() / 2 + k] = static_cast<std::uint8_t>(k * 73 + 11);
  {
    const auto clip = open_clip(damaged, "d.avi");
    CHECK_THAT(message_of([&] { read(*clip, up_to(clip->info().frames)); }), Contains("d.avi: damaged or cut off"));
    const bool same = read(*clip, {0}) == read(*open_clip(damaged, "d.avi"), {0});
    CHECK(same);
  }
  const auto write = [&](const Bytes& bytes) {
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  };
  const auto clip = open_clip(path);
  const Bytes expected = read(*clip, {7});
  write({});
  for (int k = 0; k < 2; ++k) {
    CHECK_THAT(message_of([&] { read(*clip, {7}); }), Contains("cannot read") && Contains("d.avi: it became shorter"));
  }
  write(whole);
  const bool same = read(*clip, {7}) == expected;
  CHECK(same);
  write(damaged);
  CHECK_THAT(message_of([&] { read(*clip, up_to(60)); }), Contains("d.avi: damaged or cut off"));
}

TEST_CASE("a video that is cut off, or has nothing to see, is told in one line") {
  const test::TempDir folder;
  test::write_video(folder.path("whole.mkv"));
  const Bytes bytes = test::read_bytes(folder.path("whole.mkv"));
  int refused = 0;
  for (const std::size_t size : {bytes.size() / 50, bytes.size() / 2, bytes.size() - 2000}) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const std::string message = message_of([&] {
      const auto clip = open_clip(cut, "cut.mkv");
      read(*clip, up_to(clip->info().frames));
    });
    CAPTURE(size, message);
    CHECK(std::count(message.begin(), message.end(), '\n') == 0);
    refused += message.starts_with("cut.mkv: ") ? 1 : 0;
  }
  CHECK(refused >= 2);
  const auto whole = open_clip(bytes, "whole.mkv");
  CHECK(read(*whole, {7}) == read(*open_clip(folder.path("whole.mkv")), {7}));
}

TEST_CASE("a GIF that is cut off is told; the byte that ends it may be missing") {
  Bytes gif = {'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 255, 255, 255};
  for (int i = 0; i < 3; ++i) {
    for (const int byte : {0x21, 0xf9, 4, 0, 10, 0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0}) {
      gif.push_back(static_cast<std::uint8_t>(byte));
    }
  }
  gif.push_back(0x3b);
  for (const int left_out : {0, 1}) {
    const auto clip = open_clip(Bytes(gif.begin(), gif.end() - left_out), "a.gif");
    CHECK(clip->info().frames == 3);
  }
  for (const int left_out : {2, 3, 5, 8, 20, 30}) {
    CAPTURE(left_out);
    const Bytes cut(gif.begin(), gif.end() - left_out);
    CHECK(message_of([&] { open_clip(cut, "a.gif"); }) == "a.gif: damaged or cut off: the GIF ends within a picture");
  }
}

#else

TEST_CASE("damaged videos") {
  simclr::test::skip("this build reads no video files");
}

#endif
