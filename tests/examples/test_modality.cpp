// Waveforms as a second kind of data: what the training program knows of samples, it is told by a Modality alone.
#include "program/run_training.h"
#include "run/run_log.h"

#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/temp_dir.h"

#include <cmath>
#include <csignal>
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

/// The energy in bands that are learned: [N,1,512,1] -> [N,32].
class Filterbank final : public nn::Module {
 public:
  explicit Filterbank(std::uint64_t seed) {
    filters_ = add_parameter("filters", {bands, 1, 64, 1}, nn::Role::weight, {nn::Initializer::Kind::normal, 0.1});
    norm_ = add_module("norm", std::make_shared<nn::BatchNorm>(bands));
    initialize(seed);
  }
  Tensor forward(const Input& input) override {
    const Tensor y = nn::conv2d(input.x, filters_, {.stride = 16});
    return norm_->relu(nn::global_average_pool(nn::multiply(y, y)));
  }
  std::int64_t output_features() const override { return bands; }

 private:
  static constexpr std::int64_t bands = 32;
  Tensor filters_;
  std::shared_ptr<nn::BatchNorm> norm_;
};

class Waves final : public Modality {
 public:
  AddRows rows() const override {
    return [](OptionTable&, TrainingOptions&) {};
  }
  Datasets open(TrainingOptions&) override {
    Datasets sets;
    sets.sample_name = "recording";
    sets.kind = "notes";
    sets.labelled = sets.train = notes(240, 1);
    sets.test = notes(120, 2);
    return sets;
  }
  nlohmann::ordered_json data_files(const TrainingOptions&) const override { return nlohmann::ordered_json::object(); }
  void configure(const nlohmann::ordered_json&) override {}
  std::string encoder_name() const override { return "filterbank"; }
  std::string view_name() const override { return "recordings become 512 values"; }
  std::shared_ptr<nn::Module> make_encoder(std::uint64_t seed) const override {
    return std::make_shared<Filterbank>(seed);
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
};

int train(const std::string& out, bool resume = false) {
  std::vector<std::string> words = {"waves", "--out", out};
  for (const char* word : {"--epochs", "8", "--batch-size", "40", "--optimizer", "adamw", "--lr", "0.05", "--threads",
                           "1", "--device", "cpu", "--head-out", "16", "--knn-every", "4", "--knn-k", "10"}) {
    words.emplace_back(word);
  }
  if (resume) words.emplace_back("--resume");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  Waves waves;
  return run_training("waves", static_cast<int>(arguments.size()), arguments.data(), waves);
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
  REQUIRE(train(stopped, true) == 0);
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
}
