// Lists of pairs: which columns, what is left out, groups, parts, and the data set of two parts.

#include <simclr/core/error.h>
#include <simclr/data/loader.h>
#include <simclr/data/pairs/pair_shards.h>
#include <simclr/data/pairs/pairs.h>
#include <simclr/data/subset.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/shards.h"
#include "support/tar.h"
#include "support/temp_dir.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::TempDir;
using Numbers = std::vector<std::int32_t>;
using Texts = std::vector<std::string>;

namespace {

bool is_half(std::string_view value) {
  return value.ends_with(".png") || value.ends_with(".wav");
}

/// Writes the list and, empty, all files that it names but those called "gone".
std::string write_list(const TempDir& dir, const std::string& text, const std::string& name = "list.tsv") {
  std::string field;
  for (const char c : text + "\n") {
    if (c != '\t' && c != ',' && c != '\n') {
      field += c;
    } else {
      if (is_half(field) && field.find("gone") == std::string::npos) dir.write(field, std::string());
      field.clear();
    }
  }
  return dir.write(name, text);
}

PairList read(const std::string& path, const std::string& columns = "") {
  return read_pair_list(path, columns, is_half);
}

/// Sample i of side `from` + i: one byte.
class Side final : public Dataset {
 public:
  Side(std::int64_t size, std::uint8_t from) {
    for (std::int64_t i = 0; i < size; ++i) bytes_.push_back(static_cast<std::uint8_t>(from + i));
  }
  std::int64_t size() const override { return std::ssize(bytes_); }
  Sample sample(std::int64_t i, int) const override {
    SIMCLR_CHECK(bytes_[static_cast<std::size_t>(i)] != 13, "side: 13 cannot be read");
    return {.bytes = std::as_bytes(std::span(bytes_)).subspan(static_cast<std::size_t>(i), 1),
            .shape = {1},
            .label = 7,
            .owner = nullptr};
  }
  std::int32_t label(std::int64_t) const override { return 7; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "side"; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::vector<std::string> classes_;
};

}  // namespace

TEST_CASE("a list's first two columns of files are the halves, with or without a header") {
  const TempDir dir;
  const PairList list = read(write_list(dir,
                                        "image\tcategory\tcaption\tspeech\n"
                                        "a.png\tbird\tA bird.\ta.wav\n"
                                        "sub/b.png\tcat\tA cat.\t./sub/b.wav\n"
                                        "a.png\tbird\tA bird.\tother.wav\n"));
  CHECK(list.size() == 3);
  CHECK(list.sides[0].column == "image");
  CHECK(list.sides[1].column == "speech");
  CHECK(list.sides[0].halves == Texts{"a.png", "sub/b.png"});
  CHECK(list.sides[1].halves == Texts{"a.wav", "sub/b.wav", "other.wav"});
  CHECK(list.pairs[2] == std::array<std::int32_t, 2>{0, 2});
  CHECK(list.path(1, 1) == dir.path("sub/b.wav"));
  CHECK(list.classes == Texts{"bird", "cat"});
  CHECK(list.labels == Numbers{0, 1, 0});
  CHECK(list.part_of.empty());
  CHECK(list.left_out.empty());

  const PairList bare = read(write_list(dir, "x,1.png,1.wav\ny,2.png,2.wav\n", "bare.csv"));
  CHECK(bare.size() == 2);
  CHECK(bare.sides[0].column == "column 2");
  CHECK(bare.classes.empty());
  CHECK(bare.labels == Numbers{-1, -1});
}

TEST_CASE("columns are named, by what they are called or by their numbers") {
  const TempDir dir;
  const std::string path = write_list(dir, "a\tb\tc\n1.png\t2.png\t3.wav\n4.png\t5.png\t6.wav\n");
  CHECK(read(path).sides[1].column == "b");
  CHECK(read(path, "a,c").sides[1].column == "c");
  CHECK(read(path, "3,1").sides[0].halves == Texts{"3.wav", "6.wav"});
  CHECK_THAT(message_of([&] { read(path, "a,d"); }), Contains("has no column d; it has a, b, c"));
  CHECK_THAT(message_of([&] { read(path, "a"); }), Contains("two columns of the list with a comma between"));
  CHECK_THAT(message_of([&] { read(path, "b,2"); }), Contains("is one column twice"));
  CHECK(read(path, "c,a").columns == "c,a");
  CHECK(selected_pairs(read(path), {0}).columns == "a,b");
  const PairList alike = read(write_list(dir, "a\ta\n1.png\t2.png\n", "alike.tsv"));
  CHECK(alike.columns == "1,2");
  CHECK(alike.sides[0].column == "a (column 1)");
  CHECK(alike.sides[1].column == "a (column 2)");
  // The first row need not be whole.
  const PairList late = read(write_list(dir, "x\ty\tz\n1.png\t\tA word.\n2.png\t3.wav\tA word.\n", "late.tsv"));
  CHECK(late.size() == 1);
  CHECK(late.sides[1].column == "y");
  CHECK(late.left_out == Texts{"1 pair without a y"});
  const std::string one = write_list(dir, "path\tname\n1.png\tx\n2.png\ty\n", "one.tsv");
  CHECK_THAT(message_of([&] { read(one); }), Contains("only one of the columns path, name has the paths of files") &&
                                                 Contains("the first row is taken for their names"));
  const std::string two = write_list(dir, "image\tsound\n1.png\t1.wav\n", "two.tsv");
  CHECK_THAT(message_of([&] {
               read_pair_list(two, "", is_half, {PairValues::texts, PairValues::found});
             }),
             Contains("only one of the columns image, sound can be taken, since none is called caption, text or "
                      "sentence; a pair has two: say by --columns which"));
  const std::string alone = write_list(dir, "path\tcaption\n1.png\tA bird\n2.png\tA cat\n", "alone.tsv");
  CHECK_THAT(message_of([&] {
               read_pair_list(alone, "", is_half, {PairValues::texts, PairValues::texts});
             }),
             Contains("only one of the columns path, caption can be taken, since no other column is called caption, "
                      "text or sentence; a pair"));
  const std::string nameless = write_list(dir, "1.png\tA word.\n2.png\tAnother.\n", "nameless.tsv");
  CHECK_THAT(message_of([&] { read(nameless); }),
             Contains("the first row names a file, so that the columns have no names"));
}

TEST_CASE("a column of texts has the halves themselves, and pairs of one picture or one text are a group") {
  const TempDir dir;
  const std::string path = write_list(dir,
                                      "id\timage\tcaption\n"
                                      "1\t1.png\tA red bird.\n"
                                      "2\t1.png\tIt sings\n"
                                      "3\t2.png\tA red bird.\n"
                                      "4\t3.png\tsee notes.png\n");
  const PairList list = read(path);  // the second column of files there is not, but one is called as texts are
  CHECK(list.sides[0].column == "image");
  CHECK_FALSE(list.sides[0].texts);
  CHECK(list.sides[1].column == "caption");
  CHECK(list.sides[1].texts);
  CHECK(list.sides[1].halves == Texts{"A red bird.", "It sings", "see notes.png"});
  CHECK(list.groups == Numbers{0, 0, 0, 1});
  CHECK(list.path(1, 1) == "It sings");
  CHECK(selected_pairs(list, {3}).sides[1].texts);
  const std::shared_ptr<const Dataset> pairs =
      pair_dataset(list, {std::make_shared<Side>(3, 100), std::make_shared<Side>(3, 20)});
  CHECK(pairs->place(1) == dir.path("1.png") + " and \"It sings\"");
  // A column that is asked for is of texts where it has no files, and wherever that is said.
  CHECK(read(path, "caption,id").sides[1].halves == Texts{"1", "2", "3", "4"});
  CHECK(read_pair_list(path, "image,id", is_half, {PairValues::texts, PairValues::found}).sides[0].texts);
  CHECK(read_pair_list(path, "", is_half, {PairValues::texts, PairValues::files}).sides[0].column == "caption");
  const std::string clips = dir.write("clips.tsv", std::string("image\tclip\n1.png\ta/1.mov\n2.png\ta/2.mov\n"));
  CHECK_THAT(message_of([&] { read(clips, "image,clip"); }),
             Contains("the column clip has the paths of files that are not read: a/1.mov"));
  CHECK(read_pair_list(clips, "image,clip", is_half, {PairValues::files, PairValues::texts}).size() == 2);
}

TEST_CASE("quotes in the captions of a TSV are text, as the reader of texts has it") {
  const TempDir dir;
  const PairList list = read(write_list(dir,
                                        "image\tcaption\tid\n"
                                        "1.png\t\"Stop\" says a sign\t1\n"
                                        "2.png\t\"It is open\t2\n"
                                        "3.png\t\"A \"\"red\"\" bird\"\t3\t\t\n"
                                        "4.png\tA cat\t4\textra\n"));
  CHECK(list.sides[1].halves == Texts{"\"Stop\" says a sign", "\"It is open", "A \"red\" bird"});
  CHECK(list.left_out == Texts{"1 pair that cannot be read"});
  // A field of several lines is one where the lines are no rows.
  const PairList quoted = read(write_list(dir, "image\tcaption\n1.png\t\"Two\nlines\"\n2.png\tOne\n", "two.tsv"));
  CHECK(quoted.sides[1].halves == Texts{"Two\nlines", "One"});
}

TEST_CASE("of several columns of texts the likeliest is a side") {
  const TempDir dir;
  const std::string rows = "1.png\tNo. 1\tA bird\n2.png\tNo. 2\tA cat\n";
  CHECK(read(write_list(dir, "image\ttitle\tcaption\n" + rows)).sides[1].column == "caption");
  const std::array<PairValues, 2> texts = {PairValues::texts, PairValues::texts};
  const PairList both = read_pair_list(write_list(dir, "image\ttitle\tcaption\n" + rows), "", is_half, texts);
  CHECK(both.sides[0].column == "caption");
  CHECK(both.sides[1].column == "title");
}

TEST_CASE("a side's files are of one kind, that of most of its column") {
  const TempDir dir;
  const IsHalf kind = [](std::string_view value) {
    return value.ends_with(".png") ? 1 : value.ends_with(".wav") ? 2 : 0;
  };
  const std::string path = write_list(dir,
                                      "image\tsound\n1.wav\t1.wav\n1.png\t1.wav\n2.png\t2.wav\n3.png\t3.wav\n"
                                      "4.png\t4.png\n");
  const PairList list = read_pair_list(path, "", kind);
  CHECK(list.sides[0].halves == Texts{"1.png", "2.png", "3.png"});
  CHECK(list.sides[1].halves == Texts{"1.wav", "2.wav", "3.wav"});
  CHECK(list.left_out == Texts{"1 pair whose image cannot be read", "1 pair whose sound cannot be read"});
  REQUIRE_FALSE(list.warnings.empty());
  CHECK_THAT(list.warnings[0], Contains("line 2: 1.wav is of another kind than most files of the first rows in this "
                                        "column: --first and --second say which kind is taken"));
  CHECK(read_pair_list(path, "", kind, {}, {2, 0}).sides[0].column == "sound");  // as is asked for
  CHECK(read_pair_list(path, "", kind, {}, {2, 0}).sides[1].column == "image");
  // A kind that is asked for is taken, though the first rows have another.
  const PairList few = read_pair_list(path, "image,sound", kind, {}, {0, 1});
  CHECK(few.sides[1].halves == Texts{"4.png"});
  REQUIRE_FALSE(few.warnings.empty());
  CHECK_THAT(few.warnings.back(), Contains("1 more pair left out"));
  CHECK_THAT(few.warnings[1], Contains("line 3: 1.wav is of another kind than this side holds"));
}

TEST_CASE("texts that differ by the blanks around them are one half") {
  const TempDir dir;
  const PairList list = read(write_list(dir,
                                        "image,caption\n1.png,\"a dog \"\n2.png,\"a dog\"\n3.png,\"a dog\n\"\n"
                                        "4.png,a cat\n3.png,\" a dog\"\n",
                                        "blanks.csv"));
  CHECK(list.sides[1].halves == Texts{"a dog", "a cat"});
  CHECK(list.groups == Numbers{0, 0, 0, 1});
  CHECK(list.left_out == Texts{"1 pair that a row before names"});
}

TEST_CASE("a text that cannot be one costs its pair alone") {
  const TempDir dir;
  const PairList list = read(write_list(dir, "image\tcaption\n1.png\tA bird\n2.png\tbr\xffken\n3.png\t\n4.png\t" +
                                                 std::string(100'001, 'x') + "\n5.png\tA cat\n"));
  CHECK(list.sides[1].halves == Texts{"A bird", "A cat"});
  CHECK(list.left_out ==
        Texts{"1 pair that cannot be read", "1 pair whose caption cannot be read", "1 pair without a caption"});
  REQUIRE(list.warnings.size() == 3);
  CHECK_THAT(list.warnings[0], Contains("line 5: has 100007 bytes, and a text at most 100000"));
  CHECK_THAT(list.warnings[1], Contains("line 3: has a text that is not in UTF-8 (pair left out)"));
  const PairList blank = read(write_list(dir, "image,caption\n1.png,\" \n\t\"\n2.png,A cat\n", "blank.csv"));
  CHECK(blank.left_out == Texts{"1 pair without a caption"});
  CHECK_THAT(blank.warnings[0], Contains("line 2: has no caption (pair left out)"));
  const PairList longer = read(write_list(
      dir, std::string("image,caption\n1.png,\"A\n\"\n2.png,") + std::string(100'001, 'x') + "\n", "long.csv"));
  CHECK(longer.left_out == Texts{"1 pair whose caption cannot be read"});
  CHECK_THAT(longer.warnings[0], Contains("line 4: has 100001 bytes, and a text at most 100000 (pair"));
}

TEST_CASE("a pair whose other half is missing is named and counted, and the others stay") {
  const TempDir dir;
  const PairList list = read(write_list(dir,
                                        "drawing\tsound\n"
                                        "1.png\t1.wav\n"
                                        "2.png\t\n"
                                        "3.png\tgone3.wav\n"
                                        "gone4.png\t4.wav\n"
                                        "5.png\t5.txt\n"
                                        "1.png\t1.wav\n"
                                        "6.png\t6.wav\textra\n"
                                        "7.png\t7.wav\n"));
  CHECK(list.sides[0].halves == Texts{"1.png", "7.png"});
  CHECK(list.pairs.size() == 2);
  const std::set<std::string> left_out(list.left_out.begin(), list.left_out.end());
  CHECK(left_out == std::set<std::string>{"1 pair without a sound", "1 pair whose sound is missing",
                                          "1 pair whose drawing is missing", "1 pair whose sound cannot be read",
                                          "1 pair that a row before names", "1 pair that cannot be read"});
  REQUIRE(list.warnings.size() == 4);  // three by name, then a count
  const auto named = [&](const std::string& what) {
    return std::any_of(list.warnings.begin(), list.warnings.end(),
                       [&](const std::string& line) { return line.find(what) != std::string::npos; });
  };
  CHECK(named("list.tsv, line 3: has no sound (pair left out)"));
  CHECK(named("list.tsv, line 8: has 3 fields, the first row 2 (pair left out)"));
  CHECK_THAT(list.warnings[3], Contains("3 more pairs left out"));
  // Which half is missing is said, with its name.
  const PairList one = read(write_list(dir, "a\tb\n1.png\t1.wav\n2.png\tgone.wav\n", "gone.tsv"));
  REQUIRE(one.warnings.size() == 1);
  CHECK_THAT(one.warnings[0], Contains("gone.tsv, line 3: gone.wav is missing (pair left out)"));
}

TEST_CASE("a list of no pair is refused in one line") {
  const TempDir dir;
  CHECK_THAT(message_of([&] { read(write_list(dir, "a\tb\ngone1.png\tgone1.wav\ngone2.png\tgone2.wav\n")); }),
             Contains("no pair is left of 2 rows (left out: 2 pairs whose a is missing)") && Contains("The first: ") &&
                 Contains("line 2: gone1.png is missing"));
  CHECK_THAT(message_of([&] { read(write_list(dir, "")); }), Contains("list.tsv: is empty"));
  CHECK_THAT(message_of([&] { read(dir.path("nowhere.tsv")); }), Contains("there is no such file"));
}

TEST_CASE("pairs that share a half are one group, through others too") {
  const TempDir dir;
  const PairList list = read(write_list(dir,
                                        "1.png,a.wav\n"   // 0
                                        "2.png,b.wav\n"   // 1
                                        "1.png,c.wav\n"   // 0: another sound of 1
                                        "3.png,c.wav\n"   // 0: shares c
                                        "4.png,d.wav\n",  // 2
                                        "list.csv"));
  CHECK(list.groups == Numbers{0, 1, 0, 0, 2});
  CHECK(list.sides[0].groups == Numbers{0, 1, 0, 2});
  CHECK(list.sides[1].groups == Numbers{0, 1, 0, 2});

  const PairList some = selected_pairs(list, {4, 3});
  CHECK(some.sides[0].halves == Texts{"4.png", "3.png"});
  CHECK(some.sides[1].halves == Texts{"d.wav", "c.wav"});
  CHECK(some.groups == Numbers{0, 1});
  CHECK(some.sides[1].groups == Numbers{0, 1});
  CHECK(some.pairs[1] == std::array<std::int32_t, 2>{1, 1});
  CHECK_THROWS_AS(selected_pairs(list, {5}), Error);
}

TEST_CASE("pairs that others alone join are no group without these") {
  const TempDir dir;
  const PairList list = read(write_list(dir, "a.png,a.wav\nb.png,b.wav\na.png,b.wav\n", "list.csv"));
  CHECK(list.groups == Numbers{0, 0, 0});
  const PairList without = selected_pairs(list, {0, 1});
  CHECK(without.groups == Numbers{0, 1});
  CHECK(without.sides[0].groups == Numbers{0, 1});
  CHECK(without.sides[1].groups == Numbers{0, 1});
}

TEST_CASE("no half is in both parts of a split") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 60; ++i) text += std::to_string(i / 2) + ".png," + std::to_string(i) + ".wav\n";
  const auto parts = split_pairs(read(write_list(dir, text, "list.csv")), 5);
  CHECK(parts[0].size() == 48);
  CHECK(parts[1].size() == 12);
  std::set<std::string> known(parts[0].sides[0].halves.begin(), parts[0].sides[0].halves.end());
  for (const std::string& half : parts[1].sides[0].halves) CHECK_FALSE(known.contains(half));
  const PairList two = read(write_list(dir, "a.png,a.wav\na.png,b.wav\n", "two.csv"));
  CHECK_THAT(message_of([&] { split_pairs(two, 5); }), Contains("too few to keep every 5th"));
}

TEST_CASE("pairs are samples of two parts with their own labels and groups, and a broken half costs its pair alone") {
  const TempDir dir;
  PairList list =
      read(write_list(dir, "a,b,label\n1.png,1.wav,x\n2.png,2.wav,y\n1.png,3.wav,x\n3.png,4.wav,\n", "list.csv"));
  const std::shared_ptr<const Dataset> pairs =
      pair_dataset(list, {std::make_shared<Side>(3, 100), std::make_shared<Side>(4, 10)});
  CHECK(pairs->parts() == 2);
  CHECK(pairs->size() == 4);
  CHECK(static_cast<int>(pairs->sample(2, 0).bytes[0]) == 100);
  CHECK(static_cast<int>(pairs->sample(2, 1).bytes[0]) == 12);
  CHECK(pairs->sample(1, 1).label == 1);
  CHECK(pairs->label(3) == -1);
  CHECK(pairs->groups() == Numbers{0, 1, 0, 2});
  CHECK(pairs->place(1) == dir.path("2.png") + " and " + dir.path("2.wav"));
  CHECK_THAT(pairs->describe(), Contains("4 pairs of a and b in ") && Contains("2 classes"));
  CHECK_THROWS_AS(pairs->sample(4, 0), Error);
  CHECK_THROWS_AS(pairs->sample(0, 2), Error);
  CHECK(subset(pairs, {3, 1})->groups() == Numbers{2, 1});

  class Byte final : public ViewMaker {
   public:
    Shape view_shape() const override { return {1}; }
    std::int32_t make_view(const Sample& sample, const ViewKey&, std::byte* out) const override {
      *reinterpret_cast<float*>(out) = sample.values<std::uint8_t>()[0];
      return 1;
    }
  };
  const auto maker = std::make_shared<Byte>();
  std::vector<std::string> warnings;
  const Loader loader(pairs, {{.maker = maker, .views = 1, .part = 0}, {.maker = maker, .views = 1, .part = 1}},
                      {.batch_size = 4, .on_warning = [&](const std::string& text) { warnings.push_back(text); }});
  for (const Batch& batch : loader.epoch(0)) {
    for (std::int64_t row = 0; row < 4; ++row) {
      const std::int64_t i = batch.indices[static_cast<std::size_t>(row)];
      CHECK(i != 3);  // its second half is the 13
      CHECK(batch.towers[0].x.to_vector<float>()[static_cast<std::size_t>(row)] == (i == 1 ? 101 : 100));
      CHECK(batch.towers[1].x.to_vector<float>()[static_cast<std::size_t>(row)] == static_cast<float>(10 + i));
      CHECK(batch.towers[1].groups.to_vector<std::int32_t>()[static_cast<std::size_t>(row)] == (i == 1 ? 1 : 0));
    }
  }
  CHECK(loader.skipped() == 1);
  CHECK(warnings.size() == 1);

  CHECK_THAT(message_of([&] {
               pair_dataset(list, {std::make_shared<Side>(2, 0), std::make_shared<Side>(4, 0)});
             }),
             Contains("2 samples for the 3 halves of a"));
}

TEST_CASE("Pairs lie in tar shards, two members of each sample") {
  if (!reads_shards()) return;
  const TempDir dir;
  std::string tar;
  for (const char* name : {"a/1.png", "a/1.wav", "a/1.cls", "a/2.wav", "a/3.png", "a/3.txt", "a/4.wav", "a/4.png"}) {
    tar += test::tar_member(name, name == std::string("a/1.cls") ? "cat" : name);
  }
  const test::Opened opened({dir.write("1.tar", tar + std::string(1024, '\0'))});
  const PairList list = read_pair_shards(opened.shards, "", is_half);
  CHECK(list.sides[0].column == "png");
  CHECK(list.sides[1].column == "wav");
  REQUIRE(list.size() == 2);
  CHECK(list.groups == Numbers{0, 1});
  CHECK(list.labels == Numbers{0, -1});
  CHECK(list.classes == Texts{"cat"});
  CHECK(list.left_out == Texts{"1 pair without a png", "1 pair without a wav"});
  REQUIRE(list.warnings.size() == 2);
  CHECK_THAT(list.warnings[0], Contains("a/2.wav: there is no png of this name beside it"));
  const PairMember wav = list.sides[1].members[1];
  CHECK(test::text_of(opened->read(wav.sample, wav.member)) == "a/4.wav");
  // What is selected keeps where its halves are.
  const PairList second = selected_pairs(list, {1});
  REQUIRE(second.sides[0].members.size() == 1);
  CHECK(second.sides[0].members[0].sample == list.sides[0].members[1].sample);
  CHECK(second.shards == opened.shards);
  CHECK_THAT(second.path(0, 0), Contains("1.tar: a/4.png"));
  CHECK(read_pair_shards(opened.shards, "wav,png", is_half).sides[0].column == "wav");
  CHECK_THAT(message_of([&] { read_pair_shards(opened.shards, "png", is_half); }), Contains("two endings"));
  CHECK_THAT(message_of([&] { read_pair_shards(opened.shards, "png,flac", is_half); }),
             Contains("no sample has both a png and a flac"));
  CHECK_THAT(message_of([&] { read_pair_shards(opened.shards, "", [](auto v) { return v.ends_with(".png"); }); }),
             Contains("only one is of a kind that is read"));
}

TEST_CASE("Equal texts in shards are one half, as in lists, and empty ones cost their pairs alone") {
  if (!reads_shards()) return;
  const TempDir dir;
  std::string tar;
  for (const auto& [name, text] : {std::pair{std::string("1"), std::string("a circle\n")},
                                   {"2", "a square"},
                                   {"3", "a circle"},
                                   {"4", " \n"},
                                   {"5", "\xff"},
                                   {"6", std::string("a\0b", 3)},
                                   {"7", std::string(100'001, 'a')}}) {
    tar += test::tar_member(name + std::string(".png"), name) + test::tar_member(name + std::string(".txt"), text);
  }
  const test::Opened opened({dir.write("1.tar", tar + std::string(1024, '\0'))});
  const PairList list = read_pair_shards(opened.shards, "png,txt", is_half);
  REQUIRE(list.size() == 3);
  CHECK(list.sides[0].halves.size() == 3);
  CHECK(list.sides[1].halves.size() == 2);
  CHECK(list.groups == Numbers{0, 1, 0});
  CHECK(list.sides[0].groups == Numbers{0, 1, 0});
  CHECK(list.sides[1].groups == Numbers{0, 1});
  CHECK(list.left_out == Texts{"3 pairs whose txt cannot be read", "1 pair whose txt is empty"});
  REQUIRE(list.warnings.size() == 4);  // as a list refuses them
  CHECK_THAT(list.warnings[0], Contains("1.tar: 4.txt: has no text (pair left out)"));
  CHECK_THAT(list.warnings[1], Contains("1.tar: 5.txt: has a text that is not in UTF-8 (pair left out)"));
  CHECK_THAT(list.warnings[2], Contains("1.tar: 6.txt: has a text with a byte 0 (pair left out)"));
  CHECK_THAT(list.warnings[3], Contains("1 more pair left out"));
}
