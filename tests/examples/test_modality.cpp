// Waveforms as a second kind of data: what the training program knows of samples, it is told by a Modality alone.
#include "check/check.h"
#include "program/command_line.h"
#include "program/run_training.h"
#include "run/run_log.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"
#include "train/training.h"

#include <simclr/core/runtime.h>
#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <cmath>
#include <csignal>
#include <filesystem>
#include <functional>
#include <numbers>

using namespace simclr;

namespace {

constexpr std::int64_t length = 1024, part = 512;  // values of a recording, and of a view
constexpr int tones = 6;
int views_until_stop = -1;  // counted down by each random view; a signal arrives at 0

/// Notes of six pitches, one byte a value, each in a phase of its own, and noisy.
std::shared_ptr<const data::Dataset> notes(std::int64_t count, std::uint64_t seed) {
  data::MemoryData notes{.samples = {}, .labels = {}, .classes = {}, .description = "notes"};
  for (int tone = 0; tone < tones; ++tone) notes.classes.push_back("tone " + std::to_string(tone));
  std::vector<std::uint8_t> values;
  for (std::int64_t i = 0; i < count; ++i) {
    const Random random(seed, RandomPurpose::user, static_cast<std::uint32_t>(i));
    const double pitch = 0.02 * std::pow(1.5, static_cast<int>(i) % tones), phase = random.uniform(1);
    for (std::uint32_t t = 0; t < length; ++t) {
      const double value = std::sin(2 * std::numbers::pi * (pitch * t + phase)) + 8 * random.uniform(2 + t) - 4;
      values.push_back(static_cast<std::uint8_t>(128 + 25 * value));
    }
    notes.labels.push_back(static_cast<std::int32_t>(i % tones));
  }
  notes.samples = Tensor::from(values, {count, length});
  return data::memory_dataset(std::move(notes));
}

/// A random part of a recording, at a random loudness; else the middle.
class SoundViews final : public data::ViewMaker {
 public:
  explicit SoundViews(bool random) : random_(random) {}
  Shape view_shape() const override { return {1, part, 1}; }
  std::int32_t make_view(const data::Sample& sample, const data::ViewKey& key, std::byte* bytes) const override {
    if (random_ && views_until_stop >= 0 && --views_until_stop == 0) std::raise(SIGINT);
    const Random random(key.seed, RandomPurpose::augmentation, key.sample, key.epoch, key.view);
    const auto start = random_ ? random.below(length - part + 1, 0) : (length - part) / 2;
    const float loudness = random_ ? 0.5f + random.uniform(1) : 1;
    const auto values = sample.values<std::uint8_t>();
    float* out = reinterpret_cast<float*>(bytes);
    for (std::int64_t t = 0; t < part; ++t) {
      out[t] = loudness * (static_cast<float>(values[static_cast<std::size_t>(start + t)]) - 128) / 25;
    }
    return 1;
  }

 private:
  bool random_;
};

/// The energy in bands that are learned: [N,1,512,1] -> [N,bands].
class Filterbank final : public nn::Module {
 public:
  Filterbank(std::int64_t bands, std::uint64_t seed) : bands_(bands) {
    filters_ = add_parameter("filters", {bands, 1, 64, 1}, nn::Role::weight, {nn::Initializer::Kind::normal, 0.1});
    norm_ = add_module("norm", std::make_shared<nn::BatchNorm>(bands));
    initialize(seed);
  }
  Tensor forward(const Input& input) override {
    const Tensor y = nn::conv2d(input.x, filters_, {.stride = 16});
    return norm_->relu(nn::global_average_pool(nn::multiply(y, y)));
  }
  std::int64_t output_features() const override { return bands_; }

