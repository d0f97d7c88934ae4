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

struct WarmupCosineOptions {
  double peak = 0.0;              // the highest learning rate
  std::int64_t steps = 0;         // of the whole run, the warm-up included: epochs * batches an epoch
  std::int64_t warmup_steps = 0;  // at most `steps`
  double final = 0.0;             // where the cosine ends
};
/// Linear warm-up, then a cosine to `final`, for W = warmup_steps of T = steps:
///   step < W:  peak (step + 1) / W, so that the first step already moves and step W - 1 is at the peak;
///   else:      final + (peak - final) (1 + cos(pi (step - W) / (T - W))) / 2, PyTorch's, which reaches `final` at
///              step T: the last step, T - 1, is just above it. Steps past the end stay at the last step's rate.
/// Throws Error for less than one step, a warm-up that is negative or longer than the run, and a negative rate.
SIMCLR_API Schedule warmup_cosine(const WarmupCosineOptions& options);

/// The same learning rate at each step.
SIMCLR_API Schedule constant(double learning_rate);

}  // namespace simclr::nn
