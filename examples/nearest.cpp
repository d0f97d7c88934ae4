// Finds the pictures, of a folder and of whatever else embed takes, that an encoder takes for most like a given one.
#include "modalities/picture_data_files.h"
#include "modalities/picture_embedding.h"
#include "modalities/picture_rows.h"
#include "modalities/picture_sheet.h"
#include "modalities/pictures.h"
#include "run/command_line.h"
#include "run/option_line.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "run/shared_rows.h"

#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string_view>
#include <unordered_map>

namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

struct Options {
  std::string weights, picture, folder, dataset = "auto", features, sheet;
  int k = 10;
  bool overwrite = false;
  ComputeOptions compute;
};

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app("Finds a picture's nearest neighbours in a folder of pictures, by the cosine of their features.",
               "nearest");
  app.add_option("weights", o.weights, "A run's folder, a checkpoint or a weights file")->required();
  app.add_option("picture", o.picture, "A picture file")->required();
  app.add_option(
         "folder", o.folder,
         "Pictures, in it and in the folders below it; or a list of them, LIST.csv; or an .npz or .npy file; or "
         "several folders and lists, A::B; or tar shards, 'DIR/{000..127}.tar'")
      ->required();
  OptionTable table;
  add_dataset_row(
      table, o.dataset, named_picture_kinds(),
      "What the folder is. auto knows lists, arrays and shards by their names, and folders as of picture files");
  table.add("k", o.k, "How many neighbours").at_least(1);
  table.add("features", o.features, "What embed has made of the folder with the same weights; unset: made now");
  table.add("sheet", o.sheet, "A PNG file to draw: the picture, framed, then its neighbours");
  add_overwrite_row(table, o.overwrite);
  add_compute_rows(table, o.compute);
  return parse(app, table, argc, argv);
}

Embedding embedding_of(const Options& o, const EncoderFile& file, const PictureFiles& pictures, Progress& progress) {
  if (!o.features.empty()) return read_embedding(o.features);
  EvaluationOptions options;
  options.batch_size = o.compute.batch_size;
  options.workers = o.compute.workers;
  options.on_warning = [&progress](const std::string& message) { progress.warn(message); };
  options.on_progress = PassProgress(progress, "embedding", "pictures");
  return embed_pictures(file, pictures, options);
}

/// Which picture it is. A file that `embed` saw elsewhere is no neighbour in this folder.
std::int64_t find(const Options& o, const PictureFiles& pictures, const std::string& file) {
  const std::int64_t i = pictures.find(file);
  SIMCLR_CHECK(i >= 0, "--features ", o.features, ": lists ", simclr::printable(file), ", which is not in ", o.folder,
               "; name the folder that embed read, or run embed again");
  return i;
}

/// Features of another encoder may have the same width, and say nothing: the first listed picture that can be read is
/// embedded once more, and must give its row.
void check_same_encoder(const Options& o, const EncoderFile& file, const PictureFiles& pictures,
                        const Embedding& embedding) {
  if (o.features.empty()) return;
  SIMCLR_CHECK(embedding.features.dim(1) == file.encoder->output_features(), "--features ", o.features, ": has ",
               embedding.features.dim(1), " features a picture, this encoder gives ", file.encoder->output_features(),
               "; run embed with the same weights");
  std::unordered_map<std::string_view, std::int64_t> numbers;
  std::int64_t next = 0;
  for (const std::string& name : pictures.classes()) numbers.emplace(name, next++);  // of a repeated one the first
  for (std::size_t i = 0; i < embedding.files.size(); ++i) {
    Tensor again;
    const auto picture = numbers.find(embedding.files[i]);
    if (picture == numbers.end()) continue;
    try {
      again = embed_picture(file, pictures, picture->second);
    } catch (const simclr::Error&) {
      continue;
    }
    const simclr::NoGrad no_grad;
    const Tensor row = embedding.features.narrow(static_cast<std::int64_t>(i), 1);
    const float cosine = nn::similarity(again, row).to_vector<float>().front();
    SIMCLR_CHECK(cosine >= 0.999f, "--features ", o.features, ": ", simclr::printable(embedding.files[i]),
                 " has other features there than ", file.path, " gives it (cosine ", cosine,
                 "); run embed again with these weights and this folder");
    return;
  }
}

void check_sheet(const Options& o) {
  refuse_in_pictures("--sheet", {o.sheet}, o.dataset, o.folder);
  refuse_in_data("--sheet", o.sheet, o.picture);
  check_output(o.sheet, o.overwrite);
  SIMCLR_CHECK(o.sheet.empty() || o.sheet.ends_with(".png") || o.sheet.ends_with(".PNG"), "--sheet ", o.sheet,
               ": a PNG file is written; choose a name that ends in .png");
}

void find_nearest(Options o) {
  check_sheet(o);
  const simclr::Device device = open_device(o.compute);
  Pictures modality;
  const EncoderFile file = open_encoder(o.weights, modality);
  file.encoder->to(device);
  const Tensor query = embed_picture(file, o.picture);
  Progress progress;
  const auto warn = [&progress](const std::string& message) { progress.warn(message); };
  const auto pictures = open_picture_files(o.dataset, o.folder, static_cast<int>(file.tower.maker->view_shape()[2]),
                                           warn, file.cache_dir);
  const Embedding embedding = embedding_of(o, file, *pictures, progress);
  check_same_encoder(o, file, *pictures, embedding);

  const simclr::NoGrad no_grad;
  const auto cosine = nn::similarity(query, embedding.features).to_vector<float>();
  std::vector<std::size_t> order(cosine.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return cosine[a] > cosine[b]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(o.k)));
  std::vector<std::int64_t> found;
  for (const std::size_t i : order) found.push_back(find(o, *pictures, embedding.files[i]));
  if (o.features.empty() && !pictures->left_out().empty()) progress.message("left out: " + pictures->left_out());
  progress.message("cosine  file");
  for (const std::size_t i : order) {
    std::printf("%6.4f  %s\n", static_cast<double>(cosine[i]), simclr::printable(embedding.files[i]).c_str());
  }
  if (o.sheet.empty()) return;
  const auto read = [&](int n) {
    return n == 0 ? simclr::data::read_raster(o.picture) : pictures->read(found[static_cast<std::size_t>(n - 1)]);
  };
  write_contact_sheet(o.sheet, static_cast<int>(found.size()) + 1, read, existing_output(o.overwrite));
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("nearest", [&] {
    Options options;
    if (parse_options(argc, argv, options)) find_nearest(options);
  });
}
