#include <simclr/nn/evaluate_checks.h>
#include <simclr/nn/retrieval.h>

#include <simclr/core/parallel.h>
#include <simclr/kernels/gemm.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <unordered_map>

namespace simclr::nn {
namespace {

constexpr std::int64_t tile_values = std::int64_t{1} << 20;  // similarities that a thread holds
constexpr std::int64_t most_rows = 128;

/// The candidates of each group.
using Groups = std::unordered_map<std::int32_t, std::vector<std::int64_t>>;

void check_groups(const char* what, const Tensor& values, const std::vector<std::int32_t>& groups) {
  SIMCLR_CHECK(values.dim(0) > 0 && values.dim(1) > 0, "retrieval: ", what, " are ", values.shape(),
               "; at least one row and one column are needed");
  SIMCLR_CHECK(std::ssize(groups) == values.dim(0), "retrieval: ", groups.size(), " groups of ", values.dim(0), " ",
               what, "; each row has one");
}

/// From 1: one more than the wrong candidates that are at least as similar as the best right one.
std::int64_t rank_of(const float* similarity, std::int64_t candidates, const std::vector<std::int64_t>& right) {
  float best = -std::numeric_limits<float>::infinity();
  for (const std::int64_t i : right) best = std::max(best, similarity[i]);
  std::int64_t before = 0;
  for (std::int64_t i = 0; i < candidates; ++i) before += similarity[i] >= best;
  for (const std::int64_t i : right) before -= similarity[i] >= best;
  return 1 + before;
}

/// That of `right` of `candidates` in a random order one is among the first k.
double chance_of(std::int64_t right, std::int64_t candidates, std::int64_t k) {
  double none = 1;
  for (std::int64_t i = 0; i < std::min(k, candidates); ++i) {
    none *= std::max(0.0, static_cast<double>(candidates - right - i) / static_cast<double>(candidates - i));
  }
  return 1 - none;
}

double median_of(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  const auto upper = static_cast<double>(values[half]);
  return values.size() % 2 == 1 ? upper : (static_cast<double>(values[half - 1]) + upper) / 2;
}

}  // namespace

Retrieval retrieval(const Tensor& queries, const Tensor& candidates, const std::vector<std::int32_t>& query_groups,
                    const std::vector<std::int32_t>& candidate_groups, const RetrievalOptions& options) {
  check_features("retrieval", "queries", queries);
  check_features("retrieval", "candidates", candidates);
  check_groups("queries", queries, query_groups);
  check_groups("candidates", candidates, candidate_groups);
  SIMCLR_CHECK(queries.dim(1) == candidates.dim(1), "retrieval: queries have ", queries.dim(1), " columns, candidates ",
               candidates.dim(1), "; both must come from one model");
  Groups right;
  for (std::int64_t i = 0; i < candidates.dim(0); ++i) {
    right[candidate_groups[static_cast<std::size_t>(i)]].push_back(i);
  }
  for (const std::int32_t group : query_groups) {
    SIMCLR_CHECK(right.contains(group), "retrieval: there is no candidate of a query's group, which is ", group,
                 "; leave out what has no other half");
  }
  const Tensor asked = normalize_finite("retrieval", "queries'", queries).u;
  const Tensor among = normalize_finite("retrieval", "candidates'", candidates).u;
  const std::int64_t n = asked.dim(0), m = among.dim(0);
  const std::int64_t rows = std::clamp<std::int64_t>(tile_values / m, 1, most_rows);
  std::vector<std::int64_t> ranks(static_cast<std::size_t>(n));
  parallel_for(n, rows, [&](std::int64_t row, std::int64_t end) {
    if (options.poll) options.poll();
    Tensor similarity = Tensor::empty({end - row, m});
    kernels::gemm(asked.narrow(row, end - row), among, similarity, {.transpose_b = true});
    for (std::int64_t i = row; i < end; ++i) {
      const float* s = similarity.data<const float>() + (i - row) * m;
      const auto at = static_cast<std::size_t>(i);
      ranks[at] = rank_of(s, m, right.at(query_groups[at]));
    }
  });

  Retrieval found{.queries = n, .candidates = m};  // counts and sums first: a sum of shares may round to above 1
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const std::int64_t of_group = std::ssize(right.at(query_groups[i]));
    for (const auto& [k, share, chance] :
         {std::tuple(1, &found.r1, &found.chance1), std::tuple(5, &found.r5, &found.chance5),
          std::tuple(10, &found.r10, &found.chance10)}) {
      *share += ranks[i] <= k ? 1.0 : 0.0;
      *chance += chance_of(of_group, m, k);
    }
  }
  for (double* const sum : {&found.r1, &found.r5, &found.r10, &found.chance1, &found.chance5, &found.chance10}) {
    *sum /= static_cast<double>(n);
  }
  found.median_rank = median_of(std::move(ranks));
  return found;
}

}  // namespace simclr::nn
