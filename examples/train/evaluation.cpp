#include "train/evaluation.h"

#include "train/shared_work.h"

#include <simclr/core/error.h>
#include <simclr/data/loader.h>
#include <simclr/data/subset.h>
#include <simclr/nn/functional.h>
#include <simclr/nn/simclr.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

namespace data = simclr::data;
namespace nn = simclr::nn;
using simclr::Tensor;

namespace {

/// Borrows a data set that outlives the loader.
std::shared_ptr<const data::Dataset> borrowed(const data::Dataset& samples) {
  return {std::shared_ptr<void>(), &samples};
}

int ranks_of(const EvaluationOptions& options) {
  return options.world == nullptr ? 1 : options.world->size();
}

std::int64_t most_of_batch(const data::Tower& tower, const EvaluationOptions& options) {
  const std::int64_t fit = std::max<std::int64_t>(1, options.batch_values / tower.maker->view_shape().numel());
  return std::min(options.batch_size, fit);
}

/// Of a pass over the samples the batches that are this rank's.
simclr::NextBatch batches(std::shared_ptr<const data::Dataset> samples, const data::Tower& tower,
                          std::int64_t batch_size, const EvaluationOptions& options, std::uint64_t seed = 0) {
  const std::int64_t total = samples->size();
  const int ranks = ranks_of(options);
  auto next = data::one_pass(std::move(samples), tower.maker,
                             {.batch_size = batch_size,
                              .shard = {ranks == 1 ? 0 : options.world->rank(), ranks},
                              .seed = seed,
                              .workers = options.workers,
                              .on_warning = options.on_warning},
                             tower.part);
  return [next = std::move(next), total, ranks, done = std::int64_t{0}, report = options.on_progress,
          poll = options.poll](simclr::Input& input, std::vector<std::int32_t>& labels) mutable {
    if (poll) poll();
    // Now that what was asked for last has been used; the other ranks are as far.
    if (report && done > 0) report(std::min(ranks * done, total), total);
    const bool more = next(input, labels);
    if (more) done += input.rows();
    return more;
  };
}

/// Calls `use` with the batches, unless there are none, as a rank may have.
void unless_none(simclr::NextBatch next, const std::function<void(const simclr::NextBatch&)>& use) {
  simclr::Input begun;
  std::vector<std::int32_t> its_labels;
  if (!next(begun, its_labels)) return;
  bool first = true;
  use([&](simclr::Input& input, std::vector<std::int32_t>& labels) {
    if (!std::exchange(first, false)) return next(input, labels);
    input = begun;
    labels = its_labels;
    return true;
  });
}

/// The features of all samples, of which each rank has its share. Batches are one process's, for their size may round a
/// product differently; smaller ones where some ranks would have none.
nn::Features all_features(nn::Module& encoder, const std::shared_ptr<const data::Dataset>& samples,
                          const data::Tower& tower, const EvaluationOptions& options, std::uint64_t seed = 0) {
  const std::int64_t size = samples->size(), most = most_of_batch(tower, options), ranks = ranks_of(options);
  if (ranks == 1) return nn::extract_features(encoder, batches(samples, tower, most, options, seed));
  const std::int64_t batch_size = std::clamp<std::int64_t>((size + ranks - 1) / ranks, 1, most);
  nn::Features own;
  together(options.world, [&] {
    unless_none(batches(samples, tower, batch_size, options, seed),
                [&](const simclr::NextBatch& next) { own = nn::extract_features(encoder, next); });
  });
  nn::Features all;
  all.labels = gather_values(options.world, std::move(own.labels));
  together(options.world, [&] {
    const std::int64_t unread = size - std::ssize(all.labels);
    if (unread > size / 2) {
      simclr::fail<data::UnreadableData>(unread, " of ", size,
                                         " samples cannot be read or used, more than half; check the data");
    }
  });
  all.values = gather_rows(options.world, own.values);
  return all;
}

/// What `score` gives of the rows of `test`, of which each rank does its part.
Tensor scores_of_parts(const EvaluationOptions& options, const Tensor& test,
                       const std::function<Tensor(const Tensor&)>& score) {
  Tensor own;
  together(options.world, [&] {
    const Part part = part_of(options.world, test.dim(0));
    if (part.count > 0) own = score(test.narrow(part.begin, part.count));
  });
  return gather_rows(options.world, own);
}

/// As many as fill batches of `batch_size`, where there are as many.
std::shared_ptr<const data::Dataset> in_random_order(const data::Dataset& samples, std::int64_t batch_size) {
  std::vector<std::int64_t> order = data::shuffled_order(samples.size(), 0, 0);
  if (samples.size() > batch_size) order.resize(static_cast<std::size_t>(samples.size() / batch_size * batch_size));
  return data::subset(borrowed(samples), std::move(order));
}

/// nn::calibrate_batchnorm(), each rank of its share of the batches: then the statistics are averaged over all.
void calibrate_by_ranks(nn::Module& model, simclr::NextBatch next, const EvaluationOptions& options) {
  if (ranks_of(options) == 1) {
    nn::calibrate_batchnorm(model, next);
    return;
  }
  std::int64_t own = 0;
  together(options.world, [&] {
    unless_none(std::move(next), [&](const simclr::NextBatch& some) { own = nn::calibrate_batchnorm(model, some); });
  });
  double all = 0;
  for (const std::int64_t each : gather_values(options.world, std::vector{own})) all += static_cast<double>(each);
  if (all == 0) simclr::fail<CommonError>("calibrate: no rank can read a sample of its share; check the data");
  for (const nn::NamedTensor& tensor : model.state()) {
    Tensor value = tensor.value;
    if (!tensor.name.ends_with("running_mean") && !tensor.name.ends_with("running_var")) continue;
    value.copy_from(nn::scale(value.detach(), static_cast<double>(own) / all));
    options.world->all_reduce(value);
  }
}

std::string row(const char* label, double trained, double untrained) {
  char text[96];
  std::snprintf(text, sizeof text, "  %-24s %8.2f %10.2f %+9.2f\n", label, 100 * trained, 100 * untrained,
                100 * (trained - untrained));
  return text;
}

/// At most so much of a class's name, without what a terminal takes for a command; UTF-8 is cut between characters.
std::string shown(const std::string& name, std::size_t columns, bool padded) {
  std::string text;
  std::size_t used = 0;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins = (byte & 0xc0) != 0x80;
    if (begins && ++used > columns) break;
    text += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  if (padded && used < columns) text.append(columns - used, ' ');
  return text;
}

std::string confusion_matrix(const nn::Metrics& m, const std::vector<std::string>& classes) {
  std::string out = "\n  linear probe: rows are the true class, columns the predicted one, in the same order\n";
  const std::size_t n = classes.size();
  for (std::size_t c = 0; c < n; ++c) {
    out += "  " + shown(classes[c], 12, true);
    for (std::size_t k = 0; k < n; ++k) {
      char text[32];
      std::snprintf(text, sizeof text, " %5lld", static_cast<long long>(m.confusion[c * n + k]));
      out += text;
    }
    out += '\n';
  }
  return out;
}

/// Why there is no matrix; empty: there is one.
std::string no_confusion(const nn::Metrics& m) {
  if (!m.confusion.empty()) return {};
  return "no confusion matrix: " + std::to_string(m.classes) + " classes, and it is made of at most " +
         std::to_string(nn::most_confusion_classes);
}

std::string per_class(const nn::Metrics& m, const std::vector<std::string>& classes) {
  std::string out = "\n  class (linear probe)      precision   recall       F1   most often taken for\n";
  const std::size_t n = classes.size();
  for (std::size_t c = 0; c < n; ++c) {
    std::size_t other = c == 0 ? (n > 1 ? 1 : 0) : 0;
    for (std::size_t k = 0; k < n; ++k) {
      if (k != c && m.confusion[c * n + k] > m.confusion[c * n + other]) other = k;
    }
    const auto mistaken = static_cast<long long>(m.confusion[c * n + other]);
    char text[64];
    std::snprintf(text, sizeof text, " %10.2f %8.2f %8.2f   ", 100 * m.precision[c], 100 * m.recall[c], 100 * m.f1[c]);
    out += "  " + shown(classes[c], 24, true);
    if (m.support[c] == 0) {
      out += "    not measured: no test samples\n";
      continue;
    }
    out += text;
    out += other == c || mistaken == 0 ? "-\n"
                                       : shown(classes[other], 24, false) + " (" + std::to_string(mistaken) + ")\n";
  }
  return out;
}

/// Null for a class without test samples, of which nothing was measured.
nlohmann::ordered_json of_classes(const std::vector<double>& values, const nn::Metrics& m) {
  nlohmann::ordered_json json = values;
  for (std::size_t c = 0; c < values.size(); ++c) {
    if (m.support[c] == 0) json[c] = nullptr;
  }
  return json;
}

nn::Features labelled_rows(nn::Features all) {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < std::ssize(all.labels); ++i) {
    if (all.labels[static_cast<std::size_t>(i)] >= 0) rows.push_back(i);
  }
  SIMCLR_CHECK(!rows.empty(), "no test sample that can be read has a label");
  return rows.size() == all.labels.size() ? std::move(all) : rows_of(all, rows);
}

}  // namespace

