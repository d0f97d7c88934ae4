// Clips as a kind of data: folders of frames train, are evaluated, reported, checked and read back.
#include "modalities/clip_kind.h"
#include "modalities/clip_look.h"
#include "modalities/clip_rows.h"
#include "modalities/clip_sets.h"
#include "modalities/clips.h"
#include "modalities/shown_clip.h"
#include "program/run_training.h"
#include "run/option_file.h"
#include "run/run_log.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"
#include "train/training_rows.h"

#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_list.h>
#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using namespace simclr;
using Catch::Matchers::Contains;

namespace {

constexpr int side = 16;

/// A bar that moves to the right, or to the left.
void write_clip(const std::string& folder, int number, bool right, int frames = 12) {
  std::filesystem::create_directories(folder);
  for (int k = 0; k < frames; ++k) {
    std::vector<std::uint8_t> pixels(side * side, 20);
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < 3; ++x) {
        pixels[static_cast<std::size_t>(side * y + (5 * number + (right ? k : 2 * side - k) + x) % side)] = 230;
      }
    }
    data::write_png(folder + "/f" + std::to_string(k) + ".png",
                    {.height = side, .width = side, .channels = 1, .pixels = pixels});
  }
}

void write_set(const std::string& folder) {
  for (int i = 0; i < 10; ++i) {
    write_clip(folder + "/left/s" + std::to_string(i % 5) + "_" + std::to_string(i), i, false);
    write_clip(folder + "/right/s" + std::to_string(i % 5) + "_" + std::to_string(i), i, true);
  }
}

