// STL-10's published files, whole and damaged.

#include <simclr/core/error.h>
#include <simclr/data/pictures/stl10.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::TempDir;
using Bytes = std::vector<std::uint8_t>;

namespace {

/// Pixel [y,x,c] of picture r.
std::uint8_t value(int r, int y, int x, int c) {
  return static_cast<std::uint8_t>(17 * r + 5 * y + 3 * x + 101 * c + (y > x ? 1 : 0));
}

/// `count` pictures: planes of columns.
Bytes pictures(int count) {
  Bytes bytes;
  for (int r = 0; r < count; ++r) {
    for (int c = 0; c < 3; ++c) {
      for (int x = 0; x < 96; ++x) {
        for (int y = 0; y < 96; ++y) bytes.push_back(value(r, y, x, c));
      }
    }
  }
  return bytes;
}

void write_stl10(const TempDir& dir, const std::string& folder) {
  dir.write(folder + "train_X.bin", pictures(3));
  dir.write(folder + "train_y.bin", Bytes{10, 1, 5});
  dir.write(folder + "test_X.bin", pictures(2));
  dir.write(folder + "test_y.bin", Bytes{2, 9});
  dir.write(folder + "unlabeled_X.bin", pictures(4));
}

}  // namespace

TEST_CASE("STL-10 reads the published layout, planes of columns as rows of pixels") {
  const TempDir dir;
  const std::string folder = GENERATE("", "stl10_binary/");
  write_stl10(dir, folder);
  const auto train = stl10(dir.path(), Stl10Part::train);
  REQUIRE(train->size() == 3);
  CHECK(stl10(dir.path(), Stl10Part::test)->label(1) == 8);
  CHECK(train->classes() ==
        std::vector<std::string>{"airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"});
  CHECK_THAT(train->describe(), Contains("STL-10 train: 3 pictures [96,96,3], 10 classes, from " + dir.path()));
  const std::vector<std::int32_t> labels = {9, 0, 4};
  for (int i = 0; i < 3; ++i) {
    const Sample sample = train->sample(i);
    REQUIRE(sample.shape == Shape{96, 96, 3});
    CHECK(sample.label == labels[static_cast<std::size_t>(i)]);
    CHECK(train->label(i) == labels[static_cast<std::size_t>(i)]);
    Bytes expected;
    for (int y = 0; y < 96; ++y) {
      for (int x = 0; x < 96; ++x) {
        for (int c = 0; c < 3; ++c) expected.push_back(value(i, y, x, c));
      }
    }
    const auto pixels = sample.values<std::uint8_t>();
    CHECK(Bytes(pixels.begin(), pixels.end()) == expected);
  }
  CHECK_THAT(message_of([&] { (void)train->sample(3); }), Contains("sample 3 of 3"));

  REQUIRE(has_unlabelled_stl10(dir.path()));
  const auto unlabelled = stl10(dir.path(), Stl10Part::unlabelled);
  CHECK(unlabelled->size() == 4);
  CHECK(unlabelled->classes().empty());
  CHECK(unlabelled->label(3) == -1);
  CHECK(unlabelled->sample(3).label == -1);
  CHECK(unlabelled->sample(3).values<std::uint8_t>()[3 * 97 + 2] == value(3, 1, 1, 2));
  CHECK_THAT(unlabelled->describe(), Contains("STL-10 unlabelled: 4 pictures [96,96,3], from "));
  std::filesystem::remove(dir.path(folder + "unlabeled_X.bin"));
  CHECK_FALSE(has_unlabelled_stl10(dir.path()));
}

TEST_CASE("STL-10 takes class names from class_names.txt") {
  const TempDir dir;
  write_stl10(dir, "");
  dir.write("class_names.txt", std::string("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"));
  CHECK(stl10(dir.path(), Stl10Part::test)->classes()[8] == "i");
  dir.write("class_names.txt", std::string("a\n"));
  CHECK_THAT(message_of([&] { stl10(dir.path(), Stl10Part::test); }), Contains("names 1 classes, 10 expected"));
}

TEST_CASE("Damaged STL-10 files end with one clear line") {
  const TempDir dir;
  write_stl10(dir, "");
  const auto error = [&](Stl10Part part = Stl10Part::train) { return message_of([&] { stl10(dir.path(), part); }); };
  SECTION("another folder") {
    std::filesystem::remove(dir.path("train_X.bin"));
    CHECK_THAT(error(), Contains("stl10: no train_X.bin in " + dir.path() + " or " + dir.path("stl10_binary")));
  }
  SECTION("a missing folder") {
    CHECK_THAT(message_of([&] { stl10(dir.path("none"), Stl10Part::test); }),
               Contains("stl10: there is no folder " + dir.path("none")));
  }
  SECTION("truncated") {
    std::filesystem::resize_file(dir.path("unlabeled_X.bin"), 4 * 27648 - 1);
    CHECK_THAT(error(Stl10Part::unlabelled),
               Contains(dir.path("unlabeled_X.bin") +
                        " has 110591 bytes, no multiple of a picture's 27648: truncated or not STL-10"));
  }
  SECTION("empty") {
    dir.write("train_X.bin", Bytes());
    CHECK_THAT(error(), Contains(dir.path("train_X.bin") + " is empty; fetch it again"));
  }
  SECTION("more pictures than were published") {
    std::filesystem::resize_file(dir.path("train_X.bin"), 5001 * 27648);
    CHECK_THAT(error(), Contains("holds 5001 pictures, more than the published 5000"));
  }
  SECTION("fewer labels than pictures") {
    dir.write("train_y.bin", Bytes{1, 2});
    CHECK_THAT(error(), Contains(dir.path("train_y.bin") + " holds 2 labels for 3 pictures; fetch it again"));
  }
  SECTION("no labels") {
    std::filesystem::remove(dir.path("train_y.bin"));
    CHECK_THAT(error(), Contains("stl10: cannot open " + dir.path("train_y.bin") + ": No such file"));
  }
  SECTION("labels that count from 0, or too high") {
    const auto bad = static_cast<std::uint8_t>(GENERATE(0, 11));
    dir.write("train_y.bin", Bytes{1, 2, bad});
    CHECK_THAT(error(),
               Contains("label 2 of " + dir.path("train_y.bin") + " is " + std::to_string(bad) + ", not from 1 to 10"));
  }
}

TEST_CASE("An STL-10 file that is cut short after opening costs its last pictures only") {
  const TempDir dir;
  write_stl10(dir, "");
  const auto set = stl10(dir.path(), Stl10Part::train);
  std::filesystem::resize_file(dir.path("train_X.bin"), 3 * 27648 - 1);
  CHECK(set->sample(1).label == 0);
  CHECK(message_of([&] { (void)set->sample(2); }) == "stl10: cannot read picture 2 of " + dir.path("train_X.bin") +
                                                         ": it became shorter after it was opened; fetch it again");
}
