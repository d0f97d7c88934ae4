// Sets of recordings: folders, patterns of names, lists, how they are split, and what is left out.

#include <simclr/core/error.h>
#include <simclr/data/decoded_cache.h>
#include <simclr/data/loader.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_list.h>
#include <simclr/data/sound/sound_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/sounds.h"
#include "support/temp_dir.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Texts = std::vector<std::string>;
namespace fs = std::filesystem;

namespace {

/// Recordings of three takes of two digits by three speakers, and some other files.
void write_digits(const TempDir& dir) {
  for (const char* speaker : {"theo", "lucas", "jackson"}) {
    for (int digit = 9; digit <= 10; ++digit) {
      for (int take = 0; take < 3; ++take) {
        dir.write(std::to_string(digit) + "_" + speaker + "_" + std::to_string(take) + ".wav",
                  wav_of_samples(tone(800 + 100 * take, 100.0 * digit, 8000)));
      }
    }
  }
}

Texts paths(const FieldList& list) {
  return {list.files.begin(), list.files.end()};
}

std::set<std::string> values(const FieldList& list, const std::string& field) {
  const Field* found = list.field(field);
  REQUIRE(found != nullptr);
  return {found->values.begin(), found->values.end()};
}

}  // namespace

TEST_CASE("Recordings: a folder a class, and what is left out") {
  const TempDir dir, store;
  const auto sound = wav_of({1, 2, 3});
  dir.write("zebra/b.WAV", sound);
  dir.write("zebra/deeper/a.wave", sound);
  dir.write("ant/1.wav", sound);
  dir.write("ant/notes.txt", std::string("x"));
  dir.write("ant/._1.wav", std::string("what some systems leave"));
  dir.write("ant/README", std::string("x"));
  dir.write("ant/@eaDir/1.wav", sound);
  dir.write(".cache/1.wav", sound);
  store.write("2.wav", sound);
  fs::create_directories(dir.path("empty"));
  fs::create_directory_symlink(store.path(), dir.path("ant/store"));
  fs::create_directory_symlink(store.path(), dir.path("ant/store again"));
  fs::create_directory_symlink(dir.path(), dir.path("loop"));
  fs::create_directory_symlink(dir.path("gone"), dir.path("dead"));
  const FieldList list = list_sounds(dir.path());
  CHECK(paths(list) == Texts{"ant/1.wav", "ant/store/2.wav", "zebra/b.WAV", "zebra/deeper/a.wave"});
  REQUIRE(list.field("Label"));
  CHECK(list.field("label")->values == Texts{"ant", "zebra"});
  CHECK(list.field("label")->of == std::vector<std::int32_t>{0, 0, 1, 1});
  CHECK(list.field("speaker") == nullptr);
  const auto set = sound_folder(list, 8000);
  CHECK(set->describe() == "4 recordings in " + dir.path() +
                               ", 2 classes, at 8000 Hz (left out: 1 file without an ending, 1 .txt file, 1 file that "
                               "begins with a dot, the hidden folders .cache, ant/@eaDir, the links back ant/store "
                               "again, loop, the dead link dead, the empty folder empty)");
  CHECK(set->classes() == Texts{"ant", "zebra"});
  CHECK((set->label(1) == 0 && set->label(2) == 1));
  CHECK(set->file(3) == dir.path("zebra/deeper/a.wave"));
  const Sample sample = set->sample(2);
  CHECK((sample.shape == Shape{3} && sample.dtype == DType::f32 && sample.label == 1 && sample.finite));
  CHECK(sample.values<float>()[2] == 3.0f / 32768);
  CHECK_THAT(message_of([&] { (void)set->sample(4); }), Contains("recording 4 of 4"));
}

TEST_CASE("Recordings in one folder have no labels, and those of both kinds are refused") {
  const TempDir dir;
  dir.write("b.wav", wav_of({1}));
  dir.write("a.wav", wav_of({1}));
  const auto set = sound_folder(list_sounds(dir.path()), 8000);
  CHECK((set->classes().empty() && set->label(1) == -1));
  CHECK_THAT(set->describe(), Contains("2 recordings") && Contains("unlabelled, at 8000 Hz"));
  dir.write("c/a.wav", wav_of({1}));
  CHECK_THAT(message_of([&] { list_sounds(dir.path()); }), Contains("holds both 2 recordings and folders"));
}