 private:
  std::int64_t bands_;
  Tensor filters_;
  std::shared_ptr<nn::BatchNorm> norm_;
};

class Waves : public Modality {
 public:
  const char* name() const override { return "recordings"; }
  void options(OptionTable& table, TrainingOptions&) override {
    table.group("Model");
    table.add("bands", bands_, "Of the filterbank").between(1, 1024);
  }
  std::vector<Recipe> recipes() const override {
    Recipe shrill;
    shrill.name = "shrill";
    shrill.optimizer = "adamw";
    shrill.lr = 0.05;
    shrill.batch_size = 40;
    shrill.epochs = 8;
    shrill.head_out = 16;
    return {shrill};
  }
  void use_recipe(const std::string&) override { bands_ = 32; }
  Datasets open(TrainingOptions&) override {
    Datasets sets;
    sets.sample_name = "recording";
    sets.kind = "notes";
    sets.train = notes(240, 1);
    sets.test = notes(120, 2);
    return sets;
  }
  nlohmann::ordered_json data_files(const TrainingOptions&) const override { return nlohmann::ordered_json::object(); }
  void configure(const nlohmann::ordered_json& config) override { config.at("bands").get_to(bands_); }
  std::string encoder_name() const override { return "filterbank, " + std::to_string(bands_) + " bands"; }
  std::string view_name() const override { return "recordings become 512 values"; }
  std::shared_ptr<nn::Module> make_encoder(std::uint64_t seed) const override {
    return std::make_shared<Filterbank>(bands_, seed);
  }
  std::vector<data::Tower> towers(bool random) const override {
    return {{.maker = std::make_shared<SoundViews>(random)}};
  }
  Shown shown(const data::Sample& sample, int, int) const override {
    const auto values = sample.values<std::uint8_t>();
    return {"audio/wav", {values.begin(), values.end()}};
  }
  Shown shown_view(const Tensor& view, int, int) const override {
    const auto values = view.to_vector<float>();
    return {"audio/wav", {values.begin(), values.end()}};
  }

