#include "common/run_state.h"

#include "common/training_config.h"

using nlohmann::ordered_json;
namespace nn = simclr::nn;

namespace {

/// Where and how a run computes: elsewhere it goes on as well, but not to the same bits.
ordered_json compute_json(const Training& t) {
  return {{"version", SIMCLR_VERSION},
          {"device", to_string(t.compute.device)},
          {"dtype", name(t.compute.dtype)},
          {"threads", simclr::threads()},
          {"algorithms", "heuristic"}};  // never chosen by timing: the same machine takes the same ones
}

ordered_json state_json(const Training& t, const RunState& s) {
  ordered_json json = {{"samples", t.sets.train->size()}, {"epoch", s.epoch},     {"step", s.step},
                       {"loss_sum", s.loss_sum},          {"seconds", s.seconds}, {"log_bytes", s.log_bytes}};
  if (s.best) json["best"] = *s.best;
  return json;
}

RunState state_from(const ordered_json& json) {
  RunState s{.epoch = json.at("epoch").get<int>(),
             .step = json.at("step").get<std::int64_t>(),
             .loss_sum = json.at("loss_sum").get<double>(),
             .seconds = json.at("seconds").get<double>(),
             .log_bytes = json.at("log_bytes").get<std::int64_t>()};
  if (json.contains("best")) s.best = json["best"].get<double>();
  return s;
}

}  // namespace

RunCheckpoints::RunCheckpoints(Training& training, RunFolder& run)
    : training_(training), run_(run), folder_(run.file(checkpoint_folder), training.options.keep_checkpoints) {}

std::optional<RunState> RunCheckpoints::resume(const std::function<void(const std::string&)>& on_warning) {
  const auto metadata = folder_.load_newest(*training_.model, *training_.optimizer, on_warning);
  if (!metadata) return std::nullopt;
  RunState state;
  ordered_json config, compute, progress;
  try {
    config = ordered_json::parse(metadata->at("config"));
    compute = ordered_json::parse(metadata->at("compute"));
    progress = ordered_json::parse(metadata->at("run"));
    state = state_from(progress);
  } catch (const std::exception&) {
    simclr::fail("--resume: the checkpoints in ", run_.path(), " are not of train_cifar");
  }
  for (const Difference& d : differences(config, to_json(training_.options))) {
    simclr::fail("--resume: \"", d.key, "\" is ", d.before, " in ", run_.path(), ", and now ", d.after,
                 "; leave it as it was, or begin another run");
  }
  const auto samples = progress.value("samples", std::int64_t{0});
  SIMCLR_CHECK(samples == training_.sets.train->size(), "--resume: the run began with ", samples,
               " training images, and now there are ", training_.sets.train->size(), "; give it the data it had");
  const ordered_json now = compute_json(training_);
  for (const auto& [key, value] : now.items()) {
    if (compute.value(key, ordered_json()) != value) {
      on_warning("the run went on with " + key + " " + compute.value(key, ordered_json()).dump() + " so far, and now " +
                 value.dump() + ": the results will differ slightly from those of an uninterrupted run");
    }
  }
  if (!run_.cut_log(state.log_bytes)) {
    on_warning(run_.file("log.jsonl") + " is shorter than the checkpoint knows; its curves will have a gap");
  }
  return state;
}

bool RunCheckpoints::due() const {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - last_;
  return passed.count() >= 60 * training_.options.checkpoint_minutes;
}

void RunCheckpoints::save(const RunState& state, bool best) {
  run_.flush_log();
  folder_.save(*training_.model, *training_.optimizer,
               {{"format", "simclr"},
                {"config", to_json(training_.options).dump()},
                {"compute", compute_json(training_).dump()},
                {"run", state_json(training_, state).dump()}},
               best);
  last_ = std::chrono::steady_clock::now();
}
