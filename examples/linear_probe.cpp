// What the features of a trained encoder are worth with few labels: kNN and a linear probe on 1, 10 and 100 % of them,
// for one choice of the few or the mean of several, and of an encoder that has not been trained beside it.
#include "modalities/kinds.h"
#include "run/command_line.h"
#include "run/option_line.h"
#include "run/progress.h"
#include "run/run_folder.h"
#include "run/shared_rows.h"
#include "train/encoder_file.h"
#include "train/evaluation.h"
#include "train/labelled_part.h"
#include "train/test_part.h"

#include <simclr/simclr.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

struct Options {
  std::string weights, side = "none", json;
  LabelledPlace place;
  std::vector<double> percents = {1, 10, 100};
  int epochs = 100;
  int k = 200;
  int draws = 1;
  double weight_decay = 0;
  bool untrained = false, baseline = false;
  std::uint64_t seed = 0;
  bool overwrite = false;
  ComputeOptions compute;
};

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app("Measures a trained encoder by kNN and by a linear probe on its features, with all and with few labels.",
               "linear_probe");
  app.add_option("weights", o.weights, "A run's folder, a checkpoint or a weights file")->required();
  OptionTable table;
  add_place_rows(table, o.place);
  table.group("");
  add_side_row(table, o.side);
  add_labels_row(table, o.percents);
  table.add("epochs", o.epochs, "Of the linear probe").at_least(1);
  table.add("knn-k", o.k, "Neighbours that vote, at most as many as a class has labels").at_least(1);
  table.add("weight-decay", o.weight_decay, "Of the linear probe's weights; 1 or 2 keep it steady where labels are few")
      .between(0, 10);
  table.add("draws", o.draws, "Choices of the labels, each by the next seed, of which the mean is told")
      .between(1, 1000);
  table.flag(
      "untrained", "", o.untrained,
      "Measure the encoder as it is before training, too; of pairs with --share-encoder normalised by this side's "
      "samples alone");
  table.flag(
      "baseline", "", o.baseline,
      "Measure what the same probe makes of features without an encoder, too: of texts TF-IDF, of recordings the "
      "statistics of MFCCs, of clips those of motion");
  add_seed_row(table, o.seed, "Of the choice of labels and of the probe's order");
  table.add("json", o.json, "A file for all figures");
  add_overwrite_row(table, o.overwrite);
  add_compute_rows(table, o.compute);
  table.rule([&o](const OptionTable&) { check_percents(o.percents); });
  return parse(app, table, argc, argv);
}

/// By one choice of the labels.
nlohmann::ordered_json measure(const Options& o, const nn::Features& train, const nn::Features& test,
                               std::int64_t classes, double percent, std::uint64_t seed) {
  const auto rows = labelled_part(train.labels, percent, seed);
  const nn::Features part = rows_of(train, rows);
  const auto count = static_cast<std::int64_t>(rows.size());
  const int k = static_cast<int>(std::clamp<std::int64_t>(count / classes, 1, o.k));
  const auto knn = nn::compute_metrics(nn::knn_scores(part, test.values, classes, {.k = k}), test.labels);
  const nn::ProbeOptions options{.epochs = o.epochs, .weight_decay = o.weight_decay, .seed = seed};
  const auto probe = nn::compute_metrics(nn::linear_probe_scores(part, test.values, classes, options), test.labels);
  return {{"percent", percent}, {"samples", count},    {"seed", seed},
          {"knn_k", k},         {"knn", to_json(knn)}, {"linear", to_json(probe)}};
}

/// "78.34", and of several draws how far they lie apart: "78.34 +- 1.20".
std::string mean_text(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / count;
  for (const double value : values) squares += (value - mean) * (value - mean);
  char text[64];
  if (values.size() == 1) {
    std::snprintf(text, sizeof text, "%.2f", 100 * mean);
  } else {
    std::snprintf(text, sizeof text, "%.2f +- %5.2f", 100 * mean, 100 * std::sqrt(squares / (count - 1)));
  }
  return text;
}

/// Prints a row for each share of the labels. Returns what each draw of them gave.
nlohmann::ordered_json measure_all(const Options& o, const nn::Features& train, const nn::Features& test,
                                   std::int64_t classes, const std::string& samples) {
  const int room = o.draws == 1 ? 10 : 16;
  std::printf("  %-8s %10s %*s %*s\n", "labels", samples.c_str(), room, "kNN %", room, "linear %");
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const double percent : o.percents) {
    std::vector<double> knn, linear;
    for (int draw = 0; draw < o.draws; ++draw) {
      results.push_back(measure(o, train, test, classes, percent, o.seed + static_cast<std::uint64_t>(draw)));
      knn.push_back(results.back()["knn"]["top1"].get<double>());
      linear.push_back(results.back()["linear"]["top1"].get<double>());
    }
    std::printf("  %-8s %10lld %*s %*s\n", (percent_text(percent) + " %").c_str(),
                results.back()["samples"].get<long long>(), room, mean_text(knn).c_str(), room,
                mean_text(linear).c_str());
    std::fflush(stdout);
  }
  return results;
}

