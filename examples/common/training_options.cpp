#include "common/training_options.h"

#include <simclr/core/error.h>
#include <simclr/simclr.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <map>
#include <string_view>

using simclr::nn::Stem;

namespace {

const std::map<std::string, Stem> stems = {{"cifar", Stem::cifar}, {"imagenet", Stem::imagenet}};

constexpr std::int64_t widest_head = 65536;

std::string stem_name(Stem stem) {
  return stem == Stem::cifar ? "cifar" : "imagenet";
}

/// The preset is read first, so that the other options change it and --help shows its values.
std::string preset_of(int argc, char** argv) {
  std::string name = "quick";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--preset" && i + 1 < argc) name = argv[i + 1];
    if (argument.starts_with("--preset=")) name = argument.substr(9);
  }
  return name;
}

bool positive(double value) {
  return value > 0 && std::isfinite(value);
}

void check(const TrainingOptions& o) {
  const Recipe& r = o.recipe;
  SIMCLR_CHECK(r.epochs >= 1, "--epochs ", r.epochs, ": at least 1 is needed");
  SIMCLR_CHECK(r.batch_size >= 2, "--batch-size ", r.batch_size,
               ": contrastive learning needs at least 2 images a batch, the others being the negatives");
  SIMCLR_CHECK(positive(r.temperature), "--temperature ", r.temperature, ": must be positive; 0.1 to 1 is usual");
  SIMCLR_CHECK(positive(r.lr), "--lr ", r.lr, ": must be positive");
  SIMCLR_CHECK(r.momentum >= 0 && r.momentum < 1, "--momentum ", r.momentum, ": must be in [0, 1)");
  SIMCLR_CHECK(r.weight_decay == 0 || positive(r.weight_decay), "--weight-decay ", r.weight_decay,
               ": must be positive or 0");
  SIMCLR_CHECK(r.warmup_epochs >= 0 && r.warmup_epochs <= r.epochs, "--warmup-epochs ", r.warmup_epochs,
               ": must be between 0 and --epochs ", r.epochs);
  SIMCLR_CHECK(r.width >= 1 && r.width <= 1024, "--width ", r.width, ": must be 1 to 1024");
  SIMCLR_CHECK(r.head_hidden >= 0 && r.head_hidden <= widest_head, "--head-hidden ", r.head_hidden,
               ": must be 0 (as the features) to ", widest_head);
  SIMCLR_CHECK(r.head_out >= 1 && r.head_out <= widest_head, "--head-out ", r.head_out, ": must be 1 to ", widest_head);
  SIMCLR_CHECK(o.threads >= 0 && o.threads <= 1024, "--threads ", o.threads, ": must be 0 (one a processor) to 1024");
  SIMCLR_CHECK(o.workers >= 0 && o.workers <= 256, "--workers ", o.workers, ": must be 0 to 256");
  SIMCLR_CHECK(r.size == 0 || (r.size >= 8 && r.size <= 1024), "--size ", r.size, ": must be 8 to 1024 pixels");
  SIMCLR_CHECK(o.limit >= 0, "--limit ", o.limit, ": cannot be negative");
  SIMCLR_CHECK(o.knn_every >= 0, "--knn-every ", o.knn_every, ": cannot be negative; 0: none");
  SIMCLR_CHECK(o.knn_samples >= 2, "--knn-samples ", o.knn_samples, ": at least 2 are needed");
  SIMCLR_CHECK(o.knn_k >= 1, "--knn-k ", o.knn_k, ": at least 1 is needed");
  SIMCLR_CHECK(positive(o.knn_temperature), "--knn-temperature ", o.knn_temperature, ": must be positive");
  SIMCLR_CHECK(o.probe_epochs >= 1, "--probe-epochs ", o.probe_epochs, ": at least 1 is needed");
}

}  // namespace

