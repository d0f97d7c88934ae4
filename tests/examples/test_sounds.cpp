// Recordings as a kind of data: how they are found and parted, trained on, evaluated, checked and shown.
#include "check/check.h"
#include "modalities/shown_sound.h"
#include "modalities/sound_check.h"
#include "modalities/sound_sets.h"
#include "modalities/sounds.h"
#include "program/command_line.h"
#include "program/run_training.h"
#include "run/option_file.h"
#include "run/run_log.h"
#include "support/catch.h"
#include "support/message_of.h"
#include "support/takes.h"
#include "support/temp_dir.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"
#include "train/training_config.h"

#include <simclr/data/sound/sound_io.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>

using namespace simclr;
using Catch::Matchers::Contains;
using namespace simclr::test;

namespace {

Datasets open_sounds(const ListedSource& source, int at = rate) {
  return open_listed(source, sound_files_at(at));
}

Datasets open_takes(const TempDir& dir, const std::string& parts) {
  return open_sounds({.data = dir.path("takes"), .pattern = pattern, .test = parts});
}

/// Calls `use` with train_speech's command line for these takes.
int with_arguments(const std::vector<std::string>& more, const std::function<int(int argc, char** argv)>& use) {
  std::vector<std::string> words = {"train_speech", "--threads", "1", "--device", "cpu"};
  words.insert(words.end(), more.begin(), more.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return use(static_cast<int>(arguments.size()), arguments.data());
}

int run(const std::vector<std::string>& words) {
  Sounds sounds;
  return with_arguments(words, [&](int argc, char** argv) { return run_training("train_speech", argc, argv, sounds); });
}

std::vector<std::string> small(const TempDir& dir, const std::string& out) {
  return {"--data",          dir.path("takes"),
          "--pattern",       pattern,
          "--test",          "take=0-1",
          "--out",           out,
          "--rate",          "8000",
          "--seconds",       "0.3",
          "--mels",          "16",
          "--width",         "4",
          "--epochs",        "3",
          "--batch-size",    "16",
          "--knn-every",     "2",
          "--knn-k",         "5",
          "--warmup-epochs", "0",
          "--probe-epochs",  "5"};
}

/// These words, of which `more` says some anew: --name value.
std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  for (const std::string& word : more) {
    const auto said = word.starts_with("--") ? std::find(words.begin(), words.end(), word) : words.end();
    if (said != words.end()) words.erase(said, said + 2);
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

using Weights = std::vector<std::vector<float>>;

Weights weights_of(const std::string& run) {
  Weights values;
  for (const auto& tensor : load_tensors(run + "/model.safetensors").tensors) {
    values.push_back(tensor.value.to_vector<float>());
  }
  return values;
}

}  // namespace

TEST_CASE("a preset's pattern and test part are left out where they do not fit", "[sounds]") {
  const TempDir dir;
  write_segments(dir);
  std::vector<std::string> words = with(small(dir, dir.path("run")), {"--data", dir.path("segments.csv")});
  words.erase(words.begin(), words.begin() + 4);  // --pattern and --test
  REQUIRE(words[0] == "--out");
  REQUIRE(run(with(words, {"--preset", "digits", "--epochs", "1"})) == 0);
  CHECK(read_config(dir.path("run/config.json"))["test"] == "");
  CHECK(run(with(words, {"--preset", "digits", "--out", dir.path("other"), "--test", "take=0-4"})) == 1);  // asked for
}

TEST_CASE("noise may lie in a folder and in those below it", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 6);
  dir.write("noise/hum.wav", said(0, 0, 0));
  dir.write("noise/more/hiss.wav", said(2, 0, 0));
  CHECK(run(with(small(dir, dir.path("run")), {"--noise", dir.path("noise"), "--epochs", "1"})) == 0);
}

TEST_CASE("recordings are trained on, resumed to the same bits, evaluated and reported", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 6);
  const std::string whole = dir.path("whole"), begun = dir.path("begun");
  REQUIRE(run(small(dir, whole)) == 0);
  // A run of which only its first checkpoint is left goes on from there.
  REQUIRE(run(with(small(dir, begun), {"--checkpoint-minutes", "0", "--keep-checkpoints", "100"})) == 0);
  const auto checkpoints = nn::CheckpointFolder(begun + "/checkpoints").list();
  REQUIRE(checkpoints.size() >= 2);
  std::filesystem::remove(begun + "/model.safetensors");
  for (std::size_t i = 0; i + 1 < checkpoints.size(); ++i) std::filesystem::remove(checkpoints[i].path);
  REQUIRE(run({"--resume", "--out", begun}) == 0);
  CHECK(weights_of(begun) == weights_of(whole));
  CHECK(run({"--resume", "--out", whole, "--mels", "24"}) == 1);  // another run

