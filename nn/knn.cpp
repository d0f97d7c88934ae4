// Weighted kNN in tiles. On the CPU a thread multiplies 128 test rows with 2,048 training rows at a time (1 MiB of
// similarities, which stays in its cache) and keeps each row's best k so far. A GPU makes the similarities of some test
// rows to all training rows, and the CPU looks for the best.
#include <simclr/nn/evaluate_checks.h>

#include <simclr/core/parallel.h>
#include <simclr/kernels/gemm.h>
#include <simclr/kernels/similarity.h>

#include <algorithm>
#include <limits>

namespace simclr::nn {
namespace {

constexpr std::int64_t tile_rows = 128;
constexpr std::int64_t tile_columns = 2048;

struct Neighbour {
  float similarity;
  std::int32_t index;
};

bool closer(const Neighbour& a, const Neighbour& b) {
  return a.similarity > b.similarity || (a.similarity == b.similarity && a.index < b.index);
}

/// The k closest of the neighbours offered so far. Offers must come in ascending order of index.
class Nearest {
 public:
  explicit Nearest(std::int64_t k) : k_(static_cast<std::size_t>(k)), found_(2 * k_) {}

  void clear() {
    size_ = 0;
    threshold_ = -std::numeric_limits<float>::infinity();
  }

  void offer(const float* similarity, std::int64_t count, std::int64_t first) {
    constexpr std::int64_t block = 64;  // nearly all blocks hold nothing: one vector test each
    for (std::int64_t begin = 0; begin < count; begin += block) {
      const std::int64_t end = std::min(count, begin + block);
      int any = 0;
      for (std::int64_t j = begin; j < end; ++j) any |= similarity[j] > threshold_;
      if (any == 0) continue;
      for (std::int64_t j = begin; j < end; ++j) {
        if (similarity[j] > threshold_) add({similarity[j], static_cast<std::int32_t>(first + j)});
      }
    }
  }

  /// The k closest, closest first: one order, so that sums of votes are the same bits always.
  const Neighbour* finish(std::int64_t& count) {
    shrink();
    std::sort(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(size_), closer);
    count = static_cast<std::int64_t>(size_);
    return found_.data();
  }

 private:
  void add(const Neighbour& neighbour) {
    found_[size_++] = neighbour;
    if (size_ == found_.size()) shrink();
  }

  /// Keeps the k closest; what is no closer than the last of them cannot enter any more, as its index is higher.
  void shrink() {
    if (size_ < k_) return;
    const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(found_.begin(), kth, found_.begin() + static_cast<std::ptrdiff_t>(size_), closer);
    size_ = k_;
    threshold_ = kth->similarity;
  }

  std::size_t k_, size_ = 0;
  float threshold_ = 0;
  std::vector<Neighbour> found_;  // up to 2k, so that a shrink is paid by k additions
};

void vote(const Neighbour* nearest, std::int64_t count, const std::vector<std::int32_t>& labels, double temperature,
          std::vector<double>& votes, float* scores) {
  std::fill(votes.begin(), votes.end(), 0.0);
  double sum = 0;
  for (std::int64_t n = 0; n < count; ++n) {
    // Relative to the closest, so that no temperature overflows; the shares are the same.
    const double weight = std::exp((double{nearest[n].similarity} - double{nearest[0].similarity}) / temperature);
    votes[static_cast<std::size_t>(labels[static_cast<std::size_t>(nearest[n].index)])] += weight;
    sum += weight;
  }
  for (std::size_t c = 0; c < votes.size(); ++c) scores[c] = static_cast<float>(votes[c] / sum);
}

/// What classifies a test row by its similarities.
struct Voters {
  const std::vector<std::int32_t>& labels;
  std::int64_t k, classes;
  double temperature;
  const std::function<void()>& poll;
};

/// One thread's lists and votes.
class Classifier {
 public:
  Classifier(const Voters& voters, std::int64_t rows)
      : voters_(voters),
        nearest_(static_cast<std::size_t>(rows), Nearest(voters.k)),
        votes_(static_cast<std::size_t>(voters.classes)) {}

