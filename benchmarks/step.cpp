#include "step.h"

#include "recipes/recipe.h"

#include <simclr/core/profile.h>
#include <simclr/nn/schedule.h>
#include <simclr/nn/simclr.h>

#include <cstdio>

namespace bench {

namespace nn = simclr::nn;

void StepOptions::add_to(CLI::App& app) {
  app.add_option("--rounds", rounds, "Measured rounds, after one to warm up")->check(CLI::Range(1, 1000));
  CLI::Option* const graph_option = app.add_flag("--graph", graph, "Capture the step once and replay it");
  app.add_flag("--profile", profiled, "Print where the time of some steps goes, kernel by kernel, and end")
      ->excludes(graph_option);
  app.add_flag("--describe", describe, "Print the recipe's figures instead, for the peers to do the same");
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

std::size_t step_bytes(const Bench& bench, const Call& step) {
  const std::size_t peak = bench.peak_bytes(step);
  return peak + simclr::Context::of(bench.device).allocator().stats().in_use;
}

Json step_figures(const Times& times, std::int64_t views, std::size_t bytes) {
  return {{"views", views},
          {"step_seconds", times.median},
          {"step_least", times.least},
          {"step_most", times.most},
          {"spread", times.spread()},
          {"peak_bytes", bytes},
          {"views_per_second", static_cast<double>(views) / times.median}};
}

void measure_step(const Bench& bench, const StepOptions& options, const std::string& name, const Json& figures,
                  std::int64_t views, const Call& step) {
  if (options.profiled) {
    print_profile(bench, step);
    return;
  }
  const std::size_t bytes = step_bytes(bench, step);
  Json line = figures;
  line["graph"] = options.graph;
  line.update(step_figures(times_in_turn(bench, options, {step}).front(), views, bytes));
  bench.print(name, line);
}

void print_profile(const Bench& bench, const Call& step) {
  simclr::Profile profile(bench.device);
  while (profile.steps() == 0 || profile.seconds() < bench.seconds) {
    step();
    profile.end_step();
  }
  std::printf("%s\n", profile.table().c_str());
}

}  // namespace bench