 private:
  std::int64_t bands_ = 0;
};

/// Calls `use` with a command line.
int with_arguments(std::vector<std::string> words, const std::function<int(int argc, char** argv)>& use) {
  words.insert(words.begin(), {"waves", "--threads", "1", "--device", "cpu"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return use(static_cast<int>(arguments.size()), arguments.data());
}

int run(const std::vector<std::string>& words) {
  Waves waves;
  return with_arguments(words, [&](int argc, char** argv) { return run_training("waves", argc, argv, waves); });
}

int train(const std::string& out) {
  return run({"--out", out, "--bands", "24", "--knn-every", "4", "--knn-k", "10"});
}

std::string text_of(const std::string& path) {
  const auto bytes = test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("a second kind of data trains, stops, resumes to the same bits, is evaluated and reported") {
  const test::TempDir folder;
  const std::string whole = folder.path("whole"), stopped = folder.path("stopped");
  REQUIRE(train(whole) == 0);
  views_until_stop = 1000;  // in the third epoch
  REQUIRE(train(stopped) == 128 + SIGINT);
  CHECK(text_of(stopped + "/report.html").find("stopped; ") != std::string::npos);
  views_until_stop = -1;
  CHECK(run({"--resume", "--out", stopped, "--bands", "16"}) == 1);  // another run
  REQUIRE(run({"--resume", "--out", stopped}) == 0);                 // with its own options
  const auto tensors = [](const std::string& run) { return load_tensors(run + "/model.safetensors").tensors; };
  const auto expected = tensors(whole), resumed = tensors(stopped);
  REQUIRE(expected.size() == resumed.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(expected[i].value.to_vector<float>() == resumed[i].value.to_vector<float>());
  }
  const auto last = read_run_log(whole + "/log.jsonl").back();
  REQUIRE(event_of(last) == "evaluation");
  CHECK(last["trained"]["knn"]["top1"].get<double>() > last["untrained"]["knn"]["top1"].get<double>());
  const std::string report = text_of(whole + "/report.html");
  CHECK(report.find("src=\"data:audio/wav;base64,") != std::string::npos);
  CHECK(report.find("120 test recordings") != std::string::npos);
  CHECK(report.find(" picture") == std::string::npos);
  CHECK(report.find("waves --config ") != std::string::npos);
  CHECK(report.find("train_cifar") == std::string::npos);

  Waves waves;  // of no bands, until a file says how many
  const EncoderFile file = open_encoder(whole, waves);
  CHECK(file.config["modality"] == "recordings");
  CHECK(file.config["preset"] == "shrill");
  CHECK(file.description.starts_with("filterbank, 24 bands, 24 features, from "));
  const auto known = features_of(*file.encoder, *notes(240, 1), file.tower, {});
  const auto asked = features_of(*file.encoder, *notes(120, 2), file.tower, {});
  const nn::Metrics knn = nn::compute_metrics(nn::knn_scores(known, asked.values, tones, {.k = 10}), asked.labels);
  CHECK(knn.top1 == last["trained"]["knn"]["top1"].get<double>());
}

namespace {

/// The same data under another name, without recipes of its own, in three views.
class Noises final : public Waves {
 public:
  const char* name() const override { return "noises"; }
  std::vector<Recipe> recipes() const override { return Modality::recipes(); }
  std::vector<data::Tower> towers(bool random) const override {
    std::vector<data::Tower> towers = Waves::towers(random);
    if (random) towers.front().views = 3;
    return towers;
  }
};

}  // namespace

TEST_CASE("weights and configurations are taken by the kind of data that they are of") {
  const test::TempDir folder;
  const std::string out = folder.path("run");
  REQUIRE(run({"--out", out, "--epochs", "1", "--no-evaluation", "--knn-every", "0", "--bands", "4"}) == 0);
  Noises noises;
  CHECK_THAT(test::message_of([&] { open_encoder(out, noises); }),
             Catch::Contains("it is of recordings, and this program takes noises"));
  Waves waves;
  CHECK(test::message_of([&] { open_encoder(out, waves); }) == "no error");
  // A kind that names no recipes has one of the defaults.
  TrainingOptions options;
  use_recipe(options, noises, "");
  CHECK(options.recipe.name == "default");
  CHECK_THAT(test::message_of([&] { use_recipe(options, noises, "shrill"); }), Catch::Contains("use one of default"));
  CHECK(noises.make_model(options)->views() == 3);  // nor with a model of its own
}

namespace {

class Hissing final : public Waves {
 public:
  void look(const LookedAt& at, Findings& findings) const override {
    ++looked;
    CHECK(at.sets.sample_name == "recording");
    CHECK(at.towers.front().x.shape() == Shape{128, 1, part, 1});
    findings.push_back({.about = "recordings", .problem = "they hiss", .remedy = "a better microphone"});
  }
  mutable int looked = 0;
};

/// Says other towers than its model has.
class Torn final : public Waves {
 public:
  explicit Torn(std::vector<data::Tower> towers) : towers_(std::move(towers)) {}
  std::vector<data::Tower> towers(bool) const override { return towers_; }
  std::unique_ptr<nn::Model> make_model(const TrainingOptions& options) const override {
    return make_simclr(options, make_encoder(0));
  }

 private:
  std::vector<data::Tower> towers_;
};

}  // namespace

TEST_CASE("a model that does not fit the views is refused") {
  const auto message = [](const std::vector<data::Tower>& towers) {
    Torn torn(towers);
    TrainingOptions options;
    use_recipe(options, torn, "");
    options.device = "cpu";
    options.threads = 1;
    return test::message_of([&] { make_training(options, torn, [](const std::string&) {}); });
  };
  const data::Tower two{.maker = std::make_shared<SoundViews>(true)}, three{.maker = two.maker, .views = 3};
  CHECK(message({two}) == "no error");
  CHECK(message({two, two}) == "recordings: views for 2 towers, and a model of 1");
  CHECK(message({three}) == "recordings: 3 views of each sample for tower 0 of a model that takes 2");
}

TEST_CASE("what a second kind of data adds is checked before a run, and leaves none") {
  const test::TempDir folder;
  Hissing waves;
  const int code = with_arguments(
      {"--out", folder.path("checked"), "--check", "--batch-size", "64", "--optimizer", "sgd", "--lr", "0.5"},
      [&](int argc, char** argv) {
        TrainingOptions options;
        REQUIRE(parse_command_line("waves", argc, argv, options, waves));
        return check_run(options, waves, [](const std::string& warning) { FAIL(warning); });
      });
  CHECK(code == 1);
  CHECK(waves.looked == 1);
  CHECK_FALSE(std::filesystem::exists(folder.path("checked/config.json")));

  const Datasets sets{.sample_name = "recording"};
  const std::vector<Input> none;
  Findings found;
  const Waves usual;
  usual.look({.sets = sets, .towers = none, .difference = LookedAt::least_difference}, found);
  usual.look({.sets = sets, .towers = none}, found);  // one view a sample, so none to compare it with
  CHECK(found.empty());
  usual.look({.sets = sets, .towers = none, .difference = 0.04}, found);
  REQUIRE(found.size() == 1);
  CHECK(found[0].about == "views");
  CHECK(found[0].problem.starts_with("the two views of a recording hardly differ"));
  CHECK(found[0].unusable);
}

TEST_CASE("samples are not read for a device that their kind has no views on") {
  class Counted final : public data::Dataset {
   public:
    std::int64_t size() const override { return notes_->size(); }
    data::Sample sample(std::int64_t i, int) const override {
      ++reads;
      return notes_->sample(i);
    }
    std::int32_t label(std::int64_t i) const override { return notes_->label(i); }
    const std::vector<std::string>& classes() const override { return notes_->classes(); }
    std::string describe() const override { return notes_->describe(); }

    mutable int reads = 0;

   private:
    std::shared_ptr<const data::Dataset> notes_ = notes(12, 1);
  };
  const auto samples = std::make_shared<Counted>();
  const auto source =
      make_view_source(samples, Waves(), "auto", {.batch_size = 4, .device = {DeviceType::emu}, .dtype = DType::bf16});
  CHECK(source->where() == "on the host");
  CHECK(samples->reads == 0);
}
