#pragma once

#include "train/datasets.h"

#include <simclr/core/world.h>
#include <simclr/data/loader.h>
#include <simclr/nn/evaluate.h>
#include <simclr/nn/model.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// What was measured of one encoder.
struct Evaluation {
  simclr::nn::Metrics knn;
  simclr::nn::Metrics probe;
  simclr::nn::CollapseReport collapse;
};

struct EvaluationOptions {
  simclr::nn::KnnOptions knn;
  simclr::nn::ProbeOptions probe;
  std::int64_t batch_size = 500;                      // at most: fewer samples where their views are large
  std::int64_t batch_values = std::int64_t{1} << 25;  // of a batch's views at most, but for a single sample's
  /// As data::LoaderOptions::workers.
  int workers = 0;
  std::function<void()> poll = {};  // called between batches: what it throws ends the evaluation
  std::function<void(const std::string& message)> on_warning = {};              // is told of unreadable samples
  std::function<void(std::int64_t done, std::int64_t total)> on_progress = {};  // after each batch
  /// Whose ranks share the work, all of which call the same in one order and have the whole; null: this process alone.
  simclr::World* world = nullptr;
};

/// For what this process does alone.
EvaluationOptions alone(EvaluationOptions options);

/// Warns of what all ranks have met: rank 0 does.
void warn_once(const EvaluationOptions& options, const std::string& message);

/// Measures, or warns that there is no `what`: other figures are none the worse. As problem_of() has it.
void attempt(const std::string& what, const EvaluationOptions& options, const std::function<void()>& measure);

/// The features of up to `limit` samples (0: all), each seen once, as one view of the tower. Labels come along.
simclr::nn::Features features_of(simclr::nn::Module& encoder, const simclr::data::Dataset& samples,
                                 const simclr::data::Tower& tower, const EvaluationOptions& options,
                                 std::int64_t limit = 0);

/// nn::knn_scores() of the options.
simclr::Tensor knn_scores(const simclr::nn::Features& train, const simclr::Tensor& test, std::int64_t classes,
                          const EvaluationOptions& options);

/// The features of some rows.
simclr::nn::Features rows_of(const simclr::nn::Features& all, const std::vector<std::int64_t>& rows);

/// How two random views of the same samples lie on the sphere; see nn/evaluate.h.
struct ViewsOnSphere {
  double alignment = 0;
  double uniformity = 0;  // the mean of both views'
};

/// Measures it for up to `limit` samples; the views are the same each time.
ViewsOnSphere views_on_sphere(simclr::nn::Module& encoder, const simclr::data::Dataset& samples,
                              const simclr::data::Tower& random, const EvaluationOptions& options, std::int64_t limit);

/// kNN and linear probe of a frozen encoder, trained on sets.labelled and tested on those of sets.test that have a
/// label.
Evaluation evaluate(simclr::nn::Module& encoder, const Datasets& sets, const simclr::data::Tower& tower,
                    const EvaluationOptions& options);

/// Makes an untrained encoder's batch statistics those of the samples, by one pass in random order: a batch of a data
/// set that is sorted by class has the statistics of one class.
void calibrate(simclr::nn::Module& encoder, const simclr::data::Dataset& samples, const simclr::data::Tower& tower,
               const EvaluationOptions& options);

/// The same of an untrained model: of one tower's encoder, or of two towers with their heads. An encoder that both
/// share sees both parts at once, as in training.
void calibrate(simclr::nn::Model& model, const simclr::data::Dataset& samples,
               const std::vector<simclr::data::Tower>& towers, const EvaluationOptions& options);

/// The table that a run ends with: the trained encoder beside the untrained one.
std::string evaluation_table(const Evaluation& trained, const Evaluation& untrained,
                             const std::vector<std::string>& classes);

/// Precision, recall and F1 of a class without test samples are null.
nlohmann::ordered_json to_json(const simclr::nn::Metrics& metrics);
nlohmann::ordered_json to_json(const Evaluation& evaluation);
