#include "train/training_options.h"

#include "run/command_line.h"
#include "run/named_options.h"
#include "run/run_folder.h"
#include "train/training_config.h"

#include <simclr/core/error.h>
#include <simclr/simclr.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

using simclr::kernels::Interpolation;
using simclr::kernels::LarsRule;
using simclr::nn::ConvInit;
using simclr::nn::Stem;
using simclr::nn::Warmup;

namespace {

const std::map<std::string, Stem> stems = {{"cifar", Stem::cifar}, {"imagenet", Stem::imagenet}};
const std::map<std::string, ConvInit> inits = {{"he", ConvInit::he}, {"uniform", ConvInit::uniform}};
const std::map<std::string, LarsRule> lars_rules = {{"simclr", LarsRule::simclr}, {"bolts", LarsRule::bolts}};
const std::map<std::string, Warmup> warmups = {
    {"above-zero", Warmup::above_zero}, {"from-zero", Warmup::from_zero}, {"from-start", Warmup::from_start}};
const std::map<std::string, Interpolation> interpolations = {{"bilinear", Interpolation::bilinear},
                                                             {"bicubic", Interpolation::bicubic}};

const std::vector<std::string> data_sets = {"auto", "cifar10", "cifar100", "fashion-mnist", "idx", "folder"};
const std::vector<std::string> architectures = {"resnet18", "resnet34", "resnet50"};
const std::vector<std::string> optimizers = {"sgd", "lars", "adamw"};
const std::vector<std::string> dtypes = {"auto", "f32", "bf16"};
const std::vector<std::string> image_places = {"auto", "host", "device"};

constexpr std::int64_t widest_head = 65536;

/// The value of an option that must be known before the others are read; empty: not given.
std::string value_of(std::string_view option, int argc, char** argv) {
  std::string value;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == option && i + 1 < argc) value = argv[i + 1];
    if (argument.starts_with(option) && argument.substr(option.size()).starts_with('=')) {
      value = argument.substr(option.size() + 1);
    }
  }
  return value;
}

/// The options of the run in a folder: those of its config.json; where that is missing, of its newest checkpoint that
/// can be read, or of its weights. Empty: there is no run.
std::optional<TrainingOptions> options_of_run(const std::filesystem::path& folder) {
  if (folder.empty()) return std::nullopt;  // check() refuses it
  const std::filesystem::path written = folder / "config.json";
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(written, error))) {
    try {
      return read_config(written.string());
    } catch (const simclr::Error& problem) {
      simclr::fail(problem.what(), "; mend it, or move it away and let --resume read the options from a checkpoint");
    }
  }
  std::vector<std::filesystem::path> files;
  for (const auto& file : simclr::nn::CheckpointFolder(folder / checkpoint_folder).list()) files.push_back(file.path);
  files.push_back(folder / checkpoint_folder / "best.safetensors");
  files.push_back(folder / weights_file);
  for (const auto& file : files) {
    simclr::nn::Metadata metadata;
    try {
      metadata = simclr::nn::read_checkpoint_metadata(file);
    } catch (const simclr::Error&) {
      continue;
    }
    if (metadata.contains("config")) return options_from_json(metadata["config"], file.string());
  }
  return std::nullopt;
}

/// What the command line changes: a preset, a configuration, or that of the run that goes on. --help shows its values.
TrainingOptions base_options(int argc, char** argv) {
  const std::string preset = value_of("--preset", argc, argv), config = value_of("--config", argc, argv);
  SIMCLR_CHECK(preset.empty() || config.empty(), "--preset and --config: give one of them; a configuration is whole");
  TrainingOptions o;
  std::optional<TrainingOptions> written;
  if (!config.empty()) {
    written = read_config(config);
  } else if (std::find(argv, argv + argc, std::string_view("--resume")) != argv + argc) {
    written = options_of_run(value_of("--out", argc, argv));
  }
  if (written) {
    o = *written;
    SIMCLR_CHECK(preset.empty() || preset == o.recipe.name, "--preset ", preset, ": ",
                 config.empty() ? value_of("--out", argc, argv) : config, " is of a run with ", o.recipe.name,
                 "; leave --preset out, or choose another --out");
  } else {
    o.recipe = recipe(preset.empty() ? "quick" : preset);
  }
  return o;
}

void check_choice(const char* option, const std::string& value, const std::vector<std::string>& choices) {
  std::string all;
  for (const std::string& choice : choices) all += (all.empty() ? "" : ", ") + choice;
  SIMCLR_CHECK(std::find(choices.begin(), choices.end(), value) != choices.end(), option, " ", value,
               ": must be one of ", all);
}

