#include "modalities/picture_embedding.h"

#include "run/npy.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/nn/inspect.h>

#include <filesystem>
#include <fstream>
#include <utility>

namespace fs = std::filesystem;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

constexpr const char* features_name = "features.npy";
constexpr const char* files_name = "files.txt";

/// Throws simclr::Error, opened by `where`, for the first picture whose row of `features` holds NaN or Inf.
void check_finite(const std::string& where, const Tensor& features, const std::vector<std::string>& pictures,
                  const std::string& remedy) {
  for (std::int64_t i = 0; i < features.dim(0); ++i) {
    const nn::ValueStatistics row = nn::statistics_of(features.narrow(i, 1));
    SIMCLR_CHECK(row.nonfinite == 0, where, ": ", row.nonfinite, " of the ", row.count, " features of ",
                 simclr::printable(pictures[static_cast<std::size_t>(i)]), " are NaN or Inf; ", remedy);
  }
}

constexpr const char* retrain = "the encoder diverged: use an earlier checkpoint, or train it again";

Tensor features_of_view(const EncoderFile& file, const Tensor& view, const std::string& name) {
  bool given = false;
  const Tensor features =
      nn::extract_features(*file.encoder, [&](simclr::Input& input, std::vector<std::int32_t>& labels) {
        input = view;
        labels = {-1};
        return !std::exchange(given, true);
      }).values;
  check_finite(file.path, features, {name}, retrain);
  return features;
}

}  // namespace

Embedding embed_pictures(const EncoderFile& file, const PictureFiles& pictures, const EvaluationOptions& options) {
  const nn::Features features = features_of(*file.encoder, pictures, file.tower, options);
  Embedding result{{}, features.values, pictures.size() - features.values.dim(0)};
  for (const std::int32_t label : features.labels) {
    result.files.push_back(pictures.classes()[static_cast<std::size_t>(label)]);
  }
  check_finite(file.path, result.features, result.files, retrain);
  return result;
}

Tensor embed_picture(const EncoderFile& file, const std::string& path) {
  return features_of_view(file, view_of_picture(path, *file.tower.maker), path);
}

Tensor embed_picture(const EncoderFile& file, const PictureFiles& pictures, std::int64_t i) {
  const std::string& name = pictures.classes()[static_cast<std::size_t>(i)];
  return features_of_view(file, view_of_picture(pictures.read(i), name, *file.tower.maker), name);
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
