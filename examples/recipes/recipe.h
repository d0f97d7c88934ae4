#pragma once

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/simclr.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// A training recipe, as far as it is of every kind of data: head, steps and optimizer. What it says of encoders and
/// views is their kind's (see the others of this folder).
struct Recipe {
  std::string name;
  std::string description;
  std::string published;  // what its source reached; empty where there is none, or something differs
  std::string differs;    // from its source

  std::int64_t head_hidden = 0;  // 0: as wide as the features
  std::int64_t head_out = 128;
  int head_layers = 2;
  bool head_batchnorm = true;
  bool head_last_batchnorm = false;  // behind the last layer
  bool head_last_shift = true;       // false: it scales only
  bool head_last_bias = false;
  bool views_apart = false;  // batch norm sees each view of a batch by itself

  int epochs = 100;
  std::int64_t batch_size = 512;  // samples
  std::string optimizer = "sgd";  // sgd, lars or adamw
  double lr = 0.03;               // at 256 samples a batch; the peak is lr * batch_size / 256
  double momentum = 0.9;
  double clip_grad_norm = 0;  // 0: gradients stay as they are
  double weight_decay = 5e-4;
  double lars_trust = 0.001;
  bool lars_clip = false;
  simclr::kernels::LarsRule lars_rule = simclr::kernels::LarsRule::simclr;
  int warmup_epochs = 0;
  simclr::nn::Warmup warmup = simclr::nn::Warmup::above_zero;
  double warmup_start = 0;         // the first learning rate, of Warmup::from_start
  bool schedule_by_epoch = false;  // the learning rate moves once an epoch, not at each step
  std::string method = "simclr";   // one of method_names()
  double temperature = 0.5;
  std::string loss = "nt-xent";  // one of loss_names()
  double class_prior = 0.1;      // of debiased and hard
  double hardness = 1.0;         // of hard
  double dclw_sigma = 0.5;       // of dclw
};

/// What is learned from: simclr, from views alone; supcon and supervised, from the labels, too.
const std::vector<std::string>& method_names();
/// nt-xent, and the losses of its family: dcl, dclw, debiased, hard; of the method supcon supcon-out, which is nt-xent,
/// and supcon-in.
const std::vector<std::string>& loss_names();
/// The recipe's; throws simclr::Error where there is none of its name.
simclr::kernels::NtXentForm loss_form(const Recipe& recipe);

/// The recipe of that name; throws simclr::Error that lists the names.
template <class R>
const R& named_recipe(const std::vector<R>& all, const std::string& name) {
  std::vector<std::string> known;
  for (const R& each : all) {
    if (each.name == name) return each;
    known.push_back(each.name);
  }
  simclr::fail("preset: \"", name, "\" is not known; use one of ", simclr::joined(known, ", "));
}

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
