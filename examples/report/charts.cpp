#include "report/charts.h"

#include <algorithm>
#include <cmath>

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t most_buckets = 500;

void add_point(Curve& curve, double x, const Json& object, const char* key) {
  if (const auto y = number_of(object, key)) curve.push_back({x, *y});
}

/// Six digits are more than a screen shows.
double rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double factor = std::pow(10, 5 - std::floor(std::log10(std::abs(value))));
  return std::isfinite(factor) && factor >= 1 ? std::round(value * factor) / factor : value;
}

Json series(const std::string& name, const char* style, const Curve& curve) {
  Json points = Json::array();
  for (const auto& [x, y] : curve) points.push_back({x, rounded(y)});
  return {{"name", name}, {"style", style}, {"points", std::move(points)}};
}

Json marks_of(const RunHistory& history, int axis) {
  Json marks = Json::array();
  for (const auto& place : history.resumed) marks.push_back({{"x", place[axis]}, {"name", "resumed"}});
  return marks;
}

Json chart(const char* x, const char* y, const char* format, Json all_series, Json marks) {
  return {{"x", x}, {"y", y}, {"format", format}, {"series", std::move(all_series)}, {"marks", std::move(marks)}};
}

Json loss_chart(const RunHistory& history, const ReportMaterial& material) {
  Json all = Json::array();
  const double window = std::max(5.0, static_cast<double>(history.loss.size()) / 50);
  if (history.loss.size() >= 20) {
    all.push_back(series("each step", "thin", decimated(history.loss, most_buckets)));
    all.push_back(series("smoothed", "line", decimated(smoothed(history.loss, window), most_buckets / 2)));
  } else {
    all.push_back(series("loss", "line", history.loss));
  }
  Json result = chart("step", "loss", "number", std::move(all), marks_of(history, 0));
  if (material.chance > 0) {
    result["levels"] = {{{"name", "chance"}, {"y", material.chance}}, {{"name", "bound"}, {"y", material.bound}}};
  }
  result["steps_per_epoch"] = history.steps_per_epoch;
  return result;
}

Json knn_chart(const RunHistory& history) {
  Json all = Json::array();
  if (!history.knn.empty()) {
    all.push_back(series("while training, on " + history.knn_samples + " samples", "line", history.knn));
  }
  const Json measured = history.evaluation.value_or(Json::object());
  if (const auto top1 = number_of(object_of(object_of(measured, "trained"), "knn"), "top1")) {
    all.push_back(series("at the end, all test samples", "dots", {{static_cast<double>(history.epochs), *top1}}));
  }
  Json result = chart("epoch", "kNN accuracy", "percent", std::move(all), marks_of(history, 1));
  if (const auto top1 = number_of(object_of(object_of(measured, "untrained"), "knn"), "top1")) {
    result["levels"] = Json::array({{{"name", "untrained"}, {"y", *top1}}});
  }
  return result;
}

}  // namespace

RunHistory read_history(const std::vector<LogEntry>& log, std::int64_t batch_size) {
  RunHistory h;
  double epoch = 0, before = 0;  // seconds of training up to the end of the epoch before
  std::int64_t steps_of_epoch = 0;
  for (const LogEntry& entry : log) {
    const std::string event = event_of(entry);
    const auto epoch_now = number_of(entry, "epoch");
    if (event == "step") {
      ++h.steps;
      if (epoch_now.value_or(epoch) != epoch) steps_of_epoch = 0;
      epoch = epoch_now.value_or(epoch);
      h.steps_per_epoch = std::max(h.steps_per_epoch, ++steps_of_epoch);
      add_point(h.loss, static_cast<double>(h.steps), entry, "loss");
      add_point(h.learning_rate, static_cast<double>(h.steps), entry, "learning_rate");
    } else if (event == "epoch" && epoch_now) {
      ++h.epochs;
      add_point(h.mean_throughput, *epoch_now, entry, "samples_per_second");
      h.seconds = number_of(entry, "seconds").value_or(h.seconds);
      h.skipped = static_cast<std::int64_t>(number_of(entry, "skipped_samples").value_or(0));
      const double spent = h.seconds - (h.seconds > before ? before : 0);
      if (spent > 0 && steps_of_epoch > 0) {
        h.throughput.push_back({*epoch_now, static_cast<double>(steps_of_epoch * batch_size) / spent});
      }
      before = h.seconds;
    } else if (event == "knn" && epoch_now) {
      add_point(h.knn, *epoch_now, entry, "top1");
      if (entry.contains("samples") && entry["samples"].is_string()) h.knn_samples = entry["samples"];
      add_point(h.rank, *epoch_now, entry, "effective_rank");
      h.rank_samples = "training";
      h.collapsed = entry.value("collapsed", Json()) == true;
      add_point(h.alignment, *epoch_now, entry, "alignment");
      add_point(h.uniformity, *epoch_now, entry, "uniformity");
      add_point(h.r1, *epoch_now, object_of(entry, "retrieval"), "r1");
      add_point(h.r10, *epoch_now, object_of(entry, "retrieval"), "r10");
    } else if (event == "resume") {
      const double share =
          h.steps_per_epoch > 0 ? static_cast<double>(h.steps) / static_cast<double>(h.steps_per_epoch) : 0;
      h.resumed.push_back({static_cast<double>(h.steps), share});
    } else if (event == "evaluation") {
      h.evaluation = entry;
      h.rank_samples = "test";
      h.collapsed = object_of(entry, "trained").value("collapsed", Json()) == true;
      add_point(h.rank, static_cast<double>(h.epochs), object_of(entry, "trained"), "effective_rank");
    }
  }
  return h;
}