EvaluationOptions alone(EvaluationOptions options) {
  options.world = nullptr;
  return options;
}

void warn_once(const EvaluationOptions& options, const std::string& message) {
  if (options.on_warning && (options.world == nullptr || options.world->rank() == 0)) options.on_warning(message);
}

void attempt(const std::string& what, const EvaluationOptions& options, const std::function<void()>& measure) {
  const std::string problem = problem_of(options.world, measure);
  if (!problem.empty()) warn_once(options, "no " + what + ": " + problem);
}

nn::Features features_of(nn::Module& encoder, const data::Dataset& samples, const data::Tower& tower,
                         const EvaluationOptions& options, std::int64_t limit) {
  std::shared_ptr<const data::Dataset> chosen = borrowed(samples);
  if (limit > 0) chosen = data::spread(std::move(chosen), limit);
  return all_features(encoder, chosen, tower, options);
}

Tensor knn_scores(const nn::Features& train, const Tensor& test, std::int64_t classes,
                  const EvaluationOptions& options) {
  return scores_of_parts(options, test,
                         [&](const Tensor& part) { return nn::knn_scores(train, part, classes, options.knn); });
}

nn::Features rows_of(const nn::Features& all, const std::vector<std::int64_t>& rows) {
  nn::Features part;
  part.values = Tensor::empty({static_cast<std::int64_t>(rows.size()), all.values.dim(1)});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    part.values.narrow(static_cast<std::int64_t>(i), 1).copy_from(all.values.narrow(rows[i], 1));
    part.labels.push_back(all.labels[static_cast<std::size_t>(rows[i])]);
  }
  return part;
}

