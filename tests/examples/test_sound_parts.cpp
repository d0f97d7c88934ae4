// How recordings are found, named and parted.
#include "modalities/kinds.h"
#include "modalities/sound_sets.h"
#include "support/catch.h"
#include "support/message_of.h"
#include "support/takes.h"
#include "train/test_part.h"

#include <filesystem>
#include <set>
#include <sstream>

using namespace simclr;
using namespace simclr::test;
using Catch::Matchers::Contains;

namespace {

const ListedKind sounds = sound_files_at(rate);

Datasets open_sounds(const ListedSource& source) {
  return open_listed(source, sounds);
}

Datasets open_takes(const TempDir& dir, const std::string& parts) {
  return open_sounds({.data = dir.path("takes"), .pattern = pattern, .test = parts});
}

std::set<std::string> files_of(const data::Dataset& samples) {
  std::set<std::string> files;
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    files.insert(std::filesystem::path(samples.file(i)).filename().string());
  }
  return files;
}

}  // namespace

TEST_CASE("recordings are parted by what their names say", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 4);
  const Datasets by_take = open_takes(dir, "take=0-1");
  CHECK(by_take.sample_name == "recording");
  CHECK(by_take.train->classes() == classes);
  CHECK(by_take.train->size() == 18);
  CHECK(files_of(*by_take.test).contains("low_ann_1.wav"));
  CHECK_FALSE(files_of(*by_take.train).contains("low_ann_1.wav"));
  CHECK_THAT(by_take.note, Contains("test: take=0, 1 (18 of 36 recordings)"));
  CHECK_THAT(by_take.note, Contains("3 of the 3 speakers of the test part are trained on, too"));

  const Datasets by_speaker = open_takes(dir, "speaker=eve");
  CHECK(by_speaker.test->size() == 12);
  CHECK_THAT(by_speaker.note, Contains("no speaker of the test part is trained on"));
  for (const std::string& file : files_of(*by_speaker.test)) CHECK_THAT(file, Contains("_eve_"));

  const Datasets share = open_takes(dir, "speaker=34%");
  CHECK(share.test->size() == 12);
  CHECK(files_of(*share.test) == files_of(*open_takes(dir, "speaker=34%").test));

  const Datasets fifth = open_takes(dir, "");
  CHECK(fifth.train->size() + fifth.test->size() == 36);
  CHECK_THAT(fifth.note, Contains("2 of the 2 speakers of the test part are trained on, too (to test with others: "
                                  "--test speaker=20%)"));

  for (const auto& [wrong, message] : std::vector<std::pair<std::string, std::string>>{
           {"take", "--test take: must be FIELD=VALUES"},
           {"take=", "--test take=: must be FIELD=VALUES"},
           {"=4", "--test =4: must be FIELD=VALUES"},
           {"take=9", "no recording has 9 as its take"},
           {"fold=1", "have no field fold; they have label, speaker, take"},
           {"take=0-3", "nothing is left to train on"},
           {"take=120%", "a share is above 0 and below 100%"},
           {"take=x%", "a share is above 0 and below 100%"}}) {
    CHECK_THAT(message_of([&, parts = wrong] { open_takes(dir, parts); }), Contains(message));
  }
  CHECK_THAT(message_of([] { open_sounds({}); }), Contains("--data: name a folder of recordings"));
  CHECK_THAT(message_of([&] { open_sounds({.data = dir.path("none")}); }), Contains("no such folder or list"));
}