  const auto last = read_run_log(whole + "/log.jsonl").back();
  REQUIRE(event_of(last) == "evaluation");
  CHECK(last["trained"]["linear"]["top1"].get<double>() > 1.0 / 3);
  const std::string report = test::read_text(whole + "/report.html");
  CHECK(report.find("src=\"data:audio/wav;base64,") != std::string::npos);
  CHECK(report.find("src=\"data:image/png;base64,") != std::string::npos);
  CHECK(report.find("18 test recordings") != std::string::npos);
  CHECK(report.find(" picture") == std::string::npos);
  CHECK(report.find("train_speech --config ") != std::string::npos);

  Sounds sounds;
  const EncoderFile file = open_encoder(whole, sounds);
  CHECK(file.config["modality"] == "recordings");
  CHECK(file.description.starts_with("resnet18, width 4, 32 features, from "));
  CHECK_THAT(file.description, Contains("31 frames of 16 mels, 0.3 s at 8000 Hz"));
  const Datasets sets = open_takes(dir, "take=0-1");
  const auto known = features_of(*file.encoder, *sets.train, file.tower, {});
  const auto asked = features_of(*file.encoder, *sets.test, file.tower, {});
  const nn::Metrics knn = nn::compute_metrics(nn::knn_scores(known, asked.values, 3, {.k = 5}), asked.labels);
  CHECK(knn.top1 == last["trained"]["knn"]["top1"].get<double>());
}

TEST_CASE("a GRU is told the lengths of recordings, and sees no padding", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 6);
  const std::string out = dir.path("run");
  REQUIRE(run(with(small(dir, out), {"--arch", "gru", "--width", "8", "--layers", "2", "--seconds", "2", "--noise",
                                     dir.path("takes"), "--noise-probability", "1"})) == 0);
  Sounds sounds;
  const EncoderFile file = open_encoder(out, sounds);
  CHECK(file.description.starts_with("gru in both directions, 2 layers, width 8, 16 features, from "));
  CHECK(file.tower.maker->view_shape() == Shape{201, 16});
  const Datasets sets = open_takes(dir, "take=0-1");
  const auto features = features_of(*file.encoder, *sets.test, file.tower, {});
  // With more room behind it a recording has the same features.
  nlohmann::ordered_json longer = file.config;
  longer["eval_seconds"] = 3.0;
  sounds.configure(longer);
  const auto again = features_of(*file.encoder, *sets.test, sounds.towers(false).front(), {});
  const auto a = features.values.to_vector<float>(), b = again.values.to_vector<float>();
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) < 1e-5f);
}

TEST_CASE("a report's players have at most 16000 samples a second", "[sounds]") {
  const std::vector<float> tone = test::tone(44100, 440, 44100, 0.5);
  const Shown shown = shown_sound(tone, 44100, data::usual_logmel(44100, 32), 64);
  CHECK(shown.bytes.size() == (data::can_resample() ? 44u + 2 * 16000 : 44u + 2 * 44100));
}

TEST_CASE("a recording that cannot be read is named and left out", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 6);
  auto cut = said(0, 0, 5);
  cut.resize(cut.size() / 2);
  dir.write("takes/" + file_name(0, 0, 5), cut);
  dir.write("takes/" + file_name(1, 0, 5), std::vector<std::uint8_t>());
  dir.write("takes/" + file_name(2, 2, 0), test::wav_of({}, {.rate = rate}));  // of the test part
  dir.write("takes/low.wav", said(1, 0, 0));                                   // does not fit the pattern
  const std::string out = dir.path("run");
  REQUIRE(run(small(dir, out)) == 0);
  const auto last = read_run_log(out + "/log.jsonl").back();
  CHECK(event_of(last) == "evaluation");
}

