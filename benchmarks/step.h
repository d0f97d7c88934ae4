#pragma once

// What the benchmarks of whole training steps share: their options, and how steps are measured.

#include "common.h"

#include <simclr/core/input.h>
#include <simclr/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

struct Recipe;

namespace bench {

/// Which recipe's step is measured, and how; or what is printed in its place.
struct StepOptions {
  std::string preset;
  std::int64_t views = 0;  // two a sample; 0: the recipe's
  int rounds = 7;
  bool graph = false;
  bool profiled = false;  // where the time goes instead
  bool describe = false;  // the recipe's figures instead

  /// `presets`: which there are, for the help. No option lets `views` be odd, or 2, which NT-Xent has no negatives in.
  void add_to(CLI::App& app, const std::string& presets);
  std::int64_t views_of(const Recipe& recipe) const;
};

/// A training step on the same views again and again: a recipe's model of the encoder, the loss, backward, and the
/// recipe's optimizer, at a small learning rate.
Call training_step(const Bench& bench, const Recipe& recipe, std::shared_ptr<simclr::nn::Module> encoder,
                   const simclr::Input& views);

/// What is measured in turn with a step. `make` is called when the step's memory has been measured.
struct Beside {
  std::function<Call()> make;
  std::function<Json(double step_seconds, double seconds)> figures;
};

/// Measures a step and prints its line with `figures`, and those of what is beside it; or where its time goes. The
/// line's peak_bytes are the most memory in use at a time: values, gradients, the optimizer's state and the views
/// count.
void measure_step(const Bench& bench, const StepOptions& options, const std::string& name, const Json& figures,
                  std::int64_t views, const Call& step, const Beside& beside = {});

}  // namespace bench
