#include "train/embedding.h"

#include "run/npy.h"
#include "train/shared_work.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/nn/inspect.h>

#include <filesystem>
#include <fstream>
#include <utility>

namespace fs = std::filesystem;
namespace nn = simclr::nn;
namespace data = simclr::data;
using simclr::Tensor;

namespace {

constexpr const char* features_name = "features.npy";
constexpr const char* files_name = "files.txt";

/// Samples, each a class of its own.
class Named final : public data::Dataset {
 public:
  Named(std::shared_ptr<const data::Dataset> samples, std::vector<std::string> names)
      : samples_(std::move(samples)), names_(std::move(names)) {}

  std::int64_t size() const override { return samples_->size(); }
  data::Sample sample(std::int64_t i, int part) const override {
    data::Sample sample = samples_->sample(i, part);
    sample.label = label(i);
    if (const std::string& name = names_[static_cast<std::size_t>(i)]; name.find('\n') != std::string::npos) {
      simclr::fail(simclr::printable(name), ": the name holds a line break; rename the file");
    }
    return sample;
  }
  std::int32_t label(std::int64_t i) const override { return static_cast<std::int32_t>(i); }
  const std::vector<std::string>& classes() const override { return names_; }
  std::string file(std::int64_t i) const override { return samples_->file(i); }
  std::string place(std::int64_t i) const override { return samples_->place(i); }
  std::string describe() const override { return samples_->describe(); }

 private:
  std::shared_ptr<const data::Dataset> samples_;
  std::vector<std::string> names_;
};

/// Throws simclr::Error, opened by `where`, for the first sample whose row of `features` holds NaN or Inf.
void check_finite(const std::string& where, const Tensor& features, const std::vector<std::string>& names,
                  const std::string& remedy) {
  for (std::int64_t i = 0; i < features.dim(0); ++i) {
    const nn::ValueStatistics row = nn::statistics_of(features.narrow(i, 1));
    SIMCLR_CHECK(row.nonfinite == 0, where, ": ", row.nonfinite, " of the ", row.count, " features of ",
                 simclr::printable(names[static_cast<std::size_t>(i)]), " are NaN or Inf; ", remedy);
  }
}

constexpr const char* retrain = "the encoder diverged: use an earlier checkpoint, or train it again";

/// The sample's view, as a batch of one.
simclr::Input view_of(const data::Sample& sample, const data::ViewMaker& maker) {
  const simclr::Shape shape = maker.view_shape();
  std::vector<std::int64_t> sizes = {1};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  const Tensor view = Tensor::empty(simclr::Shape(sizes), maker.view_dtype());
  const std::int32_t length = maker.make_whole_view(sample, {}, static_cast<std::byte*>(view.raw_data()));
  if (length == shape[0]) return view;
  return {view, Tensor::from(std::vector<std::int32_t>{length}, {1})};
}

}  // namespace

NamedSamples with_names(std::shared_ptr<const data::Dataset> samples, std::vector<std::string> names,
                        const std::vector<std::string>& left_out) {
  return {.samples = std::make_shared<Named>(std::move(samples), std::move(names)),
          .left_out = simclr::listed(left_out, left_out.size())};
}

Embedding embed_samples(const EncoderFile& file, const data::Dataset& samples, const EvaluationOptions& options) {
  const nn::Features features = features_of(*file.encoder, samples, file.tower, options);
  Embedding result{{}, features.values, samples.size() - features.values.dim(0)};
  for (const std::int32_t label : features.labels) {
    result.files.push_back(samples.classes()[static_cast<std::size_t>(label)]);
  }
  together(options.world, [&] { check_finite(file.path, result.features, result.files, retrain); });
  return result;
}

Tensor embed_sample(const EncoderFile& file, const data::Sample& sample, const std::string& name) {
  bool given = false;
  const Tensor features =
      nn::extract_features(*file.encoder, [&](simclr::Input& input, std::vector<std::int32_t>& labels) {
        input = view_of(sample, *file.tower.maker);
        labels = {-1};
        return !std::exchange(given, true);
      }).values;
  check_finite(file.path, features, {name}, retrain);
  return features;
}

std::vector<std::string> embedding_files(const std::string& out) {
  return {(fs::path(out) / features_name).string(), (fs::path(out) / files_name).string()};
}

void write_embedding(const std::string& out, const Embedding& embedding, simclr::Existing existing) {
  std::error_code error;
  fs::create_directories(out, error);
  SIMCLR_CHECK(!error && fs::is_directory(out), "--out ", out, ": cannot make this folder",
               error ? ": " + error.message() : "");
  std::string lines;
  for (const std::string& file : embedding.files) lines += file + '\n';
  write_npy((fs::path(out) / features_name).string(), embedding.features, existing);
  simclr::write_file_atomically(fs::path(out) / files_name, lines, existing);
}

Embedding read_embedding(const std::string& dir) {
  const fs::path list = fs::path(dir) / files_name;
  std::ifstream lines(list);
  SIMCLR_CHECK(lines.good(), list.string(), ": cannot be opened; give a folder that embed has written");
  Embedding result;
  for (std::string line; std::getline(lines, line);) result.files.push_back(line);
  result.features = read_npy((fs::path(dir) / features_name).string());
  SIMCLR_CHECK(result.features.dim(0) == static_cast<std::int64_t>(result.files.size()), dir, ": ", files_name, " has ",
               result.files.size(), " lines, ", features_name, " ", result.features.dim(0), " rows; run embed again");
  check_finite((fs::path(dir) / features_name).string(), result.features, result.files, "run embed again");
  return result;
}
