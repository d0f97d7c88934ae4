#pragma once

#include "train/out_of_memory.h"
#include "train/training.h"

#include <simclr/nn/inspect.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// What --check measures before a run.

/// The first samples of a batch, whose inputs are one a tower of `model`.
std::vector<simclr::Input> first_samples(const simclr::nn::Model& model, std::span<const simclr::Input> towers,
                                         std::int64_t samples);

/// How much the first two views of a sample differ over how much those of different samples do: the sum of squares, or
/// of ids and other integers, which have no distance, how many differ. `views` [V N, view shape] f32 or of an integer
/// type, on the CPU, V = `views_each` of each sample; none where that is 1.
std::optional<double> view_difference(const simclr::Tensor& views, int views_each);

struct Similarities {
  /// Mean cosine of z: of a sample's views, and of different samples' views; of two towers' views where there are two.
  double positive = 0, negative = 0;
};

/// Training on the same views again and again, at the run's highest learning rate, after a short warm-up.
struct OverfitFigures {
  std::int64_t samples = 0;                            // of all ranks
  std::vector<double> losses;                          // up to the last one that is finite
  std::string nonfinite;                               // where a NaN or Inf came up; empty: nowhere
  Similarities before, after;                          // `after` and `collapse`: only where all stayed finite
  simclr::nn::CollapseReport collapse;                 // of the features h
  std::vector<simclr::nn::ParameterRecord> gradients;  // of the first step
};
/// `towers`: one input a tower. Trains the model with another optimizer, which takes the training's place. Ends after
/// about `seconds`.
OverfitFigures overfit(Training& training, std::span<const simclr::Input> towers, double seconds);

/// What a step of the whole batch costs each process.
struct CostFigures {
  double step_seconds = 0;
  double views_seconds = 0;   // to make a batch's views
  double peak_bytes = 0;      // on the device
  double free_bytes = 0;      // before the check, on the CPU, its share of them; 0: not known
  simclr::Traffic sent = {};  // in the step that was measured
  double sending = 0;         // its time over that step's; not of GPUs, see Traffic
  bool measured = true;       // else extrapolated from smaller batches, as a whole one takes long
  std::string failed;         // why a step of the whole batch cannot be done; empty: it can
  Fitting fitting;            // the micro-batch that fits where memory is why
};
CostFigures measure_cost(Training& training, std::span<const simclr::Input> towers, double views_seconds);

/// How many samples a batch may have so that a step takes at most `seconds`, up to `most`; tries with few.
std::int64_t samples_within(Training& training, std::span<const simclr::Input> towers, std::int64_t most,
                            double seconds);
