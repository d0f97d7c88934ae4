// Pre-trains an image encoder with SimCLR, without labels, then measures what it learned: kNN and linear probe on
// the frozen features, beside the same figures of the untrained encoder.
#include "check/check.h"
#include "modalities/datasets.h"
#include "run/command_line.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "run/stop_request.h"
#include "train/evaluation.h"
#include "train/monitor.h"
#include "train/nonfinite.h"
#include "train/out_of_memory.h"
#include "train/report_material.h"
#include "train/run_state.h"
#include "train/test_part.h"
#include "train/training.h"
#include "train/training_config.h"
#include "train/training_options.h"
#include "train/training_step.h"

#include <simclr/simclr.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using simclr::DeviceType;
using simclr::Tensor;
namespace nn = simclr::nn;

namespace {

using Clock = std::chrono::steady_clock;

/// Trains from `state` to the end. Throws Stopped, after a checkpoint, where the user ends it.
void train(Training& t, RunState& state, RunCheckpoints& checkpoints, const EvaluationOptions& evaluation,
           RunFolder& run, Progress& progress) {
  const Recipe& r = t.options.recipe;
  TrainingStep step(t.compute.device, t.options.graph && !t.options.profile, [&t] {
    const Tensor loss = t.loss();
    loss.backward();
    t.optimizer->step(loss);
    return loss;
  });

  Progress::State shown{.epochs = r.epochs,
                        .steps = t.steps_per_epoch(),
                        .chance = nn::nt_xent_chance(r.batch_size),
                        .bound = nn::nt_xent_bound(r.batch_size, r.temperature)};
  bool known = false;  // the loss: not where a run goes on behind the last step of an epoch
  auto mark = Clock::now();
  const auto record = [&] {
    const std::int64_t bad_step = t.optimizer->bad_step();  // none: -1
    const std::vector<float> losses = step.take_losses();
    for (const float loss : losses) {
      const std::int64_t update = state.epoch * shown.steps + state.step;
      if (update == bad_step) break;
      shown.learning_rate = t.schedule.at(update);
      shown.step = ++state.step;
      shown.loss = loss;
      state.loss_sum += shown.loss;
      run.log({{"event", "step"},
               {"epoch", shown.epoch},
               {"step", shown.step},
               {"loss", shown.loss},
               {"learning_rate", shown.learning_rate}});
    }
    if (bad_step >= 0) {
      step.forget_graph();
      explain_nonfinite(t, bad_step);
    }
    state.seconds += seconds_since(std::exchange(mark, Clock::now()));
    state.log_bytes = run.log_bytes();
    const auto done = static_cast<double>(state.epoch * shown.steps + state.step);
    shown.samples_per_second = done * static_cast<double>(r.batch_size) / state.seconds;
    shown.seconds_left = state.seconds / done * (static_cast<double>(t.steps()) - done);
    known = known || !losses.empty();
    if (known) progress.show(shown);
  };

  std::optional<simclr::Profile> profile;
  if (t.options.profile) profile.emplace(t.compute.device);
  bool cache_told = false;
  while (state.epoch < r.epochs) {
    shown.epoch = state.epoch + 1;
    shown.step = state.step;
    t.source->begin(static_cast<std::uint32_t>(state.epoch), state.step);
    mark = Clock::now();
    if (profile) profile->leave_out();
    while (t.source->next()) {
      try {
        step.run();
      } catch (const simclr::OutOfMemory& error) {
        step.forget_graph();
        explain_out_of_memory(t, error);
      }
      t.source->prefetch();
      const bool stop = StopRequest::requested(), save = checkpoints.due();
      if (step.full() || stop || save) record();
      if (stop) throw Stopped{};
      if (save) checkpoints.save(state);
      if (profile) profile->end_step();
    }
    record();
    if (known) progress.show(shown, true);
    const double loss = state.loss_sum / static_cast<double>(shown.steps);
    run.log({{"event", "epoch"},
             {"epoch", shown.epoch},
             {"loss", loss},
             {"seconds", state.seconds},
             {"samples_per_second", shown.samples_per_second},
             {"skipped_samples", t.source->skipped()}});
    if (const std::string line = cache_line(t.sets); !line.empty() && !std::exchange(cache_told, true)) {
      progress.message(line);
    }
    const bool last = shown.epoch == r.epochs;
    bool best = false;
    if (t.options.knn_every > 0 && (last || shown.epoch % t.options.knn_every == 0)) {
      const auto score = monitor(t, evaluation, shown.epoch, run, progress);
      best = t.sets.held_out && score > state.best;  // nothing is less than any score
      if (best) state.best = score;
    }
    state = {.epoch = shown.epoch, .seconds = state.seconds, .log_bytes = run.log_bytes(), .best = state.best};
    if (best || last) checkpoints.save(state, best);
  }
  progress.message("trained " + counted(r.epochs, "epoch") + " in " + duration_text(state.seconds));
  if (profile) progress.message(profile->table());
  if (t.source->skipped() > 0) {
    progress.message(counted(t.source->skipped(), "sample") + " could not be read, and others were taken instead");
  }
}

void describe(const Training& t, const RunFolder& run) {
  const Recipe& r = t.options.recipe;
  std::int64_t parameters = 0;
  for (const auto& p : t.model->parameters()) parameters += p.value.numel();
  std::printf("%s\n%s, width %lld, %.2f million parameters; %s of %s; files in %s\n", t.sets.train->describe().c_str(),
              r.arch.c_str(), static_cast<long long>(r.width), static_cast<double>(parameters) / 1e6,
              counted(r.epochs, "epoch").c_str(), counted(t.steps_per_epoch(), "step").c_str(), run.path().c_str());
  if (t.options.micro_batch > 0) {
    std::printf("each step in micro-batches of at most %lld of its %lld images\n",
                static_cast<long long>(t.options.micro_batch), static_cast<long long>(r.batch_size));
  }
  if (t.compute.device.type == DeviceType::cpu) {
    std::printf("on the CPU, %s\n", counted(simclr::threads(), "thread").c_str());
  } else {
    std::printf("on %s in %s, %s, views made %s\n", to_string(t.compute.device).c_str(), name(t.compute.dtype),
                t.options.graph ? "each step one graph" : "without a graph", t.source->where().c_str());
    if (t.options.wgmma) std::printf("NT-Xent by its tiles for Hopper\n");
  }
}

/// The page that shows the run so far. Weights, log and checkpoints are there without it, so where it cannot be made
/// the run is none the worse.
void leave_report(const Training& t, const Datasets& sets, const EvaluationOptions& evaluation, const RunFolder& run,
                  const MaterialOptions& size, const std::vector<std::string>& notes, double seconds = 0) {
  try {
    ReportMaterial material = gather_report_material(t.model->encoder(), sets, t.options.recipe.augmentation,
                                                     t.options.seed, evaluation, size);
    material.notes.insert(material.notes.begin(), notes.begin(), notes.end());
    material.seconds = seconds;
    write_report(run.path(), material);
    std::printf("report: %s\n", run.file("report.html").c_str());
  } catch (const simclr::Error& error) {
    std::printf("no report: %s\n", error.what());
  }
}

/// What the encoder has learned, beside an untrained one. `test` are the test pictures that can be read. Whatever goes
/// wrong here is a warning: the weights are there.
void evaluate_run(const Training& t, const std::shared_ptr<const simclr::data::Dataset>& test, const RunState& state,
                  const EvaluationOptions& evaluation, RunFolder& run, Progress& progress) {
  Datasets sets = t.sets;
  sets.test = test;
  const TrainingOptions& o = t.options;
  std::printf("evaluating the trained and the untrained encoder on %lld test images\n",
              static_cast<long long>(test->size()));
  std::fflush(stdout);
  Evaluation trained, untrained;
  try {
    trained = evaluate(t.model->encoder(), sets, o.recipe.augmentation, evaluation);
    const auto fresh = make_encoder(o);
    fresh->to(t.compute.device);
    untrained = evaluate_untrained(*fresh, sets, o.recipe.augmentation, evaluation);
  } catch (const simclr::Error& error) {
    progress.warn("no evaluation: " + std::string(error.what()));
    return;
  }
  run.log({{"event", "evaluation"},
           {"training_seconds", state.seconds},
           {"trained", to_json(trained)},
           {"untrained", to_json(untrained)}});
  std::printf("\n%s", evaluation_table(trained, untrained, sets.labelled->classes()).c_str());
  if (test->size() < t.sets.test->size()) {
    std::printf("measured on %lld of %lld test images; the others could not be read\n",
                static_cast<long long>(test->size()), static_cast<long long>(t.sets.test->size()));
  }
  if (trained.collapse.collapsed) std::printf("warning: %s\n", trained.collapse.message.c_str());
}

/// With those of the test pictures that can be read.
Datasets readable_sets(const Training& t, const EvaluationOptions& evaluation) {
  Datasets shown = t.sets;
  if (shown.test) shown.test = readable_part(shown.test, evaluation.on_warning);
  if (shown.test && shown.test->size() == 0) {
    shown.test = nullptr;
    shown.no_test = "none of the " + counted(t.sets.test->size(), "test image") + " can be read";
  }
  return shown;
}

/// A finished run's report, which is a function of its log and its weights, is made again where it is gone.
void remake_report(const Training& t, const EvaluationOptions& evaluation, const RunFolder& run) {
  if (run.has("report.html") || run.log_bytes() == 0) return;
  t.model->load_state(simclr::load_tensors(run.file(weights_file)).tensors);
  leave_report(t, readable_sets(t, evaluation), evaluation, run, {}, {});
}

/// The test pictures are looked at here, once the training is over, and nowhere before.
void finish(const Training& t, const RunState& state, const EvaluationOptions& evaluation, RunFolder& run,
            Progress& progress) {
  const Datasets shown = readable_sets(t, evaluation);
  if (t.options.evaluate && shown.test) {
    evaluate_run(t, shown.test, state, evaluation, run, progress);
  } else if (t.options.evaluate) {
    std::printf("%s, so no accuracy\n", shown.no_test.c_str());
    // Else the last epoch was measured.
    if (t.options.knn_every == 0) monitor(t, evaluation, t.options.recipe.epochs, run, progress);
  }
  leave_report(t, shown, evaluation, run, {}, {});
}

/// Where the run begins: at the start, or with --resume at its last checkpoint; empty: it is finished.
std::optional<RunState> begin(const Training& t, RunCheckpoints& checkpoints, RunFolder& run,
                              const std::function<void(const std::string&)>& warn) {
  const TrainingOptions& o = t.options;
  SIMCLR_CHECK(!run.used() || o.overwrite || o.resume, "--out ", run.path(),
               " already holds a run; go on with it by --resume, choose another folder, or add --overwrite");
  if (o.resume && checkpoints.finished()) {
    std::printf(
        "the run in %s is finished: %s are its weights. To train further, begin another run with another --out\n",
        run.path().c_str(), run.file(weights_file).c_str());
    if (checkpoints.lacks_evaluation()) {
      std::printf("its evaluation was interrupted, so its figures are missing: linear_probe %s measures its weights\n",
                  shell_quoted(run.path()).c_str());
    }
    return std::nullopt;
  }
  std::optional<RunState> found;
  const bool no_log = run.log_bytes() == 0;
  if (o.resume) found = checkpoints.resume(warn);
  if (o.resume && !found && no_log) run.set_events_aside();  // they are all that tells of the steps before
  if (o.overwrite) run.clear();
  run.write_config(to_json(o));
  run.open_events();
  describe(t, run);
  if (found) {
    std::printf("going on after %lld of %lld steps\n", static_cast<long long>(t.optimizer->steps()),
                static_cast<long long>(t.steps()));
    run.log({{"event", "resume"}, {"epoch", found->epoch}, {"step", found->step}});
  } else if (o.resume) {
    std::printf("no checkpoint in %s yet, so it starts afresh\n", run.path().c_str());
  }
  if (o.wgmma) run.log({{"event", "wgmma"}, {"after_step", t.optimizer->steps()}});
  return found.value_or(RunState{});
}

/// Returns the exit code.
int run_training(const TrainingOptions& options) {
  Progress progress;
  const auto warn = [&progress](const std::string& message) { progress.warn(message); };
  if (options.check) return check_run(options, warn);
  check_same_data_set(options);
  Training t = make_training(options, warn);
  const TrainingOptions& o = t.options;
  RunFolder run(o.out, t.sets.kind + "-" + o.recipe.name, o.data_dir);
  RunCheckpoints checkpoints(t, run);
  EvaluationOptions evaluation;
  evaluation.knn = {.k = o.knn_k, .temperature = o.knn_temperature, .device = t.compute.device};
  evaluation.probe = {.epochs = o.probe_epochs, .seed = o.seed};
  evaluation.workers = o.workers;
  evaluation.on_warning = warn;
  const auto beginning = begin(t, checkpoints, run, warn);
  if (!beginning) {
    remake_report(t, evaluation, run);
    return 0;
  }
  RunState state = *beginning;
  const StopRequest stop_request;
  try {
    train(t, state, checkpoints, evaluation, run, progress);
    if (!run.has(weights_file)) {  // it is there where the evaluation was interrupted
      simclr::save_tensors(run.file(weights_file), t.model->state(),
                           {{"format", "simclr"}, {"config", to_json(o).dump()}});
    }
    finish(t, state, evaluation, run, progress);
  } catch (const Stopped&) {
    checkpoints.save(state);
    const int signal = StopRequest::take();
    const std::string done = "stopped; " + std::to_string(t.optimizer->steps()) + " of " + std::to_string(t.steps()) +
                             " steps are done. Go on with: train_cifar --resume --out " + shell_quoted(run.path());
    progress.message(done + "\nwriting the report; another Ctrl-C leaves it out");
    Datasets sets = t.sets;
    sets.test = nullptr;  // it is not looked at before the end
    leave_report(t, sets, evaluation, run, {.map_points = 500, .compared = 1000}, {done}, state.seconds);
    return 128 + signal;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int code = 0;
  const int failed = run_program("train_cifar", [&] {
    TrainingOptions options;
    if (parse_command_line(argc, argv, options)) code = run_training(options);
  });
  return failed != 0 ? failed : code;
}