  void clear() {
    for (Nearest& list : nearest_) list.clear();
  }

  Nearest& row(std::int64_t i) { return nearest_[static_cast<std::size_t>(i)]; }

  void decide(std::int64_t i, float* scores) {
    std::int64_t count = 0;
    const Neighbour* found = row(i).finish(count);
    vote(found, count, voters_.labels, voters_.temperature, votes_, scores);
  }

 private:
  const Voters& voters_;
  std::vector<Nearest> nearest_;
  std::vector<double> votes_;
};

void score_on_cpu(const Tensor& queries, const Tensor& candidates, const Voters& voters, float* scores) {
  const std::int64_t n = candidates.dim(0), rows = queries.dim(0);
  struct Own {
    Tensor memory;
    Classifier classifier;
  };
  PerThread<Own> own;
  parallel_for(rows, tile_rows, [&](std::int64_t row, std::int64_t end, int thread) {
    auto& [memory, classifier] = own.get(thread, [&] {
      return Own{Tensor::empty({tile_rows * tile_columns}), Classifier(voters, tile_rows)};
    });
    const std::int64_t height = end - row;
    classifier.clear();
    for (std::int64_t column = 0; column < n; column += tile_columns) {
      if (voters.poll) voters.poll();
      const std::int64_t width = std::min(tile_columns, n - column);
      Tensor similarity = memory.narrow(0, height * width).reshape({height, width});
      kernels::gemm(queries.narrow(row, height), candidates.narrow(column, width), similarity, {.transpose_b = true});
      const float* s = similarity.data<const float>();
      for (std::int64_t i = 0; i < height; ++i) classifier.row(i).offer(s + i * width, width, column);
    }
    for (std::int64_t i = 0; i < height; ++i) classifier.decide(i, scores + (row + i) * voters.classes);
  });
}

void score_on_device(const Tensor& queries, const Tensor& candidates, const Voters& voters, float* scores) {
  const std::int64_t n = candidates.dim(0), rows = queries.dim(0);
  for (std::int64_t row = 0; row < rows; row += tile_rows) {
    if (voters.poll) voters.poll();
    const std::int64_t height = std::min(tile_rows, rows - row);
    const Tensor similarity = kernels::similarity_forward(queries.narrow(row, height), candidates, 1.0).to(Device{});
    const float* s = similarity.data<const float>();
    parallel_for(height, items_a_piece({.bytes = 4 * n}), [&](std::int64_t begin, std::int64_t end) {
      Classifier classifier(voters, 1);
      for (std::int64_t i = begin; i < end; ++i) {
        classifier.clear();
        classifier.row(0).offer(s + i * n, n, 0);
        classifier.decide(0, scores + (row + i) * voters.classes);
      }
    });
  }
}

}  // namespace

Tensor knn_scores(const Features& train, const Tensor& test, std::int64_t classes, const KnnOptions& options) {
  check_problem("kNN", train, test, classes);
  SIMCLR_CHECK(options.k > 0 && options.temperature > 0, "kNN: k ", options.k, ", temperature ", options.temperature,
               "; both must be positive");
  const Voters voters = {train.labels, std::min<std::int64_t>(options.k, train.values.dim(0)), classes,
                         options.temperature, options.poll};
  const Tensor candidates = normalize_finite("kNN", "training", train.values).u;
  const Tensor queries = normalize_finite("kNN", "test", test).u;
  Tensor scores = Tensor::empty({test.dim(0), classes});
  if (options.device.type == DeviceType::cpu) {
    score_on_cpu(queries, candidates, voters, scores.data<float>());
  } else {
    score_on_device(queries.to(options.device), candidates.to(options.device), voters, scores.data<float>());
  }
  return scores;
}

}  // namespace simclr::nn
