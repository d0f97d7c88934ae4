// The parts of pairs: who is trained on, asked for and found among, in lists and in shards.
#include "modalities/pair_parts.h"
#include "train/data_files.h"

#include <simclr/data/shards.h>

#include "support/catch.h"
#include "support/tar.h"
#include "support/temp_dir.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using Catch::Contains;
using test::TempDir;
using Numbers = std::vector<std::int32_t>;
using Texts = std::vector<std::string>;

namespace {

bool is_half(std::string_view value) {
  return value.ends_with(".png") || value.ends_with(".wav");
}

/// Of a list without its files.
PairParts open_list(const std::string& path, Datasets& sets) {
  data::PathList files;
  return open_pairs({.data = path}, is_half, sets, files);
}

/// Writes the files, empty, and a list of these rows.
std::string write_list(const TempDir& dir, const std::string& rows) {
  std::string field;
  for (const char c : rows) {
    if (c != '\t' && c != '\n') {
      field += c;
    } else {
      if (is_half(field)) dir.write(field, std::string());
      field.clear();
    }
  }
  return dir.write("list.tsv", rows);
}

}  // namespace

TEST_CASE("a list's parts are trained on, asked for, and found among") {
  const TempDir dir;
  std::string text = "a\tb\tsplit\n";
  const std::vector<std::string> parts = {"train", "train", "train", "test", "gallery", "val", ""};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string n = std::to_string(i);
    dir.write("a" + n + ".png", std::string());
    dir.write("b" + n + ".png", std::string());
    text += "a" + n + ".png\tb" + n + ".png\t" + parts[i] + "\n";
  }
  const data::PairList list = data::read_pair_list(dir.write("list.tsv", text), "",
                                                   [](std::string_view value) { return value.ends_with(".png"); });
  const PairParts found = parts_of_pairs(list);
  CHECK(found.train.size() == 3);
  CHECK(found.test.size() == 1);
  CHECK(found.candidates.size() == 2);
  CHECK(found.candidates.sides[0].halves == std::vector<std::string>{"a3.png", "a4.png"});
  REQUIRE(found.notes.size() == 2);
  CHECK(found.notes[0] == "not used: 1 pair of the part val");
  CHECK(found.notes[1] == "not used: 1 pair without a part");

  data::PairList whole = list;
  whole.part_of.clear();
  CHECK(parts_of_pairs(whole).test.size() == 0);
  CHECK_THAT(parts_of_pairs(whole).no_test, Catch::Contains("too few pairs"));
}

TEST_CASE("a part of unlabelled pairs is trained on, as in lists of other kinds") {
  const TempDir dir;
  Datasets sets;
  const PairParts parts = open_list(write_list(dir,
                                               "x\ty\tlabel\tsplit\n"
                                               "a.png\ta.wav\tcat\ttrain\n"
                                               "b.png\tb.wav\t\tunlabeled\n"
                                               "c.png\tc.wav\tcat\ttest\n"),
                                    sets);
  CHECK(parts.train.size() == 2);
  CHECK(parts.train.labels == Numbers{0, -1});
  CHECK(parts.notes.empty());
}

TEST_CASE("no row of another part makes a held-out half the positive of one that is trained on") {
  const TempDir dir;
  Datasets sets;
  const PairParts parts = open_list(write_list(dir,
                                               "x\ty\tsplit\n"
                                               "a.png\ta.wav\ttrain\n"
                                               "b.png\tb.wav\ttrain\n"
                                               "a.png\tb.wav\ttest\n"
                                               "c.png\tc.wav\ttest\n"
                                               "c.png\tb.wav\tval\n"),
                                    sets);
  CHECK(parts.train.groups == Numbers{0, 1});
  CHECK(parts.test.groups == Numbers{0, 1});
  CHECK(parts.candidates.sides[1].groups == Numbers{0, 1});
}

