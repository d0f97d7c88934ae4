#include "train/run_recorder.h"

#include "run/stop_request.h"
#include "train/monitor.h"
#include "train/nonfinite.h"
#include "train/ranks.h"
#include "train/shared_work.h"

#include <simclr/core/error.h>

#include <utility>

using Clock = std::chrono::steady_clock;

RunRecorder::RunRecorder(Training& training, RunState& state, RunCheckpoints& checkpoints,
                         const EvaluationOptions& evaluation, RunFolder& run, Progress& progress,
                         std::function<bool()> stop)
    : training_(training),
      state_(state),
      checkpoints_(checkpoints),
      evaluation_(evaluation),
      run_(run),
      progress_(progress),
      stop_(std::move(stop)) {
  const Recipe& r = training.options.recipe;
  shown_ = {.epochs = r.epochs,
            .steps = training.steps_per_epoch(),
            .chance = training.model->chance(r.batch_size),
            .bound = training.model->bound(r.batch_size)};
  if (training.options.profile) profile_.emplace(training.compute.device);
}

void RunRecorder::begin_epoch() {
  shown_.epoch = state_.epoch + 1;
  shown_.step = state_.step;
  mark_ = Clock::now();
  if (profile_) profile_->leave_out();
}

void RunRecorder::after_step(TrainingStep& step) {
  enum Asked { nothing, save, stop };
  const bool due = training_.world->rank() == 0 && checkpoints_.due();  // one clock
  const int asked = greatest_of_ranks(*training_.world, stop_() ? stop : due ? save : nothing);
  if (step.full() || asked != nothing) record(step);
  if (asked == stop) throw Stopped{};
  if (asked == save)
    on_first_rank(
        training_, [this] { checkpoints_.save(state_); }, saving_limit(training_));
  if (profile_) profile_->end_step();
}

void RunRecorder::record(TrainingStep& step) {
  const std::int64_t bad_step = training_.optimizer->bad_step();  // none: -1
  const std::vector<float> losses = step.take_losses();
  for (const float loss : losses) {
    const std::int64_t update = state_.epoch * shown_.steps + state_.step;
    if (update == bad_step) break;
    shown_.learning_rate = training_.schedule.at(update);
    shown_.step = ++state_.step;
    shown_.loss = loss;
    state_.loss_sum += shown_.loss;
    run_.log({{"event", "step"},
              {"epoch", shown_.epoch},
              {"step", shown_.step},
              {"loss", shown_.loss},
              {"learning_rate", shown_.learning_rate}});
  }
  if (bad_step >= 0) {
    step.forget_graph();
    explain_nonfinite(training_, bad_step);
  }
  state_.seconds += seconds_since(std::exchange(mark_, Clock::now()));
  state_.log_bytes = run_.log_bytes();
  const auto done = static_cast<double>(state_.epoch * shown_.steps + state_.step);
  shown_.samples_per_second = done * static_cast<double>(training_.options.recipe.batch_size) / state_.seconds;
  shown_.seconds_left = state_.seconds / done * (static_cast<double>(training_.steps()) - done);
  known_ = known_ || !losses.empty();
  if (known_) progress_.show(shown_);
}

/// Of all ranks. Throws CommonError where they are more than half: a loader throws in the middle of an epoch only where
/// it has met as many itself.
std::int64_t RunRecorder::count_skipped_of_ranks() const {
  const std::int64_t count = count_of_ranks(*training_.world, training_.source->skipped());
  const std::int64_t size = training_.sets.train->size();
  if (count > size / 2) {
    const std::string how = first_text(training_.world.get(), training_.world->rank() == 0 ? how_to_go_on() : "");
    simclr::fail<CommonError>(count, " of ", size, " training ", training_.sets.sample_name,
                              "s cannot be read, more than half; check the data, which the warnings name", how);
  }
  return count;
}

void RunRecorder::end_epoch(TrainingStep& step) {
  record(step);
  if (known_) progress_.show(shown_, true);
  const std::int64_t skipped = count_skipped_of_ranks();
  run_.log({{"event", "epoch"},
            {"epoch", shown_.epoch},
            {"loss", state_.loss_sum / static_cast<double>(shown_.steps)},
            {"seconds", state_.seconds},
            {"samples_per_second", shown_.samples_per_second},
            {"skipped_samples", skipped}});
  if (const std::string line = cache_line(training_.sets); !line.empty() && !std::exchange(cache_told_, true)) {
    progress_.message(line);
  }
  const int every = training_.options.knn_every;
  std::optional<double> score;
  share_warnings(*training_.world, progress_);
  if (every > 0 && (shown_.epoch == shown_.epochs || shown_.epoch % every == 0)) {
    on_all_ranks(training_, [&] { score = monitor(training_, evaluation_, shown_.epoch, run_, progress_); });
  }
  on_first_rank(
      training_, [&] { save_epoch(score); }, saving_limit(training_));
  if (training_.world->rank() > 0) state_ = {.epoch = shown_.epoch, .seconds = state_.seconds};
}

/// `score`: what monitor() gives of the epoch. The best one's checkpoint and the last one's are kept.
void RunRecorder::save_epoch(std::optional<double> score) {
  const bool last = shown_.epoch == shown_.epochs;
  const bool best = training_.sets.held_out && score > state_.best;  // nothing is less than any score
  if (best) state_.best = score;
  state_ = {.epoch = shown_.epoch, .seconds = state_.seconds, .log_bytes = run_.log_bytes(), .best = state_.best};
  if (best || last) checkpoints_.save(state_, best);
}

/// What a message says of going on once the samples can be read; empty: this process's folder has no checkpoint.
std::string RunRecorder::how_to_go_on() const {
  const std::optional<std::int64_t> kept = checkpoints_.newest();
  if (!kept) return "";
  return "; the checkpoint of step " + std::to_string(*kept) + " is kept: once the " + training_.sets.sample_name +
         "s can be read, go on with " + training_.options.program + " --resume --out " + shell_quoted(run_.path());
}

void RunRecorder::say_how_to_go_on(const simclr::Error& error) const {
  const std::string how = how_to_go_on();
  if (how.empty()) throw;  // there is nothing to say
  simclr::fail(error.what(), how);
}

void RunRecorder::end() {
  progress_.message("trained " + counted(shown_.epochs, "epoch") + " in " + duration_text(state_.seconds));
  if (profile_) progress_.message(profile_->table());
  profile_.reset();
  if (const std::int64_t count = count_skipped_of_ranks(); count > 0) {
    progress_.message(counted(count, training_.sets.sample_name) + " could not be read, and others were taken instead");
  }
}
