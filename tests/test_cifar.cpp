// CIFAR's published files, whole and damaged.

#include <simclr/core/error.h>
#include <simclr/data/pictures/cifar.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::TempDir;
using Bytes = std::vector<std::uint8_t>;

namespace {

/// Pixel [y,x,c] of record r in file f.
std::uint8_t value(int f, int r, int y, int x, int c) {
  return static_cast<std::uint8_t>(31 * f + 7 * r + 5 * y + 3 * x + 101 * c);
}

/// `records` records with labels (r + f) % classes in the published planar layout.
Bytes cifar_file(int f, int records, int classes, bool coarse) {
  Bytes bytes;
  for (int r = 0; r < records; ++r) {
    if (coarse) bytes.push_back(19);
    bytes.push_back(static_cast<std::uint8_t>((r + f) % classes));
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 32; ++y) {
        for (int x = 0; x < 32; ++x) bytes.push_back(value(f, r, y, x, c));
      }
    }
  }
  return bytes;
}

void write_cifar10(const TempDir& dir, const std::string& folder, int records = 2) {
  for (int f = 1; f <= 5; ++f) {
    dir.write(folder + "data_batch_" + std::to_string(f) + ".bin", cifar_file(f, records, 10, false));
  }
  dir.write(folder + "test_batch.bin", cifar_file(0, 3, 10, false));
}

bool is_picture(const Sample& sample, int f, int r) {
  const auto pixels = sample.values<std::uint8_t>();
  bool equal = pixels.size() == 3072;
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      for (int c = 0; c < 3; ++c) {
        equal = equal && pixels[static_cast<std::size_t>((y * 32 + x) * 3 + c)] == value(f, r, y, x, c);
      }
    }
  }
  return equal;
}

}  // namespace

TEST_CASE("CIFAR-10 reads the published layout, planes interleaved") {
  const TempDir dir;
  const std::string folder = GENERATE("", "cifar-10-batches-bin/");
  const int records = folder.empty() ? 2 : 300;  // the labels of the latter are read in pieces
  write_cifar10(dir, folder, records);
  const auto train = cifar10(dir.path(), Split::train);
  REQUIRE(train->size() == 5 * records);
  REQUIRE(cifar10(dir.path(), Split::test)->size() == 3);
  CHECK(train->classes().size() == 10);
  CHECK(train->classes()[9] == "truck");
  CHECK_THAT(train->describe(), Contains("CIFAR-10 train: " + std::to_string(5 * records) +
                                         " pictures [32,32,3], 10 classes, from " + dir.path()));
  for (int i = 0; i < 5 * records; ++i) {
    const int f = 1 + i / records, r = i % records;
    const Sample sample = train->sample(i);
    REQUIRE(sample.shape == Shape{32, 32, 3});
    REQUIRE(sample.label == (r + f) % 10);
    REQUIRE(train->label(i) == (r + f) % 10);
    REQUIRE(is_picture(sample, f, r));
  }
  if (records > 2) return;
  CHECK_THAT(message_of([&] { (void)train->sample(10); }), Contains("sample 10 of 10"));
  CHECK_THAT(message_of([&] { (void)train->label(-1); }), Contains("sample -1 of 10"));
}

TEST_CASE("CIFAR-10 takes class names from batches.meta.txt") {
  const TempDir dir;
  write_cifar10(dir, "");
  dir.write("batches.meta.txt", std::string("a\nb\nc\nd\ne\nf\ng\nh\ni\r\nj\n\n"));
  CHECK(cifar10(dir.path(), Split::test)->classes()[8] == "i");
  dir.write("batches.meta.txt", std::string("a\nb\n"));
  CHECK_THAT(message_of([&] { cifar10(dir.path(), Split::test); }),
             Contains("batches.meta.txt names 2 classes, 10 expected"));
}

TEST_CASE("CIFAR-100 reads fine labels") {
  const TempDir dir;
  const std::string folder = GENERATE("", "cifar-100-binary/");
  dir.write(folder + "train.bin", cifar_file(99, 2, 100, true));
  dir.write(folder + "test.bin", cifar_file(3, 1, 100, true));
  const auto train = cifar100(dir.path(), Split::train);
  REQUIRE(train->size() == 2);
  CHECK(train->label(0) == 99);
  CHECK(train->label(1) == 0);
  CHECK(train->classes().size() == 100);
  CHECK(train->classes()[99] == "class 99");
  CHECK(train->sample(1).values<std::uint8_t>()[3 * 33 + 2] == value(99, 1, 1, 1, 2));
  CHECK(cifar100(dir.path(), Split::test)->label(0) == 3);

  std::string names;
  for (int i = 0; i < 100; ++i) names += "n" + std::to_string(i) + "\n";
  dir.write(folder + "fine_label_names.txt", names);
  CHECK(cifar100(dir.path(), Split::test)->classes()[42] == "n42");
}