/// What a preset is, for --help: lines of at most 120 characters.
std::string preset_text(const Recipe& r) {
  std::string text = r.description;
  if (!r.published.empty()) text += ": " + r.published + " published";
  if (!r.differs.empty()) text += ". Its source differs: " + r.differs;
  const std::string indent(14, ' ');
  std::string line = "  " + r.name + std::string(12 - r.name.size(), ' '), out;
  std::istringstream words(text);
  for (std::string word; words >> word; line += word + " ") {
    if (line.size() + word.size() <= 120) continue;
    out += line.substr(0, line.size() - 1) + "\n";
    line = indent;
  }
  return out + line.substr(0, line.size() - 1) + "\n";
}

bool positive(double value) {
  return value > 0 && std::isfinite(value);
}

void check(const TrainingOptions& o) {
  const Recipe& r = o.recipe;
  check_choice("--dataset", o.dataset, data_sets);
  check_choice("--arch", r.arch, architectures);
  check_choice("--optimizer", r.optimizer, optimizers);
  check_choice("--dtype", o.dtype, dtypes);
  check_choice("--images", o.images, image_places);
  SIMCLR_CHECK(r.head_layers == 2 || r.head_layers == 3, "--head-layers ", r.head_layers, ": must be 2 or 3");
  SIMCLR_CHECK(o.checkpoint_minutes >= 0, "--checkpoint-minutes ", o.checkpoint_minutes,
               ": cannot be negative; 0: after each step");
  SIMCLR_CHECK(o.keep_checkpoints >= 1, "--keep-checkpoints ", o.keep_checkpoints, ": at least 1 is needed");
  SIMCLR_CHECK(!o.resume || !o.out.empty(), "--resume needs --out DIR, the folder of the run that is to go on");
  SIMCLR_CHECK(!o.resume || !o.overwrite, "--resume and --overwrite: give one of them");
  SIMCLR_CHECK(r.epochs >= 1, "--epochs ", r.epochs, ": at least 1 is needed");
  SIMCLR_CHECK(r.batch_size >= 2, "--batch-size ", r.batch_size,
               ": contrastive learning needs at least 2 images a batch, the others being the negatives");
  SIMCLR_CHECK(o.micro_batch == 0 || o.micro_batch >= 2, "--micro-batch ", o.micro_batch,
               ": batch norm needs at least 2 images; 0: the whole batch at a time");
  SIMCLR_CHECK(o.micro_batch <= r.batch_size, "--micro-batch ", o.micro_batch, ": more than --batch-size ",
               r.batch_size, ", which is the whole batch; leave it out");
  SIMCLR_CHECK(positive(r.temperature), "--temperature ", r.temperature, ": must be positive; 0.1 to 1 is usual");
  const double least = simclr::kernels::nt_xent_least_temperature(simclr::DType::f32);
  SIMCLR_CHECK(r.temperature >= least, "--temperature ", r.temperature, ": must be at least ", least,
               ", below which rounding decides the loss; 0.1 to 1 is usual");
  SIMCLR_CHECK(positive(r.lr), "--lr ", r.lr, ": must be positive");
  SIMCLR_CHECK(r.momentum >= 0 && r.momentum < 1, "--momentum ", r.momentum, ": must be in [0, 1)");
  SIMCLR_CHECK(r.weight_decay == 0 || positive(r.weight_decay), "--weight-decay ", r.weight_decay,
               ": must be positive or 0");
  SIMCLR_CHECK(r.warmup_epochs >= 0 && r.warmup_epochs <= r.epochs, "--warmup-epochs ", r.warmup_epochs,
               ": must be between 0 and --epochs ", r.epochs);
  SIMCLR_CHECK(r.warmup_start >= 0 && std::isfinite(r.warmup_start), "--warmup-start ", r.warmup_start,
               ": cannot be negative");
  SIMCLR_CHECK(positive(r.lars_trust), "--lars-trust ", r.lars_trust, ": must be positive; 0.001 to 0.02 is usual");
  SIMCLR_CHECK(r.stem_padding >= -1 && r.stem_padding <= 16, "--stem-padding ", r.stem_padding,
               ": must be 0 to 16, or -1 (half the kernel)");
  SIMCLR_CHECK(r.width >= 1 && r.width <= 1024, "--width ", r.width, ": must be 1 to 1024");
  SIMCLR_CHECK(r.head_hidden >= 0 && r.head_hidden <= widest_head, "--head-hidden ", r.head_hidden,
               ": must be 0 (as the features) to ", widest_head);
  SIMCLR_CHECK(r.head_out >= 1 && r.head_out <= widest_head, "--head-out ", r.head_out, ": must be 1 to ", widest_head);
  SIMCLR_CHECK(o.threads >= 0 && o.threads <= 1024, "--threads ", o.threads, ": must be 0 (one a processor) to 1024");
  SIMCLR_CHECK(o.workers >= -1 && o.workers <= 1024, "--workers ", o.workers,
               ": must be 0 to 1024, or -1 (0 on a CPU, as many as --threads on a GPU)");
  SIMCLR_CHECK(r.size == 0 || (r.size >= 8 && r.size <= 1024), "--size ", r.size, ": must be 8 to 1024 pixels");
  SIMCLR_CHECK(o.limit >= 0, "--limit ", o.limit, ": cannot be negative");
  SIMCLR_CHECK((o.cache_gb >= 0 || o.cache_gb == -1) && o.cache_gb <= 1e6, "--cache-gb ", o.cache_gb,
               ": must be positive, 0 (no cache) or -1 (half of the free memory)");
  SIMCLR_CHECK(o.hold_out >= 0 && o.hold_out < 1, "--hold-out ", o.hold_out,
               ": must be a share below 1, such as 0.1; 0 holds nothing out");
  SIMCLR_CHECK(o.hold_out == 0 || o.knn_every != 0, "--hold-out ", o.hold_out,
               ": the best checkpoint is chosen by the kNN during training, which --knn-every 0 leaves out");
  SIMCLR_CHECK(o.knn_every >= 0, "--knn-every ", o.knn_every, ": cannot be negative; 0: none");
  SIMCLR_CHECK(o.knn_samples >= 2, "--knn-samples ", o.knn_samples, ": at least 2 are needed");
  SIMCLR_CHECK(o.knn_k >= 1, "--knn-k ", o.knn_k, ": at least 1 is needed");
  SIMCLR_CHECK(positive(o.knn_temperature), "--knn-temperature ", o.knn_temperature, ": must be positive");
  SIMCLR_CHECK(o.probe_epochs >= 1, "--probe-epochs ", o.probe_epochs, ": at least 1 is needed");
}

}  // namespace

