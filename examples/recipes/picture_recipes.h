#pragma once

#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// A whole training recipe. The named ones are defined once, in picture_recipes.cpp; programs, benchmarks, tests and
/// documents all read them from there. One that is published somewhere either is its source's in every option and says
/// what its source reached, or says where it differs and promises no figure. Only the arithmetic may differ: ours is in
/// floats all through, and PIL, which solo-learn and lightly make views with, rounds to 8 bits after each operation.
struct Recipe {
  std::string name;
  std::string description;
  std::string published;  // what its source reached; empty where there is none, or something differs
  std::string differs;    // from its source

  std::string arch = "resnet18";
  std::int64_t width = 64;
  simclr::nn::Stem stem = simclr::nn::Stem::cifar;
  int stem_padding = -1;  // of the first convolution; -1: half its kernel
  simclr::nn::ConvInit conv_init = simclr::nn::ConvInit::he, stem_init = simclr::nn::ConvInit::he;
  bool zero_last_gamma = false;
  std::int64_t head_hidden = 0;  // 0: as wide as the features
  std::int64_t head_out = 128;
  int head_layers = 2;
  bool head_batchnorm = true;
  bool head_last_batchnorm = false;  // behind the last layer
  bool head_last_shift = true;       // false: it scales only
  bool head_last_bias = false;
  bool views_apart = false;  // batch norm sees each view of a batch by itself

  int epochs = 100;
  std::int64_t batch_size = 512;  // samples; each gives two views
  std::string optimizer = "sgd";  // sgd, lars or adamw
  double lr = 0.03;               // at 256 samples a batch; the peak is lr * batch_size / 256
  double momentum = 0.9;
  double weight_decay = 5e-4;
  double lars_trust = 0.001;
  bool lars_clip = false;
  simclr::kernels::LarsRule lars_rule = simclr::kernels::LarsRule::simclr;
  int warmup_epochs = 0;
  simclr::nn::Warmup warmup = simclr::nn::Warmup::above_zero;
  double warmup_start = 0;         // the first learning rate, of Warmup::from_start
  bool schedule_by_epoch = false;  // the learning rate moves once an epoch, not at each step
  double temperature = 0.5;

  int size = 0;  // side of a view in pixels; 0: what suits the data set
  simclr::data::Augmentation augmentation;
};

/// A recipe's projection head, behind any encoder.
simclr::nn::ProjectionHeadOptions head_options(const Recipe& recipe, std::uint64_t seed = 0);

/// An optimizer that a recipe may name, and the learning rates that are usual with it.
struct OptimizerKind {
  const char* name;
  double least_lr, most_lr;  // at 256 samples a batch: outside something is probably wrong
  const char* usual_lr;      // what one would try
  std::unique_ptr<simclr::nn::Optimizer> (*make)(const Recipe& recipe, const simclr::nn::Module& model,
                                                 const simclr::nn::Schedule& schedule);
};
const std::vector<OptimizerKind>& optimizer_kinds();
/// The recipe's; throws simclr::Error where there is none of its name.
const OptimizerKind& optimizer_of(const Recipe& recipe);

/// All named recipes, `quick` first.
const std::vector<Recipe>& recipes();
/// The recipe of that name; throws simclr::Error that lists the names.
const Recipe& recipe(const std::string& name);
