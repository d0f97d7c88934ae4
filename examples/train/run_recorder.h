#pragma once

#include "run/progress.h"
#include "run/run_folder.h"
#include "train/evaluation.h"
#include "train/run_state.h"
#include "train/training.h"
#include "train/training_step.h"

#include <chrono>
#include <functional>
#include <optional>

/// What a run does around its steps: it logs and shows them, saves checkpoints, measures the encoder between epochs,
/// and stops where it is asked to. One serves one training. Several ranks each have one, and do all of it together.
class RunRecorder {
 public:
  /// `stop` says whether the run shall end behind the step under way: where one rank's does, all end.
  RunRecorder(Training& training, RunState& state, RunCheckpoints& checkpoints, const EvaluationOptions& evaluation,
              RunFolder& run, Progress& progress, std::function<bool()> stop);

  /// Before the first step of an epoch, or of what is left of it.
  void begin_epoch();
  /// Behind each step. Throws simclr::Error for a loss that is NaN or Inf, and Stopped where the run shall end; what is
  /// done is in the state and in the log then.
  void after_step(TrainingStep& step);
  /// Within the handler of `error`, of samples that cannot be read: throws it again, and how to go on from the last
  /// checkpoint. None is made: the last steps may have seen few samples over and over, in the place of the unreadable.
  [[noreturn]] void say_how_to_go_on(const simclr::Error& error) const;
  /// Behind the last step of an epoch: the state is that of the next one. Throws CommonError where all ranks
  /// together have found more than half of the samples unreadable, and says how to go on, too.
  void end_epoch(TrainingStep& step);
  /// Behind the last epoch.
  void end();

 private:
  void record(TrainingStep& step);
  void save_epoch(std::optional<double> score);
  std::int64_t count_skipped_of_ranks() const;
  std::string how_to_go_on() const;

  Training& training_;
  RunState& state_;
  RunCheckpoints& checkpoints_;
  const EvaluationOptions& evaluation_;
  RunFolder& run_;
  Progress& progress_;
  std::function<bool()> stop_;
  std::optional<simclr::Profile> profile_;
  Progress::State shown_;
  std::chrono::steady_clock::time_point mark_;
  bool known_ = false;  // the loss: not where a run goes on behind the last step of an epoch
  bool cache_told_ = false;
};
