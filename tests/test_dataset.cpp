// Data sets in memory: the MNIST family's files, whole and damaged, parts of a set, and one on its way to a device.

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/data/dataset.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/device_loader.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/pictures/picture_views.h>
#include <simclr/data/subset.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/temp_dir.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
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
    CHECK_THAT(error(),
               Contains(images + " has magic number 2049, idx pictures have 2051; give the -images-idx3-ubyte"));
    dir.write("images", idx_file({4, 2, 3, 3}, 251));
    CHECK_THAT(error(),
               Contains(images + " has magic number 2052, idx pictures have 2051; of several channels save an"));
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

TEST_CASE("The pictures of idx files are counted by the header alone") {
  const TempDir dir;
  const std::string file = "more-images-idx3-ubyte";
  const Bytes whole = idx_file({12, 20, 30}, 251);
  dir.write(file, Bytes(whole.begin(), whole.begin() + 16));
  CHECK(idx_count(dir.path(), "more") == 12);
  dir.write(file, Bytes(whole.begin(), whole.begin() + 15));
  const std::string begin = "idx: " + dir.path(file);
  CHECK(message_of([&] { idx_count(dir.path(), "more"); }) ==
        begin + " has 15 bytes, its header alone needs 16; fetch it again");
  CHECK_THAT(message_of([&] { idx_count(dir.path(), "other"); }), Contains("there is no " + dir.path("other-images")));
  const Bytes packed = gzipped(whole);
  dir.write(file, Bytes(packed.begin(), packed.end() - 20));
  std::int64_t count = 0;
  const std::string error = message_of([&] { count = idx_count(dir.path(), "more"); });
  if (count != 12) CHECK(error == begin + " is gzipped and this build has no zlib; unpack it with gunzip");
}

TEST_CASE("The classes of any idx set are the labels that occur") {
  const TempDir dir;
  dir.write("train-images-idx3-ubyte", idx_file({4, 2, 3}, 251));
  Bytes labels = idx_file({4}, 1);
  labels[8] = labels[10] = 200;
  labels[9] = 12;
  dir.write("train-labels-idx1-ubyte", labels);
  const auto set = idx_files(dir.path(), "train");
  CHECK(set->classes() == std::vector<std::string>{"0", "12", "200"});
  CHECK(set->label(0) == 2);
  CHECK(set->label(1) == 1);
  CHECK(set->label(3) == 0);
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

TEST_CASE("A device loader keeps pictures of mixed types in one buffer, and gives a loader's views") {
  const auto set = [](auto zero, int seed) {
    using T = decltype(zero);
    std::vector<T> values;
    for (int i = 0; i < 2 * 6 * 5 * 3; ++i) {
      const int byte = (i * i * 31 + seed) % 256;
      values.push_back(std::is_same_v<T, float> ? static_cast<T>(static_cast<float>(byte) / 255.0f)
                                                : static_cast<T>(sizeof(T) == 1 ? byte : 257 * byte));
    }
    return memory_dataset(
        {.samples = Tensor::from(values, {2, 6, 5, 3}), .labels = {-1, -1}, .classes = {}, .description = ""});
  };
  class Mixed final : public Dataset {
   public:
    std::vector<std::unique_ptr<Dataset>> sets;
    std::vector<std::string> none;
    std::int64_t size() const override { return 2 * std::ssize(sets); }
    Sample sample(std::int64_t i, int) const override { return sets[static_cast<std::size_t>(i / 2)]->sample(i % 2); }
    std::int32_t label(std::int64_t) const override { return -1; }
    const std::vector<std::string>& classes() const override { return none; }
    std::string describe() const override { return "mixed"; }
  };
  const auto mixed = std::make_shared<Mixed>();
  mixed->sets.push_back(set(std::uint8_t{}, 1));
  mixed->sets.push_back(set(std::uint16_t{}, 2));
  mixed->sets.push_back(set(float{}, 3));
  mixed->sets.push_back(set(std::uint8_t{}, 4));
  Augmentation policy = Augmentation::simclr(8);
  policy.blur_probability = 0;
  DeviceLoader device(*mixed, policy, Device{}, {.batch_size = 8, .seed = 3});
  const Loader host(mixed, std::make_shared<PictureViews>(policy), {.batch_size = 8, .seed = 3});
  device.begin(0);
  REQUIRE(device.next());
  const auto got = device.views().x.to_vector<float>();
  for (const Batch& batch : host.epoch(0)) {
    const auto expected = batch.towers.front().x.to_vector<float>();
    REQUIRE(got.size() == expected.size());
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(double{got[i]} - expected[i]));
    CHECK(worst < 1e-5);  // as the header says; another type rounds otherwise
  }
}

TEST_CASE("A device loader holds few decoded pictures beside those that it keeps") {
  /// Photographs of 4 MiB, which count how many of them are held.
  class Photographs final : public Dataset {
   public:
    std::int64_t size() const override { return 200; }
    Sample sample(std::int64_t, int) const override {
      const int now = ++held_;
      for (int before = most; now > before && !most.compare_exchange_weak(before, now);) {
      }
      return {.bytes = std::as_bytes(std::span(pixels_)),
              .shape = {1024, 1024, 4},
              .owner = std::shared_ptr<const void>(this, [this](const void*) { --held_; })};
    }
    std::int32_t label(std::int64_t) const override { return -1; }
    const std::vector<std::string>& classes() const override { return classes_; }
    std::string describe() const override { return "photographs"; }
    mutable std::atomic<int> most = 0;

   private:
    mutable std::atomic<int> held_ = 0;
    const Bytes pixels_ = Bytes(std::size_t{4} << 20);
    const std::vector<std::string> classes_;
  };
  const Photographs photographs;
  CHECK_THAT(message_of([&] {
               DeviceLoader(photographs, Augmentation::evaluation(4, 3), Device{},
                            {.batch_size = 1, .most_bytes = std::size_t{6} << 20});
             }),
             Contains("the pictures take more than 6291456 bytes"));
  CHECK(photographs.most <= 64 + threads());  // 256 MiB, and what each thread was at
}
