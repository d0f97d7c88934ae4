#pragma once

#include "run/run_folder.h"
#include "train/training.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>

/// How far a run has come: what a checkpoint holds besides the model and the optimizer. The order of the data and every
/// view follow from the seed, the epoch and the step.
struct RunState {
  int epoch = 0;                    // whole epochs done
  std::int64_t step = 0;            // done in the epoch under way
  double loss_sum = 0;              // over those steps
  double seconds = 0;               // of training
  std::int64_t log_bytes = 0;       // of log.jsonl when this state was reached
  std::optional<double> best = {};  // with --hold-out: the best kNN accuracy so far
};

/// What rank 0 has read of a run, its weights and the optimizer's state, on all ranks.
void share_with_ranks(Training& training, RunState& state);

/// With --resume: throws simclr::Error where --dataset names another data set than the run in --out has. To be asked
/// before the data are opened: the other set may not be there.
void check_same_data_set(const TrainingOptions& options);

/// Saves a run's checkpoints into its folder, and goes on from them: of several ranks the first alone.
class RunCheckpoints {
 public:
  RunCheckpoints(Training& training, RunFolder& run);

  /// Whether the run has come to its end, so that there is nothing to go on with: its weights are there, and no
  /// evaluation is outstanding that could still be made. Changes no file. Throws simclr::Error where the weights cannot
  /// be read or are not of these options.
  enum class Finished { no, without_evaluation, yes };
  Finished finished() const;

  /// Whether it is trained to its end, but not evaluated to the end, where that was asked for: as the log says.
  bool lacks_evaluation() const;

  /// Loads the newest checkpoint that can be read and cuts the log back to it; empty where there is none. Throws
  /// simclr::Error where the options or the data are not those of the run, and where starting afresh would lose
  /// something; no file is changed then.
  std::optional<RunState> resume(const std::function<void(const std::string&)>& on_warning);

  /// Whether --checkpoint-minutes have passed since the last one.
  bool due() const;
  void save(const RunState& state, bool best = false);
  /// The step of the newest one.
  std::optional<std::int64_t> newest() const;

 private:
  void check_same_run(const simclr::nn::Metadata& metadata) const;
  void refuse_to_start_over() const;
  std::optional<double> best_saved() const;
  std::string what_differs(const simclr::nn::Metadata& metadata) const;  // of the data; empty: nothing

  Training& training_;
  RunFolder& run_;
  simclr::nn::CheckpointFolder folder_;
  nlohmann::ordered_json data_;  // Modality::data_files() of what is trained on, with its labels
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};
