#include "train/run_state.h"

#include "run/data_places.h"
#include "run/progress.h"
#include "run/run_log.h"
#include "train/data_files.h"
#include "train/method.h"
#include "train/training_config.h"
#include "train/training_rows.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

using nlohmann::ordered_json;
namespace nn = simclr::nn;

namespace {

/// Where and how a run computes: elsewhere it goes on as well, but not to the same bits.
ordered_json compute_json(const Training& t) {
  return {{"version", SIMCLR_VERSION},
          {"device", to_string(t.compute.device)},
          {"dtype", name(t.compute.dtype)},
          {"wgmma", t.options.wgmma},
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

/// Empty: the file cannot be read.
std::optional<nn::Metadata> metadata_of(const std::filesystem::path& path) {
  try {
    return nn::read_checkpoint_metadata(path);
  } catch (const simclr::Error&) {
    return std::nullopt;
  }
}

/// As JSON; null: it says none.
std::string dataset_in(const ordered_json& config) {
  return config.is_object() ? config.value("dataset", ordered_json()).dump() : "null";
}

/// What a checkpoint says of the data; empty: nothing.
ordered_json data_in(const nn::Metadata& metadata) {
  const auto data = metadata.find("data");
  if (data == metadata.end()) return ordered_json::object();
  const ordered_json json = ordered_json::parse(data->second, nullptr, false);
  return json.is_object() ? json : ordered_json::object();
}

}  // namespace

void share_with_ranks(Training& t, RunState& s) {
  simclr::World& world = *t.world;
  if (world.size() == 1) return;
  const auto number = [](auto value) { return static_cast<double>(value); };
  const simclr::Tensor numbers =
      simclr::Tensor::from(std::vector<double>{number(s.epoch), number(s.step), s.loss_sum, s.seconds}, {4});
  world.broadcast(numbers);
  const auto all = numbers.to_vector<double>();
  s.epoch = static_cast<int>(all[0]);
  s.step = static_cast<std::int64_t>(all[1]);
  s.loss_sum = all[2];
  s.seconds = all[3];
  for (const nn::NamedTensor& each : t.model->state()) world.broadcast(each.value);
  for (const nn::NamedTensor& each : t.optimizer->state()) world.broadcast(each.value);
}

void check_same_data_set(const TrainingOptions& o) {
  if (!o.resume || o.dataset == "auto") return;
  std::ifstream file(o.out + "/config.json");
  std::vector<std::string> before = {dataset_in(ordered_json::parse(file, nullptr, false))};
  for (const auto& checkpoint : nn::CheckpointFolder(std::filesystem::path(o.out) / checkpoint_folder).list()) {
    const auto metadata = metadata_of(checkpoint.path);  // config.json may have been edited
    if (!metadata || !metadata->contains("config")) continue;
    before.push_back(dataset_in(ordered_json::parse(metadata->at("config"), nullptr, false)));
    break;
  }
  const auto source = o.sources.find("dataset");
  const bool read = source != o.sources.end() && !source->second.empty();
  const std::string said = read ? source->second + ": \"dataset\": " : "--dataset ";
  for (const std::string& each : before) {
    SIMCLR_CHECK(each == "null" || each == ordered_json(o.dataset).dump(), said, o.dataset, ": the run in ", o.out,
                 " has ", each, "; leave it as it was, or begin another run");
  }
}

RunCheckpoints::RunCheckpoints(Training& training, RunFolder& run)
    : training_(training),
      run_(run),
      folder_(run.file(checkpoint_folder), training.options.keep_checkpoints),
      data_(training.modality->data_files(training.options)) {
  data_["labels"] = training.labels;
  if (!training.sets.within.empty()) data_["within"] = training.sets.within;
}

RunCheckpoints::Finished RunCheckpoints::finished() const {
  if (!run_.has(weights_file)) return Finished::no;
  const auto weights = metadata_of(run_.file(weights_file));
  SIMCLR_CHECK(weights, "--resume: ", run_.file(weights_file), ": these final weights cannot be read, or are not of ",
               training_.options.program,
               "; nothing was changed. Move the file away, and --resume goes on from the last checkpoint");
  check_same_run(*weights);
  const auto steps = folder_.list();
  if (!steps.empty()) {  // the weights do not say how many samples there were
    const auto last = metadata_of(steps.front().path);
    if (last) check_same_run(*last);
  }
  if (!lacks_evaluation()) return Finished::yes;
  // Without its log, or without its last checkpoint, there is nothing to evaluate with that would lose nothing.
  const bool gone = steps.empty() || steps.front().step != training_.steps();
  return gone ? Finished::without_evaluation : Finished::no;
}

bool RunCheckpoints::lacks_evaluation() const {
  const TrainingOptions& o = training_.options;
  bool trained = false, evaluated = !o.evaluate || !training_.sets.test;
  for (const LogEntry& entry : run_.entries()) {
    trained |= event_of(entry) == "epoch" && number_of(entry, "epoch") == o.recipe.epochs;
    evaluated |= event_of(entry) == "evaluation";
  }
  return trained && !evaluated;
}

void RunCheckpoints::check_same_run(const nn::Metadata& metadata) const {
  ordered_json config, progress = ordered_json::object();
  try {
    config = ordered_json::parse(metadata.at("config"));
    if (metadata.contains("run")) progress = ordered_json::parse(metadata.at("run"));
  } catch (const std::exception&) {
    simclr::fail("--resume: the checkpoints in ", run_.path(), " are not of ", training_.options.program);
  }
  TrainingOptions now_asked = training_.options;
  OptionTable table = training_table(now_asked, *training_.modality);
  table.sources = training_.options.sources;
  for (const Difference& d : differences(table, config)) {
    simclr::fail(d.said, ": the run in ", run_.path(), " has ", d.before,
                 " there; leave it as it was, or begin another run");
  }
  const std::int64_t now = training_.sets.train->size(), samples = progress.value("samples", now);
  if (samples == now) return;
  const std::string differs = what_differs(metadata);
  simclr::fail("--resume: the run began with ", samples,
               " training " + training_.sets.sample_name + "s, and now there are ", now,
               differs.empty() ? "" : " (" + differs + ")", "; give it the data it had");
}

std::string RunCheckpoints::what_differs(const nn::Metadata& metadata) const {
  const ordered_json before = data_in(metadata);
  if (before.empty()) return "";
  std::error_code error;
  const std::string first = split_places(training_.options.data_path()).front();
  const bool folder = first.empty() || std::filesystem::is_directory(first, error);
  return data_differ(before, data_, training_.sets.sample_name, folder ? "the folder itself" : "what --data names");
}

void RunCheckpoints::refuse_to_start_over() const {
  std::string lost;
  const auto add = [&lost](const std::string& what) { lost += (lost.empty() ? "" : ", ") + what; };
  const bool best = run_.has(std::string(checkpoint_folder) + "/best.safetensors");
  if (best) add("checkpoints/best.safetensors");
  if (run_.has(weights_file)) add(weights_file);
  if (run_.has("report.html")) add("report.html");
  for (const LogEntry& entry : run_.entries()) {
    if (event_of(entry) != "evaluation") continue;
    add("log.jsonl of a finished run");
    break;
  }
  SIMCLR_CHECK(lost.empty(), "--resume: ", run_.path(),
               " has no checkpoint step-*.safetensors to go on from, and to start ", "afresh would replace ", lost,
               "; put a checkpoint back", best ? " (a copy of the best one as step-00000001.safetensors, say)" : "",
               ", or choose another --out");
}

/// The best score that a checkpoint was saved with, where the file can be read: it may be of later steps than those
/// that the run goes on from, and gives way only to a better one.
std::optional<double> RunCheckpoints::best_saved() const {
  try {
    const auto metadata = nn::read_checkpoint_metadata(run_.file(checkpoint_folder) + "/best.safetensors");
    return state_from(ordered_json::parse(metadata.at("run"))).best;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::optional<RunState> RunCheckpoints::resume(const std::function<void(const std::string&)>& on_warning) {
  for (const auto& file : folder_.list()) {  // before weights are read, which do not fit a network of another width
    const auto metadata = metadata_of(file.path);
    if (!metadata || !metadata->contains("config")) continue;
    check_same_run(*metadata);
    break;
  }
  const auto metadata = folder_.load_newest(*training_.model, *training_.optimizer, on_warning);
  if (!metadata) {
    refuse_to_start_over();
    run_.cut_log(0);
    return std::nullopt;
  }
  check_same_run(*metadata);
  RunState state;
  ordered_json compute, progress;
  try {
    compute = ordered_json::parse(metadata->at("compute"));
    progress = ordered_json::parse(metadata->at("run"));
    state = state_from(progress);
    state.best = std::max(state.best, best_saved());  // none is less than any
  } catch (const std::exception&) {
    simclr::fail("--resume: the checkpoints in ", run_.path(), " are not of ", training_.options.program);
  }
  const std::string differs = what_differs(*metadata);
  if (takes_labels(training_.options.recipe)) {
    const auto labels_of = [](const ordered_json& labels) {
      const ordered_json all = labels.is_object() ? labels : ordered_json::object();
      return all.value("training", all.value("training and test", ""));
    };
    SIMCLR_CHECK(labels_of(data_in(*metadata).value("labels", ordered_json())) == labels_of(training_.labels),
                 "--resume: --method ", training_.options.recipe.method, " learns from labels, and they are others now",
                 differs.empty() ? "" : " (" + differs + ")", "; give it the data it had");
  }
  if (!differs.empty()) {
    const bool others =
        training_.sets.test && test_part_differs(data_in(*metadata), data_, training_.sets.within_training);
    on_warning(
        "the data differ from those that the run began with: " + differs +
        (others ? "; it may have been trained on " + training_.sets.sample_name + "s that are tested on now" : ""));
  }
  const ordered_json now = compute_json(training_);
  for (const auto& [key, value] : now.items()) {
    if (compute.value(key, ordered_json()) != value) {
      on_warning("the run went on with " + key + " " + compute.value(key, ordered_json()).dump() + " so far, and now " +
                 value.dump() + ": the results will differ slightly from those of an uninterrupted run");
    }
  }
  if (!run_.cut_log(state.log_bytes)) {
    on_warning(
        run_.file("log.jsonl") +
        " is not all that the checkpoint knows; its curves will have a gap. Report and event file of before are kept "
        "under other names");
    run_.set_aside("report.html");
    run_.set_events_aside();
  }
  return state;
}

bool RunCheckpoints::due() const {
  return seconds_since(last_) >= 60 * training_.options.checkpoint_minutes;
}

std::optional<std::int64_t> RunCheckpoints::newest() const {
  const auto steps = folder_.list();
  return steps.empty() ? std::nullopt : std::optional(steps.front().step);
}

void RunCheckpoints::save(const RunState& state, bool best) {
  run_.flush_log();
  nn::Metadata metadata = {{"format", "simclr"},
                           {"config", to_json(training_.options, *training_.modality).dump()},
                           {"compute", compute_json(training_).dump()},
                           {"data", data_.dump()},
                           {"run", state_json(training_, state).dump()}};
  const std::string& begun_in = training_.options.started_in;
  if (!begun_in.empty()) metadata[started_in_key] = begun_in;  // config.json may be lost
  folder_.save(*training_.model, *training_.optimizer, metadata, best);
  last_ = std::chrono::steady_clock::now();
}
