#pragma once

// What the benchmarks of whole training steps share: their options, and how steps are measured.

#include "common.h"

#include <simclr/core/input.h>
#include <simclr/nn/module.h>

#include <memory>
#include <string>
#include <vector>

struct Recipe;

namespace bench {

/// How a step is measured. `describe` asks for the recipe's figures instead.
struct StepOptions {
  int rounds = 7;
  bool graph = false, profiled = false, describe = false;

  void add_to(CLI::App& app);
};

/// A training step on the same views again and again: a recipe's model of the encoder, the loss, backward, and the
/// recipe's optimizer, at a small learning rate.
Call training_step(const Bench& bench, const Recipe& recipe, std::shared_ptr<simclr::nn::Module> encoder,
                   const simclr::Input& views);

/// Of each of `calls`, which are measured in turn.
std::vector<Times> times_in_turn(const Bench& bench, const StepOptions& options, const std::vector<Call>& calls);

/// The most memory that is in use at a time: values, gradients, the optimizer's state and the views count.
std::size_t step_bytes(const Bench& bench, const Call& step);

/// What a line says of a step on so many views.
Json step_figures(const Times& times, std::int64_t views, std::size_t bytes);

/// Measures a step and prints its line with `figures`, or where its time goes.
void measure_step(const Bench& bench, const StepOptions& options, const std::string& name, const Json& figures,
                  std::int64_t views, const Call& step);

/// Prints where the time of some steps goes, kernel by kernel.
void print_profile(const Bench& bench, const Call& step);

}  // namespace bench
