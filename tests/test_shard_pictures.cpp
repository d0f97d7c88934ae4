// Pictures in tar shards: which member is the picture, what is left out, and shards that change under a run.

#include <simclr/data/loader.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/picture_views.h>
#include <simclr/data/pictures/shard_pictures.h>
#include <simclr/data/shards.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/shards.h"
#include "support/tar.h"
#include "support/temp_dir.h"

#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

TEST_CASE("A shard that changes while a run goes on costs its samples, and is named") {
  if (!reads_shards()) return;
  const TempDir dir;
  const std::string png = text_of(small_png());
  const std::string first = dir.write("0.tar", tar_member("1.png", png) + tar_member("2.png", png) + tar_end());
  const std::string second = dir.write("1.tar", tar_member("3.png", png) + tar_end());
  const Opened shards({first, second});
  const std::shared_ptr<const Dataset> pictures = shard_pictures(ShardPictureList(shards.shards));
  Names warnings;
  const Loader loader(
      pictures, std::make_shared<PictureViews>(Augmentation::evaluation(2, 3)),
      {.batch_size = 3, .workers = 0, .on_warning = [&](const auto& line) { warnings.push_back(line); }});
  const auto samples_of = [&](std::uint32_t epoch) {
    std::set<std::int64_t> samples;
    for (const Batch& batch : loader.epoch(epoch)) samples.insert(batch.indices.begin(), batch.indices.end());
    return samples;
  };
  CHECK(samples_of(0) == std::set<std::int64_t>{0, 1, 2});
  CHECK(warnings.empty());
  fs::resize_file(second, 700);
  CHECK(samples_of(1) == std::set<std::int64_t>{0, 1});
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Contains(second + ": 3.png: the shard has changed"));
}

TEST_CASE("Pictures of many channels in shards, and arrays where there are no others") {
  if (!reads_shards()) return;
  const TempDir dir;
  std::string npy =
      std::string("\x93NUMPY\1\0\x76\0", 10) + "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 5)}";
  npy.resize(127, ' ');
  npy += '\n' + std::string(20, 'v');
  const std::string arrays = tar_member("1.npy", npy) + tar_member("2.npy", npy) + tar_member("3.json", "{}");
  const Opened shards({dir.write("0.tar", arrays + tar_end())});
  const ShardPictureList list(shards.shards);
  CHECK(list.size() == 2);
  CHECK(list.left_out() == "1 .json file");
  CHECK(channels_of_pictures(list).channels == 5);
  CHECK(shard_pictures(list, 5)->sample(1).shape == Shape{2, 2, 5});
  CHECK_THAT(message_of([&] { (void)shard_pictures(list, 3)->sample(1); }), Contains("0.tar: 2.npy: has 5 channels"));
  const Opened mixed({dir.write("1.tar", arrays + tar_member("4.png", text_of(small_png())) + tar_end())});
  CHECK(ShardPictureList(mixed.shards).size() == 1);
  CHECK(ShardPictureList(mixed.shards).left_out() == "1 .json file, 2 .npy files");
  CHECK(channels_of_pictures(ShardPictureList(mixed.shards)).channels == 3);
}

TEST_CASE("Pictures in shards") {
  if (!reads_shards()) return;
  const TempDir dir;
  const std::string png = text_of(small_png());
  const Opened shards(
      {dir.write("0.tar", tar_member("1.cls", "3") + tar_member("1.png", png) + tar_member("2.txt", "x") +
                              tar_member("3.seg.png", "no picture") + tar_member("3.PNG", png) +
                              tar_member("4.png", png.substr(0, 40)) + tar_end())});
  const auto pictures = shard_pictures(ShardPictureList(shards.shards), 3);
  REQUIRE(pictures->size() == 3);
  CHECK(pictures->sample(0).shape == Shape{2, 2, 3});
  CHECK(pictures->sample(0).label == 0);
  CHECK(pictures->sample(0).values<std::uint8_t>()[11] == 12);
  CHECK(pictures->sample(1).shape == Shape{2, 2, 3});
  CHECK(pictures->sample(1).label == -1);
  CHECK_THAT(message_of([&] { (void)pictures->sample(2); }), Contains("0.tar: 4.png: "));
  CHECK_THAT(message_of([&] { (void)pictures->sample(3); }), Contains("picture 3 of 3"));
  CHECK(pictures->describe() ==
        "3 pictures in the shard " + dir.path("0.tar") +
            ", 1 class, 2 without a label (left out: 1 .txt file, 1 picture of samples that have one already)");
  const Opened two({dir.write("2.tar", tar_member("1.png", png) + tar_member("1.gif", "x") + tar_end())});
  CHECK_THAT(shard_pictures(ShardPictureList(two.shards))->describe(),
             Contains("unlabelled (left out: 1 picture of samples that have one already)"));
  std::string dotted;
  for (const char* name : {"a.001.png", "a.002.png", "a.003.png"}) dotted += tar_member(name, png);
  const Opened numbers({dir.write("3.tar", dotted + tar_end())});
  CHECK_THAT(shard_pictures(ShardPictureList(numbers.shards))->describe(),
             Contains("(left out: 2 pictures of samples that have one already: a sample's name ends at its first dot, "
                      "so " +
                      dir.path("3.tar") + ": a.002.png is not one of its own; pack it without that dot)"));
  const Opened none({dir.write("1.tar", tar_member("1.txt", "x") + tar_end())});
  CHECK_THAT(message_of([&] { ShardPictureList{none.shards}; }), Contains("(left out: 1 .txt file)"));
}

TEST_CASE("Members of shards that are not read are counted by kind") {
  if (!reads_shards()) return;
  const TempDir dir;
  const std::string png = text_of(small_png()), heic = std::string("\0\0\0\x18", 4) + "ftypheic" + std::string(20, ' ');
  const auto left_out_of = [&dir](const std::string& members) {
    return ShardPictureList(Opened({dir.write("0.tar", members + tar_end())}).shards).left_out();
  };
  CHECK(left_out_of(tar_member("1.png", png) + tar_member("1.cls", "a") + tar_member("1.json", "{}")).empty());
  CHECK(left_out_of(tar_header("folder.x", 0, '5') + tar_member("folder.x/1.png", png)).empty());
  CHECK(left_out_of(tar_member("1.png", png) + tar_member("1.txt", "x") + tar_member("2.png", png) +
                    tar_member("2.TXT", "x") + tar_member("2.cls", "a") + tar_member("3.cls", "a") +
                    tar_member("4.heic", heic) + tar_member("5.b.img", png)) ==
        "1 .heic picture, 1 .img picture, 1 .cls file, 2 .txt files");
  CHECK(left_out_of(tar_member("1.png", png) + tar_member("1.json", "{}") + tar_member("2.png", png) +
                    tar_member("2.json", "{}") + tar_member("2.cls", " ")) ==
        "1 .cls file that says no label, 2 .json files that say no label");
  CHECK(left_out_of(tar_member("1.png", png) + tar_member("1.json", R"({"label": [0]})") + tar_member("2.png", png) +
                    tar_member("2.json", "{}") + tar_member("3.png", png) + tar_member("3.cls", "a")) ==
        "1 .json file that says no label");  // of labels that cannot be read, the shards tell
  std::string kinds = tar_member("1.png", png);
  for (char c = 'a'; c <= 'k'; ++c) kinds += tar_member(std::string("1.") + c, "x");
  CHECK_THAT(left_out_of(kinds), Contains("1 .h file, 3 other files"));
}
