// Finds the samples, of a folder and of whatever else embed takes, that an encoder takes for most like a given one.
#include "modalities/kinds.h"
#include "modalities/pair_sides.h"
#include "modalities/picture_files.h"
#include "modalities/picture_rows.h"
#include "run/command_line.h"
#include "run/option_line.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "run/shared_rows.h"

#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string_view>
#include <unordered_map>

namespace data = simclr::data;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

struct Options {
  std::string weights, query, folder, dataset = "auto", from = "none", features, sheet;
  int k = 10;
  bool overwrite = false;
  ComputeOptions compute;
};

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app(
      "Finds the nearest neighbours of a picture, a recording, a clip or a text in a folder of them, by the cosine of "
      "their features.",
      "nearest");
  app.add_option("weights", o.weights, "A run's folder, a checkpoint or a weights file")->required();
  app.add_option(
         "query", o.query,
         "A picture, a recording, a clip, or words in quotes, of what the weights are of; with --from of that side")
      ->required();
  app.add_option("folder", o.folder, named_samples_help)->required();
  OptionTable table;
  add_dataset_row(
      table, o.dataset, named_picture_kinds(),
      "What the folder is. auto knows lists, arrays and shards by their names, and folders as of picture files");
  table.add("from", o.from, either_side(),
            "Of weights of pairs: the side, first or second, that the query is of; those of the other side that belong "
            "to it are looked for. none: those that are like it");
  table.add("k", o.k, "How many neighbours").at_least(1);
  table.add("features", o.features, "What embed has made of the folder with the same weights; unset: made now");
  table.add("sheet", o.sheet, "A PNG file to draw: the picture, framed, then its neighbours");
  add_overwrite_row(table, o.overwrite);
  add_compute_rows(table, o.compute);
  return parse(app, table, argc, argv);
}

Embedding embedding_of(const Options& o, const EncoderFile& file, const data::Dataset& samples, const Kind& kind,
                       Progress& progress) {
  if (!o.features.empty()) return read_embedding(o.features);
  EvaluationOptions options;
  options.batch_size = o.compute.batch_size;
  options.workers = o.compute.workers;
  options.on_warning = [&progress](const std::string& message) { progress.warn(message); };
  options.on_progress = PassProgress(progress, "embedding", kind.sample() + std::string("s"));
  return embed_samples(file, samples, options);
}

/// Which sample has each name; of a repeated one the first.
using Numbers = std::unordered_map<std::string_view, std::int64_t>;

Numbers numbers_of(const data::Dataset& samples) {
  Numbers numbers;
  std::int64_t next = 0;
  for (const std::string& name : samples.classes()) numbers.emplace(name, next++);
  return numbers;
}

/// Which sample it is. A file that `embed` saw elsewhere is no neighbour in this folder.
std::int64_t find(const Options& o, const Numbers& numbers, const std::string& file) {
  const auto found = numbers.find(file);
  SIMCLR_CHECK(found != numbers.end(), "--features ", o.features, ": lists ", simclr::printable(file),
               ", which is not in ", o.folder, "; name the folder that embed read, or run embed again");
  return found->second;
}

/// Features of another encoder may have the same width, and say nothing: the first listed sample that can be read is
/// embedded once more, and must give its row.
void check_same_encoder(const Options& o, const EncoderFile& file, const data::Dataset& samples, const Numbers& numbers,
                        const Embedding& embedding, const Kind& kind) {
  if (o.features.empty()) return;
  SIMCLR_CHECK(embedding.features.dim(1) == file.encoder->output_features(), "--features ", o.features, ": has ",
               embedding.features.dim(1), " features a ", kind.sample(), ", this encoder gives ",
               file.encoder->output_features(), "; run embed with the same weights");
  for (std::size_t i = 0; i < embedding.files.size(); ++i) {
    Tensor again;
    const auto found = numbers.find(embedding.files[i]);
    if (found == numbers.end()) continue;
    try {
      again = embed_sample(file, samples.sample(found->second), embedding.files[i]);
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

/// Features of what is asked for: of the samples' own kind, or of the other side of pairs.
Tensor ask(const Options& o, const simclr::Device& device) {
  const std::unique_ptr<Kind> kind = kind_of_weights(o.weights, o.from);
  const EncoderFile file = open_side(o.weights, *kind, o.from);
  file.encoder->to(device);
  return embed_sample(file, kind->read(o.query, file), o.query);
}

/// The side that is looked among.
std::string other_side(const std::string& from) {
  return from == "none" ? from : side_names()[from == side_names()[0] ? 1 : 0];
}

void check_sheet(const Options& o, const Kind& kind) {
  if (!o.sheet.empty()) kind.check_sheet(o.sheet);
  kind.refuse_in("--sheet", {o.sheet}, o.dataset, o.folder);
  refuse_in_data("--sheet", o.sheet, o.query);
  check_output(o.sheet, o.overwrite);
  SIMCLR_CHECK(o.sheet.empty() || o.sheet.ends_with(".png") || o.sheet.ends_with(".PNG"), "--sheet ", o.sheet,
               ": a PNG file is written; choose a name that ends in .png");
  SIMCLR_CHECK(o.sheet.empty() || o.from == "none" || data::is_picture_name(o.query), "--sheet ", o.sheet, ": ",
               simclr::printable(o.query), " is no picture, and cannot be drawn; leave it out");
}

void find_nearest(Options o) {
  const std::string side = other_side(o.from);
  const std::unique_ptr<Kind> kind = kind_of_weights(o.weights, side);
  check_sheet(o, *kind);
  const simclr::Device device = open_device(o.compute);
  const Tensor query = ask(o, device);
  const EncoderFile file = open_side(o.weights, *kind, side);
  file.encoder->to(device);
  Progress progress;
  const auto warn = [&progress](const std::string& message) { progress.warn(message); };
  const NamedSamples named = kind->open_named(o.dataset, o.folder, file, warn);
  const Numbers numbers = numbers_of(*named.samples);
  const Embedding embedding = embedding_of(o, file, *named.samples, *kind, progress);
  check_same_encoder(o, file, *named.samples, numbers, embedding, *kind);

  const simclr::NoGrad no_grad;
  const auto cosine = nn::similarity(query, embedding.features).to_vector<float>();
  std::vector<std::size_t> order(cosine.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return cosine[a] > cosine[b]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(o.k)));
  std::vector<std::int64_t> found;
  for (const std::size_t i : order) found.push_back(find(o, numbers, embedding.files[i]));
  if (o.features.empty() && !named.left_out.empty()) progress.message("left out: " + named.left_out);
  progress.message("cosine  file");
  for (const std::size_t i : order) {
    std::printf("%6.4f  %s\n", static_cast<double>(cosine[i]), simclr::printable(embedding.files[i]).c_str());
  }
  if (o.sheet.empty()) return;
  kind->write_sheet(o.sheet, o.query, named, found, existing_output(o.overwrite));
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("nearest", [&] {
    Options options;
    if (parse_options(argc, argv, options)) find_nearest(options);
  });
}
