#include "modalities/pictures.h"
#include "train/report_material.h"

#include <simclr/core/error.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/simclr.h>

#include "support/catch.h"

#include <algorithm>
#include <set>

using simclr::Tensor;
namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

/// Pictures of one grey each, of 8 x 8 pixels, sorted by class; grey 60 * class + position in the class.
class Greys final : public data::Dataset {
 public:
  Greys(std::int64_t size, bool labelled, std::set<std::int64_t> broken = {})
      : size_(size), labelled_(labelled), broken_(std::move(broken)) {
    if (labelled) classes_ = {"dark", "middle", "light", "white"};
  }
  std::int64_t size() const override { return size_; }
  data::Sample sample(std::int64_t i, int) const override {
    if (broken_.contains(i)) simclr::fail("sample ", i, " is broken");
    const auto bytes = std::make_shared<std::vector<std::uint8_t>>(8 * 8 * 3, grey(i));
    return {.bytes = std::as_bytes(std::span(*bytes)), .shape = {8, 8, 3}, .label = label(i), .owner = bytes};
  }
  std::int32_t label(std::int64_t i) const override { return labelled_ ? static_cast<std::int32_t>(group(i)) : -1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "greys"; }

  std::uint8_t grey(std::int64_t i) const { return static_cast<std::uint8_t>(60 * group(i) + i % ((size_ + 3) / 4)); }

 private:
  std::int64_t group(std::int64_t i) const { return 4 * i / size_; }

  std::int64_t size_;
  bool labelled_;
  std::set<std::int64_t> broken_;
  std::vector<std::string> classes_;
};

/// Features: cosine and sine of the mean grey, so that the nearest picture has the nearest grey.
class MeanGrey final : public nn::Module {
 public:
  Tensor forward(const simclr::Input& input) override {
    const Tensor& x = input.x;
    const std::int64_t n = x.dim(0), pixels = x.numel() / n;
    std::vector<float> features;
    for (std::int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::int64_t p = 0; p < pixels; ++p) sum += x.data<const float>()[i * pixels + p];
      if (std::abs(255 * (0.25 * sum / static_cast<double>(pixels) + 0.5) - nan_at) < 0.5) sum = NAN;
      const double angle = sum / static_cast<double>(pixels);
      features.push_back(static_cast<float>(std::cos(angle)));
      features.push_back(static_cast<float>(std::sin(angle)));
    }
    return Tensor::from(features, {n, 2});
  }
  std::int64_t output_features() const override { return 2; }
  double nan_at = -1;  // the grey that becomes NaN
};

Datasets sets_of(std::shared_ptr<const data::Dataset> train, std::shared_ptr<const data::Dataset> test) {
  Datasets sets;
  sets.sample_name = "picture";
  sets.train = train;
  sets.test = std::move(test);
  sets.labelled = std::move(train);  // as open_datasets() has it
  return sets;
}

data::Augmentation policy() {
  auto p = data::Augmentation::simclr_cifar();
  p.size = 8;
  for (int c = 0; c < 3; ++c) {
    p.mean[c] = 0.5f;
    p.stddev[c] = 0.25f;
  }
  return p;
}

Pictures pictures() {
  return {nn::ResNetKind(), policy()};
}

std::vector<std::uint8_t> pixels_of(const Shown& shown) {
  return data::decode_picture(shown.bytes, "shown").pixels;
}

EvaluationOptions quiet() {
  EvaluationOptions options;
  options.on_warning = [](const std::string&) {};
  return options;
}

}  // namespace

TEST_CASE("material holds views, a map and neighbours of a labelled set") {
  MeanGrey encoder;
  const auto train = std::make_shared<Greys>(80, true), test = std::make_shared<Greys>(40, true);
  const ReportMaterial m = gather_report_material(pictures(), encoder, sets_of(train, test), 7, quiet());
  CHECK(m.classes.size() == 4);
  CHECK(m.viewed.size() == 8);
  CHECK(m.map_samples == "40 test pictures");
  CHECK(m.compared_samples == "80 training pictures");
  CHECK(m.pca.points.size() == 40);
  CHECK(m.tsne.size() == 40);
  CHECK(m.map_labels.size() == 40);
  REQUIRE(m.queries.size() == 8);
  std::set<std::int32_t> asked;
  for (const auto& query : m.queries) {
    asked.insert(query.asked.label);
    REQUIRE(query.neighbours.size() == 8);
    CHECK(query.neighbours[0].similarity == Approx(1));
    CHECK(query.neighbours[0].found.label == query.asked.label);
    CHECK(query.neighbours[0].found.shown.bytes == query.asked.shown.bytes);
    for (std::size_t k = 1; k < 8; ++k) CHECK(query.neighbours[k].similarity <= query.neighbours[k - 1].similarity);
  }
  CHECK(asked.size() == 4);  // every class is asked
}