TEST_CASE("Fields of names") {
  const TempDir dir;
  write_digits(dir);
  dir.write("index.txt", std::string("x"));
  for (const char* name : {"other.wav", "1__0.wav", "_a_0.wav", "1_a_.wav"}) dir.write(name, wav_of({1}));
  const FieldList list = list_sounds(dir.path(), "{label}_{speaker}_{take}.wav");
  CHECK(list.size() == 18);
  CHECK(list.field("label")->values == Texts{"9", "10"});  // by value
  CHECK(list.field("speaker")->values == Texts{"jackson", "lucas", "theo"});
  CHECK(list.field("take")->values == Texts{"0", "1", "2"});
  for (std::size_t i = 0; i < list.size(); ++i) {
    CHECK(list.files[i] == std::string(list.field("label")->value(i)) + "_" +
                               std::string(list.field("speaker")->value(i)) + "_" +
                               std::string(list.field("take")->value(i)) + ".wav");
  }
  CHECK(list.left_out == Texts{"1 .txt file", "4 recordings whose names do not fit {label}_{speaker}_{take}.wav"});
  REQUIRE(list.warnings.size() == 3);
  CHECK_THAT(list.warnings[0], Contains("1__0.wav does not fit {label}_") && Contains("left out"));
  CHECK(sound_folder(list, 8000)->classes() == Texts{"9", "10"});
}

TEST_CASE("Patterns with folders, texts before and behind, and fields that are passed over") {
  const TempDir dir;
  for (const char* name : {"x/bed/012_nohash_0.wav", "x/bed/13d_nohash_1.wav", "x/cat/13d_nohash_0_more_1.wav"}) {
    dir.write(name, wav_of({1}));
  }
  const FieldList list = list_sounds(dir.path(), "{label}/{speaker}_nohash_{}.wav");
  CHECK(values(list, "label") == std::set<std::string>{"bed", "cat"});
  CHECK(values(list, "speaker") == std::set<std::string>{"012", "13d"});
  CHECK(list.fields.size() == 2);
  CHECK(values(list_sounds(dir.path(), "x/{label}/{name}"), "name") ==
        std::set<std::string>{"012_nohash_0", "13d_nohash_1", "13d_nohash_0_more_1"});
  CHECK(values(list_sounds(dir.path(), "{a}_{b}"), "b") ==
        std::set<std::string>{"nohash_0", "nohash_1", "nohash_0_more_1"});
  CHECK(values(list_sounds(dir.path(), "0{a}_nohash_0"), "a") == std::set<std::string>{"12"});
  const auto error = [&](const std::string& pattern) { return message_of([&] { list_sounds(dir.path(), pattern); }); };
  CHECK_THAT(error("{label"), Contains("opens a { that it does not close"));
  CHECK_THAT(error("name.wav"), Contains("names no field"));
  CHECK_THAT(error("{a}{b}.wav"), Contains("does not say where {a} ends"));
  CHECK_THAT(error("{a}_{b}_{a}"), Contains("names {a} twice"));
  CHECK_THAT(error("a/b/c/{label}"), Contains("no name of 3 recordings fits a/b/c/{label}: x/bed/012_nohash_0.wav"));
}