bool parse_command_line(int argc, char** argv, TrainingOptions& o) {
  o.recipe = recipe(preset_of(argc, argv));
  Recipe& r = o.recipe;
  std::string names, list;
  for (const Recipe& each : recipes()) {
    names += (names.empty() ? "" : ", ") + each.name;
    list += "  " + each.name + std::string(12 - each.name.size(), ' ') + each.description + "\n";
  }

  CLI::App app("Pre-trains an image encoder with SimCLR, without labels, then measures what it learned.");
  app.option_defaults()->always_capture_default();
  app.footer("Presets:\n" + list + "\nThe defaults shown are those of the preset that is given.");
  app.set_version_flag("--version", SIMCLR_VERSION);
  std::string preset = r.name;
  app.add_option("--preset", preset, "A whole recipe (" + names + "); the other options change it");

  const char* group = "Data";
  app.add_option("--dataset", o.dataset,
                 "auto, cifar10, cifar100, fashion-mnist or folder. auto takes CIFAR-10 where it is found, else "
                 "Fashion-MNIST")
      ->check(CLI::IsMember({"auto", "cifar10", "cifar100", "fashion-mnist", "folder"}))
      ->group(group);
  app.add_option("--data", o.data_dir, "Where the data set lies. Unset: data-cache, where scripts/download puts it")
      ->group(group);
  app.add_option("--limit", o.limit, "Train on so many images, spread over the set; 0: all")->group(group);
  app.add_option("--size", r.size, "Side of a view in pixels; 0: the data set's own (32, Fashion-MNIST 28)")
      ->group(group);

  group = "Model";
  app.add_option("--arch", r.arch, "resnet18, resnet34 or resnet50")
      ->check(CLI::IsMember({"resnet18", "resnet34", "resnet50"}))
      ->group(group);
  app.add_option("--width", r.width, "Channels of the first stage; 64 is the published network")->group(group);
  std::string stem = stem_name(r.stem);
  app.add_option("--stem", stem, "cifar (3x3, no pooling; up to 64 pixels) or imagenet (7x7 stride 2, max-pooling)")
      ->check(CLI::IsMember({"cifar", "imagenet"}))
      ->group(group);
  app.add_option("--head-hidden", r.head_hidden, "Width of the projection head; 0: as the features")->group(group);
  app.add_option("--head-out", r.head_out, "Dimensions of the projection that the loss sees")->group(group);
  app.add_option("--head-layers", r.head_layers, "2 (SimCLR) or 3 (SimCLRv2)")
      ->check(CLI::IsMember({2, 3}))
      ->group(group);

  group = "Training";
  app.add_option("--epochs", r.epochs, "Passes over the training images; more is better, up to about 1000")
      ->group(group);
  app.add_option("--batch-size", r.batch_size, "Images a step, each seen as two views; more are more negatives")
      ->group(group);
  app.add_option("--temperature", r.temperature, "Temperature of the loss; 0.5 and 0.2 are usual for CIFAR")
      ->group(group);
  app.add_option("--optimizer", r.optimizer, "sgd, lars (large batches) or adamw")
      ->check(CLI::IsMember({"sgd", "lars", "adamw"}))
      ->group(group);
  app.add_option("--lr", r.lr, "Learning rate at 256 images a batch; the peak is lr x batch size / 256")->group(group);
  app.add_option("--momentum", r.momentum, "Of sgd and lars")->group(group);
  app.add_option("--weight-decay", r.weight_decay, "lars and adamw leave batch norm and biases out")->group(group);
  app.add_option("--warmup-epochs", r.warmup_epochs, "The learning rate rises linearly, then falls as a cosine to 0")
      ->group(group);
  app.add_option("--seed", o.seed, "Of weights, order and views: the same seed gives the same bits")->group(group);

  group = "Augmentation";
  auto& a = r.augmentation;
  app.add_option("--crop-min", a.crop_area_min, "Smallest crop, as a share of the picture's area")->group(group);
  app.add_option("--flip-probability", a.flip_probability, "Of a horizontal flip")->group(group);
  app.add_option("--jitter-probability", a.jitter_probability, "Of colour jitter, its four operations in random order")
      ->group(group);
  app.add_option("--brightness", a.brightness, "Factors from 1 - x to 1 + x")->group(group);
  app.add_option("--contrast", a.contrast, "Likewise")->group(group);
  app.add_option("--saturation", a.saturation, "Likewise")->group(group);
  app.add_option("--hue", a.hue, "Shifts from -x to x of the colour circle, at most 0.5")->group(group);
  app.add_option("--grayscale-probability", a.grayscale_probability, "Of a view without colour")->group(group);
  app.add_option("--blur-probability", a.blur_probability, "Of a Gaussian blur; for large pictures")->group(group);
  app.add_option("--rotation-probability", a.rotation_probability, "Of a rotation, which SimCLR does not use")
      ->group(group);
  app.add_option("--rotation-degrees", a.rotation_degrees, "Angles from -x to x")->group(group);

  group = "Evaluation";
  app.add_option("--knn-every", o.knn_every, "Epochs between kNN evaluations during training; 0: none")->group(group);
  app.add_option("--knn-samples", o.knn_samples, "Training images that those compare with")->group(group);
  app.add_option("--knn-k", o.knn_k, "Neighbours that vote")->group(group);
  app.add_option("--knn-temperature", o.knn_temperature, "A neighbour's vote weighs exp(similarity / temperature)")
      ->group(group);
  app.add_option("--probe-epochs", o.probe_epochs, "Epochs of the linear probe on frozen features")->group(group);
  bool skip = false;
  app.add_flag("--no-evaluation", skip, "Leave the evaluation at the end out")->group(group);

  group = "Run";
  app.add_option("--out", o.out, "Folder for config.json, log.jsonl and weights. Unset: runs/<data>-<preset>-<time>")
      ->group(group);
  app.add_flag("--overwrite", o.overwrite, "Use the folder even if it holds a run")->group(group);
  app.add_option("--device", o.device, "auto (a GPU where there is one), cpu, cuda or cuda:N")->group(group);
  app.add_option("--dtype", o.dtype, "What activations are computed in: f32, bf16 (GPU only), or auto: bf16 on a GPU")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->group(group);
  app.add_option("--images", o.images,
                 "Where pictures are kept and views made: host, device, or auto: on a GPU where they fit")
      ->check(CLI::IsMember({"auto", "host", "device"}))
      ->group(group);
  bool eager = false;
  app.add_flag("--no-graph", eager, "Launch each kernel of a step by itself instead of replaying a CUDA graph")
      ->group(group);
  app.add_option("--threads", o.threads, "Compute threads; 0: one a processor")->group(group);
  app.add_option("--workers", o.workers, "Threads that make views ahead of the step; 0: made between steps")
      ->group(group);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help and --version
      app.exit(e);
      return false;
    }
    std::string message = e.what();
    for (char& c : message) c = c == '\n' ? ' ' : c;
    simclr::fail(message, "; see train_cifar --help");
  }
  r.stem = stems.at(stem);
  o.evaluate = !skip;
  o.graph = !eager;
  check(o);
  return true;
}