TEST_CASE("recordings are parted by folders and by columns of a list", "[sounds]") {
  const TempDir dir;
  std::string table = "file,word,speaker,split\n";
  for (int label = 0; label < 3; ++label) {
    for (int take = 0; take < 3; ++take) {
      const std::string part = take == 0 ? "test" : take == 1 ? "val" : "train", name = file_name(label, 0, take);
      dir.write("parts/" + part + "/" + classes[static_cast<std::size_t>(label)] + "/" + name, said(label, 0, take));
      dir.write("list/" + name, said(label, 0, take));
      table += name + "," + classes[static_cast<std::size_t>(label)] + ",ann," + part + "\n";
    }
  }
  const std::string list = dir.write("list/index.csv", table);
  const Datasets folders = open_sounds({.data = dir.path("parts")});
  CHECK(folders.train->size() == 3);
  REQUIRE(folders.test);
  CHECK(folders.test->size() == 3);
  CHECK(folders.train->classes() == classes);
  CHECK_THAT(folders.note, Contains("train: " + dir.path("parts/train") + "; test: " + dir.path("parts/test")));
  CHECK_THAT(folders.note, Contains("not used: val"));

  const Datasets columns = open_sounds({.data = list});
  CHECK(columns.kind == "list");
  CHECK(columns.train->size() == 3);
  REQUIRE(columns.test);
  CHECK(files_of(*columns.test) == std::set<std::string>{"high_ann_0.wav", "low_ann_0.wav", "wide_ann_0.wav"});
  CHECK_THAT(columns.note, Contains("not used: 3 recordings of split val"));
  dir.write("list/" + file_name(0, 1, 0), said(0, 1, 0));
  table += file_name(0, 1, 0) + ",high,bob,\n";
  CHECK_THAT(open_sounds({.data = dir.write("list/some.csv", table)}).note,
             Contains("not used: 3 recordings of split val, 1 recording without a split"));
  const Datasets asked = open_sounds({.data = list, .test = "split=val"});
  CHECK(files_of(*asked.test) == std::set<std::string>{"high_ann_1.wav", "low_ann_1.wav", "wide_ann_1.wav"});
  CHECK(asked.train->size() == 3);
  CHECK_THAT(asked.note, Contains("not used: 3 recordings of split test"));
  CHECK_THAT(message_of([&] { open_sounds({.data = list, .test = "split=dev"}); }),
             Contains("no recording has dev as its split; they have test, train, val"));
  const Datasets both = open_sounds({.data = list, .test = "split=val,test"});
  CHECK((both.train->size() == 3 && both.test->size() == 6));
  CHECK_THAT(message_of([&] { open_sounds({.data = list, .pattern = pattern}); }),
             Contains("a list says in its columns what each recording is"));

  const auto listed = [&](const std::string& place) { return std::ssize(listed_files(place, "", sounds).files); };
  CHECK(listed(list) == 10);  // itself, too
  CHECK(listed(dir.path("parts")) == 9);
  CHECK(folders_of_listed(list, sounds) == dir.path("list"));
  CHECK(folders_of_listed("index.csv", sounds) == "index.csv");  // no file of that name: not a list
  CHECK(folders_of_listed("", sounds) == "");
}

TEST_CASE("the folders train and test part recordings whose names a pattern reads", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 4, "parts/train");
  write_takes(dir, 2, "parts/test");
  dir.write("parts/test/notes.txt", std::string("no recording"));
  const Datasets sets = open_sounds({.data = dir.path("parts"), .pattern = pattern});
  CHECK(sets.train->size() == 36);
  REQUIRE(sets.test);
  CHECK(sets.test->size() == 18);
  CHECK(sets.train->classes() == classes);
  CHECK_THAT(sets.note, Contains("test: " + dir.path("parts/test") + " (left out: 1 .txt file)"));
  CHECK_THAT(sets.note, Contains("3 of the 3 speakers of the test part are trained on, too"));
  CHECK_THAT(message_of([&] { open_sounds({.data = dir.path("parts"), .pattern = pattern, .test = "take=0"}); }),
             Contains("--test take=0: " + dir.path("parts") + " has the folders train and test"));
}

TEST_CASE("the folders train and test share one cache", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 4, "parts/train");
  write_takes(dir, 2, "parts/test");
  std::vector<std::size_t> sharing;
  ListedKind counting = sounds;
  counting.open = [&](const data::FieldList& list, std::size_t all) {
    sharing.push_back(all);
    return sounds.open(list, all);
  };
  CHECK(open_listed({.data = dir.path("parts"), .pattern = pattern}, counting).test->size() == 18);
  CHECK(sharing == std::vector<std::size_t>{54, 54});
}

