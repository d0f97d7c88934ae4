// simclr.knn, simclr.linear_probe and simclr.metrics: what features are worth. simclr/_evaluate.py prepares the arrays.
#include "signals.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <simclr/nn/evaluate.h>
#include <simclr/nn/retrieval.h>

#include <cstdint>
#include <vector>

namespace simclr::python {
namespace {

using Labels = std::vector<std::int32_t>;

Tensor features_of(nb::handle array, const char* name) {
  return as_tensor(array, name, {DType::f32});
}

nb::object knn(nb::handle train, Labels labels, nb::handle test, std::int64_t classes, int k, double temperature) {
  const nn::Features known = {features_of(train, "train_features"), std::move(labels)};
  const Tensor asked = features_of(test, "test_features");
  const nn::KnnOptions options = {.k = k, .temperature = temperature, .poll = signals()};
  Tensor scores;
  {
    const Computing computing;
    scores = nn::knn_scores(known, asked, classes, options);
  }
  return to_array(scores, Framework::numpy);
}

nb::object linear_probe(nb::handle train, Labels labels, nb::handle test, std::int64_t classes,
                        const nn::ProbeOptions& options) {
  const nn::Features known = {features_of(train, "train_features"), std::move(labels)};
  const Tensor asked = features_of(test, "test_features");
  Tensor scores;
  {
    const Computing computing;
    scores = nn::linear_probe_scores(known, asked, classes, options);
  }
  return to_array(scores, Framework::numpy);
}

nb::object array_of(const std::vector<double>& values) {
  return to_array(Tensor::from(values, {std::ssize(values)}), Framework::numpy);
}

nb::dict metrics(nb::handle scores, const Labels& labels) {
  const Tensor values = as_tensor(scores, "scores", {DType::f32, DType::f64});
  nn::Metrics m;
  {
    const Computing computing;
    m = nn::compute_metrics(values, labels);
  }
  nb::dict all;
  all["top1"] = m.top1;
  all["top5"] = m.top5;
  all["macro_precision"] = m.macro_precision;
  all["macro_recall"] = m.macro_recall;
  all["macro_f1"] = m.macro_f1;
  all["precision"] = array_of(m.precision);
  all["recall"] = array_of(m.recall);
  all["f1"] = array_of(m.f1);
  all["support"] = m.support;
  all["confusion"] = m.confusion;
  all["count"] = m.count;
  all["classes"] = m.classes;
  return all;
}

nb::dict retrieval(nb::handle queries, nb::handle candidates, const Labels& query_groups,
                   const Labels& candidate_groups) {
  const Tensor q = features_of(queries, "queries"), c = features_of(candidates, "candidates");
  const nn::RetrievalOptions options = {.poll = signals()};
  nn::Retrieval r;
  {
    const Computing computing;
    r = nn::retrieval(q, c, query_groups, candidate_groups, options);
  }
  nb::dict all;
  all["r1"] = r.r1;
  all["r5"] = r.r5;
  all["r10"] = r.r10;
  all["chance1"] = r.chance1;
  all["chance5"] = r.chance5;
  all["chance10"] = r.chance10;
  all["median_rank"] = r.median_rank;
  all["queries"] = r.queries;
  all["candidates"] = r.candidates;
  return all;
}

double alignment(nb::handle a, nb::handle b) {
  const Tensor first = features_of(a, "a"), second = features_of(b, "b");
  const Computing computing;
  return nn::alignment(first, second);
}

double uniformity(nb::handle features) {
  const Tensor values = features_of(features, "features");
  const Computing computing;
  return nn::uniformity(values);
}

nb::dict collapse(nb::handle features) {
  const Tensor values = features_of(features, "features");
  nn::CollapseReport report;
  {
    const Computing computing;
    report = nn::check_collapse(values);
  }
  nb::dict all;
  all["effective_rank"] = report.effective_rank;
  all["mean_std"] = report.mean_std;
  all["collapsed"] = report.collapsed;
  all["message"] = report.message;
  return all;
}

/// The library's defaults, for the Python functions that have them as theirs.
nb::dict defaults() {
  const nn::KnnOptions knn;
  const nn::ProbeOptions probe;
  nb::dict all;
  all["k"] = knn.k;
  all["temperature"] = knn.temperature;
  all["epochs"] = probe.epochs;
  all["learning_rate"] = probe.learning_rate;
  all["batch_size"] = probe.batch_size;
  all["momentum"] = probe.momentum;
  all["weight_decay"] = probe.weight_decay;
  all["seed"] = probe.seed;
  return all;
}

}  // namespace

void bind_evaluate(nb::module_& m) {
  m.def("knn", &knn, nb::arg("train_features"), nb::arg("train_labels"), nb::arg("test_features"), nb::arg("classes"),
        nb::arg("k"), nb::arg("temperature"), "simclr.knn() with its arguments prepared.");
  m.def(
      "linear_probe",
      [](nb::handle train, Labels labels, nb::handle test, std::int64_t classes, int epochs, double learning_rate,
         std::int64_t batch_size, double momentum, double weight_decay, std::uint64_t seed) {
        return linear_probe(train, std::move(labels), test, classes,
                            {.epochs = epochs,
                             .learning_rate = learning_rate,
                             .batch_size = batch_size,
                             .momentum = momentum,
                             .weight_decay = weight_decay,
                             .seed = seed,
                             .poll = signals()});
      },
      nb::arg("train_features"), nb::arg("train_labels"), nb::arg("test_features"), nb::arg("classes"),
      nb::arg("epochs"), nb::arg("learning_rate"), nb::arg("batch_size"), nb::arg("momentum"), nb::arg("weight_decay"),
      nb::arg("seed"), "simclr.linear_probe() with its arguments prepared.");
  m.def("metrics", &metrics, nb::arg("scores"), nb::arg("labels"), "simclr.metrics.classification()'s figures.");
  m.def("retrieval", &retrieval, nb::arg("queries"), nb::arg("candidates"), nb::arg("query_groups"),
        nb::arg("candidate_groups"), "simclr.metrics.retrieval()'s figures.");
  m.def("alignment", &alignment, nb::arg("a"), nb::arg("b"), "simclr.metrics.alignment() of float32 arrays.");
  m.def("uniformity", &uniformity, nb::arg("features"), "simclr.metrics.uniformity() of a float32 array.");
  m.def("collapse", &collapse, nb::arg("features"), "simclr.metrics.collapse()'s figures.");
  m.def("evaluation_defaults", &defaults, "The library's defaults of knn() and linear_probe().");
}

}  // namespace simclr::python