TEST_CASE("Lists: columns, segments, and rows that are left out") {
  const TempDir dir;
  write_digits(dir);
  dir.write("notes.txt", std::string("x"));
  const std::string path = dir.write(
      "list.csv",
      std::string("Digit;File Name;Start;speaker;fold;note\n9;./9_theo_0.wav;;theo;1;\n"
                  "10;10_theo_0.wav;0.05;theo;2;a\n;9_lucas_1.wav;;lucas;10;b\n9;none.wav;;theo;1;\n"
                  "9;9_theo_0.wav;;theo;1;twice\n9;;;x;1;\n9;notes.txt;;x;1;\n9;9_lucas_0.wav;soon;x;1;\n9;9\n"));
  const FieldList list = read_sound_table(path);
  CHECK(paths(list) == Texts{"9_theo_0.wav", "10_theo_0.wav", "9_lucas_1.wav"});
  CHECK(list.columns ==
        path + ": paths from File Name, labels from Digit, starts from Start; fields: speaker, fold, note");
  CHECK(list.field("label")->values == Texts{"9", "10"});
  CHECK(list.field("label")->of == std::vector<std::int32_t>{0, 1, -1});
  CHECK(list.field("fold")->values == Texts{"1", "2", "10"});
  CHECK(list.field("note")->of == std::vector<std::int32_t>{-1, 0, 1});
  REQUIRE(list.times.size() == 3);
  CHECK((list.times[0].whole() && list.times[1].begin == 0.05));
  CHECK(list.left_out == Texts{"1 row of a file that is not there", "1 row of a recording that a row before names",
                               "1 row of files that are no recordings", "1 row that cannot be read",
                               "1 row whose start and end are no times", "1 row without a path"});
  REQUIRE(list.warnings.size() == 4);
  CHECK(list.warnings[0] == path + ", line 6: names 9_theo_0.wav once more (row left out)");
  CHECK(list.warnings[3] == path + ": 3 rows more are left out");
  const auto set = sound_folder(list, 8000);
  CHECK(set->sample(1).shape == Shape{400});
  CHECK((set->label(2) == -1 && set->file(0).empty()));
  CHECK_THAT(set->describe(), Contains("3 segments in " + path + ", 2 classes"));
  CHECK(set->place(0) == dir.path("9_theo_0.wav"));
  CHECK(set->place(1) == dir.path("10_theo_0.wav") + " 0.05-");
  CHECK_THAT(message_of([&] { selected_samples(list, {0, 3}); }), Contains(path + ": recording 3 of 3"));
  // Recordings without a value are in neither part.
  CHECK(split_list(list, "speaker", {"lucas"}).train.left_out == list.left_out);
  const FieldListParts parts = split_list(list, "note", {"a"});
  CHECK((parts.train.size() == 1 && parts.test.size() == 1));
  CHECK(parts.train.left_out.back() == "1 recording without a note");
}

TEST_CASE("UrbanSound8K's times are fields: its slices are cut already") {
  const TempDir dir;
  write_digits(dir);
  const FieldList list = read_sound_table(dir.write(
      "a.csv", std::string("slice_file_name,fsID,start,end,fold,classID,class\n9_theo_0.wav,1,4.5,8.5,5,3,dog\n"
                           "10_theo_0.wav,2,0.5,4.5,6,1,horn\n")));
  CHECK(list.times.empty());
  CHECK(values(list, "start") == std::set<std::string>{"0.5", "4.5"});
  CHECK(values(list, "end") == std::set<std::string>{"4.5", "8.5"});
  CHECK(values(list, "label") == std::set<std::string>{"dog", "horn"});
  CHECK_THAT(list.columns, !Contains("starts from"));
  CHECK(sound_folder(list, 8000)->sample(0).shape == Shape{800});
}