TEST_CASE("a folder that holds train alone is parted, and one that holds test alone is not trained on", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 4, "some/train");
  for (const char* label : {"high", "low"}) {
    for (int take = 0; take < 5; ++take) {
      const std::string name = std::string(label) + "/" + std::to_string(take) + ".wav";
      dir.write("one/train/" + name, said(0, 0, take));
      dir.write("left/test/" + name, said(0, 0, take));
      dir.write("names/train/" + name, said(0, 0, take));
      dir.write("names/bus/" + name, said(0, 0, take));
    }
  }
  const Datasets sets = open_sounds({.data = dir.path("one")});
  CHECK(sets.train->classes() == std::vector<std::string>{"high", "low"});
  CHECK((sets.train->size() == 8 && sets.test->size() == 2));
  CHECK_THAT(sets.note, Contains("no folder test beside " + dir.path("one/train")));
  CHECK(listed_files(dir.path("one"), "", sounds).files.size() == 10);
  const ListedSource parted{.data = dir.path("some"), .pattern = pattern, .test = "speaker=eve"};
  CHECK(can_test(parted, sounds));
  CHECK(open_sounds(parted).test->size() == 12);
  CHECK(listed_files(dir.path("some"), pattern, sounds).files.size() == 36);

  CHECK_THAT(message_of([&] { open_sounds({.data = dir.path("left")}); }),
             Contains(dir.path("left") + ": holds test and no folder train; to train on it, name it by --data"));
  CHECK(named_list(dir.path("left"), sounds, {}).samples->size() == 10);
  CHECK(open_sounds({.data = dir.path("names")}).train->classes() == std::vector<std::string>{"bus", "train"});
}

TEST_CASE("recordings beside the parts are counted", "[sounds]") {
  const TempDir dir;
  for (const char* part : {"train", "test", "val"}) write_takes(dir, 1, std::string("parts/") + part);
  dir.write("parts/more/a/b.wav", said(0, 0, 0));
  dir.write("parts/empty/notes.txt", std::string("none"));
  dir.write("parts/a.wav", said(0, 0, 0));
  const Datasets sets = open_sounds({.data = dir.path("parts"), .pattern = pattern});
  CHECK_THAT(sets.note,
             Contains("not used: empty (0 recordings), more (1 recording), val (9 recordings), 1 recording in " +
                      dir.path("parts") + " itself"));
}

TEST_CASE("a pattern without a label says what to do", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 2);
  const Datasets sets =
      open_sounds({.data = dir.path("takes"), .pattern = "{}_{speaker}_{take}.wav", .test = "take=0"});
  CHECK_FALSE(sets.test);
  CHECK_THAT(sets.note, Contains("the pattern names no {label}, so there are no labels; where folders are the labels, "
                                 "begin it with {label}/"));
  CHECK_FALSE(Contains("names no {label}").match(open_takes(dir, "").note));
}

TEST_CASE("a pattern is recommended for a folder without labels alone", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 1);
  const auto refused = [](const std::string& data) {
    LabelledPlace place;
    place.data_dir = data;
    return message_of([&] { learned_from(open_sounds({.data = data}), place); });
  };
  CHECK_THAT(refused(dir.path("takes")),
             Contains("needs labels to learn from and to test on, which --pattern may read"));
  const std::string list =
      dir.write("list.csv", "file\ntakes/" + file_name(0, 0, 0) + "\ntakes/" + file_name(1, 0, 0) + "\n");
  CHECK_THAT(refused(list), Contains("needs labels to learn from and to test on") && !Contains("--pattern"));
}

TEST_CASE("a file that links put into both parts is named", "[sounds]") {
  namespace fs = std::filesystem;
  const TempDir dir;
  write_takes(dir, 2, "parts/train");
  write_takes(dir, 1, "parts/test");
  CHECK_FALSE(Contains("link").match(open_sounds({.data = dir.path("parts"), .pattern = pattern}).note));
  const std::string soft = dir.path("parts/test/" + file_name(0, 0, 8)),
                    hard = dir.path("parts/test/" + file_name(0, 0, 9));
  fs::create_symlink("../train/" + file_name(0, 0, 0), soft);
  fs::create_hard_link(dir.path("parts/train/" + file_name(0, 0, 1)), hard);
  CHECK_THAT(open_sounds({.data = dir.path("parts"), .pattern = pattern}).note,
             Contains("both trained on and tested on: 2 recordings, since links lead to one file: " + soft + " is " +
                      dir.path("parts/train/" + file_name(0, 0, 0)) + " and 1 more"));
  fs::create_symlink(file_name(0, 0, 0), dir.path("parts/train/" + file_name(0, 0, 7)));
  CHECK_THAT(open_sounds({.data = dir.path("parts/train"), .pattern = pattern, .test = "take=7"}).note,
             Contains("both trained on and tested on: 1 recording,"));
}

namespace {

/// The files that segments are of.
std::set<std::string> files_of_segments(const data::Dataset& samples) {
  std::set<std::string> files;
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    const std::string place = samples.place(i);
    files.insert(place.substr(0, place.find(".wav")));
  }
  return files;
}

}  // namespace

