// What linear_probe --baseline makes of recordings and clips without an encoder, beside figures by hand.
#include "modalities/clip_baseline.h"
#include "modalities/sound_baseline.h"
#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <simclr/data/dataset.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/sound/spectrogram_views.h>
#include <simclr/simclr.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

using namespace simclr;

namespace {

/// Samples of one shape and dtype, as they are given; an empty one cannot be read.
template <class T>
class Given final : public data::Dataset {
 public:
  Given(std::vector<std::vector<T>> samples, Shape shape) : samples_(std::move(samples)), shape_(std::move(shape)) {}

  std::int64_t size() const override { return std::ssize(samples_); }
  data::Sample sample(std::int64_t i, int) const override {
    const std::vector<T>& values = samples_[static_cast<std::size_t>(i)];
    SIMCLR_CHECK(!values.empty(), "sample ", i, ": cannot be read");
    return {.bytes = std::as_bytes(std::span(values)), .shape = shape_, .dtype = dtype_of<T>, .owner = nullptr};
  }
  std::int32_t label(std::int64_t i) const override { return static_cast<std::int32_t>(i) - 1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "given"; }

 private:
  std::vector<std::vector<T>> samples_;
  Shape shape_;
  std::vector<std::string> classes_ = {"a", "b", "c"};
};

/// Clips by their paths, of one class.
class Paths final : public data::Dataset {
 public:
  explicit Paths(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  std::int64_t size() const override { return std::ssize(paths_); }
  data::Sample sample(std::int64_t, int) const override { throw std::logic_error("is not asked for all of a clip"); }
  std::int32_t label(std::int64_t) const override { return 0; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string file(std::int64_t i) const override { return paths_[static_cast<std::size_t>(i)]; }
  std::string describe() const override { return "paths"; }

 private:
  std::vector<std::string> paths_, classes_ = {"a"};
};

Datasets paths_of(const std::vector<std::string>& labelled, const std::vector<std::string>& test) {
  Datasets sets;
  sets.sample_name = "clip";
  sets.labelled = sets.train = std::make_shared<Paths>(labelled);
  sets.test = std::make_shared<Paths>(test);
  return sets;
}

/// Of 16 x 16 grey pixels, white in the last frame's cell (1, 7).
std::string write_frames(const test::TempDir& folder, const std::string& name, int frames) {
  for (int k = 0; k < frames; ++k) {
    std::vector<std::uint8_t> pixels(16 * 16);
    if (k + 1 == frames) pixels[16 * 2 + 14] = pixels[16 * 2 + 15] = pixels[16 * 3 + 14] = pixels[16 * 3 + 15] = 255;
    folder.write(name + "/f" + std::to_string(k) + ".png", std::string());
    data::write_png(folder.path(name + "/f" + std::to_string(k) + ".png"),
                    {.height = 16, .width = 16, .channels = 1, .pixels = pixels});
  }
  return folder.path(name);
}

/// An array [T,H,W] of zeros, but for the last frame's first values; most of it lies on no disk.
std::string write_array(const test::TempDir& folder, const std::string& type, const Shape& shape, std::int64_t bytes,
                        const std::string& first) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + std::to_string(shape[0]) +
                       ", " + std::to_string(shape[1]) + ", " + std::to_string(shape[2]) + "), }";
  header += std::string(118 - header.size() - 1, ' ') + "\n";
  const std::string path =
      folder.write("array" + type.substr(1) + ".npy", "\x93NUMPY\x01" + std::string("\0\x76\0", 3) + header);
  std::ofstream file(path, std::ios::binary | std::ios::in);
  file.seekp(128 + (shape[0] - 1) * shape[1] * shape[2] * bytes);
  file << first;
  file.close();
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(128 + shape.numel() * bytes));
  return path;
}

template <class T>
Datasets sets_of(std::vector<std::vector<T>> labelled, std::vector<std::vector<T>> test, const Shape& shape) {
  Datasets sets;
  sets.labelled = sets.train = std::make_shared<Given<T>>(std::move(labelled), shape);
  sets.test = std::make_shared<Given<T>>(std::move(test), shape);
  return sets;
}

}  // namespace

TEST_CASE("statistics over time are means and deviations") {
  SeriesStatistics statistics(2);
  CHECK(statistics.values() == std::vector<float>(4, 0.0f));
  statistics.add(std::vector<double>{1, 5});
  statistics.add(std::vector<double>{4, 5});
  CHECK(statistics.values() == std::vector<float>{2.5f, 5.0f, 1.5f, 0.0f});
}