TEST_CASE("configurations that cannot be are refused in one line", "[sounds]") {
  Sounds sounds;
  TrainingOptions o;
  use_recipe(o, sounds, "digits");
  const nlohmann::ordered_json good = to_json(o, sounds);
  sounds.configure(good);
  for (const auto& [key, value] : std::vector<std::pair<std::string, nlohmann::ordered_json>>{{"arch", "vgg"},
                                                                                              {"width", 0},
                                                                                              {"layers", 0},
                                                                                              {"mels", 0},
                                                                                              {"rate", 10},
                                                                                              {"seconds", 0},
                                                                                              {"seconds", "one"}}) {
    nlohmann::ordered_json wrong = good;
    wrong[key] = value;
    INFO(key << " " << value.dump());
    Sounds other;
    CHECK_THROWS(other.configure(wrong));
    wrong.erase(key);
    CHECK_THROWS(other.configure(wrong));
  }
}

namespace {

SoundFigures look(const TempDir& dir, const std::string& folder) {
  const Datasets sets = open_sounds({.data = dir.path(folder)});
  return look_at_sounds(*sets.train, rate, 300);
}

std::string found_in(const SoundFigures& figures, const SoundOptions& own) {
  std::string all;
  for (const Finding& each : sound_findings(own, figures)) all += each.about + ": " + each.problem + "\n";
  return all;
}

SoundOptions usual() {
  SoundOptions own;
  own.sound.rate = rate;
  own.sound.seconds = 0.3;
  return own;
}

}  // namespace

TEST_CASE("--check names clipping, silence, offsets, copies, rates and lengths of recordings", "[sounds]") {
  const TempDir dir;
  for (int take = 0; take < 20; ++take) dir.write("good/" + std::to_string(take) + ".wav", said(0, 1, take));
  const SoundFigures good = look(dir, "good");
  CHECK(good.looked_at == 20);
  CHECK(good.median > 0.3);
  CHECK(good.rates == std::map<std::int32_t, std::int64_t>{{rate, 20}});
  CHECK(found_in(good, usual()) == "");
  dir.write("good/damaged.wav", std::string("RIFF"));
  CHECK_THAT(found_in(look(dir, "good"), usual()),
             Contains("unreadable recordings: 1 of 21 recordings looked at cannot be read") &&
                 Contains("the first: " + dir.path("good") + "/damaged.wav: "));
  CHECK(text_of(good) == "20 looked at, 0.3 to 0.68 s, half of them below 0.5 s; 8000 Hz");

  for (int take = 0; take < 5; ++take) {
    const std::string name = "bad/" + std::to_string(take);
    std::vector<float> loud = test::tone(4000, 440 + 40 * take, rate, 3), offset = test::tone(4000, 500, rate, 0.1);
    for (float& value : loud) value = std::clamp(value, -1.0f, 1.0f);
    for (float& value : offset) value += 0.3f + 0.01f * static_cast<float>(take);
    dir.write(name + "_loud.wav", test::wav_of_samples(loud, rate));
    dir.write(name + "_offset.wav", test::wav_of_samples(offset, rate));
    dir.write(name + "_silent.wav",
              test::wav_of_samples(std::vector<float>(4000 + 16u * static_cast<unsigned>(take)), rate));
    dir.write(name + "_copy.wav", said(1, 1, 1));
    dir.write(name + "_slow.wav", said(1, 2, take));
  }
  const SoundFigures bad = look(dir, "bad");
  CHECK(bad.looked_at == 25);
  CHECK(bad.clipped == 5);
  CHECK(bad.silent == 5);
  CHECK(bad.offset == 5);
  CHECK(bad.copies.count() == 4);
  const std::string found = found_in(bad, usual());
  CHECK_THAT(found, Contains("clipping: 5 of 25 recordings lie at their loudest"));
  CHECK_THAT(found, Contains("silence: 5 of 25 recordings are nowhere louder than -60 dB, such as "));
  CHECK_THAT(found, Contains("offset: 5 of 25 recordings do not swing about zero"));
  CHECK_THAT(found, Contains("duplicates: 4 of 25 recordings occur more than once ("));

  SoundOptions own = usual();
  own.sound.seconds = 3;
  CHECK_THAT(found_in(good, own), Contains("seconds: half of the recordings are shorter than 0.5 s"));
  own.sound.seconds = 0.02;
  CHECK_THAT(found_in(good, own), Contains("seconds: half of the recordings are longer than 0.5 s"));
  own.sound.seconds = 3;
  own.arch = "gru";
  CHECK(found_in(good, own) == "");  // it is told the lengths
  own = usual();
  own.sound.rate = 16000;
  CHECK_THAT(found_in(good, own), Contains("rate: the files have at most 8000 samples a second"));
  SoundFigures mixed = good;
  mixed.rates = {{8000, 10}, {16000, 10}};
  CHECK_THAT(found_in(mixed, own), Contains("rates: 10 of 20 files have fewer than 16000 samples a second"));
  mixed.rates = {{8000, 97}, {16000, 3}};
  CHECK_THAT(found_in(mixed, own), Contains("rates: 97 of 100 files have fewer than 16000 samples a second"));

  for (const int hertz : {20, 50, 80, 110}) {  // whose crests are flat in 16 bits, and not clipped
    dir.write("deep/" + std::to_string(hertz) + ".wav",
              test::wav_of_samples(test::tone(48000, hertz, 48000, 0.97), 48000));
  }
  const Datasets deep = open_sounds({.data = dir.path("deep")}, 48000);
  CHECK(look_at_sounds(*deep.train, 48000, 300).clipped == 0);
}