TEST_CASE("segments of one recording are of one part", "[sounds]") {
  const TempDir dir;
  for (const bool mixed : {false, true}) {
    Datasets sets = open_sounds({.data = write_segments(dir, mixed)});
    REQUIRE(sets.test);
    CHECK(files_of_segments(*sets.test).size() == 4);
    CHECK(sets.test->size() == 16);
    CHECK(files_of_segments(*sets.train).size() == 16);
    CHECK_THAT(sets.note, Contains("all segments of a file"));
    if (!sets.labelled) sets.labelled = sets.train;
    hold_out(sets, 0.25, 0);
    CHECK(files_of_segments(*sets.held_out).size() == 4);
    CHECK(files_of_segments(*sets.train).size() == 12);
    CHECK(sets.train->size() == 48);
  }
}

TEST_CASE("whose segments are in both parts is said where a fifth is kept", "[sounds]") {
  const TempDir dir;
  const std::string segments = test::read_text(write_segments(dir));
  const auto note = [&](int count) {  // of speakers, each of whom says every so many of the 20 recordings
    std::istringstream lines(segments);
    std::string table;
    for (std::string line; std::getline(lines, line);) {
      table += line + (table.empty() ? ",speaker" : ",s" + std::to_string(std::stoi(line.substr(5)) % count)) + "\n";
    }
    return open_sounds({.data = dir.write("speakers.csv", table)}).note;
  };
  CHECK_THAT(note(2), Contains("2 of the 2 speakers of the test part are trained on, too (to test with others: --test "
                               "speaker=20%)"));
  CHECK_THAT(note(20), Contains("no speaker of the test part is trained on"));
}

TEST_CASE("segments without a label are not trained on where others of their file are held back", "[sounds]") {
  const TempDir dir;
  std::string table = test::read_text(write_segments(dir));
  for (int take = 0; take < 20; ++take) {  // the last segment of each file
    const std::string before = "long/" + std::to_string(take) + ".wav,";
    std::size_t at = table.find(before);
    for (int part = 0; part < 3; ++part) at = table.find(before, at + 1);
    table.erase(at + before.size(), classes[static_cast<std::size_t>(take % 2)].size());
  }
  Datasets sets = open_sounds({.data = dir.write("some.csv", table)});
  REQUIRE(sets.test);
  CHECK(sets.test->size() == 12);
  CHECK(sets.train->size() == 64);
  CHECK_THAT(sets.note, Contains("4 recordings without a label are left out"));
  const std::set<std::string> tested = files_of_segments(*sets.test);
  for (const std::string& file : files_of_segments(*sets.train)) CHECK_FALSE(tested.contains(file));

  sets.labelled = sets.train;
  learn_from_labelled(sets);
  CHECK(sets.labelled->size() == 48);
  hold_out(sets, 0.25, 0);
  CHECK_FALSE(sets.held_out->size() == 0);
  const std::set<std::string> held = files_of_segments(*sets.held_out);
  for (const std::string& file : files_of_segments(*sets.labelled)) CHECK_FALSE(held.contains(file));
}

TEST_CASE("a list's segments are told apart by name, and others are noticed", "[sounds]") {
  const TempDir dir;
  const std::string list = write_segments(dir);
  const auto within = open_sounds({.data = list}).within;
  CHECK(listed_files(list, "", sounds).files.size() == 21);  // each once, and the list
  std::string table = test::read_text(list);
  const std::size_t at = table.find("0.05");
  table[at + 3] = '4';
  dir.write("segments.csv", table);
  CHECK(open_sounds({.data = list}).within != within);

  const std::string close = dir.write("close.csv", std::string("file,label,start,end\nlong/0.wav,high,0.12345678,0.2\n"
                                                               "long/0.wav,low,0.12345679,0.2\nlong/1.wav,low,0.1,\n"));
  const auto named = named_list(close, sounds, {});
  CHECK(named.samples->classes() ==
        std::vector<std::string>{"long/0.wav 0.12345678-0.2", "long/0.wav 0.12345679-0.2", "long/1.wav 0.1-"});
  CHECK(named.samples->place(1) == dir.path("long/0.wav 0.12345679-0.2"));
}

TEST_CASE("nothing is written where a list's recordings lie", "[sounds]") {
  const TempDir dir;
  write_segments(dir);
  CHECK(folders_of_listed(dir.path("segments.csv"), sounds) == dir.path("long"));
}