nlohmann::ordered_json to_json(const TrainingOptions& o) {
  const Recipe& r = o.recipe;
  const auto& a = r.augmentation;
  // A folder's name may be any bytes; JSON holds only UTF-8.
  const std::string utf8 = nlohmann::json(o.data_dir).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return {
      {"version", SIMCLR_VERSION},
      {"preset", r.name},
      {"dataset", o.dataset},
      {"data", nlohmann::json::parse(utf8)},
      {"limit", o.limit},
      {"size", r.size},
      {"arch", r.arch},
      {"width", r.width},
      {"stem", stem_name(r.stem)},
      {"head_hidden", r.head_hidden},
      {"head_out", r.head_out},
      {"head_layers", r.head_layers},
      {"head_batchnorm", r.head_batchnorm},
      {"epochs", r.epochs},
      {"batch_size", r.batch_size},
      {"temperature", r.temperature},
      {"optimizer", r.optimizer},
      {"lr", r.lr},
      {"momentum", r.momentum},
      {"weight_decay", r.weight_decay},
      {"warmup_epochs", r.warmup_epochs},
      {"seed", o.seed},
      {"device", o.device},
      {"dtype", o.dtype},
      {"images", o.images},
      {"graph", o.graph},
      {"threads", simclr::threads()},
      {"workers", o.workers},
      {"knn_every", o.knn_every},
      {"knn_samples", o.knn_samples},
      {"knn_k", o.knn_k},
      {"knn_temperature", o.knn_temperature},
      {"probe_epochs", o.probe_epochs},
      {"augmentation",
       {{"size", a.size},
        {"channels", a.channels},
        {"crop_area", {a.crop_area_min, a.crop_area_max}},
        {"crop_aspect", {a.crop_aspect_min, a.crop_aspect_max}},
        {"interpolation", a.interpolation == simclr::kernels::Interpolation::bicubic ? "bicubic" : "bilinear"},
        {"flip_probability", a.flip_probability},
        {"rotation_probability", a.rotation_probability},
        {"rotation_degrees", a.rotation_degrees},
        {"jitter_probability", a.jitter_probability},
        {"brightness", a.brightness},
        {"contrast", a.contrast},
        {"saturation", a.saturation},
        {"hue", a.hue},
        {"grayscale_probability", a.grayscale_probability},
        {"blur_probability", a.blur_probability},
        {"blur_sigma", {a.blur_sigma_min, a.blur_sigma_max}},
        {"mean", a.mean},
        {"stddev", a.stddev}}},
  };
}