TEST_CASE("--check looks at recordings before a run, and leaves none", "[sounds]") {
  const TempDir dir;
  write_takes(dir, 6);
  const std::string out = dir.path("checked");
  Sounds sounds;
  const int code = with_arguments(with(small(dir, out), {"--check"}), [&](int argc, char** argv) {
    TrainingOptions options;
    REQUIRE(parse_command_line("train_speech", argc, argv, options, sounds));
    return check_run(options, sounds, [](const std::string& warning) { FAIL(warning); });
  });
  CHECK(code == 1);  // a batch of 16 is small
  CHECK_FALSE(std::filesystem::exists(out + "/config.json"));
}

namespace {

/// Ten recordings, each a class of its own and cut into four: only others of the file tell what a segment is.
std::string write_own_classes(const TempDir& dir) {
  std::string table = "file,label,start,end\n";
  for (int take = 0; take < 10; ++take) {
    const std::string name = "long/" + std::to_string(take) + ".wav";
    dir.write(name, said(0, 0, take));
    for (int part = 0; part < 4; ++part) {
      table += name + ",c" + std::to_string(take) + "," + std::to_string(0.05 * part) + "," +
               std::to_string(0.05 * part + 0.05) + "\n";
    }
  }
  return dir.write("own.csv", table);
}

}  // namespace

TEST_CASE("kNN while training asks for no segment that it knows by others of its file", "[sounds]") {
  const TempDir dir;
  const std::string list = write_own_classes(dir), out = dir.path("run");
  std::vector<std::string> words = with(small(dir, out), {"--data", list, "--knn-every", "1", "--epochs", "1"});
  words.erase(words.begin(), words.begin() + 4);  // --pattern and --test
  REQUIRE(words[0] == "--out");
  REQUIRE(run(words) == 0);
  int looks = 0;
  for (const LogEntry& entry : read_run_log(out + "/log.jsonl")) {
    if (event_of(entry) != "knn") continue;
    ++looks;
    CHECK_FALSE(entry.contains("top1"));  // a class of one file has none to ask for
  }
  CHECK(looks == 1);
}

TEST_CASE("--limit keeps the files of the segments that stay", "[sounds]") {
  const TempDir dir;
  Sounds sounds;
  TrainingOptions options;
  use_recipe(options, sounds, "");
  options.data_dir = write_own_classes(dir);
  options.device = "cpu";
  options.threads = 1;
  options.recipe.batch_size = 8;
  options.limit = 20;
  const Training t = make_training(options, sounds, [](const std::string&) {});
  REQUIRE(t.sets.labelled->size() == 20);
  REQUIRE(t.sets.groups.size() == 20);
  for (std::int64_t i = 0; i < 20; ++i) CHECK(t.sets.groups[static_cast<std::size_t>(i)] == i / 2);
}
