#pragma once

#include "train/datasets.h"
#include "train/modality.h"
#include "train/training_options.h"
#include "train/view_source.h"

#include <simclr/simclr.h>

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>

/// Whether --resume finds a run in --out to go on with; else it begins one.
bool goes_on(const TrainingOptions& options);

/// Where a run computes.
struct Compute {
  simclr::Device device;
  simclr::DType dtype = simclr::DType::f32;  // of activations; parameters are f32
};

/// As --device and --dtype say, of several ranks on GPUs this one's own. Where `auto` falls back to the CPU, a line
/// says why. Throws simclr::Error where the device cannot be used.
Compute choose_compute(const TrainingOptions& options, const simclr::World& world);

/// SimCLR of so many views of each sample: an encoder and the options' projection head with their initial weights, on
/// the CPU.
std::unique_ptr<simclr::nn::SimCLR> make_simclr(const TrainingOptions& options,
                                                std::shared_ptr<simclr::nn::Module> encoder, int views = 2);

/// The same of pairs: two encoders, each with such a head, its initial weights of a seed of its own.
/// `learn_temperature`: from the options' on. Throws simclr::Error for options that one view of each part leaves no
/// sense.
std::unique_ptr<simclr::nn::TwoTowers> make_two_towers(const TrainingOptions& options,
                                                       std::array<std::shared_ptr<simclr::nn::Module>, 2> encoders,
                                                       bool learn_temperature = false);

/// The recipe's learning rates.
simclr::nn::Schedule make_schedule(const Recipe& recipe, std::int64_t steps_per_epoch);

/// The recipe's optimizer, at this schedule's learning rates.
std::unique_ptr<simclr::nn::Optimizer> make_optimizer(const Recipe& recipe, const simclr::nn::Module& model,
                                                      const simclr::nn::Schedule& schedule);

/// Everything that a training step needs, ready to begin.
struct Training {
  TrainingOptions options;  // the data set, the workers and what the modality knows filled in
  Compute compute;
  Datasets sets;
  nlohmann::ordered_json labels;  // digest_labels() of all that was opened
  Modality* modality = nullptr;   // which outlives it
  std::shared_ptr<simclr::World> world;
  std::unique_ptr<simclr::nn::Model> model;
  std::unique_ptr<ViewSource> source;
  simclr::nn::Schedule schedule;
  std::unique_ptr<simclr::nn::Optimizer> optimizer;

  std::int64_t steps_per_epoch() const { return source->batches(); }
  std::int64_t steps() const { return options.recipe.epochs * steps_per_epoch(); }

  /// The loss of the current batch, recorded for backward(); of several ranks that of all their samples.
  simclr::Tensor loss() const { return loss_of(source->towers()); }
  /// The loss of these inputs, one a tower, in the run's micro-batches.
  simclr::Tensor loss_of(std::span<const simclr::Input> towers) const;
};

/// `where`: host, device, or auto: on a GPU where it is one, the samples fit there, and their kind can be kept there.
std::unique_ptr<ViewSource> make_view_source(std::shared_ptr<const simclr::data::Dataset> samples,
                                             const Modality& modality, const std::string& where,
                                             const ViewSourceOptions& options);

/// Opens the data, makes the model and all around it. `on_warning` is told of unreadable samples, on rank 0 of what all
/// ranks meet, too. Throws simclr::Error for data that is missing and options that do not fit it, and for ranks that
/// were not started alike (require_same_run()).
Training make_training(const TrainingOptions& options, Modality& modality,
                       const std::function<void(const std::string&)>& on_warning,
                       std::shared_ptr<simclr::World> world = std::make_shared<simclr::World>());
