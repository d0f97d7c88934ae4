#pragma once

#include <simclr/core/tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace simclr::nn {

/// How often the right one is among the first k of all candidates, by cosine: recall at k, from 0 to 1. Chance is that
/// of candidates in a random order.
struct Retrieval {
  double r1 = 0, r5 = 0, r10 = 0;
  double chance1 = 0, chance5 = 0, chance10 = 0;
  double median_rank = 0;  // of the first right one, from 1; of an even number of queries the mean of the middle two
  std::int64_t queries = 0, candidates = 0;
};

struct RetrievalOptions {
  std::function<void()> poll = {};  // called about every piece of the work, by several threads: what it throws ends it
};

/// R@1, R@5 and R@10 of queries [N,F] among candidates [M,F], f32 on the CPU, as two towers give them: right is a
/// candidate whose group is the query's, and several may be. A wrong candidate that is as similar as the best right one
/// counts as before it, so that features that are all alike score 0, not by their order. A row of norm 0 has similarity
/// 0 to all. The same bits for every thread count. Memory: copies of the features over their norms and 4 MiB a thread.
/// Throws Error for shapes that do not fit, NaN or Inf, groups that are not one a row, and a query of whose group there
/// is no candidate.
SIMCLR_API Retrieval retrieval(const Tensor& queries, const Tensor& candidates,
                               const std::vector<std::int32_t>& query_groups,
                               const std::vector<std::int32_t>& candidate_groups, const RetrievalOptions& options = {});

}  // namespace simclr::nn
