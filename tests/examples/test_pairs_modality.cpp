// Pairs as a kind of data: two parts of a sample, two towers, each with an encoder of its own, told by a Modality
// alone.
#include "check/check.h"
#include "program/run_training.h"
#include "run/run_log.h"
#include "train/encoder_file.h"

#include <simclr/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"
#include "support/tensors.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <set>

using namespace simclr;

namespace {

constexpr int kinds = 6;
constexpr std::int64_t values = 64, longest = 4, features = 16;
int views_until_stop = -1;             // counted down by each random view; a signal arrives at 0
std::set<std::int64_t> lengths_shown;  // of captions, on a page

/// A noisy measurement, in which eight of 64 bytes are higher, and its caption: one to four of the class's three words.
class Captioned final : public data::Dataset {
 public:
  Captioned(std::int64_t size, std::uint64_t seed) : size_(size), seed_(seed) {
    for (int c = 0; c < kinds; ++c) classes_.push_back("class " + std::to_string(c));
  }
  std::int64_t size() const override { return size_; }
  int parts() const override { return 2; }
  std::int32_t label(std::int64_t i) const override { return static_cast<std::int32_t>(i % kinds); }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "captioned measurements"; }
  data::Sample sample(std::int64_t i, int part) const override {
    const Random random(seed_, RandomPurpose::user, static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(part));
    const auto bytes = std::make_shared<std::vector<std::byte>>();
    if (part == 0) {
      for (std::uint32_t t = 0; t < values; ++t) {
        const bool own = static_cast<std::int32_t>(t / 8) == label(i);
        bytes->push_back(static_cast<std::byte>(static_cast<int>(70 + (own ? 40 : 0) + 80 * random.uniform(t))));
      }
      return {.bytes = *bytes, .shape = {values}, .label = label(i), .owner = bytes};
    }
    const std::uint32_t length = 1 + random.below(longest, 0);
    for (std::uint32_t k = 0; k < length; ++k) {
      const std::int32_t id = 3 * label(i) + static_cast<std::int32_t>(random.below(3, 1 + k));
      const auto* raw = reinterpret_cast<const std::byte*>(&id);
      bytes->insert(bytes->end(), raw, raw + sizeof id);
    }
    return {.bytes = *bytes, .shape = {length}, .dtype = DType::i32, .label = label(i), .owner = bytes};
  }

 private:
  std::int64_t size_;
  std::uint64_t seed_;
  std::vector<std::string> classes_;
};

/// A measurement, a little of which is blanked at random.
class Measurements final : public data::ViewMaker {
 public:
  explicit Measurements(bool random) : random_(random) {}
  Shape view_shape() const override { return {values}; }
  std::int32_t make_view(const data::Sample& sample, const data::ViewKey& key, std::byte* out) const override {
    if (random_ && views_until_stop >= 0 && --views_until_stop == 0) std::raise(SIGINT);
    const Random random(key.seed, RandomPurpose::augmentation, key.sample, key.epoch, key.view);
    const auto bytes = sample.values<std::uint8_t>();
    for (std::uint32_t t = 0; t < values; ++t) {
      const bool blank = random_ && random.uniform(t) < 0.1f;
      reinterpret_cast<float*>(out)[t] = blank ? 0 : (static_cast<float>(bytes[t]) - 115) / 30;
    }
    return values;
  }

 private:
  bool random_;
};

/// A caption's ids, as they are.
class Captions final : public data::ViewMaker {
 public:
  Shape view_shape() const override { return {longest}; }
  DType view_dtype() const override { return DType::i32; }
  std::int32_t make_view(const data::Sample& sample, const data::ViewKey&, std::byte* out) const override {
    const auto ids = sample.values<std::int32_t>();
    std::memcpy(out, ids.data(), ids.size_bytes());
    return static_cast<std::int32_t>(ids.size());
  }
};