int run(std::vector<std::string> words) {
  words.insert(words.begin(), {"train_video", "--threads", "1", "--device", "cpu", "--size", "16", "--width", "2",
                               "--frames", "4", "--clips", "2"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  Clips clips;
  return run_training("train_video", static_cast<int>(arguments.size()), arguments.data(), clips);
}

std::vector<std::string> training(const std::string& data, const std::string& out) {
  return {"--data",     data, "--out",         out, "--epochs",    "2", "--batch-size", "8",
          "--head-out", "8",  "--head-hidden", "8", "--knn-every", "2", "--knn-k",      "3"};
}

std::string text_of(const std::string& path) {
  const auto bytes = test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

int count_of(const std::vector<std::uint8_t>& bytes, const std::string& what) {
  const std::string text(bytes.begin(), bytes.end());
  int count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

}  // namespace

namespace {

/// The numbers that an animated PNG's chunks of frames carry, which a viewer wants in order.
std::vector<int> sequence_of(const std::vector<std::uint8_t>& png) {
  const auto number = [&](std::size_t at) {
    return int{png[at]} << 24 | int{png[at + 1]} << 16 | int{png[at + 2]} << 8 | int{png[at + 3]};
  };
  std::vector<int> numbers;
  for (std::size_t at = 8; at + 12 <= png.size(); at += static_cast<std::size_t>(number(at)) + 12) {
    const std::string type(png.begin() + static_cast<std::ptrdiff_t>(at) + 4,
                           png.begin() + static_cast<std::ptrdiff_t>(at) + 8);
    if (type == "fcTL" || type == "fdAT") numbers.push_back(number(at + 8));
  }
  return numbers;
}

}  // namespace

TEST_CASE("clips train, are evaluated over several clips each, reported, and read back") {
  const test::TempDir folder;
  const std::string clips = folder.path("clips"), out = folder.path("run"), again = folder.path("again");
  write_set(clips);
  std::filesystem::create_directories(clips + "/left/broken");
  data::write_png(clips + "/left/broken/1.png", {.height = 2, .width = 2, .channels = 1, .pixels = {1, 2, 3, 4}});
  data::write_png(clips + "/left/broken/2.png", {.height = 2, .width = 3, .channels = 1, .pixels = {1, 2, 3, 4, 5, 6}});
  REQUIRE(run(training(clips, out)) == 0);
  REQUIRE(run(training(clips, again)) == 0);
  const auto tensors = [](const std::string& of) { return load_tensors(of + "/model.safetensors").tensors; };
  const auto one = tensors(out), other = tensors(again);
  REQUIRE(one.size() == other.size());
  for (std::size_t i = 0; i < one.size(); ++i)
    CHECK(one[i].value.to_vector<float>() == other[i].value.to_vector<float>());

  const auto last = read_run_log(out + "/log.jsonl").back();
  REQUIRE(event_of(last) == "evaluation");
  const std::string report = text_of(out + "/report.html");
  CHECK(report.find("src=\"data:image/png;base64,") != std::string::npos);
  CHECK(report.find(" test clips") != std::string::npos);
  CHECK(report.find(" picture") == std::string::npos);

  Clips kind;
  const EncoderFile file = open_encoder(out, kind);
  CHECK(file.config["modality"] == "clips");
  CHECK_THAT(file.description,
             Contains("r2plus1d_18, width 2, 16 features") && Contains("clips become 4 frames of 16x16 pixels, grey"));
  CHECK(file.tower.maker->view_shape() == Shape{2, 4, 16, 16, 1});
  const auto set = data::clip_folder(data::list_clips(clips));
  int unread = 0;
  EvaluationOptions options;
  options.on_warning = [&](const std::string& message) {
    unread += message.find("broken") != std::string::npos ? 1 : 0;
  };
  CHECK(features_of(*file.encoder, *set, file.tower, options).values.shape() == Shape{20, 16});
  CHECK(unread == 1);

  LabelledPlace place;
  clip_kind()->fill_in(place, file, out);
  CHECK(place.data_dir == clips);
  place = {};
  place.dataset = "moving-fashion-mnist";  // which is not among this run's data
  clip_kind()->fill_in(place, file, out);
  CHECK(place.data_dir == "");
}

TEST_CASE("a GRU over each frame's features trains on long clips by their paths, too") {
  const test::TempDir folder;
  write_set(folder.path("clips"));
  std::vector<std::string> words = training(folder.path("clips"), folder.path("run"));
  words.insert(words.end(), {"--arch", "resnet18_gru", "--gru-width", "4", "--no-evaluation"});
  REQUIRE(run(words) == 0);
  Clips kind;
  const EncoderFile file = open_encoder(folder.path("run"), kind);
  CHECK(file.encoder->output_features() == 8);
  const auto list = data::list_clips(folder.path("clips"));
  const auto whole = features_of(*file.encoder, *data::clip_folder(list), file.tower, {});
  const auto paths = features_of(*file.encoder, *data::clip_folder(list, 1), file.tower, {});
  CHECK(whole.values.to_vector<float>() == paths.values.to_vector<float>());
}

TEST_CASE("clips are parted by a field, and what is said is checked") {
  const test::TempDir folder;
  write_set(folder.path("clips"));
  const Datasets sets =
      open_clips("auto", {.data = folder.path("clips"), .pattern = "{label}/{session}_{}", .test = "session=s3,s4"});
  CHECK(sets.train->size() == 12);
  CHECK(sets.test->size() == 8);
  CHECK(sets.train->classes() == std::vector<std::string>{"left", "right"});
  const auto message = [&](const std::string& kind, const ListedSource& source) {
    return test::message_of([&] { open_clips(kind, source); });
  };
  CHECK_THAT(message("folder", {.data = folder.path("none")}), Contains("no such folder or list"));
  CHECK_THAT(message("folder", {.data = folder.path("clips"), .pattern = "{label}/{s}_{}", .test = "take=1"}),
             Contains("its clips have no field take"));
  CHECK(run({"--data", folder.path("clips"), "--test", "session"}) != 0);
  std::vector<std::string> words = training(folder.path("clips"), folder.path("checked"));
  words.push_back("--check");
  CHECK(run(words) == 1);  // a small batch, and the stem
  CHECK_FALSE(std::filesystem::exists(folder.path("checked/config.json")));
}

TEST_CASE("--check finds clips that are there twice") {
  const test::TempDir folder;
  write_set(folder.path("clips"));
  const auto found = [&] {
    Datasets sets;
    sets.train = data::clip_folder(data::list_clips(folder.path("clips")));
    const std::vector<Input> towers = {Tensor::zeros({4, 2, side, side, 3})};
    Findings findings;
    Clips().look({.sets = sets, .towers = towers}, findings);
    std::string all;
    for (const Finding& each : findings) all += each.about + ": " + each.problem + "\n";
    return all;
  };
  CHECK_THAT(found(), !Contains("duplicates"));
  const std::string one = folder.path("clips/left/s0_0"), copy = folder.path("clips/right/s9_0");
  std::filesystem::copy(one, copy);
  CHECK_THAT(found(), Contains("duplicates: 1 of 21 clips occur more than once (" + copy + " is " + one +
                               "), and equal clips then count as different ones"));
}

TEST_CASE("--check finds a clip that is damaged in the middle, and minds no link that leads to itself") {
  const test::TempDir folder;
  for (const char* name : {"0", "1", "2"}) write_clip(folder.path("clips/") + name, 0, true);
  std::filesystem::create_symlink("loop.png", folder.path("clips/0/loop.png"));
  for (int k = 1; k < 12; ++k) folder.write("clips/1/f" + std::to_string(k) + ".png", std::string("broken"));
  const auto set = data::clip_folder(data::list_clips(folder.path("clips")));
  const LookedAtClips found = look_at_clips(*set, 200, true);
  CHECK(found.read.size() == 2);
  CHECK(found.unread.count == 1);
  CHECK_THAT(found.unread.first, Contains("clips/1"));
}

TEST_CASE("--check takes no clips for copies that begin alike") {
  const test::TempDir folder;
  const auto copies = [&folder] {
    return look_at_clips(*data::clip_folder(data::list_clips(folder.path("clips"))), 200, true).copies.count();
  };
  for (const char* name : {"a/0", "b/0"}) write_clip(folder.path("clips/") + name, 0, true);
  CHECK(copies() == 1);
  // As slides: the first frame and that in the middle stay.
  data::write_png(folder.path("clips/b/0/f7.png"),
                  {.height = side, .width = side, .channels = 1, .pixels = std::vector<std::uint8_t>(side * side, 3)});
  CHECK(copies() == 0);
}

TEST_CASE("views are in colour where some clips are") {
  const test::TempDir folder;
  const auto channels = [&](std::string& note) {
    TrainingOptions o;
    o.data_dir = folder.path("clips");
    Clips kind;
    note = kind.open(o).note;
    return kind.own().augmentation.channels;
  };
  std::string note;
  for (const char* name : {"a/0", "a/1", "b/0"}) write_clip(folder.path("clips/") + name, 0, true, 1);
  folder.write("clips/b/cut.npy", std::string("\x93NUMPY"));
  CHECK(channels(note) == 1);
  CHECK_THAT(note, !Contains("views have"));
  std::filesystem::create_directory(folder.path("clips/b/colour"));
  data::write_png(folder.path("clips/b/colour/0.png"),
                  {.height = 2, .width = 1, .channels = 3, .pixels = {1, 2, 3, 4, 5, 6}});
  CHECK(channels(note) == 3);
  CHECK_THAT(note, Contains("views have 3 channels: looked at were 3 clips of 1, 1 clip of 3 (to choose"));
}

TEST_CASE("clips that no cache holds are served as paths, and give the same model") {
  const test::TempDir folder;
  write_set(folder.path("clips"));
  const auto rank = [&](double cache_gb, const std::string& cache_dir) {
    TrainingOptions o;
    o.data_dir = folder.path("clips");
    o.cache_gb = cache_gb;
    o.cache_dir = cache_dir;
    return Clips().open(o).train->sample(0).shape.rank();
  };
  constexpr double all = 20 * 12 * side * side / 1e9;
  CHECK(rank(1.01 * all, "") == 4);
  CHECK(rank(0.99 * all, "") == 1);
  CHECK(rank(0, "") == 1);
  CHECK(rank(0, folder.path("cache")) == 4);
  for (const char* gb : {"0", "1"}) {
    std::vector<std::string> words = training(folder.path("clips"), folder.path(gb));
    words.insert(words.end(), {"--no-evaluation", "--cache-gb", gb});
    REQUIRE(run(words) == 0);
  }
  const auto weights = [&](const char* of) {
    return load_tensors(folder.path(of) + "/model.safetensors").tensors.front().value.to_vector<float>();
  };
  CHECK(weights("0") == weights("1"));
}

TEST_CASE("that parts of one video are trained on and tested with is said") {
  const test::TempDir folder;
  for (int i = 0; i < 10; ++i) {
    write_clip(folder.path("clips/run/beach_part" + std::to_string(i)), i, true, 1);
    write_clip(folder.path("clips/jump/park_part" + std::to_string(i)), i, true, 1);
  }
  const Datasets sets = open_clips("auto", {.data = folder.path("clips"), .pattern = "{label}/{video}_part{}"});
  CHECK_THAT(
      sets.note,
      Contains("2 of the 2 videos of the test part are trained on, too (to test with others: --test video=20%)"));
}

namespace {

/// Clips of two labels in the folders train, val and test, and a list of them; returns its path.
std::string write_parts(const test::TempDir& folder) {
  std::string table = "clip,class,person,split\n";
  for (const auto& [part, persons] : {std::pair("train", 4), std::pair("val", 1), std::pair("test", 2)}) {
    for (int i = 0; i < 2 * persons; ++i) {
      const std::string label = i % 2 == 0 ? "left" : "right", person = std::to_string(i / 2);
      const std::string clip = std::string(part) + "/" + label + "_" + person;
      write_clip(folder.path("parts/" + clip), i, i % 2 == 1, 2);
      table += clip + "," + label + "," + person + "," + part + "\n";
    }
  }
  return folder.write("parts/index.csv", table);
}

}  // namespace

TEST_CASE("the folders train and test part clips whose names a pattern reads") {
  const test::TempDir folder;
  write_parts(folder);
  folder.write("parts/test/notes.txt", std::string("no clip"));
  const std::string data = folder.path("parts"), pattern = "{label}_{person}";
  const Datasets sets = open_clips("auto", {.data = data, .pattern = pattern});
  CHECK(sets.train->size() == 8);
  CHECK(sets.train->classes() == std::vector<std::string>{"left", "right"});
  REQUIRE(sets.test);
  CHECK(sets.test->size() == 4);
  CHECK_THAT(sets.note, Contains("test: " + data + "/test (left out: 1 .txt file)") && Contains("not used: val"));
  CHECK_THAT(sets.note, Contains("2 of the 2 persons of the test part are trained on, too"));
  CHECK_THAT(test::message_of([&] { open_clips("auto", {.data = data, .pattern = pattern, .test = "person=1"}); }),
             Contains("--test person=1: " + data + " has the folders train and test"));
  CHECK(files_of_clips("auto", data, pattern).files.size() == 28);  // each frame
}

TEST_CASE("clips are parted by a list's column, and nothing is written among them") {
  const test::TempDir folder;
  const std::string list = write_parts(folder);
  const Datasets sets = open_clips("auto", {.data = list});
  CHECK(sets.kind == "list");
  CHECK(sets.train->size() == 8);
  REQUIRE(sets.test);
  CHECK(sets.test->size() == 4);
  CHECK_THAT(sets.note, Contains("not used: 2 clips of split val"));
  const auto share = [&] { return open_clips("list", {.data = list, .test = "person=25%"}).test->size(); };
  CHECK(share() == share());
  CHECK_THAT(test::message_of([&] { open_clips("auto", {.data = list, .pattern = "{label}_{}"}); }),
             Contains("a list says in its columns what each clip is"));

  CHECK(files_of_clips("auto", list, "").files.size() == 29);  // each frame, and itself
  const std::string parts = folder.path("parts");
  CHECK(folders_of_listed(list, clip_files()) == parts + "/test::" + parts + "/train::" + parts + "/val");
  CHECK(folders_of_listed("", clip_files()) == "");
  const auto refused = [&](const std::string& path) {
    return test::message_of([&] { refuse_in_listed("--out", {path}, list, clip_files()); });
  };
  CHECK_THAT(refused(parts + "/val/left_0/run"), Contains("lies in the data's folder"));
  CHECK_THAT(refused(parts + "/val/left_0/f0.png"), Contains("--out"));
  CHECK_THAT(refused(list), Contains("would be lost"));
  CHECK(refused(parts + "/run") == "no error");
}

TEST_CASE("a clip is shown as an animated PNG, whose first frame is its own") {
  const test::TempDir folder;
  write_clip(folder.path("a"), 0, true, 20);
  const auto set = data::clip_folder(data::list_clips(folder.path("")));
  const Shown shown = shown_clip(set->sample(0), 1, 32);
  CHECK(shown.type == "image/png");
  CHECK(shown.width == side);
  CHECK(count_of(shown.bytes, "acTL") == 1);
  CHECK(count_of(shown.bytes, "fcTL") == 16);
  CHECK(sequence_of(shown.bytes) == std::vector<int>{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                     16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30});
  const data::Picture first = data::decode_picture(shown.bytes, "shown"),
                      frame = data::read_picture(folder.path("a/f0.png"));
  CHECK(first.pixels == frame.pixels);
}

TEST_CASE("recipes for clips are named once") {
  Clips kind;
  const auto recipes = kind.recipes();
  REQUIRE(recipes.size() == 3);
  CHECK(recipes.front().name == "moving");
  for (const ClipRecipe& each : clip_recipes()) {  // which keep to the ranges and the rules
    INFO(each.name);
    TrainingOptions o;
    o.recipe = each;
    kind.use_recipe(each.name);
    const OptionTable table = training_table(o, kind);
    for (const OptionRow& row : table.rows()) CHECK(row.set(row.value()) == "");
    table.check_rules();
    kind.configure(to_json(table));
    CHECK(kind.own().times.frames == each.times.frames);
    CHECK(kind.own().clips == each.clips);
  }
  CHECK(clip_recipe("moving").augmentation.flip_probability == 0);  // which would turn a direction round
  CHECK_THAT(test::message_of([] { clip_recipe("none"); }),
             Contains("preset: \"none\" is not known; use one of moving, small, cvrl"));
  CHECK(clip_encoder_names().front() == "r2plus1d_18");
}
