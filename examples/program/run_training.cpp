#include "program/run_training.h"

#include "check/check.h"
#include "program/command_line.h"
#include "program/finish.h"
#include "run/command_line.h"
#include "run/host.h"
#include "run/option_file.h"
#include "run/stop_request.h"
#include "train/rank_program.h"
#include "train/ranks.h"
#include "train/run_data.h"
#include "train/run_state.h"
#include "train/shared_work.h"
#include "train/train.h"
#include "train/training_config.h"

#include <simclr/simclr.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>

using simclr::DeviceType;

namespace {

void describe(const Training& t, const RunFolder& run) {
  const TrainingOptions& o = t.options;
  std::int64_t parameters = 0;
  for (const auto& p : t.model->parameters()) parameters += p.value.numel();
  print("%s\n%s, %.2f million parameters; %s of %s; files in %s\n", t.sets.train->describe().c_str(),
        t.modality->encoder_name().c_str(), static_cast<double>(parameters) / 1e6,
        counted(o.recipe.epochs, "epoch").c_str(), counted(t.steps_per_epoch(), "step").c_str(), run.path().c_str());
  if (o.micro_batch > 0) {
    print("each step in micro-batches of at most %lld of its %s\n", static_cast<long long>(o.micro_batch),
          counted(o.recipe.batch_size, t.sets.sample_name).c_str());
  }
  if (t.world->size() > 1) print("%d processes, each ", t.world->size());
  if (t.compute.device.type == DeviceType::cpu) {
    print("on the CPU, %s\n", counted(simclr::threads(), "thread").c_str());
  } else {
    const bool alone = t.world->size() == 1;
    print("on %s in %s, %s, views made %s\n", alone ? to_string(t.compute.device).c_str() : name(t.compute.device.type),
          name(t.compute.dtype), o.graph && alone ? "each step one graph" : "without a graph",
          t.source->where().c_str());
    if (o.wgmma) print("NT-Xent by its tiles for Hopper\n");
  }
}

/// Where the run begins: at the start, or with --resume at its last checkpoint; empty: it is finished.
std::optional<RunState> begin(const Training& t, RunCheckpoints& checkpoints, RunFolder& run,
                              const std::function<void(const std::string&)>& warn) {
  const TrainingOptions& o = t.options;
  SIMCLR_CHECK(!run.used() || o.overwrite || o.resume, "--out ", run.path(),
               " already holds a run; go on with it by --resume, choose another folder, or add --overwrite");
  using Finished = RunCheckpoints::Finished;
  const Finished finished = o.resume ? checkpoints.finished() : Finished::no;
  if (finished != Finished::no) {
    print("the run in %s is finished: %s are its weights. To train further, begin another run with another --out\n",
          run.path().c_str(), run.file(weights_file).c_str());
    if (finished == Finished::without_evaluation) {
      const std::string program = t.modality->measured_by();
      const std::string how =
          program.empty() ? "" : ": " + program + " " + shell_quoted(run.path()) + " measures its weights";
      print("its evaluation was interrupted, so its figures are missing%s\n", how.c_str());
    }
    return std::nullopt;
  }
  if (o.resume && run.used()) check_number_of_ranks(*t.world, o.recipe.batch_size);
  std::optional<RunState> found;
  const bool no_log = run.log_bytes() == 0;
  if (o.resume) found = checkpoints.resume(warn);
  if (o.resume && !found && no_log) run.set_events_aside();  // they are all that tells of the steps before
  if (Host* const host = Host::current()) host->folder(run.path());
  if (o.overwrite) run.clear();
  nlohmann::ordered_json config = to_json(o, *t.modality);
  if (!o.started_in.empty()) config[started_in_key] = o.started_in;  // not in weights: those of equal runs are equal
  run.write_config(config);
  run.open_events();
  describe(t, run);
  if (found) {
    print("going on after %lld of %lld steps\n", static_cast<long long>(t.optimizer->steps()),
          static_cast<long long>(t.steps()));
    run.log({{"event", "resume"}, {"epoch", found->epoch}, {"step", found->step}});
  } else if (o.resume) {
    print("no checkpoint in %s yet, so it starts afresh\n", run.path().c_str());
  }
  if (o.wgmma) run.log({{"event", "wgmma"}, {"after_step", t.optimizer->steps()}});
  return found.value_or(RunState{});
}

/// The run's folder, which rank 0 makes and writes to.
std::unique_ptr<RunFolder> open_folder(Training& t, const Modality& modality) {
  const TrainingOptions& o = t.options;
  std::unique_ptr<RunFolder> run;
  if (t.world->rank() == 0) {
    run = std::make_unique<RunFolder>(o.out, t.sets.kind + "-" + o.recipe.name,
                                      o.out.empty() ? modality.folders(o.dataset, o.data_path()) : "");
  }
  if (t.world->size() > 1) {
    const std::string path = simclr::gather_texts(*t.world, run ? run->path() : "").front();
    if (!run) run = std::make_unique<RunFolder>(path);
  }
  return run;
}

EvaluationOptions evaluation_options(const Training& t, const std::function<void(const std::string&)>& warn) {
  const TrainingOptions& o = t.options;
  EvaluationOptions evaluation;
  evaluation.knn = {.k = o.knn_k, .temperature = o.knn_temperature, .device = t.compute.device};
  evaluation.probe = {.epochs = o.probe_epochs, .seed = o.seed};
  evaluation.workers = o.workers;
  evaluation.poll = evaluation.knn.poll = evaluation.probe.poll = StopRequest::poll;
  evaluation.on_warning = warn;
  evaluation.world = t.world.get();
  return evaluation;
}

/// Where a signal has ended the training or the evaluation. Returns the exit code.
int leave_stopped(const Training& t, const RunState& state, RunCheckpoints& checkpoints,
                  const EvaluationOptions& evaluation, RunFolder& run, Progress& progress) {
  on_first_rank(
      t, [&] { checkpoints.save(state); }, saving_limit(t));
  const int signal = greatest_of_ranks(*t.world, StopRequest::take());
  on_first_rank(t, [&] {
    const std::string& program = t.options.program;
    const std::string done = "stopped; " + std::to_string(t.optimizer->steps()) + " of " + std::to_string(t.steps()) +
                             " steps are done" +
                             (checkpoints.lacks_evaluation() ? ", and the evaluation is not finished" : "") +
                             ". Go on with: " + program + " --resume --out " + shell_quoted(run.path());
    if (signal == SIGPIPE) std::fprintf(stderr, "%s: nobody reads the output; %s\n", program.c_str(), done.c_str());
    progress.message(done + "\nwriting the report; another Ctrl-C leaves it out");
    Datasets sets = t.sets;
    sets.test = nullptr;  // it is not looked at before the end
    leave_report(t, sets, evaluation, run, {.map_points = 500, .compared = 1000}, {done}, state.seconds);
  });
  return 128 + signal;
}

/// Returns the exit code.
int run_with(const TrainingOptions& options, Modality& modality, const std::shared_ptr<simclr::World>& world) {
  Progress progress;
  if (world->rank() > 0) progress.name_speaker("rank " + std::to_string(world->rank()) + ": ");
  const auto warn = [&progress](const std::string& message) { progress.warn(message); };
  if (options.check) return check_run(options, modality, warn, world);
  together(world.get(), [&] {
    check_same_data_set(options);
    if (!options.resume) modality.refuse_in("--out", {options.out}, options.dataset, options.data_path());
  });
  Training t = make_training(options, modality, warn, world);
  StopRequest::poll();  // of a host: it may have taken long
  const TrainingOptions& o = t.options;
  const std::unique_ptr<RunFolder> folder = open_folder(t, modality);
  RunFolder& run = *folder;
  if (o.started_in.empty()) t.options.started_in = started_in(o.data_dir, o.cache_dir, run.path());
  for (const OptionPath& each : modality.paths()) {
    if (t.options.started_in.empty()) t.options.started_in = started_in("", *each.path, run.path());
  }
  RunCheckpoints checkpoints(t, run);
  const EvaluationOptions evaluation = evaluation_options(t, warn);
  std::optional<RunState> beginning;
  on_first_rank(t, [&] {
    beginning = begin(t, checkpoints, run, warn);
    if (!beginning) remake_report(t, evaluation, run);
  });
  if (Host* const host = Host::current()) host->folder(run.path());
  if (greatest_of_ranks(*world, beginning ? 1 : 0) == 0) return 0;
  RunState state = beginning.value_or(RunState{});
  share_with_ranks(t, state);
  const StopRequest stop_request;
  try {
    RunRecorder recorder(t, state, checkpoints, evaluation, run, progress, StopRequest::requested);
    train(t, state, recorder);
    on_first_rank(t, [&] {
      if (!run.has(weights_file)) {  // it is there where the evaluation was interrupted
        simclr::save_tensors(run.file(weights_file), t.model->state(),
                             {{"format", "simclr"}, {"config", to_json(o, modality).dump()}});
      }
    });
    finish(t, state, evaluation, run, progress);
  } catch (const Stopped&) {
    return leave_stopped(t, state, checkpoints, evaluation, run, progress);
  }
  return 0;
}

/// What this process is to do, behind the program's name.
std::string task(const TrainingOptions& o) {
  if (o.check) return ", to check";
  if (!o.resume) return "";
  return goes_on(o) ? ", to go on" : ", to go on, without a run in --out";
}

}  // namespace

int run_training_within(Host& host, const char* name, int argc, char** argv, Modality& modality) {
  const Hosted hosted(host);
  StopRequest::take();  // of a run before this one, which had ended when it was asked
  struct Threads {
    int before = simclr::threads();
    ~Threads() { simclr::set_threads(before); }
  };
  const Threads given_back;
  TrainingOptions options;
  if (!parse_command_line(name, argc, argv, options, modality)) return 0;
  try {
    return run_with(options, modality, std::make_shared<simclr::World>());
  } catch (const Stopped&) {  // outside of the training and its evaluation there is nothing to save
    return 128 + SIGINT;
  }
}

int run_training(const char* name, int argc, char** argv, Modality& modality) {
  TrainingOptions options;
  const auto parse = [&]() -> std::optional<Start> {
    if (!parse_command_line(name, argc, argv, options, modality)) return std::nullopt;
    return Start{options.device, std::chrono::seconds(options.world_timeout), task(options)};
  };
  return run_ranks(name, parse,
                   [&](const std::shared_ptr<simclr::World>& world) { return run_with(options, modality, world); });
}