Curve decimated(const Curve& curve, std::size_t buckets) {
  if (curve.size() <= 2 * buckets) return curve;
  Curve kept;
  for (std::size_t b = 0; b < buckets; ++b) {
    const auto begin = curve.begin() + static_cast<std::ptrdiff_t>(b * curve.size() / buckets);
    const auto end = curve.begin() + static_cast<std::ptrdiff_t>((b + 1) * curve.size() / buckets);
    const auto [low, high] = std::minmax_element(begin, end, [](const auto& p, const auto& q) { return p[1] < q[1]; });
    kept.push_back(*std::min(low, high));
    if (low != high) kept.push_back(*std::max(low, high));
  }
  if (kept.front() != curve.front()) kept.insert(kept.begin(), curve.front());
  if (kept.back() != curve.back()) kept.push_back(curve.back());
  return kept;
}

Curve smoothed(const Curve& curve, double window) {
  const double keep = 1 - 2 / (window + 1);
  double sum = 0, weight = 0;
  Curve smooth;
  for (const auto& [x, y] : curve) {
    sum = keep * sum + y;
    weight = keep * weight + 1;
    smooth.push_back({x, sum / weight});
  }
  return smooth;
}

Json charts_json(const RunHistory& h, const ReportMaterial& material) {
  const Json steps = marks_of(h, 0), epochs = marks_of(h, 1);
  Json charts = Json::object();
  if (!h.loss.empty()) charts["loss"] = loss_chart(h, material);
  if (!h.learning_rate.empty()) {
    charts["learning-rate"] =
        chart("step", "learning rate", "number",
              Json::array({series("learning rate", "line", decimated(h.learning_rate, most_buckets))}), steps);
    charts["learning-rate"]["min"] = 0;
    charts["learning-rate"]["steps_per_epoch"] = h.steps_per_epoch;
  }
  if (!h.mean_throughput.empty()) {
    charts["throughput"] =
        chart("epoch", "samples a second", "number",
              Json::array({series("each epoch", "line", decimated(h.throughput, most_buckets)),
                           series("mean since the start", "thin", decimated(h.mean_throughput, most_buckets))}),
              epochs);
    charts["throughput"]["min"] = 0;
  }
  if (Json knn = knn_chart(h); !knn["series"].empty()) charts["knn"] = std::move(knn);
  if (!h.r1.empty()) {
    charts["retrieval"] = chart("epoch", "retrieval", "percent",
                                Json::array({series("R@1", "line", h.r1), series("R@10", "thin", h.r10)}), epochs);
  }
  const auto add = [&](const char* id, const char* y, const Curve& curve) {
    if (curve.empty()) return;
    charts[id] = chart("epoch", y, "number", Json::array({series(y, "line", decimated(curve, most_buckets))}), epochs);
  };
  add("rank", "effective rank", h.rank);
  add("alignment", "alignment", h.alignment);
  add("uniformity", "uniformity", h.uniformity);
  if (charts.contains("rank")) charts["rank"]["min"] = 0;
  return charts;
}
