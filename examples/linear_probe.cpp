// What the features of a trained encoder are worth with few labels: kNN and a linear probe on 1, 10 and 100 % of them.
#include "modalities/kinds.h"
#include "modalities/picture_rows.h"
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
#include <cstdio>

namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

struct Options {
  std::string weights, json;
  LabelledPlace place;
  std::vector<double> percents = {1, 10, 100};
  int epochs = 100;
  int k = 200;
  std::uint64_t seed = 0;
  bool overwrite = false;
  ComputeOptions compute;
};

bool parse_options(int argc, char** argv, Options& o) {
  CLI::App app("Measures a trained encoder by kNN and by a linear probe on its features, with all and with few labels.",
               "linear_probe");
  app.add_option("weights", o.weights, "A run's folder, a checkpoint or a weights file")->required();
  OptionTable table;
  add_dataset_rows(table, o.place.dataset, o.place.data_dir, o.place.classes_at, "what the weights were trained on");
  table.group("");
  add_labels_row(table, o.percents);
  table.add("epochs", o.epochs, "Of the linear probe").at_least(1);
  table.add("knn-k", o.k, "Neighbours that vote, at most as many as a class has labels").at_least(1);
  add_seed_row(table, o.seed, "Of the choice of labels and of the probe's order");
  table.add("json", o.json, "A file for all figures");
  add_overwrite_row(table, o.overwrite);
  add_compute_rows(table, o.compute);
  table.rule([&o](const OptionTable&) { check_percents(o.percents); });
  return parse(app, table, argc, argv);
}

nlohmann::ordered_json measure(const Options& o, const nn::Features& train, const nn::Features& test,
                               std::int64_t classes, double percent) {
  const auto rows = labelled_part(train.labels, percent, o.seed);
  const nn::Features part = rows_of(train, rows);
  const auto count = static_cast<std::int64_t>(rows.size());
  const int k = static_cast<int>(std::clamp<std::int64_t>(count / classes, 1, o.k));
  const auto knn = nn::compute_metrics(nn::knn_scores(part, test.values, classes, {.k = k}), test.labels);
  const nn::ProbeOptions options{.epochs = o.epochs, .seed = o.seed};
  const auto probe = nn::compute_metrics(nn::linear_probe_scores(part, test.values, classes, options), test.labels);
  std::printf("  %-8s %10lld %10.2f %10.2f\n", (percent_text(percent) + " %").c_str(), static_cast<long long>(count),
              100 * knn.top1, 100 * probe.top1);
  std::fflush(stdout);
  return {{"percent", percent}, {"samples", count}, {"knn_k", k}, {"knn", to_json(knn)}, {"linear", to_json(probe)}};
}

void run(Options o) {
  check_output(o.json, o.overwrite);
  const simclr::Device device = open_device(o.compute);
  const std::unique_ptr<Kind> kind = kind_of_weights(o.weights);
  const std::string sample = kind->sample();
  const EncoderFile file = open_encoder(o.weights, kind->modality());
  kind->fill_in(o.place, file, o.weights);
  kind->refuse_in("--json", {o.json}, o.place.dataset, o.place.data_dir);
  refuse_in_data("--json", o.json, file.path);
  const Datasets sets = kind->open_labelled(o.place, file);
  if (!sets.note.empty()) std::printf("%s\n", sets.note.c_str());
  std::printf("%s\n%s\n", file.description.c_str(), sets.train->describe().c_str());
  file.encoder->to(device);

  Progress progress;
  for (const std::string& warning : sets.warnings) progress.warn(warning);
  EvaluationOptions options;
  options.batch_size = o.compute.batch_size;
  options.workers = o.compute.workers;
  options.on_warning = [&progress](const std::string& message) { progress.warn(message); };
  options.on_progress = PassProgress(progress, "features to train on", sample + "s");
  const nn::Features train = features_of(*file.encoder, *sets.train, file.tower, options);
  options.on_progress = PassProgress(progress, "features to test on", sample + "s");
  const nn::Features test = features_of(*file.encoder, *sets.test, file.tower, options);

  char head[64];
  std::snprintf(head, sizeof head, "  %-8s %10s %10s %10s", "labels", (sample + "s").c_str(), "kNN %", "linear %");
  progress.message(head);
  const auto classes = static_cast<std::int64_t>(sets.train->classes().size());
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const double percent : o.percents) results.push_back(measure(o, train, test, classes, percent));
  for (const std::string& unread :
       {unread_text("trained on", train.values.dim(0), sets.train->size(), sample),
        unread_text("measured on", test.values.dim(0), sets.test->size(), "test " + sample)}) {
    if (!unread.empty()) progress.message(unread);
  }
  if (o.json.empty()) return;
  const nlohmann::ordered_json figures = {{"weights", utf8(file.path)},
                                          {"dataset", sets.kind},
                                          {"seed", o.seed},
                                          {"test_samples", test.labels.size()},
                                          {"results", results}};
  simclr::write_file_atomically(o.json, figures.dump(2) + "\n", existing_output(o.overwrite));
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("linear_probe", [&] {
    Options options;
    if (parse_options(argc, argv, options)) run(options);
  });
}
