// Tar shards: which members make a sample, where their bytes lie, labels, and what is not whole.

#include <simclr/data/shards.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/shards.h"
#include "support/tar.h"
#include "support/temp_dir.h"

#include <clocale>
#include <filesystem>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::string error_of(const Names& paths) {
  return message_of([&] { Opened opened(paths); });
}

}  // namespace

TEST_CASE("Braces stand for several paths") {
  CHECK(expand_braces("a/{008..011}.tar") == Names{"a/008.tar", "a/009.tar", "a/010.tar", "a/011.tar"});
  CHECK(expand_braces("{01..100}").front() == "001");
  CHECK(expand_braces("{8..010}") == Names{"008", "009", "010"});
  CHECK(expand_braces("{0..10}").front() == "0");
  CHECK(expand_braces("{00..1}") == Names{"00", "01"});
  CHECK(expand_braces("{a,b}-{1..2}") == Names{"a-1", "a-2", "b-1", "b-2"});
  CHECK(expand_braces("one.tar") == Names{"one.tar"});
  CHECK(expand_braces("x{,.old}") == Names{"x", "x.old"});
  CHECK_THAT(message_of([] { expand_braces("a/{0..9.tar"); }), Contains("is not closed"));
  CHECK_THAT(message_of([] { expand_braces("{a,{b,c}}.tar"); }), Contains("braces within braces are not read"));
  CHECK_THAT(message_of([] { expand_braces("{9..0}.tar"); }), Contains("{9..0} is no range"));
  CHECK_THAT(message_of([] { expand_braces("{0..99999999}.tar"); }), Contains("at most 1000000"));
  CHECK_THAT(message_of([] { expand_braces("{0..999999}{0..9}.tar"); }), Contains("more than 1000000 paths"));
}

TEST_CASE("Members of one key make a sample, in the order of the shards") {
  if (no_shards()) return;
  const TempDir dir;
  const std::string first =
      dir.write("0.tar", tar_header("a", 0, '5') + tar_member("./a/7.JPG", "seven") + tar_member("a/8.jpg", "eight") +
                             tar_member("a/7.cls", "10") + tar_member("a/8.seg.png", std::string(600, 'm')) +
                             tar_member("a/8.cls", "9\n") + tar_end());
  const std::string second =
      dir.write("1.tar", tar_member("a/7.jpg", "other") + tar_member("a/7.json", "{\"label\": -3}") +
                             tar_member("b.txt", "") + tar_end());
  const Opened shards({first, second});
  CHECK(shards.all() == Names{"a/7: jpg=seven cls=10", "a/8: jpg=eight seg.png=" + std::string(600, 'm') + " cls=9\n",
                              "a/7: jpg=other json={\"label\": -3}", "b: txt="});
  CHECK(shards->classes() == Names{"-3", "9", "10"});  // by value
  CHECK(shards->label(0) == 2);
  CHECK(shards->label(1) == 1);
  CHECK(shards->label(2) == 0);
  CHECK(shards->label(3) == -1);
  CHECK(shards.warnings.empty());
  CHECK(shards->describe() == "2 shards in " + dir.path());
  CHECK(shards->name(1, 1) == first + ": a/8.seg.png");
  CHECK_THAT(message_of([&] { (void)shards->label(4); }), Contains("sample 4 of 4"));
  CHECK_THAT(message_of([&] { (void)shards->member(3, 1); }), Contains("member 1 of 1"));
}