/// [N,64] -> [N,16].
class Measured final : public nn::Module {
 public:
  explicit Measured(std::uint64_t seed) {
    linear_ = add_module("linear", std::make_shared<nn::Linear>(nn::LinearOptions{.in = values, .out = features}));
    norm_ = add_module("norm", std::make_shared<nn::BatchNorm>(features));
    initialize(seed);
  }
  Tensor forward(const Input& input) override { return norm_->relu((*linear_)(input)); }
  std::int64_t output_features() const override { return features; }

 private:
  std::shared_ptr<nn::Linear> linear_;
  std::shared_ptr<nn::BatchNorm> norm_;
};

/// The mean embedding of ids [N,4] within each row's length: [N,16].
class Bag final : public nn::Module {
 public:
  explicit Bag(std::uint64_t seed) {
    table_ = add_parameter("table", {3 * kinds, features}, nn::Role::weight, {nn::Initializer::Kind::normal, 1.0});
    initialize(seed);
  }
  Tensor forward(const Input& input) override {
    const std::int64_t rows = input.rows();
    const auto ids = input.x.to_vector<std::int32_t>(), lengths = input.lengths.to_vector<std::int32_t>();
    std::vector<float> share(static_cast<std::size_t>(rows * 3 * kinds));
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int32_t length = lengths[static_cast<std::size_t>(i)];
      for (std::int32_t k = 0; k < length; ++k) {
        const std::int32_t id = ids[static_cast<std::size_t>(i * longest + k)];
        share[static_cast<std::size_t>(i * 3 * kinds + id)] += 1.0f / static_cast<float>(length);
      }
    }
    return nn::matmul(Tensor::from(share, {rows, 3 * kinds}), table_);
  }
  std::int64_t output_features() const override { return features; }

 private:
  Tensor table_;
};

class Pairs final : public Modality {
 public:
  const char* name() const override { return "pairs"; }
  void options(OptionTable&, TrainingOptions&) override {}
  void use_recipe(const std::string&) override {}
  Datasets open(TrainingOptions&) override {
    Datasets sets;
    sets.sample_name = "pair";
    sets.kind = "captioned";
    sets.train = std::make_shared<Captioned>(240, 1);
    sets.test = std::make_shared<Captioned>(120, 2);
    return sets;
  }
  nlohmann::ordered_json data_files(const TrainingOptions&) const override { return nlohmann::ordered_json::object(); }
  void configure(const nlohmann::ordered_json&) override {}
  std::string encoder_name() const override { return "linear"; }
  std::string view_name() const override { return "measurements become 64 values"; }
  std::shared_ptr<nn::Module> make_encoder(std::uint64_t seed) const override {
    return std::make_shared<Measured>(seed);
  }
  std::unique_ptr<nn::Model> make_model(const TrainingOptions& o) const override {
    return make_two_towers(o, {make_encoder(o.seed), std::make_shared<Bag>(o.seed)});
  }
  std::vector<data::Tower> towers(bool random) const override {
    return {{.maker = std::make_shared<Measurements>(random), .views = 1, .part = 0},
            {.maker = std::make_shared<Captions>(), .views = 1, .part = 1}};
  }
  void look(const LookedAt& at, Findings& findings) const override {
    ++looked;
    REQUIRE(at.towers.size() == 2);
    CHECK(at.towers[1].x.dim(0) == at.towers[0].x.dim(0));
    CHECK_FALSE(at.difference.has_value());  // of a pair's own two views: there is but one a tower
    findings.push_back({.about = "pairs", .problem = "they clash", .remedy = "other captions"});
  }
  Shown shown(const data::Sample& sample, int tower, int) const override {
    CHECK(sample.dtype == (tower == 0 ? DType::u8 : DType::i32));
    return {"image/sample" + std::to_string(tower), {1}};
  }
  Shown shown_view(const Tensor& view, int tower, int) const override {
    CHECK(view.dtype() == (tower == 0 ? DType::f32 : DType::i32));
    if (tower == 0) {
      CHECK(view.shape() == Shape{values});
      return {"image/view0", {1}};
    }
    const std::int32_t kind = view.to_vector<std::int32_t>().front() / 3;
    for (const std::int32_t id : view.to_vector<std::int32_t>()) CHECK(id / 3 == kind);
    lengths_shown.insert(view.dim(0));
    return {"image/view1", {1}};
  }