TEST_CASE("a list of the same length with other pairs, labels or parts is another") {
  const TempDir dir;
  const std::string head = "x\ty\tlabel\tsplit\n";
  const auto digest = [&](const std::string& rows) {
    Datasets sets;
    open_list(write_list(dir, head + rows), sets);
    return sets.within["the list"];
  };
  const std::string first = "a.png\ta.wav\tcat\ttrain\n", second = "b.png\tb.wav\tdog\t";
  const std::string as_it_is = digest(first + second + "train\nc.png\tc.wav\tcat\ttest\n");
  CHECK_FALSE(as_it_is.empty());
  CHECK(as_it_is == digest(first + second + "train\nc.png\tc.wav\tcat\ttest\n"));
  CHECK(as_it_is != digest(first + second + "test\nc.png\tc.wav\tcat\ttrain\n"));  // other parts
  CHECK(as_it_is != digest(first + second + "train\nc.png\tc.wav\tdog\ttest\n"));  // another label
  CHECK(as_it_is != digest("a.png\tb.wav\tcat\ttrain\nb.png\ta.wav\tdog\ttrain\n"  // other pairs
                           "c.png\tc.wav\tcat\ttest\n"));
}

TEST_CASE("labels of test shards are numbers of the train shards' classes") {
  if (!data::reads_shards()) return;
  const TempDir dir;
  const auto write_tar = [&](const std::string& name, const Texts& classes) {
    std::string tar;
    for (std::size_t i = 0; i < classes.size(); ++i) {
      const std::string n = std::to_string(i);
      tar += test::tar_member(n + ".png", n) + test::tar_member(n + ".wav", n);
      if (!classes[i].empty()) tar += test::tar_member(n + ".cls", classes[i]);
    }
    return dir.write(name, tar + std::string(1024, '\0'));
  };
  const std::string train = write_tar("train-0.tar", {"ant", "bee", "cat", ""});
  write_tar("test-0.tar", {"bee", "cat", "dog", ""});
  Datasets sets;
  data::PathList files;
  const PairParts parts = open_pairs({.data = train, .cache_dir = dir.path("cache")}, is_half, sets, files);
  CHECK(parts.train.classes == Texts{"ant", "bee", "cat", "dog"});
  CHECK(parts.train.labels == Numbers{0, 1, 2, -1});
  CHECK(parts.test.classes == parts.train.classes);
  CHECK(parts.test.labels == Numbers{1, 2, -1, -1});  // who was trained on cats cannot know a dog
  CHECK(parts.candidates.classes == parts.train.classes);
  CHECK(parts.candidates.labels == Numbers{1, 2, 3, -1});  // but there may be a prompt for it
}

TEST_CASE("shards of pairs that are not used are named, without a test part, too") {
  if (!data::reads_shards()) return;
  const TempDir dir;
  for (int shard = 0; shard < 3; ++shard) {
    const std::string n = std::to_string(shard);
    dir.write("train-" + n + ".tar",
              test::tar_member(n + ".png", n) + test::tar_member(n + ".wav", n) + std::string(1024, '\0'));
  }
  const std::string first = dir.path("train-0.tar");
  Datasets sets;
  data::PathList files;
  const PairParts parts =
      open_pairs({.data = first + "::" + first, .cache_dir = dir.path("cache")}, is_half, sets, files);
  const auto noted = [&](const std::string& words) {
    return std::any_of(parts.notes.begin(), parts.notes.end(),
                       [&](const std::string& note) { return Contains(words).match(note); });
  };
  CHECK(parts.train.size() == 1);
  CHECK(noted("not used: " + first + " (named before)"));
  CHECK(noted("(2 shards that --data does not name)"));
}

TEST_CASE("unlabelled shards of pairs are trained on, and a change of these alone leaves the test part") {
  if (!data::reads_shards()) return;
  const TempDir dir;
  const auto write = [&dir](const std::string& name, const std::string& key) {
    return dir.write(
        name, test::tar_member(key + ".png", key) + test::tar_member(key + ".wav", key) + std::string(1024, '\0'));
  };
  const auto open = [&dir](Datasets& sets) {
    data::PathList files;
    return open_pairs({.data = dir.path("train-0.tar"), .cache_dir = dir.path("cache")}, is_half, sets, files);
  };
  write("train-0.tar", "a");
  write("unlabelled-0.tar", "b");
  Datasets alone;
  const PairParts few = open(alone);
  CHECK(few.train.size() == 2);
  CHECK(alone.within_training.empty());  // a fifth of them may be tested on
  const std::string note = "train: " + dir.path("train-0.tar") + " and " + dir.path("unlabelled-0.tar");
  CHECK(std::count(few.notes.begin(), few.notes.end(), note) == 1);
  write("val-0.tar", "c");
  Datasets before, now;
  const PairParts parts = open(before);
  CHECK(parts.train.size() == 2);
  CHECK(parts.test.size() == 1);
  CHECK(std::count(parts.notes.begin(), parts.notes.end(), note + "; test: " + dir.path("val-0.tar")) == 1);
  const auto differs = [&] {
    return test_part_differs({{"within", before.within}}, {{"within", now.within}}, now.within_training);
  };
  write("unlabelled-0.tar", "d");
  open(now);
  CHECK(now.within != before.within);
  CHECK_FALSE(differs());
  write("val-0.tar", "e");
  open(now);
  CHECK(differs());
}