TEST_CASE("Labels are names where they are not all numbers; cls goes before json") {
  if (no_shards()) return;
  const TempDir dir;
  const Opened shards(
      {dir.write("0.tar", tar_member("1.json", R"({"class": "owl", "width": 3})") + tar_member("1.cls", "10") +
                              tar_member("2.json", R"({"label": "cat"})") + tar_member("3.cls", "9") +
                              tar_member("3.json", R"({"label": "dog"})") + tar_member("4.json", "no json") +
                              tar_member("5.json", R"({"label": 9.0})") + tar_member("6.json", R"({"label": true})") +
                              tar_member("7.json", R"({"label": 0.5})") + tar_end())});
  CHECK(shards->label(3) == -1);
  CHECK(shards->label(4) == shards->label(2));
  CHECK(shards->classes()[static_cast<std::size_t>(shards->label(5))] == "true");
  CHECK(shards->label(6) == -1);
  const auto name_of = [&](std::int64_t i) { return shards->classes()[static_cast<std::size_t>(shards->label(i))]; };
  CHECK(name_of(0) == "10");
  CHECK(name_of(1) == "cat");
  CHECK(name_of(2) == "9");
  CHECK(shards->classes() == Names{"10", "9", "cat", "true"});  // no "owl", which cls overrules
}

TEST_CASE("Labels that cannot be read are counted, and the first is named") {
  if (no_shards()) return;
  const TempDir dir, cache;
  const std::string path = dir.write(
      "0.tar", tar_member("1.json", "{}") + tar_member("2.json", R"({"label": null})") + tar_member("3.json", "{bad") +
                   tar_member("3.cls", "cat") + tar_member("4.json", R"({"label": [0], "class": "dog"})") +
                   tar_member("5.json", R"({"label": [0]})") + tar_member("6.json", "{bad") +
                   tar_member("7.cls", std::string(std::size_t{1} << 20, ' ') + "cat") + tar_end());
  for (int i = 0; i < 2; ++i) {  // made, and kept
    const Opened shards({path}, cache.path());
    CHECK(shards->classes() == Names{"cat", "dog"});
    Names labels;
    for (std::int64_t k = 0; k < shards->size(); ++k) labels.push_back(std::to_string(shards->label(k)));
    CHECK(labels == Names{"-1", "-1", "0", "1", "-1", "-1", "-1"});
    REQUIRE(shards.warnings.size() == 1);
    CHECK_THAT(shards.warnings[0], Contains("the labels of 3 samples cannot be read, the first of " + path +
                                            ": 5.json; .json has \"label\":"));
  }
}

TEST_CASE("Labels that say that there is none are those of a list") {
  if (no_shards()) return;
  const TempDir dir;
  const auto opened = [&dir](const std::string& name, const Names& labels) {
    std::string bytes;
    for (std::size_t i = 0; i < labels.size(); ++i) bytes += tar_member(std::to_string(i) + ".cls", labels[i]);
    return std::make_unique<Opened>(
        Names{dir.write(name, bytes + tar_member("json.json", R"({"label": -1})") + tar_end())});
  };
  const auto some = opened("some.tar", {"0", "-1", "2", "nan", "NaN"});
  CHECK((*some)->classes() == Names{"0", "2"});
  CHECK((*some)->label(1) == -1);
  CHECK((*some)->label(2) == 1);
  CHECK((*some)->label(3) == -1);
  CHECK((*some)->label(5) == -1);
  REQUIRE(some->warnings.size() == 1);
  CHECK_THAT(some->warnings[0],
             Contains("some.tar: taken as unlabelled: 2 samples of label -1, 1 sample of label NaN"));
  const auto signs = opened("signs.tar", {"1", "-1"});
  CHECK((*signs)->classes() == Names{"-1", "1"});
  CHECK((*signs)->label(2) == 0);
}

TEST_CASE("A refused shard names no classes") {
  if (no_shards()) return;
  const TempDir dir;
  const Opened shards({dir.write("0.tar", tar_member("1.cls", "cat") + sparse_member("2.jpg") + tar_end()),
                       dir.write("1.tar", tar_member("1.jpg", "one") + tar_member("1.cls", "dog") + tar_end())});
  CHECK(shards->classes() == Names{"dog"});
  CHECK(shards->label(0) == 0);
}