/// What an encoder's features of these sets are worth.
class Measurement {
 public:
  Measurement(const Options& o, const Datasets& sets, const std::string& sample)
      : options_(o), sets_(sets), sample_(sample) {
    for (const std::string& warning : sets.warnings) progress_.warn(warning);
    evaluation_.batch_size = o.compute.batch_size;
    evaluation_.workers = o.compute.workers;
    evaluation_.on_warning = [this](const std::string& message) { progress_.warn(message); };
  }

  /// `title`: a line above the table; empty: none.
  nlohmann::ordered_json operator()(nn::Module& encoder, const data::Tower& tower, const std::string& title) {
    const std::string samples = sample_ + "s";
    evaluation_.on_progress = PassProgress(progress_, "features to train on", samples);
    const nn::Features train = features_of(encoder, *sets_.train, tower, evaluation_);
    evaluation_.on_progress = PassProgress(progress_, "features to test on", samples);
    const nn::Features test = features_of(encoder, *sets_.test, tower, evaluation_);
    test_samples_ = test.values.dim(0);
    unread_ = {unread_text("trained on", train.values.dim(0), sets_.train->size(), sample_),
               unread_text("measured on", test_samples_, sets_.test->size(), "test " + sample_)};
    if (!title.empty()) progress_.message(title);
    return measure_all(options_, train, test, std::ssize(sets_.train->classes()), samples);
  }

  nlohmann::ordered_json untrained(nn::Module& encoder, const data::Tower& tower) {
    evaluation_.on_progress = PassProgress(progress_, "the untrained encoder's statistics", sample_ + "s");
    calibrate(encoder, *sets_.train, tower, evaluation_);
    return (*this)(encoder, tower, "before training:");
  }

  std::optional<Baseline> baseline(const Kind& kind) {
    evaluation_.on_progress = PassProgress(progress_, "the baseline's features", sample_ + "s");
    return kind.baseline(sets_, evaluation_);
  }

  nlohmann::ordered_json operator()(const Baseline& baseline) {
    const auto note = [&](const std::string& what, const nn::Features& read, std::int64_t unread,
                          const std::string& sample) {
      const std::int64_t rows = read.values.dim(0);
      unread_.push_back(unread_text(baseline.name + ": " + what, rows, rows + unread, sample));
    };
    note("trained on", baseline.train, baseline.unread_train, sample_);
    note("measured on", baseline.test, baseline.unread_test, "test " + sample_);
    progress_.message(baseline.name + ":");
    return measure_all(options_, baseline.train, baseline.test, std::ssize(sets_.train->classes()), sample_ + "s");
  }

  void say_unread() {
    for (const std::string& text : unread_) {
      if (!text.empty()) progress_.message(text);
    }
  }

  std::int64_t test_samples() const { return test_samples_; }

 private:
  const Options& options_;
  const Datasets& sets_;
  std::string sample_;
  Progress progress_;
  EvaluationOptions evaluation_;
  std::int64_t test_samples_ = 0;
  std::vector<std::string> unread_;
};

void run(Options o) {
  check_output(o.json, o.overwrite);
  const simclr::Device device = open_device(o.compute);
  const std::unique_ptr<Kind> kind = kind_of_weights(o.weights, o.side);
  const EncoderFile file = open_side_encoder(o.weights, *kind, o.side);
  kind->fill_in(o.place, file, o.weights);
  kind->refuse_in("--json", {o.json}, o.place.dataset, o.place.data_dir);
  refuse_in_data("--json", o.json, file.path);
  refuse_in_run("--json", o.json);
  const Datasets sets = kind->open_labelled(o.place, file);
  if (!sets.note.empty()) std::printf("%s\n", sets.note.c_str());
  std::printf("%s\n%s\n", file.description.c_str(), sets.train->describe().c_str());

  Measurement measured(o, sets, kind->sample());
  const std::optional<Baseline> baseline = o.baseline ? measured.baseline(*kind) : std::nullopt;
  SIMCLR_CHECK(baseline || !o.baseline, "--baseline: none is known of ", kind->sample(), "s; leave it out");

  file.encoder->to(device);
  const nlohmann::ordered_json results = measured(*file.encoder, file.tower, o.untrained ? "trained:" : "");
  nlohmann::ordered_json untrained;
  if (o.untrained) {
    const auto encoder = kind->modality().make_encoder(kind->encoder_seed(file.config.value("seed", o.seed)));
    encoder->to(device);
    untrained = measured.untrained(*encoder, file.tower);
  }
  nlohmann::ordered_json by_baseline;
  if (baseline) by_baseline = measured(*baseline);
  measured.say_unread();
  if (o.json.empty()) return;
  nlohmann::ordered_json figures = {{"weights", utf8(file.path)},
                                    {"dataset", sets.kind},
                                    {"seed", o.seed},
                                    {"weight_decay", o.weight_decay},
                                    {"test_samples", measured.test_samples()},
                                    {"results", results}};
  if (o.untrained) figures["untrained"] = untrained;
  if (baseline) {
    figures["baseline_name"] = baseline->name;
    const std::int64_t tested = baseline->test.values.dim(0);
    if (tested != measured.test_samples()) figures["baseline_test_samples"] = tested;
    figures["baseline"] = by_baseline;
  }
  simclr::write_file_atomically(o.json, figures.dump(2) + "\n", existing_output(o.overwrite));
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("linear_probe", [&] {
    Options options;
    if (parse_options(argc, argv, options)) run(options);
  });
}
