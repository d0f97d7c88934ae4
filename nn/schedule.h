#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <vector>

/// Learning rates, one for each optimizer step. An optimizer keeps the table in its device's memory.
namespace simclr::nn {

struct Schedule {
  std::vector<float> rates;  // at least one; steps past the end use the last

  /// The learning rate of update number `step`, from 0. Throws Error for a negative step and an empty table.
  SIMCLR_API float at(std::int64_t step) const;
};

/// How W warm-up steps rise to the peak, by step = 0 .. W - 1.
enum class Warmup {
  above_zero,  // peak (step + 1) / W: the first step already moves, the last one is at the peak
  from_zero,   // peak step / W: google-research/simclr's; the step behind the warm-up is the first one at the peak
  from_start   // start + (peak - start) step / (W - 1): PyTorch Lightning Bolts' and solo-learn's; peak for W = 1
};

struct WarmupCosineOptions {
  double peak = 0.0;              // the highest learning rate
  std::int64_t steps = 0;         // of the whole run, the warm-up included: epochs * batches an epoch
  std::int64_t warmup_steps = 0;  // at most `steps`
  double final = 0.0;             // where the cosine ends
  Warmup warmup = Warmup::above_zero;
  double start = 0.0;     // the first rate of Warmup::from_start
  std::int64_t hold = 1;  // so many steps share a rate, that of the first of them; of an epoch: it moves once an epoch
};
/// Linear warm-up, then a cosine to `final`, for W = warmup_steps of T = steps:
///   step < W:  as `warmup` says;
///   else:      final + (peak - final) (1 + cos(pi (step - W) / (T - W))) / 2, PyTorch's, which reaches `final` at
///              step T: the last step, T - 1, is just above it. Steps past the end stay at the last step's rate.
/// Throws Error for less than one step or step held, a warm-up that is negative or longer than the run, and a negative
/// rate.
SIMCLR_API Schedule warmup_cosine(const WarmupCosineOptions& options);

/// The same learning rate at each step.
SIMCLR_API Schedule constant(double learning_rate);

}  // namespace simclr::nn