TEST_CASE("Damaged CIFAR files end with one clear line") {
  const TempDir dir;
  write_cifar10(dir, "");
  const auto error = [&] { return message_of([&] { cifar10(dir.path(), Split::train); }); };
  const std::string file = "data_batch_4.bin";
  Bytes bytes = cifar_file(4, 2, 10, false);

  SECTION("a missing folder") {
    CHECK_THAT(message_of([&] { cifar10(dir.path("none"), Split::train); }),
               Contains("cifar10: there is no folder " + dir.path("none")));
  }
  SECTION("a folder without the files") {
    CHECK_THAT(message_of([&] { cifar100(dir.path(), Split::train); }),
               Contains("cifar100: no train.bin in " + dir.path()) && Contains("binary version of CIFAR-100"));
  }
  SECTION("one of the five files missing") {
    std::filesystem::remove(dir.path(file));
    CHECK_THAT(error(), Contains("cifar10: cannot open " + dir.path(file) + ": No such file"));
  }
  SECTION("truncated") {
    bytes.pop_back();
    dir.write(file, bytes);
    CHECK_THAT(error(), Contains(dir.path(file) + " has 6145 bytes, no multiple of a record's 3073: truncated"));
  }
  SECTION("trailing bytes") {
    bytes.push_back(0);
    dir.write(file, bytes);
    CHECK_THAT(error(), Contains(dir.path(file) + " has 6147 bytes, no multiple"));
  }
  SECTION("empty") {
    dir.write(file, Bytes());
    CHECK_THAT(error(), Contains(dir.path(file) + " is empty; fetch it again"));
  }
  SECTION("a label out of range") {
    bytes[3073] = 10;
    dir.write(file, bytes);
    CHECK_THAT(error(), Contains("record 1 of " + dir.path(file) + " has label 10, the largest is 9"));
  }
  SECTION("a label out of range, far into the file") {
    bytes = cifar_file(4, 300, 10, false);
    bytes[290 * 3073] = 11;
    dir.write(file, bytes);
    CHECK_THAT(error(), Contains("record 290 of " + dir.path(file) + " has label 11, the largest is 9"));
  }
  SECTION("CIFAR-100's label out of range") {
    Bytes fine = cifar_file(0, 1, 100, true);
    fine[1] = 100;
    dir.write("test.bin", fine);
    CHECK_THAT(message_of([&] { cifar100(dir.path(), Split::test); }), Contains("has label 100, the largest is 99"));
  }
  SECTION("more records than were published") {
    dir.write(file, std::string());
    std::filesystem::resize_file(dir.path(file), 10001 * 3073);
    CHECK_THAT(error(), Contains("holds 10001 records, more than the published 10000"));
  }
  SECTION("a folder in the file's place") {
    std::filesystem::remove(dir.path(file));
    std::filesystem::create_directory(dir.path(file));
    CHECK_THAT(error(), Contains(dir.path(file) + " is not a regular file"));
  }
}

TEST_CASE("CIFAR's pictures outlive their data set, and its files' names") {
  const TempDir dir;
  write_cifar10(dir, "");
  auto set = cifar10(dir.path(), Split::train);
  std::filesystem::remove(dir.path("data_batch_5.bin"));
  const Sample sample = set->sample(9);
  set.reset();
  REQUIRE(sample.owner);
  CHECK(is_picture(sample, 5, 1));
}

TEST_CASE("Several threads read CIFAR's pictures at once") {
  const TempDir dir;
  write_cifar10(dir, "", 20);
  const auto set = cifar10(dir.path(), Split::train);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&, t] {
      for (int k = 0; k < 400; ++k) {
        const int i = (k * 7 + t * 31) % 100;
        if (!is_picture(set->sample(i), i / 20 + 1, i % 20)) ++wrong;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
}

TEST_CASE("A CIFAR file that is cut short after opening costs its last pictures only") {
  const TempDir dir;
  write_cifar10(dir, "", 3);
  const auto set = cifar10(dir.path(), Split::train);
  const std::string file = dir.path("data_batch_2.bin");
  std::filesystem::resize_file(file, 2 * 3073 - 1);
  CHECK(is_picture(set->sample(3), 2, 0));
  for (const std::int64_t i : {4, 5}) {
    CHECK(message_of([&] { (void)set->sample(i); }) == "cifar10: cannot read record " + std::to_string(i - 3) + " of " +
                                                           file +
                                                           ": it became shorter after it was opened; fetch it again");
    CHECK(set->label(i) == i - 1);
  }
  CHECK(is_picture(set->sample(6), 3, 0));
}