  mutable int looked = 0;
};

int train(std::vector<std::string> words) {
  words.insert(words.begin(), {"pairs", "--threads", "1", "--device", "cpu"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  Pairs pairs;
  return run_training("pairs", static_cast<int>(arguments.size()), arguments.data(), pairs);
}

int begin(const std::string& out) {
  return train({"--out",       out,    "--epochs",      "8",   "--batch-size", "40", "--optimizer",   "adamw",
                "--lr",        "0.05", "--temperature", "0.2", "--head-out",   "16", "--head-hidden", "16",
                "--knn-every", "4",    "--knn-k",       "10"});
}

std::string text_of(const std::string& path) {
  const auto bytes = test::read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("pairs train in two towers, stop, resume to the same bits, are evaluated on the first one and reported") {
  const test::TempDir folder;
  const std::string whole = folder.path("whole"), stopped = folder.path("stopped");
  REQUIRE(begin(whole) == 0);
  views_until_stop = 700;  // in the third epoch
  REQUIRE(begin(stopped) == 128 + SIGINT);
  views_until_stop = -1;
  REQUIRE(train({"--resume", "--out", stopped}) == 0);
  const auto tensors = [](const std::string& run) { return load_tensors(run + "/model.safetensors").tensors; };
  const auto expected = tensors(whole), resumed = tensors(stopped);
  REQUIRE(expected.size() == resumed.size());
  std::set<std::string> names;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    names.insert(expected[i].name);
    CHECK(test::same_bits(expected[i].value, resumed[i].value));
  }
  CHECK(names.contains("towers.0.encoder.linear.weight"));
  CHECK(names.contains("towers.1.encoder.table"));

  const auto last = read_run_log(whole + "/log.jsonl").back();
  REQUIRE(event_of(last) == "evaluation");
  CHECK(last["trained"]["knn"]["top1"].get<double>() > last["untrained"]["knn"]["top1"].get<double>() + 0.1);
  const std::string report = text_of(whole + "/report.html");
  CHECK(report.find("chance 3.69") != std::string::npos);  // ln 40, not ln 79
  CHECK(report.find("the other parts, of 120 of 120, that the towers put nearest") != std::string::npos);
  CHECK(report.find("src=\"data:image/sample1") != std::string::npos);  // found across the pair
  std::vector<double> across;
  for (const auto& line : read_run_log(whole + "/log.jsonl")) {
    if (event_of(line) == "knn") across.push_back(line["retrieval"]["r10"].get<double>());
  }
  REQUIRE(across.size() == 2);
  CHECK(across.back() > 10.0 / 240);  // chance
  for (const char* shown : {"image/sample0", "image/view0", "image/view1"}) {
    CHECK(report.find(std::string("src=\"data:") + shown) != std::string::npos);
  }
  CHECK(report.find("120 test pairs") != std::string::npos);
  CHECK(report.find("alt=\"part 2\"") != std::string::npos);
  CHECK(report.find("view 2") == std::string::npos);
  CHECK(report.find("Each pair and the views of its parts in the first epoch") != std::string::npos);
  CHECK(lengths_shown.size() > 1);  // a page knows where a caption ends

  // The first tower's encoder is what is read back.
  Pairs pairs;
  const EncoderFile file = open_encoder(whole, pairs);
  for (const NamedTensor& tensor : file.encoder->state()) {
    const auto found = std::find_if(expected.begin(), expected.end(), [&](const NamedTensor& each) {
      return each.name == "towers.0.encoder." + tensor.name;
    });
    REQUIRE(found != expected.end());
    CHECK(test::same_bits(found->value, tensor.value));
  }
  CHECK(file.tower.part == 0);
}

TEST_CASE("pairs train in micro-batches") {
  const test::TempDir folder;
  const auto last_loss = [&](const std::string& name, const std::string& micro_batch) {
    const std::string out = folder.path(name);
    REQUIRE(train({"--out",        out,    "--epochs",        "2",
                   "--batch-size", "40",   "--optimizer",     "adamw",
                   "--lr",         "0.05", "--temperature",   "0.2",
                   "--head-out",   "16",   "--head-hidden",   "16",
                   "--knn-every",  "0",    "--no-evaluation", "--micro-batch",
                   micro_batch}) == 0);
    double loss = 0;
    for (const auto& line : read_run_log(out + "/log.jsonl")) loss = line.value("loss", loss);
    return loss;
  };
  const double whole = last_loss("whole", "0"), parts = last_loss("parts", "10");
  CHECK(parts < 3.6);     // chance is ln 40 = 3.69
  CHECK(parts != whole);  // batch norm sees each part by itself
  CHECK(parts == Approx(whole).margin(0.5));
}

TEST_CASE("two towers obey the rows of every kind of data") {
  Pairs pairs;
  TrainingOptions options;
  use_recipe(options, pairs, "");
  options.recipe.head_out = 8;
  options.recipe.temperature = 0.25;
  const auto model = pairs.make_model(options);
  CHECK(model->bound(2) == Approx(std::log1p(std::exp(-2 / 0.25))));
  const Tensor z = test::random_tensor({4, 8}, 1);
  const auto loss = [&](nn::Model& of) { return of.loss(std::vector<Tensor>{z, z}); };
  CHECK(loss(*model).numel() == 1);
  const auto weights = [&](const std::string& head) {
    for (const NamedTensor& each : model->state()) {
      if (each.name.starts_with(head) && each.value.rank() == 2) return each.value.to_vector<float>();
    }
    return std::vector<float>{};
  };
  const auto first = weights("towers.0.head."), second = weights("towers.1.head.");
  REQUIRE(first.size() == second.size());
  REQUIRE_FALSE(first.empty());
  CHECK(first != second);

  options.wgmma = true;
  CHECK_THAT(test::message_of([&] { loss(*pairs.make_model(options)); }), Catch::Contains("nt_xent: wgmma"));
  options.recipe.views_apart = true;
  CHECK(test::message_of([&] { pairs.make_model(options); }) ==
        "--views-apart: a tower of pairs has one view of each sample; leave it out");
}

TEST_CASE("--check measures both towers") {
  Pairs pairs;
  TrainingOptions options;
  use_recipe(options, pairs, "");
  options.device = "cpu";
  options.threads = 1;
  options.recipe.batch_size = 64;
  options.recipe.lr = 0.04;
  options.recipe.optimizer = "adamw";
  options.recipe.head_hidden = 16;
  TrainingOptions usual = options;  // by which nothing but what look() finds is wrong
  usual.recipe.optimizer = "sgd";
  usual.recipe.lr = 0.5;
  CHECK(check_run(usual, pairs, [](const std::string&) {}) == 1);
  CHECK(pairs.looked == 1);

  Training t = make_training(options, pairs, [](const std::string&) {});
  t.source->begin(0, 0);
  REQUIRE(t.source->next());
  const std::vector<Input> few = first_samples(*t.model, t.source->towers(), 32);
  REQUIRE(few.size() == 2);
  CHECK(few[1].x.shape() == Shape{32, longest});
  CHECK_FALSE(view_difference(few[0].x, 1).has_value());
  const OverfitFigures figures = overfit(t, few, 10);
  CHECK(figures.samples == 32);
  CHECK(figures.losses.back() < figures.losses.front());
  CHECK(figures.before.positive == Approx(figures.before.negative).margin(0.3));  // nothing is matched yet
  CHECK(figures.after.positive > figures.after.negative + 0.2);
}