TEST_CASE("pairs and halves that the test part shares with what is trained on are named") {
  const TempDir dir;
  Datasets sets;
  const PairParts parts = open_list(write_list(dir,
                                               "x\ty\tsplit\n"
                                               "a.png\ta.wav\ttrain\n"
                                               "b.png\tb.wav\ttrain\n"
                                               "a.png\ta.wav\ttest\n"
                                               "a.png\tc.wav\ttest\n"
                                               "c.png\td.wav\ttest\n"),
                                    sets);
  const std::set<std::string> notes(parts.notes.begin(), parts.notes.end());
  CHECK(notes.contains("x: 1 of the 2 halves of the test part is trained on, too"));
  CHECK(notes.contains("y: 1 of the 3 halves of the test part is trained on, too"));
  REQUIRE(sets.warnings.size() == 1);
  CHECK_THAT(sets.warnings[0], Contains("list.tsv: 1 of the 3 pairs of the test part is trained on, too: to find it "
                                        "shows nothing"));
}

TEST_CASE("test pairs without a class of the train part stay, and where all do labels are not used") {
  const TempDir dir;
  Datasets sets;
  const std::string train = "x\ty\tlabel\tsplit\na.png\ta.wav\tcat\ttrain\nb.png\tb.wav\tdog\ttrain\n";
  const PairParts some = open_list(write_list(dir, train + "c.png\tc.wav\t\ttest\n"
                                                           "d.png\td.wav\tcat\ttest\n"
                                                           "e.png\te.wav\towl\ttest\n"),
                                   sets);
  CHECK(some.test.size() == 3);
  CHECK(some.test.classes == Texts{"cat", "dog", "owl"});
  CHECK(some.test.labels == Numbers{-1, 0, -1});
  CHECK(some.candidates.labels == Numbers{-1, 0, 2});
  CHECK(some.train.labels == Numbers{0, 1});
  CHECK(some.notes ==
        Texts{"classes that the train part lacks: owl", "classes that the test part lacks: dog",
              "kNN and the linear probe leave out 2 of the 3 test pairs, which have no class of the train "
              "part"});

  const PairParts none = open_list(write_list(dir, train + "c.png\tc.wav\t\ttest\n"), sets);
  CHECK(none.test.size() == 1);
  CHECK(none.train.classes.empty());
  CHECK(none.train.labels == Numbers{-1, -1});
  CHECK(none.no_classes == "no kNN and no linear probe: no test pair has a class of the train part");
  CHECK(none.notes == Texts{none.no_classes});
  CHECK(some.no_classes.empty());
  const PairParts one = open_list(write_list(dir, std::string("x\ty\tlabel\tsplit\na.png\ta.wav\tcat\ttrain\n"
                                                              "c.png\tc.wav\tdog\ttest\n")),
                                  sets);
  CHECK(one.train.classes.empty());
  CHECK(one.candidates.classes == Texts{"cat", "dog"});
  CHECK(one.notes == Texts{"no kNN and no linear probe: the train part has 1 class"});
}

TEST_CASE("the largest group is trained on, and what is kept then is said") {
  const TempDir dir;
  std::string rows = "x\ty\n";
  const auto add = [&](const std::string& first, const std::string& second) {
    rows += first + ".png\t" + second + ".wav\n";
  };
  for (int i = 0; i < 2; ++i) add(std::to_string(i), std::to_string(i));
  for (int i = 0; i < 60; ++i) add("shared", "s" + std::to_string(i));
  for (int i = 2; i < 20; ++i) add(std::to_string(i), std::to_string(i));
  Datasets sets;
  const PairParts parts = open_list(write_list(dir, rows), sets);
  CHECK(parts.train.size() == 76);
  CHECK(parts.test.size() == 4);
  REQUIRE(parts.notes.size() == 1);
  CHECK_THAT(parts.notes[0],
             Contains("4 of 80 pairs are kept for the evaluation, and not every fifth: 60 hang together"));
}
