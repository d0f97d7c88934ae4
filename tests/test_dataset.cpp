// Data sets in memory: the MNIST family's files, whole and damaged, and parts of a set.

#include <simclr/core/error.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/subset.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/temp_dir.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::append_be;
using simclr::test::Bytes;
using simclr::test::gzipped;
using simclr::test::message_of;
using simclr::test::TempDir;

TEST_CASE("memory_dataset refuses sizes that disagree and labels without a class") {
  const MemoryData good{.samples = Tensor::from(Bytes{1, 2, 3, 4}, {2, 2, 1, 1}),
                        .labels = {0, -1},
                        .classes = {"a"},
                        .description = "two"};
  const auto set = memory_dataset(good);
  CHECK(set->size() == 2);
  CHECK(set->sample(1).values<std::uint8_t>()[0] == 3);
  CHECK(set->sample(1).shape == Shape{2, 1, 1});
  CHECK(set->parts() == 1);
  CHECK(set->label(1) == -1);
  CHECK(set->describe() == "two");
  MemoryData bad = good;
  bad.samples = Tensor::from(Bytes{1, 2, 3}, {3, 1, 1});
  CHECK_THAT(message_of([&] { memory_dataset(bad); }), Contains("samples are u8 [3,1,1] on cpu for 2 labels"));
  bad = good;
  bad.labels[1] = 1;
  CHECK_THAT(message_of([&] { memory_dataset(bad); }), Contains("sample 1 has label 1, there are 1 classes"));
}

namespace {

/// An idx file of u8 with the given sizes; byte i after the header is i % modulus.
Bytes idx_file(const std::vector<std::uint32_t>& sizes, std::uint32_t modulus) {
  Bytes bytes;
  append_be(bytes, 0x0800 + static_cast<std::uint32_t>(sizes.size()), 4);
  std::uint32_t count = 1;
  for (const std::uint32_t size : sizes) {
    append_be(bytes, size, 4);
    count *= size;
  }
  for (std::uint32_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(i % modulus));
  return bytes;
}

}  // namespace

TEST_CASE("idx files are read as they are") {
  const TempDir dir;
  const std::string images = dir.write("images", idx_file({12, 2, 3}, 251));
  const std::string labels = dir.write("labels", idx_file({12}, 10));
  const auto set = idx(images, labels);
  REQUIRE(set->size() == 12);
  CHECK(set->sample(0).shape == Shape{2, 3, 1});
  CHECK(set->label(11) == 1);
  CHECK(set->sample(11).values<std::uint8_t>()[5] == 71);
  CHECK(set->classes()[9] == "9");
  CHECK(set->describe() == "idx: 12 pictures [2,3,1], 10 classes, from " + images);
  CHECK_THAT(message_of([&] {
               idx(images, labels, {"a", "b"});
             }),
             Contains("label 2 of " + labels + " is 2, the largest is 1"));
}