TEST_CASE("Lists without a header, of segments of one file, and of nothing") {
  const TempDir dir;
  write_digits(dir);
  const FieldList plain =
      read_sound_table(dir.write("a.tsv", std::string("9_theo_0.wav\tnine\tx\n10_theo_0.wav\tten\ty\n")));
  CHECK(plain.field("label")->values == Texts{"nine", "ten"});
  CHECK(plain.field("column 3")->values == Texts{"x", "y"});
  CHECK_THAT(plain.columns, Contains("no header: paths from column 1, labels from column 2"));
  const FieldList odd =
      read_sound_table(dir.write("odd.csv", std::string("path,label\n9_theo_0.wav,0\n10_theo_0.wav,-1\n")));
  CHECK(odd.field("label")->values == Texts{"0"});
  CHECK_THAT(odd.columns, Contains("odd.csv: taken as unlabelled: 1 recording of label -1"));
  CHECK(plain.times.empty());
  const FieldList parts = read_sound_table(dir.write(
      "b.csv", std::string("path,start,end\n9_theo_0.wav,0,0.05\n9_theo_0.wav,0.05,0.1\n9_theo_0.wav,0.1,0.1\n")));
  CHECK(parts.size() == 2);
  CHECK(parts.field("label") == nullptr);
  const auto set = sound_folder(parts, 8000), whole = sound_folder(plain, 8000);
  const Sample kept = whole->sample(0);
  for (std::int64_t i = 0; i < 2; ++i) {
    const Sample part = set->sample(i);
    REQUIRE(part.shape == Shape{400});
    CHECK(set->place(i) == dir.path("9_theo_0.wav") + (i == 0 ? " 0-0.05" : " 0.05-0.1"));
    CHECK(std::equal(part.values<float>().begin(), part.values<float>().end(), kept.values<float>().begin() + 400 * i));
  }
  const auto error = [&](const std::string& text) {
    return message_of([&] { read_sound_table(dir.write("c.csv", text)); });
  };
  CHECK_THAT(error("path,label\n"), Contains("no row names a recording of "));
  CHECK_THAT(error("path,label\nx.jpg,1\n"), Contains("line 2 names x.jpg, which is no "));
  CHECK_THAT(error("path,label\nx.wav,1\ny.wav,2\n"),
             Contains("none of 2 files is there; line 2 is looked for as " + dir.path("x.wav")));
}

TEST_CASE("Splits keep speakers apart") {
  const TempDir dir;
  write_digits(dir);
  const FieldList list = list_sounds(dir.path(), "{label}_{speaker}_{take}.wav");
  const FieldListParts by_speaker = split_list(list, "speaker", {"theo"});
  CHECK((by_speaker.train.size() == 12 && by_speaker.test.size() == 6));
  CHECK(values(by_speaker.test, "speaker") == std::set<std::string>{"theo"});
  CHECK(shared_values(*by_speaker.train.field("speaker"), *by_speaker.test.field("speaker")).empty());
  CHECK(shared_values(*by_speaker.train.field("label"), *by_speaker.test.field("label")) == Texts{"10", "9"});
  const FieldListParts by_take = split_list(list, "Take", values_of("0-1"));
  CHECK((by_take.train.size() == 6 && by_take.test.size() == 12));
  CHECK(shared_values(*by_take.train.field("speaker"), *by_take.test.field("speaker")) ==
        Texts{"jackson", "lucas", "theo"});
  for (std::size_t i = 0; i < by_take.test.size(); ++i) CHECK(by_take.test.field("take")->value(i) != "2");
  // A class that is in one part alone keeps its number in both.
  const FieldListParts by_label = split_list(list, "label", {"9"});
  CHECK(sound_folder(by_label.train, 8000)->classes() == Texts{"9", "10"});
  CHECK(sound_folder(by_label.train, 8000)->label(0) == 1);
  CHECK(sound_folder(by_label.test, 8000)->classes() == Texts{"9", "10"});
  CHECK(sound_folder(by_label.test, 8000)->label(0) == 0);
  const auto error = [&](const std::string& field, const Texts& test) {
    return message_of([&] { split_list(list, field, test); });
  };
  CHECK_THAT(error("fold", {"1"}), Contains("have no field fold; they have label, speaker, take"));
  CHECK_THAT(error("speaker", {"theo", "ann"}),
             Contains("no recording has ann as its speaker; they have jackson, lucas, theo"));
  CHECK_THAT(error("take", values_of("0-2")), Contains("nothing is left to train on"));
  CHECK_THAT(error("take", {}), Contains("nothing is left to test with"));
}

TEST_CASE("Values that are drawn depend on the seed and on their names alone") {
  const TempDir dir;
  for (int speaker = 0; speaker < 40; ++speaker) dir.write("a_s" + std::to_string(speaker) + ".wav", wav_of({1}));
  const FieldList list = list_sounds(dir.path(), "{label}_{speaker}");
  const Texts drawn = drawn_values(list.fields, "speaker", list.owner(), 0.25, 7);
  CHECK(drawn.size() == 10);
  CHECK(drawn == drawn_values(list.fields, "speaker", list.owner(), 0.25, 7));
  CHECK(drawn != drawn_values(list.fields, "speaker", list.owner(), 0.25, 8));
  for (const std::string& value : drawn) {
    const Texts more = drawn_values(list.fields, "speaker", list.owner(), 0.5, 7);
    CHECK(std::find(more.begin(), more.end(), value) != more.end());  // more of the same
  }
  CHECK(drawn_values(list.fields, "speaker", list.owner(), 0.0001, 7).size() == 1);
  CHECK(drawn_values(list.fields, "speaker", list.owner(), 0.9999, 7).size() == 39);
  CHECK_THAT(message_of([&] { drawn_values(list.fields, "label", list.owner(), 0.5, 7); }),
             Contains("all recordings have one label"));
  CHECK_THAT(message_of([&] { drawn_values(list.fields, "speaker", list.owner(), 1.0, 7); }),
             Contains("between 0 and 1"));
}