TEST_CASE("recordings are told by the statistics of their MFCCs") {
  constexpr int rate = 8000, frames = 3;
  std::vector<float> samples(2 * 80);  // of the usual hop: three frames
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i] = 0.5f * std::sin(0.7f * static_cast<float>(i)) * static_cast<float>(i) / 160.0f;
  }
  const Datasets sets = sets_of<float>({samples, samples, {}}, {samples, samples}, {160});
  const Baseline found = mfcc_statistics(sets, rate);
  CHECK(found.name == "MFCC statistics");
  CHECK(found.train.labels == std::vector<std::int32_t>{0});  // the first has no label, the last cannot be read
  REQUIRE(found.train.values.shape() == Shape{1, 80});
  CHECK(found.test.values.to_vector<float>() == found.train.values.to_vector<float>());

  const auto plan = kernels::logmel_plan(data::usual_logmel(rate, 40));
  const std::vector<float> mels = kernels::logmel(Tensor::from(samples, {1, 160}), {}, plan).y.to_vector<float>();
  REQUIRE(mels.size() == 40 * frames);
  const std::vector<float> features = found.train.values.to_vector<float>();
  for (const int k : {0, 1, 19}) {
    double c[frames] = {}, mean = 0, differences = 0;
    for (int t = 0; t < frames; ++t) {
      for (int m = 0; m < 40; ++m) {
        c[t] += static_cast<double>(mels[static_cast<std::size_t>(40 * t + m)]) *
                std::cos(std::numbers::pi * k * (2 * m + 1) / 80) * (k == 0 ? std::sqrt(1.0 / 40) : std::sqrt(0.05));
      }
      mean += c[t] / frames;
    }
    double square = 0, square_of_differences = 0;
    for (int t = 0; t < frames; ++t) square += (c[t] - mean) * (c[t] - mean) / frames;
    differences = (c[2] - c[0]) / 2;
    for (int t = 1; t < frames; ++t) square_of_differences += std::pow(c[t] - c[t - 1] - differences, 2) / 2;
    const auto at = static_cast<std::size_t>(k);
    // Sums of 40 values in double from the same floats, kept as floats.
    CHECK(features[at] == Approx(mean).epsilon(1e-6).margin(1e-6));
    CHECK(features[20 + at] == Approx(std::sqrt(square)).epsilon(1e-5).margin(1e-6));
    CHECK(features[40 + at] == Approx(differences).epsilon(1e-6).margin(1e-6));
    CHECK(features[60 + at] == Approx(std::sqrt(square_of_differences)).epsilon(1e-5).margin(1e-6));
  }
}

TEST_CASE("clips are told by where they move") {
  std::vector<std::uint8_t> clip(3 * 16 * 16, 10);  // cells of 2 x 2 pixels
  clip[256 + 16 * 2 + 15] = 112;                    // in the second frame, row 2, the last column: cell (1, 7)
  const std::vector<std::uint8_t> still(clip.size(), 10);
  const Baseline found = motion_statistics(sets_of<std::uint8_t>({still, clip}, {clip, still}, {3, 16, 16, 1}));
  CHECK(found.name == "motion statistics");
  REQUIRE(found.train.values.shape() == Shape{1, 128});
  std::vector<float> expected(128, 0.0f);
  expected[8 + 7] = 0.1f;  // 102 of 255 over four pixels, there and back: both differences
  const std::vector<float> features = found.train.values.to_vector<float>();
  for (std::size_t k = 0; k < 128; ++k) CHECK(features[k] == Approx(expected[k]).margin(1e-7));
  CHECK(found.test.values.to_vector<float>() ==
        std::vector<float>(128, 0.0f));  // of one sample: the first has no label
}

TEST_CASE("clips that lie in files move alike in each kind of values, also where they are read in pieces") {
  const test::TempDir folder;
  const std::string frames = write_frames(folder, "frames", 17);
  const std::string words = write_array(folder, "<u2", {17, 8, 8}, 2, "\xff\xff");
  const std::string floats = write_array(folder, "<f4", {17, 1024, 1024}, 4, std::string("\0\0\x80\x3f", 4));  // 68 MiB
  const Baseline found = motion_statistics(paths_of({frames, words, floats}, {frames}));
  REQUIRE(found.train.values.shape() == Shape{3, 128});
  const std::vector<float> features = found.train.values.to_vector<float>();
  const struct {
    std::size_t cell;
    double change;
  } moved[] = {{8 + 7, 1.0}, {0, 1.0}, {0, 1.0 / (128 * 128)}};
  for (std::size_t i = 0; i < 3; ++i) {
    const double mean = moved[i].change / 16;  // in the last of 16 steps
    for (std::size_t k = 0; k < 64; ++k) {
      CAPTURE(i, k);
      CHECK(features[128 * i + k] == Approx(k == moved[i].cell ? mean : 0).epsilon(1e-6));
      CHECK(features[128 * i + 64 + k] == Approx(k == moved[i].cell ? mean * std::sqrt(15.0) : 0).epsilon(1e-6));
    }
  }
}

TEST_CASE("samples that a baseline cannot read are named and counted, and a part without any ends it") {
  const test::TempDir folder;
  const std::string whole = write_frames(folder, "whole", 3), cut = write_frames(folder, "cut", 3);
  folder.write("cut/f2.png", std::string("broken"));
  std::vector<std::string> warnings;
  std::int64_t done = 0, total = 0;
  EvaluationOptions options;
  options.on_warning = [&](const std::string& message) { warnings.push_back(message); };
  options.on_progress = [&](std::int64_t so_far, std::int64_t all) { done = so_far, total = all; };
  const Baseline found = motion_statistics(paths_of({whole, cut, whole}, {whole, cut}), options);
  CHECK(found.train.labels.size() == 2);
  CHECK(found.test.values.shape() == Shape{1, 128});
  CHECK((found.unread_train == 1 && found.unread_test == 1));
  CHECK((done == 5 && total == 5));
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(warnings[0], Catch::Matchers::Contains("cut"));
  CHECK_THAT(test::message_of([&] { motion_statistics(paths_of({whole}, {cut})); }),
             Catch::Matchers::Contains("--baseline: none of 1 clip can be read; the first: ") &&
                 Catch::Matchers::Contains("cut"));
}
