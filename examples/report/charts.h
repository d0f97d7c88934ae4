#pragma once

#include "run/report_material.h"
#include "run/run_log.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

using Curve = std::vector<std::array<double, 2>>;  // x, y

/// A run's log as curves. Those over steps count them from 1 through the whole run, the others have the epoch as x.
struct RunHistory {
  std::int64_t steps = 0, epochs = 0;          // logged steps, finished epochs
  std::int64_t steps_per_epoch = 0;            // 0 where no step was logged
  Curve loss, learning_rate;                   // over steps
  Curve throughput, mean_throughput;           // samples a second, of each epoch and since the start
  Curve knn, rank, alignment, uniformity;      // over epochs
  Curve r1, r10;                               // how often two towers find each other, over epochs
  std::string knn_samples = "training";        // what kNN was measured on while training, or "held-out"
  std::string rank_samples = "training";       // what the last rank was measured on, or "test"
  std::vector<std::array<double, 2>> resumed;  // step and epoch that were the last before an interruption
  double seconds = 0;                          // of training
  std::int64_t skipped = 0;                    // samples that could not be read
  bool collapsed = false;                      // the features, when they were last looked at
  std::optional<LogEntry> evaluation;          // the last one
};

RunHistory read_history(const std::vector<LogEntry>& log, std::int64_t batch_size);

/// At most about 2 * `buckets` points that look like the curve: the lowest and the highest of each bucket.
Curve decimated(const Curve& curve, std::size_t buckets);

/// The exponential moving average over about `window` points, without the pull toward 0 at its start.
Curve smoothed(const Curve& curve, double window);

/// What report.js draws: charts by the id of their place in the page. A chart without a point is left out.
nlohmann::ordered_json charts_json(const RunHistory& history, const ReportMaterial& material);