TEST_CASE("views are those of the run: of its policy, seed and first epoch, normalisation undone") {
  MeanGrey encoder;
  const auto train = std::make_shared<Greys>(16, true);
  const ReportMaterial m =
      gather_report_material(pictures(), encoder, sets_of(train, train), 7, quiet(), {.viewed = 4});
  REQUIRE(m.viewed.size() == 4);
  CHECK(pixels_of(m.viewed[1].original.shown)[0] == train->grey(4));
  // What the training's loader makes of sample 4.
  const data::Loader loader(train, std::make_shared<data::PictureViews>(policy()), {.batch_size = 16, .seed = 7});
  for (const data::Batch& batch : loader.epoch(0)) {
    const auto at = std::find(batch.indices.begin(), batch.indices.end(), 4) - batch.indices.begin();
    for (std::int64_t v = 0; v < 2; ++v) {
      const auto pixels = pixels_of(m.viewed[1].towers[0][static_cast<std::size_t>(v)]);
      const float* view = batch.towers[0].x.data<const float>() + (v * 16 + at) * 192;
      for (std::size_t i = 0; i < 192; ++i) {
        const double expected = std::clamp(255 * (0.25 * double{view[i]} + 0.5), 0.0, 255.0);
        REQUIRE(std::abs(pixels[i] - expected) <= 0.51);
      }
    }
  }
}

TEST_CASE("unlabelled pictures are asked among themselves, and do not find themselves") {
  MeanGrey encoder;
  const auto train = std::make_shared<Greys>(40, false);
  const ReportMaterial m = gather_report_material(pictures(), encoder, sets_of(train, nullptr), 0, quiet());
  CHECK(m.classes.empty());
  CHECK(m.map_samples == "40 training pictures");
  REQUIRE(m.queries.size() == 8);
  for (const auto& query : m.queries) {
    for (const auto& n : query.neighbours) CHECK(n.found.shown.bytes != query.asked.shown.bytes);
  }
}

TEST_CASE("at most so many pictures are looked at, and the report says how many") {
  MeanGrey encoder;
  const auto train = std::make_shared<Greys>(80, true), test = std::make_shared<Greys>(60, true);
  const ReportMaterial m = gather_report_material(pictures(), encoder, sets_of(train, test), 0, quiet(),
                                                  {.queries = 2, .neighbours = 3, .map_points = 20, .compared = 30});
  CHECK(m.map_samples == "20 of 60 test pictures");
  CHECK(m.compared_samples == "30 of 80 training pictures");
  CHECK(m.tsne.size() == 20);
  REQUIRE(m.queries.size() == 2);
  CHECK(m.queries[0].neighbours.size() == 3);
}

TEST_CASE("broken pictures are left out, and the others keep their own features") {
  MeanGrey encoder;
  const auto train = std::make_shared<Greys>(40, true, std::set<std::int64_t>{0, 5, 6, 20});
  const auto test = std::make_shared<Greys>(12, true, std::set<std::int64_t>{1});
  const ReportMaterial m = gather_report_material(pictures(), encoder, sets_of(train, test), 0, quiet());
  CHECK(m.map_labels.size() == 11);
  CHECK(m.viewed.size() < 8);
  for (const auto& query : m.queries) {
    CHECK(query.neighbours[0].similarity > 0.999);
    CHECK(std::abs(pixels_of(query.neighbours[0].found.shown)[0] - pixels_of(query.asked.shown)[0]) <= 1);
  }
}

TEST_CASE("features of NaN leave the maps out, and a note says so") {
  MeanGrey encoder;
  const auto small = std::make_shared<Greys>(16, true), large = std::make_shared<Greys>(20, true);
  encoder.nan_at = 64;  // only the larger set has this grey
  for (const auto& [train, test] : {std::pair(small, large), std::pair(large, small)}) {
    const ReportMaterial m = gather_report_material(pictures(), encoder, sets_of(train, test), 0, quiet());
    CHECK(m.tsne.empty());
    CHECK(m.queries.empty());
    CHECK(m.viewed.size() == 8);
    REQUIRE(m.notes.size() == 1);
    CHECK(m.notes[0].find("NaN") != std::string::npos);
  }
  CHECK(gather_report_material(pictures(), encoder, sets_of(small, small), 0, quiet()).notes.empty());
}

TEST_CASE("two pictures are enough") {
  MeanGrey encoder;
  const auto train = std::make_shared<Greys>(2, true);
  const ReportMaterial m = gather_report_material(pictures(), encoder, sets_of(train, train), 0, quiet());
  CHECK(m.viewed.size() == 2);
  CHECK(m.tsne.size() == 2);
  CHECK(m.queries.size() == 2);
}