TEST_CASE("Damaged idx files end with one clear line") {
  const TempDir dir;
  const Bytes good_images = idx_file({4, 2, 3}, 251), good_labels = idx_file({4}, 10);
  const std::string images = dir.write("images", good_images);
  const std::string labels = dir.write("labels", good_labels);
  const auto error = [&] { return message_of([&] { idx(images, labels); }); };
  REQUIRE(error() == "no error");
  Bytes bytes = good_images;

  SECTION("missing") {
    std::filesystem::remove(labels);
    CHECK_THAT(error(), Contains("idx: cannot open " + labels + ": No such file"));
  }
  SECTION("empty") {
    dir.write("images", Bytes());
    CHECK_THAT(error(), Contains(images + " has 0 bytes, its header alone needs 16"));
  }
  SECTION("cut inside the header") {
    bytes.resize(15);
    dir.write("images", bytes);
    CHECK_THAT(error(), Contains(images + " has 15 bytes, its header alone needs 16"));
  }
  SECTION("truncated") {
    bytes.pop_back();
    dir.write("images", bytes);
    CHECK_THAT(error(), Contains(images + " holds 23 bytes after its header, which promises 24"));
  }
  SECTION("trailing bytes") {
    bytes.push_back(0);
    dir.write("images", bytes);
    CHECK_THAT(error(), Contains(images + " holds 25 bytes after its header, which promises 24"));
  }
  SECTION("labels in the pictures' place") {
    dir.write("images", idx_file({30}, 10));
    CHECK_THAT(error(), Contains(images + " has magic number 2049, idx pictures have 2051"));
  }
  SECTION("pictures in the labels' place") {
    dir.write("labels", bytes);
    CHECK_THAT(error(), Contains(labels + " has magic number 2051, idx labels have 2049"));
  }
  SECTION("no pictures") {
    dir.write("images", idx_file({0, 2, 3}, 251));
    CHECK_THAT(error(), Contains("size 0 in the header of " + images + " is 0"));
  }
  SECTION("an impossible side") {
    bytes[12] = 0xff;
    dir.write("images", bytes);
    CHECK_THAT(error(), Contains(images + " promises pictures with a side of"));
  }
  SECTION("sizes whose product overflows") {
    for (int i = 4; i < 16; ++i) bytes[static_cast<std::size_t>(i)] = 0xff;
    bytes[8] = bytes[9] = bytes[12] = bytes[13] = 0;
    bytes[11] = bytes[15] = 0xdc;
    dir.write("images", bytes);
    CHECK_THAT(error(), Contains("the header of " + images + " promises more than 4000000000 bytes"));
  }
  SECTION("counts that differ") {
    dir.write("labels", idx_file({5}, 10));
    CHECK_THAT(error(), Contains(images + " has 4 pictures, " + labels + " has 5 labels"));
  }
  SECTION("a label out of range") {
    Bytes bad = good_labels;
    bad[10] = 10;
    dir.write("labels", bad);
    CHECK_THAT(error(), Contains("label 2 of " + labels + " is 10, the largest is 9"));
  }
  SECTION("a folder in the file's place") {
    std::filesystem::remove(labels);
    std::filesystem::create_directory(labels);
    CHECK_THAT(error(), Contains(labels + " is not a regular file"));
  }
}

TEST_CASE("Gzipped idx files are told by content, and never unpacked past their header's promise") {
  const TempDir dir;
  const Bytes plain = idx_file({4, 20, 30}, 251);
  const Bytes packed = gzipped(plain);
  const std::string images = dir.write("images", packed);
  const std::string labels = dir.write("labels", gzipped(idx_file({4}, 10)));
  const auto error = [&] { return message_of([&] { idx(images, labels); }); };
  if (error() != "no error") {
    CHECK(error() == "idx: " + labels + " is gzipped and this build has no zlib; unpack it with gunzip");
    return;
  }
  const auto set = idx(images, labels);
  REQUIRE(set->size() == 4);
  const auto last = set->sample(3).values<std::uint8_t>();
  CHECK(std::equal(plain.begin() + 16 + 1800, plain.end(), last.begin(), last.end()));
  CHECK(set->label(3) == 3);

  SECTION("truncated anywhere") {
    for (std::size_t size = 2; size < packed.size(); size += 13) {
      dir.write("images", Bytes(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size)));
      INFO("the first " << size << " of " << packed.size() << " bytes");
      CHECK_THAT(error(), Contains(images + " is truncated inside its gzip data"));
    }
  }
  SECTION("a wrong checksum") {
    Bytes bad = packed;
    bad[bad.size() - 6] ^= 1;
    dir.write("images", bad);
    CHECK_THAT(error(), Contains(images + " has damaged gzip data (incorrect data check)"));
  }
  SECTION("damaged inside") {
    Bytes bad = packed;
    bad[2] = 9;
    dir.write("images", bad);
    CHECK_THAT(error(), Contains(images + " has damaged gzip data (unknown compression method)"));
  }
  SECTION("a bomb behind a small header") {
    Bytes bomb = plain;
    bomb.resize(1'000'000);
    dir.write("images", gzipped(bomb));
    CHECK_THAT(error(), Contains(images + " goes on after the 2400 bytes that its header promises"));
  }
  SECTION("a header that promises more than the file can hold") {
    Bytes lie = plain;
    lie[4] = 0x01;  // 16,777,220 pictures of 600 bytes would be too much already
    lie[10] = lie[14] = 0;
    lie[11] = lie[15] = 10;
    dir.write("images", gzipped(lie));
    CHECK_THAT(error(), Contains(images + " promises 1677722000 bytes, more than its"));
  }
  SECTION("fewer bytes than promised") {
    dir.write("images", gzipped(Bytes(plain.begin(), plain.end() - 1)));
    CHECK_THAT(error(), Contains(images + " holds 2399 bytes after its header, which promises 2400"));
  }
  SECTION("an end inside the header") {
    dir.write("images", gzipped(Bytes(plain.begin(), plain.begin() + 10)));
    CHECK_THAT(error(), Contains(images + " ends inside its header"));
  }
  SECTION("trailing bytes, packed or not") {
    Bytes more = plain;
    more.push_back(0);
    dir.write("images", gzipped(more));
    CHECK_THAT(error(), Contains("goes on after the 2400 bytes"));
    more = packed;
    more.push_back(0);
    dir.write("images", more);
    CHECK_THAT(error(), Contains("goes on after the 2400 bytes"));
  }
}

