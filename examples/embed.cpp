// Turns samples into features: a NumPy matrix, one row a sample, and the list of the files.
#include "modalities/kinds.h"
#include "modalities/pair_sides.h"
#include "modalities/picture_files.h"
#include "modalities/picture_rows.h"
#include "run/command_line.h"
#include "run/option_line.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "run/shared_rows.h"
#include "train/rank_program.h"
#include "train/shared_work.h"

#include <simclr/core/crc64.h>
#include <simclr/core/text.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace {

constexpr const char* default_out = "embedding";

struct Options {
  std::string weights, folder, dataset = "auto", side = "none", out = default_out;
  bool overwrite = false;
  ComputeOptions compute;
};

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app(
      "Turns pictures, recordings, clips or texts into features: features.npy, [samples, features] float32, and "
      "files.txt.",
      "embed");
  app.add_option("weights", o.weights, "A run's folder, a checkpoint or a weights file")->required();
  app.add_option("folder", o.folder, named_samples_help)->required();
  OptionTable table;
  add_dataset_row(
      table, o.dataset, named_picture_kinds(),
      "What the folder is. auto knows lists, arrays and shards by their names, and folders as of picture files");
  table.add(
      "side", o.side, either_side(),
      "Of weights of pairs: the side, first or second, that the samples are of, which go through its encoder and head, "
      "as pairs are compared. none: the encoder of pictures, or the first side's where none is of these, without a "
      "head");
  table.add("out", o.out, "Folder for features.npy and files.txt. Unset: embedding, or embedding-2 and so on");
  add_overwrite_row(table, o.overwrite);
  add_compute_rows(table, o.compute);
  return parse(app, table, argc, argv);
}

bool holds_embedding(const std::string& folder) {
  const auto files = embedding_files(folder);
  return std::any_of(files.begin(), files.end(), [](const std::string& file) {
    std::error_code error;
    return std::filesystem::exists(std::filesystem::symlink_status(file, error));
  });
}

/// Where nobody named the output, the next one gets a number.
std::string free_folder(const Options& o, const Kind& kind) {
  const std::string first = beside_data(default_out, kind.folders(o.dataset, o.folder));
  std::string out = first;
  for (int n = 2; !o.overwrite && holds_embedding(out); ++n) out = first + "-" + std::to_string(n);
  return out;
}

/// What is embedded, and by what.
struct Opened {
  std::unique_ptr<Kind> kind;
  EncoderFile file;
  NamedSamples named;
  std::string weights;  // of several ranks their digest
};

std::string digest(const simclr::nn::Module& encoder) {
  simclr::Crc64 all;
  for (const simclr::NamedTensor& tensor : encoder.state()) {
    all.update(tensor.name.c_str(), tensor.name.size() + 1);
    all.update(tensor.value.raw_data(), tensor.value.bytes());
  }
  return simclr::hex(all.value());
}

/// Of what files.txt will hold.
std::string digest_of_names(const simclr::data::Dataset& samples) {
  simclr::Crc64 all;
  for (const std::string& name : samples.classes()) all.update(name.c_str(), name.size() + 1);
  return simclr::hex(all.value());
}

/// Each rank's rows go into one file: throws CommonError where they would be of other weights or samples.
void require_same_embedding(simclr::World& world, const Options& o, const Opened& opened) {
  if (world.size() == 1) return;
  const simclr::data::Dataset& samples = *opened.named.samples;
  require_alike(world, "weights", "those of digest " + opened.weights);
  require_alike(world, "samples",
                counted(samples.size(), opened.kind->sample()) + ", their names of digest " + digest_of_names(samples));
  require_alike(
      world, "options",
      "--batch-size " + std::to_string(o.compute.batch_size) + " --dataset " + o.dataset + " --side " + o.side);
}

/// Settles `o.out`, too. `on_warning` is told of samples.
Opened open_samples(Options& o, const simclr::World& world, const std::function<void(const std::string&)>& on_warning) {
  Opened opened{kind_of_weights(o.weights, o.side), {}, {}, {}};
  if (o.out == default_out) o.out = free_folder(o, *opened.kind);
  std::vector<std::string> outputs = embedding_files(o.out);
  outputs.insert(outputs.begin(), o.out);
  opened.kind->refuse_in("--out", outputs, o.dataset, o.folder);
  for (const std::string& file : embedding_files(o.out)) refuse_to_replace(file, o.overwrite);
  const simclr::Device device = choose_device(o.compute.device, "computing", world);
  o.compute.workers = workers_for(device, o.compute.workers);
  opened.file = open_side(o.weights, *opened.kind, o.side);
  std::printf("%s\n", opened.file.description.c_str());
  if (world.size() > 1) opened.weights = digest(*opened.file.encoder);
  opened.file.encoder->to(device);
  opened.named = opened.kind->open_named(o.dataset, o.folder, opened.file, on_warning);
  return opened;
}

void write_features(Options& o, const Kind& kind, const Embedding& embedding, bool named) {
  for (bool written = false; !written;) {
    try {
      write_embedding(o.out, embedding, existing_output(o.overwrite));
      written = true;
    } catch (const simclr::FileExists&) {  // another process has taken the name meanwhile
      if (named) throw;
      o.out = free_folder(o, kind);
    }
  }
}

void embed(Options o, simclr::World& world) {
  const bool named = o.out != default_out;
  Progress progress;
  const auto warn = [&progress](const std::string& message) { progress.warn(message); };
  set_threads_of_rank(world, o.compute.threads, warn);
  Opened opened;
  together(&world, [&] {
    opened = open_samples(o, world, [&](const std::string& message) {
      if (world.rank() == 0) warn(message);
    });
  });
  require_same_embedding(world, o, opened);
  const std::string sample = opened.kind->sample();
  EvaluationOptions options;
  options.batch_size = o.compute.batch_size;
  options.workers = o.compute.workers;
  options.on_warning = warn;
  options.on_progress = PassProgress(progress, "embedding", sample + "s");
  options.world = &world;
  const Embedding embedding = embed_samples(opened.file, *opened.named.samples, options);
  if (world.rank() > 0) return;
  write_features(o, *opened.kind, embedding, named);
  progress.message("features of " + counted(std::ssize(embedding.files), sample) + ", " +
                   std::to_string(embedding.features.dim(1)) + " each, in " + o.out);
  if (!opened.named.left_out.empty()) progress.message("left out: " + opened.named.left_out);
  if (embedding.unreadable > 0) {
    progress.message(counted(embedding.unreadable, sample) + " could not be read: left out");
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const auto parse = [&]() -> std::optional<Start> {
    if (!parse_options(argc, argv, options)) return std::nullopt;
    return Start{};  // whatever computes, what the ranks exchange lies in host memory
  };
  return run_ranks("embed", parse, [&](const std::shared_ptr<simclr::World>& world) {
    embed(options, *world);
    return 0;
  });
}