bool parse_command_line(int argc, char** argv, TrainingOptions& o) {
  o = base_options(argc, argv);
  Recipe& r = o.recipe;
  std::string names, list;
  NamedOptions named;
  for (const Recipe& each : recipes()) {
    names += (names.empty() ? "" : ", ") + each.name;
    list += preset_text(each);
  }

  CLI::App app("Pre-trains an image encoder with SimCLR, without labels, then measures what it learned.",
               "train_cifar");
  app.option_defaults()->always_capture_default();
  app.footer("Presets:\n" + list + "\nThe defaults shown are those of the preset or the configuration that is given.");
  std::string preset = r.name;
  app.add_option("--preset", preset, "A whole recipe (" + names + "); the other options change it");
  std::string config;
  app.add_option("--config", config, "A run's config.json, to repeat it; the other options change it");

  const char* group = "Data";
  add_dataset_options(app, o.dataset, o.data_dir, o.classes_at);
  app.add_option("--limit", o.limit, "Train on so many images, spread over the set; 0: all")->group(group);
  app.add_option("--cache-gb", o.cache_gb,
                 "Memory for a folder's decoded pictures; -1: half of what is free, 0: decode in every epoch")
      ->group(group);
  app.add_option("--cache-dir", o.cache_dir, "Where decoded pictures that do not fit there go, in a temporary file")
      ->group(group);
  app.add_option("--size", r.size, "Side of a view in pixels; 0: the data set's own (32, Fashion-MNIST 28)")
      ->group(group);

  group = "Model";
  app.add_option("--arch", r.arch, "resnet18, resnet34 or resnet50")->group(group);
  app.add_option("--width", r.width, "Channels of the first stage; 64 is the published network")->group(group);
  named.add(app, "--stem", r.stem, stems,
            "cifar (3x3, no pooling; up to 64 pixels) or imagenet (7x7 stride 2, max-pooling)", group);
  app.add_option("--stem-padding", r.stem_padding, "Of the first convolution; -1: half its kernel")->group(group);
  named.add(app, "--stem-init", r.stem_init, inits, "As --conv-init, of the first convolution", group);
  named.add(app, "--conv-init", r.conv_init, inits,
            "How convolutions start: he (normal, as torchvision's ResNets) or uniform (as a bare one of PyTorch)",
            group);
  app.add_flag("--zero-last-gamma,!--no-zero-last-gamma", r.zero_last_gamma,
               "The last batch norm of each block starts at scale 0")
      ->group(group);
  app.add_option("--head-hidden", r.head_hidden, "Width of the projection head; 0: as the features")->group(group);
  app.add_option("--head-out", r.head_out, "Dimensions of the projection that the loss sees")->group(group);
  app.add_option("--head-layers", r.head_layers, "2 (SimCLR) or 3 (SimCLRv2)")->group(group);
  app.add_flag("--head-batchnorm,!--no-head-batchnorm", r.head_batchnorm,
               "Batch norm behind the head's hidden layers, which then have no bias")
      ->group(group);
  app.add_flag("--head-last-batchnorm,!--no-head-last-batchnorm", r.head_last_batchnorm,
               "Batch norm behind the head's last layer")
      ->group(group);
  app.add_flag("--head-last-shift,!--no-head-last-shift", r.head_last_shift, "It shifts, or scales only")->group(group);
  app.add_flag("--head-last-bias,!--no-head-last-bias", r.head_last_bias, "The head's last layer has a bias")
      ->group(group);
  app.add_flag("--views-apart,!--views-together", r.views_apart,
               "In training batch norm sees the two views of a batch apart, or together")
      ->group(group);

  group = "Training";
  app.add_option("--epochs", r.epochs, "Passes over the training images; more is better, up to about 1000")
      ->group(group);
  app.add_option("--batch-size", r.batch_size, "Images a step, each seen as two views; more are more negatives")
      ->group(group);
  app.add_option("--micro-batch", o.micro_batch,
                 "Images of the batch that go through the network at a time, to save memory, at the cost of one more "
                 "forward pass; the loss has the negatives of the whole batch, batch norm sees each part by itself. 0: "
                 "the whole batch")
      ->group(group);
  app.add_option("--temperature", r.temperature, "Temperature of the loss; 0.5 and 0.2 are usual for CIFAR")
      ->group(group);
  app.add_option("--optimizer", r.optimizer, "sgd, lars (large batches) or adamw")->group(group);
  app.add_option("--lr", r.lr, "Learning rate at 256 images a batch; the peak is lr x batch size / 256")->group(group);
  app.add_option("--momentum", r.momentum, "Of sgd and lars")->group(group);
  app.add_option("--weight-decay", r.weight_decay, "lars and adamw leave batch norm and biases out")->group(group);
  app.add_option("--lars-trust", r.lars_trust, "LARS's trust coefficient, eta: a layer's step is eta |w| / |g| x lr")
      ->group(group);
  app.add_flag("--lars-clip,!--no-lars-clip", r.lars_clip, "That step is the smaller of eta |w| / |g| and lr")
      ->group(group);
  named.add(app, "--lars-rule", r.lars_rule, lars_rules,
            "simclr (google-research's) or bolts (PyTorch Lightning Bolts' and solo-learn's: lr outside the momentum)",
            group);
  app.add_option("--warmup-epochs", r.warmup_epochs, "The learning rate rises linearly, then falls as a cosine to 0")
      ->group(group);
  named.add(app, "--warmup", r.warmup, warmups, "It rises above-zero from the first step, from-zero or from-start",
            group);
  app.add_option("--warmup-start", r.warmup_start, "The first learning rate of from-start")->group(group);
  app.add_flag("--schedule-by-epoch,!--schedule-by-step", r.schedule_by_epoch,
               "The learning rate moves once an epoch, or at each step")
      ->group(group);
  add_seed_option(app, o.seed, "Of weights, order and views: the same seed gives the same bits")->group(group);

  group = "Augmentation";
  auto& a = r.augmentation;
  app.add_option("--crop-min", a.crop_area_min, "Smallest crop, as a share of the picture's area")->group(group);
  named.add(app, "--interpolation", a.interpolation, interpolations, "Of resized crops: bilinear or bicubic", group);
  app.add_option("--flip-probability", a.flip_probability, "Of a horizontal flip")->group(group);
  app.add_option("--jitter-probability", a.jitter_probability, "Of colour jitter, its four operations in random order")
      ->group(group);
  app.add_option("--brightness", a.brightness, "Factors from 1 - x to 1 + x")->group(group);
  app.add_option("--contrast", a.contrast, "Likewise")->group(group);
  app.add_option("--saturation", a.saturation, "Likewise")->group(group);
  app.add_option("--hue", a.hue, "Shifts from -x to x of the colour circle, at most 0.5")->group(group);
  app.add_option("--grayscale-probability", a.grayscale_probability, "Of a view without colour")->group(group);
  app.add_option("--blur-probability", a.blur_probability, "Of a Gaussian blur; for large pictures")->group(group);
  app.add_option("--blur-kernel", a.blur_kernel,
                 "Its taps, odd; 0: a tenth of the view; -1: the whole kernel, as Pillow's")
      ->group(group);
  app.add_option("--rotation-probability", a.rotation_probability, "Of a rotation, which SimCLR does not use")
      ->group(group);
  app.add_option("--rotation-degrees", a.rotation_degrees, "Angles from -x to x")->group(group);
  ChannelOption mean(app, "--mean", a.mean, "Taken from each channel of pixels in [0,1]", group);
  ChannelOption stddev(app, "--stddev", a.stddev, "What each channel is then divided by", group);

  group = "Evaluation";
  app.add_option(
         "--hold-out", o.hold_out,
         "Share of each class's training images that is not trained on: checkpoints/best.safetensors is chosen by "
         "the kNN on it. 0: none, and no best checkpoint")
      ->group(group);
  app.add_option(
         "--knn-every", o.knn_every,
         "Epochs between kNN evaluations during training, the last one besides, on what --hold-out keeps, else on "
         "a fifth of the training images by the rest; 0: none")
      ->group(group);
  app.add_option("--knn-samples", o.knn_samples, "Training images that those look at")->group(group);
  app.add_option("--knn-k", o.knn_k, "Neighbours that vote")->group(group);
  app.add_option("--knn-temperature", o.knn_temperature, "A neighbour's vote weighs exp(similarity / temperature)")
      ->group(group);
  app.add_option("--probe-epochs", o.probe_epochs, "Epochs of the linear probe on frozen features")->group(group);
  app.add_flag("--evaluation,!--no-evaluation", o.evaluate, "Evaluate at the end")->group(group);

  group = "Run";
  app.add_flag("--check", o.check,
               "Do not train: look at the data, train on one batch, and say in about a minute whether a run will work, "
               "how long it will take and what looks wrong. Exit code 0: fine, 1: something is wrong")
      ->group(group);
  app.add_option("--out", o.out, "Folder for config.json, log.jsonl and weights. Unset: runs/<data>-<preset>-<time>")
      ->group(group);
  app.add_flag("--overwrite", o.overwrite, "Use the folder even if it holds a run, which is lost")->group(group);
  app.add_flag("--resume", o.resume, "Go on with the run in --out, from its last checkpoint and with its options")
      ->group(group);
  app.add_option("--checkpoint-minutes", o.checkpoint_minutes, "Between checkpoints; 0: one after each step")
      ->group(group);
  app.add_option("--keep-checkpoints", o.keep_checkpoints,
                 "How many of the last to keep, besides the best of --hold-out")
      ->group(group);
  app.add_option("--device", o.device, "auto (a GPU where there is one), cpu, cuda or cuda:N")->group(group);
  app.add_option("--dtype", o.dtype, "What activations are computed in: f32, bf16 (GPU only), or auto: bf16 on a GPU")
      ->group(group);
  app.add_option("--images", o.images,
                 "Where pictures are kept and views made: host, device, or auto: on a GPU where they fit")
      ->group(group);
  app.add_flag("--graph,!--no-graph", o.graph, "Replay a step as a CUDA graph, or launch each kernel by itself")
      ->group(group);
  app.add_flag("--wgmma", o.wgmma,
               "On a GPU of sm_90: compute the loss by the tiles for its tensor cores, which no GPU has run yet")
      ->group(group);
  app.add_flag(
         "--profile", o.profile,
         "Print where the time of the training steps went, kernel by kernel; they wait for the device at each, and "
         "are no graph")
      ->group(group);
  app.add_option("--threads", o.threads, "Compute threads; 0: one a processor")->group(group);
  app.add_option("--workers", o.workers,
                 "Threads that make views ahead of the step; 0: made between steps. -1: 0 on a CPU, as many as "
                 "--threads on a GPU")
      ->group(group);

  if (!parse(app, argc, argv)) return false;
  named.take();
  mean.take();
  stddev.take();
  check(o);
  return true;
}