ViewsOnSphere views_on_sphere(nn::Module& encoder, const data::Dataset& samples, const data::Tower& tower,
                              const EvaluationOptions& options, std::int64_t limit) {
  const auto chosen = data::spread(borrowed(samples), limit);
  // Unreadable samples are left out of both.
  const Tensor a = all_features(encoder, chosen, tower, options, 1).values;
  const Tensor b = all_features(encoder, chosen, tower, options, 2).values;
  ViewsOnSphere views;
  together(options.world, [&] {
    views = {.alignment = nn::alignment(a, b), .uniformity = (nn::uniformity(a) + nn::uniformity(b)) / 2};
  });
  return views;
}

Evaluation evaluate(nn::Module& encoder, const Datasets& sets, const data::Tower& tower,
                    const EvaluationOptions& options) {
  const nn::Features train = features_of(encoder, *sets.labelled, tower, options);
  nn::Features test = features_of(encoder, *sets.test, tower, options);
  together(options.world, [&] { test = labelled_rows(std::move(test)); });
  const auto classes = static_cast<std::int64_t>(sets.labelled->classes().size());
  const Tensor probe = scores_of_parts(options, test.values, [&](const Tensor& part) {
    return nn::linear_probe_scores(train, part, classes, options.probe);
  });
  const Tensor knn = knn_scores(train, test.values, classes, options);
  Evaluation evaluation;
  together(options.world, [&] {
    evaluation = {nn::compute_metrics(knn, test.labels), nn::compute_metrics(probe, test.labels),
                  nn::check_collapse((test.values.dim(0) >= 2 ? test : train).values)};
  });
  return evaluation;
}

