// Data sets of published files: CIFAR and the MNIST family, whole and damaged.

#include <simclr/core/error.h>
#include <simclr/data/cifar.h>
#include <simclr/data/dataset.h>

#include "support/catch.h"
#include "support/temp_dir.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::TempDir;
using Bytes = std::vector<std::uint8_t>;

namespace {

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

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

}  // namespace

TEST_CASE("CIFAR-10 reads the published layout, planes interleaved") {
  const TempDir dir;
  const std::string folder = GENERATE("", "cifar-10-batches-bin/");
  write_cifar10(dir, folder);
  const auto train = cifar10(dir.path(), Split::train);
  REQUIRE(train->size() == 10);
  REQUIRE(cifar10(dir.path(), Split::test)->size() == 3);
  CHECK(train->classes().size() == 10);
  CHECK(train->classes()[9] == "truck");
  CHECK_THAT(train->describe(), Contains("CIFAR-10 train: 10 pictures [32,32,3], 10 classes, from " + dir.path()));
  for (int i = 0; i < 10; ++i) {
    const int f = 1 + i / 2, r = i % 2;
    const Sample sample = train->sample(i);
    REQUIRE(sample.shape == Shape{32, 32, 3});
    REQUIRE(sample.bytes.size() == 3072);
    CHECK(sample.label == r + f);
    CHECK(train->label(i) == r + f);
    CHECK(sample.owner == nullptr);
    bool equal = true;
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x) {
        for (int c = 0; c < 3; ++c) {
          equal &= sample.bytes[static_cast<std::size_t>((y * 32 + x) * 3 + c)] == value(f, r, y, x, c);
        }
      }
    }
    CHECK(equal);
  }
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
  CHECK(train->sample(1).bytes[3 * 33 + 2] == value(99, 1, 1, 1, 2));
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

TEST_CASE("memory_dataset refuses sizes that disagree and labels without a class") {
  const MemoryData good{
      .bytes = {1, 2, 3, 4}, .shape = {2, 1, 1}, .labels = {0, -1}, .classes = {"a"}, .description = "two"};
  const auto set = memory_dataset(good);
  CHECK(set->size() == 2);
  CHECK(set->sample(1).bytes[0] == 3);
  CHECK(set->label(1) == -1);
  CHECK(set->describe() == "two");
  MemoryData bad = good;
  bad.bytes.pop_back();
  CHECK_THAT(message_of([&] { memory_dataset(bad); }), Contains("3 bytes for 2 labels"));
  bad = good;
  bad.labels[1] = 1;
  CHECK_THAT(message_of([&] { memory_dataset(bad); }), Contains("sample 1 has label 1, there are 1 classes"));
}
