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

class Waves final : public Modality {
 public:
  AddRows rows() const override {
    return [this](OptionTable& table, TrainingOptions&) {
      table.add("bands", bands_, "Of the filterbank").between(1, 1024);
    };
  }
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
  Views views(bool random) const override { return std::make_shared<SoundViews>(random); }
  Shown shown(const data::Sample& sample, int) const override {
    const auto values = sample.values<std::uint8_t>();
    return {"audio/wav", {values.begin(), values.end()}};
  }
  Shown shown_view(const Tensor& view, int) const override {
    const auto values = view.to_vector<float>();
    return {"audio/wav", {values.begin(), values.end()}};
  }

 private:
  mutable std::int64_t bands_ = 32;
};

/// Calls `use` with a command line.
int with_arguments(const std::string& out, const std::vector<std::string>& more,
                   const std::function<int(int argc, char** argv)>& use) {
  std::vector<std::string> words = {"waves", "--out", out};
  for (const char* word : {"--epochs", "8", "--batch-size", "40", "--optimizer", "adamw", "--lr", "0.05", "--threads",
                           "1", "--device", "cpu", "--head-out", "16", "--knn-every", "4", "--knn-k", "10"}) {
    words.emplace_back(word);
  }
  words.insert(words.end(), more.begin(), more.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return use(static_cast<int>(arguments.size()), arguments.data());
}

int train(const std::string& out, const std::vector<std::string>& more) {
  Waves waves;
  return with_arguments(out, more, [&](int argc, char** argv) { return run_training("waves", argc, argv, waves); });
}

std::string text_of(const std::string& path) {
  const auto bytes = test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("a second kind of data trains, stops, resumes to the same bits, is evaluated and reported") {
  const test::TempDir folder;
  const std::string whole = folder.path("whole"), stopped = folder.path("stopped");
  REQUIRE(train(whole, {"--bands", "24"}) == 0);
  views_until_stop = 1000;  // in the third epoch
  REQUIRE(train(stopped, {"--bands", "24"}) == 128 + SIGINT);
  CHECK(text_of(stopped + "/report.html").find("stopped; ") != std::string::npos);
  views_until_stop = -1;
  CHECK(train(stopped, {"--resume", "--bands", "16"}) == 1);  // another run
  REQUIRE(train(stopped, {"--resume"}) == 0);
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

  Waves waves;  // of 32 bands, until a file says otherwise
  const EncoderFile file = open_encoder(whole, waves);
  CHECK(file.description.starts_with("filterbank, 24 bands, 24 features, from "));
  const auto known = features_of(*file.encoder, *notes(240, 1), file.views, {});
  const auto asked = features_of(*file.encoder, *notes(120, 2), file.views, {});
  const nn::Metrics knn = nn::compute_metrics(nn::knn_scores(known, asked.values, tones, {.k = 10}), asked.labels);
  CHECK(knn.top1 == last["trained"]["knn"]["top1"].get<double>());
}

TEST_CASE("what a second kind of data adds is checked before a run, and leaves none") {
  const test::TempDir folder;
  Waves waves;
  const int code = with_arguments(folder.path("checked"), {"--check"}, [&](int argc, char** argv) {
    TrainingOptions options;
    REQUIRE(parse_command_line("waves", argc, argv, options, waves));
    return check_run(options, waves, [](const std::string& warning) { FAIL(warning); });
  });
  CHECK((code == 0 || code == 1));  // what it thinks of the rate of learning; a check that cannot be done throws
  CHECK_FALSE(std::filesystem::exists(folder.path("checked/config.json")));

  const Datasets sets{.sample_name = "recording"};
  const Tensor views = Tensor::zeros({2, 1, part, 1});
  Findings found;
  const auto look = [&](double difference) {
    Waves().look({.sets = sets, .views = views, .difference = difference, .seed = 0, .sheet = {}, .no_sheet = {}},
                 found);
  };
  look(LookedAt::least_difference);
  CHECK(found.empty());
  look(0.04);
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
  if (!device_problem(DeviceType::emu).empty()) return;  // some builds have no device
  const auto samples = std::make_shared<Counted>();
  const auto source =
      make_view_source(samples, Waves(), "auto", {.batch_size = 4, .device = {DeviceType::emu}, .dtype = DType::bf16});
  CHECK(source->where() == "on the host");
  CHECK(samples->reads == 0);
}
