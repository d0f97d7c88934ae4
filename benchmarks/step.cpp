#include "step.h"

#include "recipes/recipe.h"

#include <simclr/core/profile.h>
#include <simclr/nn/schedule.h>
#include <simclr/nn/simclr.h>

#include <charconv>
#include <cstdio>

namespace bench {

namespace nn = simclr::nn;

namespace {

constexpr std::int64_t most_views = 1 << 20;

/// What is wrong with what --views was told, or nothing.
std::string problem_of_views(const std::string& told) {
  std::int64_t views = -1;
  const char* const end = told.data() + told.size();
  const bool whole = std::from_chars(told.data(), end, views).ptr == end;
  if (whole && (views == 0 || (views >= 4 && views <= most_views && views % 2 == 0))) return "";
  return told + " is neither 0 nor an even number from 4 to " + std::to_string(most_views);
}

/// Of each of `calls`, which are measured in turn.
std::vector<Times> times_in_turn(const Bench& bench, const StepOptions& options, const std::vector<Call>& calls) {
  std::vector<std::unique_ptr<Timed>> timed;
  for (const Call& call : calls) {
    timed.push_back(
        std::make_unique<Timed>(bench.device, std::vector<Call>{call}, bench.seconds / options.rounds, options.graph));
  }
  std::vector<std::vector<double>> samples(calls.size());
  for (int round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < timed.size(); ++i) samples[i].push_back(timed[i]->sample());
  }
  std::vector<Times> times;
  for (const std::vector<double>& own : samples) times.push_back(summarize(own));
  return times;
}

void print_profile(const Bench& bench, const Call& step) {
  simclr::Profile profile(bench.device);
  while (profile.steps() == 0 || profile.seconds() < bench.seconds) {
    step();
    profile.end_step();
  }
  std::printf("%s\n", profile.table().c_str());
}

}  // namespace

void StepOptions::add_to(CLI::App& app, const std::string& presets) {
  app.add_option("--preset", preset, "The recipe: " + presets);
  app.add_option("--views", views, "Views a step, two a sample; 0: the recipe's")->check(problem_of_views);
  app.add_option("--rounds", rounds, "Measured rounds, after one to warm up")->check(CLI::Range(1, 1000));
  CLI::Option* const graph_option = app.add_flag("--graph", graph, "Capture the step once and replay it");
  app.add_flag("--profile", profiled, "Print where the time of some steps goes, kernel by kernel, and end")
      ->excludes(graph_option);
  app.add_flag("--describe", describe, "Print the recipe's figures instead, for the peers to do the same");
}

std::int64_t StepOptions::views_of(const Recipe& recipe) const {
  return views > 0 ? views : 2 * recipe.batch_size;
}

Call training_step(const Bench& bench, const Recipe& recipe, std::shared_ptr<nn::Module> encoder,
                   const simclr::Input& views) {
  constexpr float lr = 1e-4f;
  const auto model = std::make_shared<nn::SimCLR>(nn::SimCLROptions{.encoder = std::move(encoder),
                                                                    .head = head_options(recipe),
                                                                    .views_apart = recipe.views_apart,
                                                                    .loss = {.temperature = recipe.temperature}});
  model->to(bench.device);
  const std::shared_ptr<nn::Optimizer> optimizer = optimizer_of(recipe).make(recipe, *model, nn::constant(lr));
  return [model, optimizer, views] {
    const simclr::Tensor loss = model->loss_of({&views, 1});
    loss.backward();
    optimizer->step(loss);
  };
}

void measure_step(const Bench& bench, const StepOptions& options, const std::string& name, const Json& figures,
                  std::int64_t views, const Call& step, const Beside& beside) {
  if (options.profiled) return print_profile(bench, step);
  const std::size_t peak = bench.peak_bytes(step);
  const std::size_t bytes = peak + simclr::Context::of(bench.device).allocator().stats().in_use;
  std::vector<Call> calls = {step};
  if (beside.make) calls.push_back(beside.make());
  const std::vector<Times> times = times_in_turn(bench, options, calls);
  const Times& own = times.front();
  Json line = figures;
  line.update(Json{{"graph", options.graph},
                   {"views", views},
                   {"step_seconds", own.median},
                   {"step_least", own.least},
                   {"step_most", own.most},
                   {"spread", own.spread()},
                   {"peak_bytes", bytes},
                   {"views_per_second", static_cast<double>(views) / own.median}});
  if (beside.make) line.update(beside.figures(own.median, times.back().median));
  bench.print(name, line);
}

}  // namespace bench
