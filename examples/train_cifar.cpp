// Pre-trains an image encoder with SimCLR, without labels, then measures what it learned: kNN and linear probe on
// the frozen features, beside the same figures of the untrained encoder.
#include "common/datasets.h"
#include "common/evaluation.h"
#include "common/monitor.h"
#include "common/progress.h"
#include "common/run_folder.h"
#include "common/training.h"
#include "common/training_config.h"
#include "common/training_options.h"
#include "common/training_step.h"

#include <simclr/simclr.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>

using simclr::DeviceType;
using simclr::Tensor;
namespace nn = simclr::nn;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The training loop. Returns the seconds that it took, evaluations left out.
double train(Training& t, const EvaluationOptions& evaluation, RunFolder& run, Progress& progress) {
  const Recipe& r = t.options.recipe;
  TrainingStep step(t.compute.device, t.options.graph, [&t] {
    const Tensor loss = t.loss();
    loss.backward();
    t.optimizer->step();
    return loss;
  });

  Progress::State state{.epochs = r.epochs,
                        .steps = t.steps_per_epoch(),
                        .chance = nn::nt_xent_chance(r.batch_size),
                        .bound = nn::nt_xent_bound(r.batch_size, r.temperature)};
  double training_seconds = 0;
  for (int epoch = 0; epoch < r.epochs; ++epoch) {
    state.epoch = epoch + 1;
    state.step = 0;
    double loss_sum = 0;
    auto start = Clock::now();
    const auto record = [&] {
      for (const float loss : step.take_losses()) {
        state.learning_rate = t.schedule.at(epoch * state.steps + state.step);
        ++state.step;
        state.loss = loss;
        SIMCLR_CHECK(std::isfinite(loss), "the loss is ", loss, " at epoch ", state.epoch, ", step ", state.step,
                     "; lower --lr or raise --temperature");
        loss_sum += state.loss;
        run.log({{"event", "step"},
                 {"epoch", state.epoch},
                 {"step", state.step},
                 {"loss", state.loss},
                 {"learning_rate", state.learning_rate}});
      }
      const double total = training_seconds + seconds_since(start);
      const double done = static_cast<double>(epoch * state.steps + state.step);
      state.images_per_second = done * static_cast<double>(r.batch_size) / total;
      state.seconds_left = total / done * (static_cast<double>(r.epochs * state.steps) - done);
      progress.show(state);
    };
    t.source->begin(static_cast<std::uint32_t>(epoch), 0);
    while (t.source->next()) {
      step.run();
      if (step.full()) record();
    }
    record();
    training_seconds += seconds_since(start);
    progress.show(state, true);
    run.log({{"event", "epoch"},
             {"epoch", state.epoch},
             {"loss", loss_sum / static_cast<double>(state.steps)},
             {"seconds", training_seconds},
             {"images_per_second", state.images_per_second},
             {"skipped_samples", t.source->skipped()}});
    const bool evaluated_next = epoch + 1 == r.epochs && t.options.evaluate;
    if (t.options.knn_every > 0 && (epoch + 1) % t.options.knn_every == 0 && !evaluated_next) {
      monitor(t, evaluation, epoch + 1, run, progress);
    }
  }
  progress.message("trained " + std::to_string(r.epochs) + " epochs in " + duration_text(training_seconds));
  if (t.source->skipped() > 0) {
    progress.message(std::to_string(t.source->skipped()) + " samples could not be read and were replaced by others");
  }
  return training_seconds;
}

void describe(const Training& t, const RunFolder& run) {
  const Recipe& r = t.options.recipe;
  std::int64_t parameters = 0;
  for (const auto& p : t.model->parameters()) parameters += p.value.numel();
  std::printf("%s\n%s, width %lld, %.2f million parameters; %d epochs of %lld steps; files in %s\n",
              t.sets.train->describe().c_str(), r.arch.c_str(), static_cast<long long>(r.width),
              static_cast<double>(parameters) / 1e6, r.epochs, static_cast<long long>(t.steps_per_epoch()),
              run.path().c_str());
  if (t.compute.device.type == DeviceType::cpu) {
    std::printf("on the CPU, %d threads\n", simclr::threads());
  } else {
    std::printf("on %s in %s, %s, views made %s\n", to_string(t.compute.device).c_str(), name(t.compute.dtype),
                t.options.graph ? "each step one graph" : "without a graph", t.source->where().c_str());
  }
}

void run_training(const TrainingOptions& options) {
  Progress progress;
  const auto warn = [&progress](const std::string& message) { progress.warn(message); };
  Training t = make_training(options, warn);
  const TrainingOptions& o = t.options;
  nn::SimCLR& model = *t.model;
  const Datasets& sets = t.sets;
  const Recipe& r = o.recipe;
  RunFolder run(o.out, sets.kind + "-" + r.name, o.overwrite);
  run.write("config.json", to_json(o));
  describe(t, run);

  EvaluationOptions evaluation;
  evaluation.knn = {.k = o.knn_k, .temperature = o.knn_temperature, .device = t.compute.device};
  evaluation.probe = {.epochs = o.probe_epochs, .seed = o.seed};
  evaluation.workers = o.workers;
  evaluation.on_warning = warn;
  const double seconds = train(t, evaluation, run, progress);
  simclr::save_tensors(run.file(weights_file), model.state(), {{"format", "simclr"}, {"config", to_json(o).dump()}});

  if (!o.evaluate) return;
  if (!sets.test) {
    const auto features = features_of(model.encoder(), *sets.train, r.augmentation, evaluation, o.knn_samples);
    const auto collapse = nn::check_collapse(features.values);
    std::printf("%s, so no accuracy. %s\n",
                sets.train->classes().empty() ? "no labels" : "too few pictures to hold some out",
                collapse.message.c_str());
    return;
  }
  std::printf("evaluating the trained and the untrained encoder on %lld test images\n",
              static_cast<long long>(sets.test->size()));
  std::fflush(stdout);
  const Evaluation trained = evaluate(model.encoder(), sets, r.augmentation, evaluation);
  const auto fresh = make_encoder(o);
  fresh->to(t.compute.device);
  const Evaluation untrained = evaluate_untrained(*fresh, sets, r.augmentation, evaluation);
  run.log({{"event", "evaluation"},
           {"training_seconds", seconds},
           {"trained", to_json(trained)},
           {"untrained", to_json(untrained)}});
  std::printf("\n%s", evaluation_table(trained, untrained, sets.train->classes()).c_str());
  if (trained.knn.count < sets.test->size()) {
    std::printf("measured on %lld of %lld test images; the others could not be read\n",
                static_cast<long long>(trained.knn.count), static_cast<long long>(sets.test->size()));
  }
  if (trained.collapse.collapsed) std::printf("warning: %s\n", trained.collapse.message.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    TrainingOptions options;
    if (!parse_command_line(argc, argv, options)) return 0;
    run_training(options);
    return 0;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "train_cifar: %s\n", error.what());
    return 1;
  }
}
