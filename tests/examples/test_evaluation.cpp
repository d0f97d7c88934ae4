#include "train/evaluation.h"

#include <simclr/data/subset.h>
#include <simclr/nn/layers.h>
#include <simclr/nn/simclr.h>

#include "support/catch.h"

#include <cstring>
#include <span>

using namespace simclr;

namespace {

/// 64 numbers: those of class 0 are -1 and come first, those of class 1 are 1.
class Sorted final : public data::Dataset {
 public:
  std::int64_t size() const override { return 64; }
  data::Sample sample(std::int64_t i, int) const override {
    return {.bytes = std::as_bytes(std::span(&values_[label(i) == 0 ? 0 : 1], 1)),
            .shape = {1},
            .dtype = DType::f32,
            .label = label(i),
            .owner = nullptr};
  }
  std::int32_t label(std::int64_t i) const override { return i < 32 ? 0 : 1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "sorted"; }

 private:
  float values_[2] = {-1, 1};
  std::vector<std::string> classes_ = {"low", "high"};
};

class Numbers final : public data::ViewMaker {
 public:
  Shape view_shape() const override { return {1}; }
  std::int32_t make_view(const data::Sample& sample, const data::ViewKey&, std::byte* out) const override {
    std::memcpy(out, sample.bytes.data(), sample.bytes.size());
    return 1;
  }
};

struct Normalised : nn::Module {
  Normalised() {
    norm = add_module("bn", std::make_shared<nn::BatchNorm>(1));
    initialize(0);
  }
  Tensor forward(const Input& input) override { return (*norm)(input); }

  std::shared_ptr<nn::BatchNorm> norm;
};

/// Notes how many samples come at once.
struct Counting : nn::Module {
  Counting() { initialize(0); }
  Tensor forward(const Input& input) override {
    rows.push_back(input.rows());
    return input.x;
  }

  std::vector<std::int64_t> rows;
};

}  // namespace

TEST_CASE("large views are evaluated few at a time") {
  const data::Tower tower{.maker = std::make_shared<Numbers>()};
  EvaluationOptions options;
  options.batch_values = 24;
  Counting encoder;
  CHECK(features_of(encoder, Sorted(), tower, options).values.shape() == Shape{64, 1});
  CHECK(encoder.rows == std::vector<std::int64_t>{24, 24, 16});
  options.batch_values = 0;  // one sample is always possible
  encoder.rows.clear();
  features_of(encoder, Sorted(), tower, options);
  CHECK(encoder.rows == std::vector<std::int64_t>(64, 1));
}

TEST_CASE("an untrained encoder's statistics are of all classes, though the samples come sorted by them") {
  Normalised encoder;
  EvaluationOptions options;
  options.batch_size = 16;
  calibrate(encoder, Sorted(), {.maker = std::make_shared<Numbers>()}, options);
  for (const nn::NamedTensor& each : encoder.state()) {
    if (each.name == "bn.running_var") CHECK(each.value.to_vector<double>()[0] > 0.9);  // of one class it is 0
  }
}

TEST_CASE("an encoder that two towers share is calibrated over both parts at once") {
  struct Moved final : data::ViewMaker {  // the other part: four higher
    Shape view_shape() const override { return {1}; }
    std::int32_t make_view(const data::Sample& sample, const data::ViewKey&, std::byte* out) const override {
      *reinterpret_cast<float*>(out) = 4 + *reinterpret_cast<const float*>(sample.bytes.data());
      return 1;
    }
  };
  struct Encoder final : Normalised {
    std::int64_t output_features() const override { return 1; }
  };
  const auto encoder = std::make_shared<Encoder>();
  nn::TwoTowers model(
      {.encoders = {encoder, encoder}, .heads = {{{.out = 2, .batchnorm = false}, {.out = 2, .batchnorm = false}}}});
  calibrate(model, Sorted(), {{.maker = std::make_shared<Numbers>()}, {.maker = std::make_shared<Moved>()}}, {});
  for (const NamedTensor& each : encoder->state()) {
    if (each.name.ends_with("running_mean")) CHECK(each.value.item() == Approx(2));
    if (each.name.ends_with("running_var")) CHECK(each.value.item() == Approx(128 * 5 / 127.0));
  }
}