TEST_CASE("Ranges of values") {
  CHECK(values_of("0-4,7") == Texts{"0", "1", "2", "3", "4", "7"});
  CHECK(values_of("theo,jean-luc") == Texts{"theo", "jean-luc"});
  CHECK(values_of("-2-0") == Texts{"-2", "-1", "0"});
  CHECK(values_of("08-11,3-4") == Texts{"08", "09", "10", "11", "3", "4"});
  CHECK(values_of("00-01") == Texts{"00", "01"});
  CHECK(values_of("098-101") == Texts{"098", "099", "100", "101"});
  CHECK(values_of("").empty());
  CHECK_THAT(message_of([] { values_of("4-0"); }), Contains("a range goes up"));
  CHECK_THAT(message_of([] { values_of("0-99999999"); }), Contains("at most 100000"));
  CHECK_THAT(message_of([] { values_of("-9223372036854775807-9223372036854775807"); }), Contains("at most 100000"));
  CHECK(values_of("9223372036854775806-9223372036854775807") == Texts{"9223372036854775806", "9223372036854775807"});
}

TEST_CASE("Folders that hold no recordings end with one clear line") {
  const TempDir dir;
  dir.write("a/x.m4a", std::string("x"));
  dir.write("y.txt", std::string("x"));
  CHECK_THAT(message_of([&] { list_sounds(dir.path()); }),
             Contains("no recordings, " + read_sound_kinds() + ", in " + dir.path()) &&
                 Contains("(left out: 1 .m4a file, 1 .txt file)"));
  CHECK_THAT(message_of([&] { list_sounds(dir.path("none")); }), Contains("there is no such folder"));
  CHECK_THAT(message_of([&] { list_sounds(dir.path("y.txt")); }), Contains("is not a folder but a file"));
  dir.write("a/x.wav", wav_of({1}));
  CHECK_THAT(message_of([&] { sound_folder(list_sounds(dir.path()), 10); }), Contains("10 samples a second"));
}

TEST_CASE("The loader trains on recordings, cached, names a broken one, and goes on") {
  const TempDir dir;
  write_digits(dir);
  dir.write("9_lucas_1.wav", std::string("RIFF....WAVE"));
  std::vector<std::string> warnings;
  const std::shared_ptr<const Dataset> set = sound_folder(list_sounds(dir.path(), "{label}_{speaker}_{take}"), 8000);
  const auto cached = std::make_shared<DecodedCache>(set, DecodedCacheOptions{.memory_bytes = 1 << 20});
  const SoundPolicy policy{.rate = 8000, .seconds = 0.1};
  const Loader loader(
      cached, std::make_shared<SoundViews>(policy),
      {.batch_size = 6, .workers = 2, .on_warning = [&](const std::string& w) { warnings.push_back(w); }});
  std::vector<float> epochs[2];
  for (std::vector<float>& values : epochs) {
    for (const Batch& batch : loader.epoch(3)) {
      CHECK(batch.towers[0].x.shape() == Shape{12, 800});
      const auto x = batch.towers[0].x.to_vector<float>();
      values.insert(values.end(), x.begin(), x.end());
    }
  }
  CHECK(epochs[0].size() == 3 * 12 * 800);
  CHECK(epochs[0] == epochs[1]);  // decoded, and from the cache
  CHECK(cached->state().in_memory == 17);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0],
             Contains(dir.path("9_lucas_1.wav") + ": a WAV file without its samples") && Contains("sample skipped"));
}