void calibrate(nn::Module& encoder, const data::Dataset& samples, const data::Tower& tower,
               const EvaluationOptions& options) {
  const std::int64_t size = most_of_batch(tower, options);
  calibrate_by_ranks(encoder, batches(in_random_order(samples, size), tower, size, options), options);
}

void calibrate(nn::Model& model, const data::Dataset& samples, const std::vector<data::Tower>& towers,
               const EvaluationOptions& options) {
  if (model.towers() == 1) return calibrate(model.encoder(), samples, towers.front(), options);
  if (&model.encoder(0) != &model.encoder(1)) {
    for (int t = 0; t < 2; ++t) {
      calibrate(model.tower(t), samples, towers[static_cast<std::size_t>(t)], options);
    }
    return;
  }
  const std::int64_t size = most_of_batch(towers[0], options);  // of both: they see the same shape
  const auto each = [&](int t) {
    return batches(in_random_order(samples, size), towers[static_cast<std::size_t>(t)], size, options);
  };
  const auto both = [first = each(0), second = each(1)](simclr::Input& input, auto& labels) mutable {
    simclr::Input a, b;
    if (!first(a, labels) || !second(b, labels)) return false;
    const std::int64_t rows = std::min(a.rows(), b.rows());  // what cannot be read of a part is left out of it
    input = nn::both_parts(a.narrow(0, rows), b.narrow(0, rows));
    return true;
  };
  calibrate_by_ranks(model, both, options);
}

std::string evaluation_table(const Evaluation& trained, const Evaluation& untrained,
                             const std::vector<std::string>& classes) {
  std::string out = "  %                         trained  untrained      gain\n";
  out += row("kNN top-1", trained.knn.top1, untrained.knn.top1);
  out += row("kNN top-5", trained.knn.top5, untrained.knn.top5);
  out += row("kNN macro precision", trained.knn.macro_precision, untrained.knn.macro_precision);
  out += row("kNN macro recall", trained.knn.macro_recall, untrained.knn.macro_recall);
  out += row("kNN macro F1", trained.knn.macro_f1, untrained.knn.macro_f1);
  out += row("linear top-1", trained.probe.top1, untrained.probe.top1);
  out += row("linear top-5", trained.probe.top5, untrained.probe.top5);
  out += row("linear macro precision", trained.probe.macro_precision, untrained.probe.macro_precision);
  out += row("linear macro recall", trained.probe.macro_recall, untrained.probe.macro_recall);
  out += row("linear macro F1", trained.probe.macro_f1, untrained.probe.macro_f1);
  constexpr std::size_t most_classes = 20;  // CIFAR-100's hundred rows stand in log.jsonl only
  if (classes.size() <= most_classes) {
    out += per_class(trained.probe, classes);
    out += confusion_matrix(trained.probe, classes);
  }
  if (const std::string none = no_confusion(trained.probe); !none.empty()) out += "  " + none + "\n";
  return out;
}

nlohmann::ordered_json to_json(const nn::Metrics& m) {
  nlohmann::ordered_json json = {{"top1", m.top1},
                                 {"top5", m.top5},
                                 {"precision", of_classes(m.precision, m)},
                                 {"recall", of_classes(m.recall, m)},
                                 {"f1", of_classes(m.f1, m)},
                                 {"macro_precision", m.macro_precision},
                                 {"macro_recall", m.macro_recall},
                                 {"macro_f1", m.macro_f1}};
  if (const std::string none = no_confusion(m); none.empty()) {
    json["confusion"] = m.confusion;
  } else {
    json["no_confusion"] = none;
  }
  json["count"] = m.count;
  return json;
}

nlohmann::ordered_json to_json(const Evaluation& evaluation) {
  return {{"knn", to_json(evaluation.knn)},
          {"linear", to_json(evaluation.probe)},
          {"effective_rank", evaluation.collapse.effective_rank},
          {"mean_std", evaluation.collapse.mean_std},
          {"collapsed", evaluation.collapse.collapsed}};
}