TEST_CASE("Fashion-MNIST is found under its published names, gzipped or not") {
  const TempDir dir;
  dir.write("train-images-idx3-ubyte", idx_file({11, 28, 28}, 251));
  dir.write("train-labels-idx1-ubyte", idx_file({11}, 10));
  const auto set = fashion_mnist(dir.path(), Split::train);
  CHECK(set->size() == 11);
  CHECK(set->classes()[9] == "Ankle boot");
  CHECK_THAT(set->describe(), Contains("Fashion-MNIST train: 11 pictures [28,28,1], 10 classes"));
  CHECK_THAT(message_of([&] { fashion_mnist(dir.path(), Split::test); }),
             Contains("fashion_mnist: there is no " + dir.path("t10k-images-idx3-ubyte")) &&
                 Contains("install dataset-fashion-mnist"));
  std::filesystem::rename(dir.path("train-labels-idx1-ubyte"), dir.path("train-labels-idx1-ubyte.gz"));
  CHECK(fashion_mnist(dir.path(), Split::train)->size() == 11);
}

TEST_CASE("Subsets serve what they name, and spread over a sorted set") {
  MemoryData data{.samples = Tensor::from(Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 1}),
                  .labels = {},
                  .classes = {"a", "b"},
                  .description = "bytes"};
  for (int i = 0; i < 10; ++i) data.labels.push_back(i / 5);
  const std::shared_ptr<const Dataset> whole = memory_dataset(data);
  const auto some = subset(whole, {7, 2});
  CHECK(some->size() == 2);
  CHECK(some->sample(0).values<std::uint8_t>()[0] == 7);
  CHECK(some->label(1) == 0);
  CHECK(some->classes() == whole->classes());
  CHECK(some->describe() == "2 samples of " + whole->describe());
  CHECK(subset(some, {1})->describe() == "1 of 2 samples of " + whole->describe());
  CHECK_THAT(message_of([&] { subset(whole, {10}); }), Contains("subset: sample 10 of 10"));
  CHECK_THAT(message_of([&] { (void)some->sample(2); }), Contains("subset: sample 2 of 2"));
  const auto four = spread(whole, 4);
  REQUIRE(four->size() == 4);
  CHECK(four->label(0) + four->label(1) == 0);
  CHECK(four->label(2) + four->label(3) == 2);
  CHECK(spread(whole, 99)->size() == 10);
}