TEST_CASE("The bytes behind long and foreign names are found") {
  if (no_shards()) return;
  REQUIRE(std::setlocale(LC_ALL, "C") != nullptr);  // where a foreign name gives a warning
  const TempDir dir;
  const std::string deep = "folder/" + std::string(180, 'n') + "/x", foreign = "Vögel/größe";
  const Opened shards(
      {dir.write("0.tar", tar_member(foreign + ".jpg", "plain") + pax_member(deep + "1.jpg", "pax") +
                              gnu_member(deep + "2.jpg", "gnu") + pax_member(foreign + "2.jpg", "both") +
                              tar_member("last.jpg", "last") + tar_end())});
  CHECK(shards.all() == Names{foreign + ": jpg=plain", deep + "1: jpg=pax", deep + "2: jpg=gnu",
                              foreign + "2: jpg=both", "last: jpg=last"});
  CHECK(shards->member(1, 0).offset % 512 == 0);
}

TEST_CASE("What belongs to no sample is counted") {
  if (no_shards()) return;
  const TempDir dir;
  const std::string path = dir.write("0.tar", tar_member("./1.JPG", "old") + tar_member("README", "x") +
                                                  tar_member(".hidden", "x") + tar_member("__key__.json", "{}") +
                                                  tar_header("2.jpg", 0, '2') + tar_member("1.jpg", "new") + tar_end());
  const Opened shards({path});
  CHECK(shards.all() == Names{"1: jpg=new"});
  REQUIRE(shards.warnings.size() == 1);
  CHECK(shards.warnings[0] == "left out of the shards: 3 members whose names are no key.ending (the first: " + path +
                                  ": README), "
                                  "1 link or device (" +
                                  path + ": 2.jpg), 1 member whose name occurs again (" + path + ": ./1.JPG)");
}

TEST_CASE("Shards without a sample are named") {
  if (no_shards()) return;
  const TempDir dir, cache;
  const std::string good = dir.write("0.tar", tar_member("1.jpg", "one") + tar_end());
  const Names paths = {good, dir.write("1.tar", tar_end()),
                       dir.write("2.tar", tar_header("folder", 0, '5') + tar_end())};
  for (int i = 0; i < 2; ++i) {  // made, and kept
    const Opened shards(paths, cache.path());
    CHECK(shards.warnings == Names{"2 shards hold no sample: " + paths[1] + ", " + paths[2]});
    CHECK(shards->describe() == "the shard " + good);
  }
  CHECK(Opened({good}).warnings.empty());
}

TEST_CASE("A member is called as the shard calls it") {
  if (no_shards()) return;
  const TempDir dir, cache;
  const std::string path = dir.write("0.tar", tar_member("./a/7.JPG", "seven") + tar_member("a/8.Seg.PNG", "eight") +
                                                  tar_member("././b.jpg", "b") + tar_end());
  for (int i = 0; i < 2; ++i) {  // made, and kept
    const Opened shards({path}, cache.path());
    CHECK(shards.all() == Names{"a/7: jpg=seven", "a/8: seg.png=eight", "b: jpg=b"});
    CHECK(shards->name(0, 0) == path + ": ./a/7.JPG");
    CHECK(shards->name(1, 0) == path + ": a/8.Seg.PNG");
    CHECK(shards->name(2, 0) == path + ": ././b.jpg");
  }
}

TEST_CASE("A shard that is not whole serves what comes before, and the others serve") {
  if (no_shards()) return;
  const TempDir dir;
  const std::string whole = tar_member("1.jpg", "one") + tar_member("2.jpg", std::string(2000, '2'));
  const std::string good = dir.write("good.tar", tar_member("0.jpg", "zero") + tar_end());
  const auto warning_of = [&](const std::string& bytes, std::int64_t samples) {
    const std::string path = dir.write("bad.tar", bytes);
    const Opened shards({path, good});
    CHECK(shards->size() == samples + 1);
    CHECK(shards.all().back() == "0: jpg=zero");
    REQUIRE(shards.warnings.size() == 1);
    CHECK_THAT(shards.warnings[0], Contains(path));
    return shards.warnings[0];
  };
  CHECK_THAT(warning_of(whole.substr(0, 2000), 1), Contains("is cut off within 2.jpg (1 sample of it used)"));
  CHECK_THAT(warning_of(whole.substr(0, 1100), 1), Contains("is cut off behind byte 515 (") && Contains("(1 sample"));
  CHECK_THAT(warning_of(whole, 2), Contains("ends without the mark") && Contains("(2 samples of it used)"));
  CHECK_THAT(warning_of(whole + std::string(512, 'g') + tar_end(), 2), Contains("is damaged behind byte"));
  CHECK_THAT(warning_of("", 0), Contains("the file is empty (shard left out)"));
  CHECK_THAT(warning_of(text_of(small_png()), 0), Contains("is no tar file"));
  CHECK_THAT(warning_of(text_of(gzipped(Bytes(whole.begin(), whole.end()))), 0),
             Contains("is compressed by gzip") && Contains("unpack it"));
  CHECK_THAT(warning_of(tar_member("1.jpg", "one") + sparse_member("2.jpg") + tar_end(), 0),
             Contains("sparse member, 2.jpg"));
  CHECK_THAT(error_of({dir.path("bad.tar")}), Contains("sparse member") && !Contains("left out"));
  const Opened missing({dir.path("none.tar"), good});
  CHECK_THAT(missing.warnings.at(0), Contains("none.tar: No such file") && Contains("(shard left out)"));
  CHECK_THAT(error_of({dir.path("none.tar"), dir.path("none2.tar")}),
             Contains("none of the 2 shards has a sample") && !Contains("left out"));
  Names warnings;  // of what is the error, none
  const ShardOptions options{.on_warning = [&warnings](const std::string& line) { warnings.push_back(line); }};
  CHECK_THAT(message_of([&] { Shards({dir.path("none.tar")}, options); }), Contains("none.tar: No such file"));
  CHECK(warnings.empty());
}

TEST_CASE("Tar files that were joined are read to the end") {
  if (no_shards()) return;
  const TempDir dir;
  const Opened shards(
      {dir.write("0.tar", tar_member("1.jpg", "one") + tar_end() + tar_member("2.jpg", "two") + tar_end())});
  CHECK(shards.all() == Names{"1: jpg=one", "2: jpg=two"});
}

TEST_CASE("Zeros where members may have been are named") {
  if (no_shards()) return;
  const TempDir dir, cache;
  const std::string one = tar_member("1.jpg", "one"), two = pax_member(std::string(120, 'n') + ".jpg", "two");
  const std::string path = dir.path("0.tar");
  const auto warnings_of = [&](const std::string& bytes, std::int64_t samples) {
    dir.write("0.tar", bytes);
    for (int i = 0; i < 2; ++i) {  // made, and kept
      const Opened shards({path}, cache.path());
      CHECK(shards->size() == samples);
      if (i == 1) return shards.warnings;
    }
    return Names{};
  };
  const auto zeros = [&](int bytes, int at) {
    return Names{"1 shard has zeros where members may have been (" + std::to_string(bytes) + " bytes, the first in " +
                 path + ", behind byte " + std::to_string(at) +
                 "): tar files that were joined, or members that are lost; what lies behind them is read"};
  };
  CHECK(warnings_of(one + two + tar_end(), 2).empty());
  CHECK(warnings_of(one + two + tar_end() + std::string(10240, '\0'), 2).empty());
  CHECK(warnings_of(one + tar_end() + two + tar_end(), 2) == zeros(1024, 1024));
  CHECK(warnings_of(one + std::string(512, '\0') + two + tar_end(), 2) == zeros(512, 1024));
  CHECK(warnings_of(one + tar_end() + tar_member("3.jpg", std::string(1024, '\0')) + tar_end() + two + tar_end(), 3) ==
        zeros(2048, 1024));
  CHECK(warnings_of(one + tar_header("folder", 0, '5') + tar_header("1.jpg", 0, '1') + two + tar_end(), 2).size() == 1);
  CHECK(warnings_of(one + std::string(2 << 20, '\0'), 1) == zeros(2 << 20, 1024));  // a copy that was never finished
}
