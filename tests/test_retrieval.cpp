// R@k against plain loops in double.
#include <simclr/core/parallel.h>
#include <simclr/nn/retrieval.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace simclr;
using test::message_of;
using test::random_tensor;

namespace {

using Groups = std::vector<std::int32_t>;

/// The rank of the first right one, from 1: wrong ones that are as similar come before it.
std::vector<std::int64_t> ranks(const Tensor& queries, const Tensor& candidates, const Groups& asked,
                                const Groups& among) {
  const std::int64_t n = queries.dim(0), m = candidates.dim(0), width = queries.dim(1);
  const auto a = queries.to_vector<double>(), b = candidates.to_vector<double>();
  std::vector<std::int64_t> found;
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<double> s(static_cast<std::size_t>(m));
    for (std::int64_t k = 0; k < m; ++k) {
      double dot = 0, x = 0, y = 0;
      for (std::int64_t d = 0; d < width; ++d) {
        dot += a[i * width + d] * b[k * width + d];
        x += a[i * width + d] * a[i * width + d];
        y += b[k * width + d] * b[k * width + d];
      }
      s[k] = x == 0 || y == 0 ? 0 : dot / std::sqrt(x * y);
    }
    double best = -2;
    for (std::int64_t k = 0; k < m; ++k) best = among[k] == asked[i] ? std::max(best, s[k]) : best;
    std::int64_t rank = 1;
    for (std::int64_t k = 0; k < m; ++k) rank += among[k] != asked[i] && s[k] >= best;
    found.push_back(rank);
  }
  return found;
}

double share(const std::vector<std::int64_t>& of, std::int64_t k) {
  return static_cast<double>(std::count_if(of.begin(), of.end(), [&](std::int64_t rank) { return rank <= k; })) /
         static_cast<double>(of.size());
}

/// Row i is of group i % groups.
Groups counting(std::int64_t rows, std::int64_t groups) {
  Groups all;
  for (std::int64_t i = 0; i < rows; ++i) all.push_back(static_cast<std::int32_t>(i % groups));
  return all;
}

/// Rows that point along one axis each.
Tensor axes(const std::vector<std::int64_t>& which, std::int64_t width) {
  Tensor rows = Tensor::full({std::ssize(which), width}, 0);
  for (std::size_t i = 0; i < which.size(); ++i) {
    rows.data<float>()[static_cast<std::int64_t>(i) * width + which[i]] = 1;
  }
  return rows;
}

}  // namespace

TEST_CASE("retrieval agrees with loops, for every number of threads") {
  const int threads_before = threads();
  for (const std::int64_t m : {1, 11, 129, 1003}) {
    for (const std::int64_t n : {1, 33, 257}) {
      const std::int64_t groups = std::min<std::int64_t>(m, 40);  // above 40 candidates each has several right ones
      const Tensor candidates = random_tensor({m, 8}, 1, DType::f32), queries = random_tensor({n, 8}, 2, DType::f32);
      const Groups asked = counting(n, groups), among = counting(m, groups);
      const auto expected = ranks(queries, candidates, asked, among);
      for (const int count : {1, 3}) {
        set_threads(count);
        const nn::Retrieval found = nn::retrieval(queries, candidates, asked, among);
        INFO("N " << n << " M " << m << ", " << count << " threads");
        CHECK(found.queries == n);
        CHECK(found.candidates == m);
        CHECK(found.r1 == Approx(share(expected, 1)));
        CHECK(found.r5 == Approx(share(expected, 5)));
        CHECK(found.r10 == Approx(share(expected, 10)));
        auto sorted = expected;
        std::sort(sorted.begin(), sorted.end());
        const auto half = sorted.size() / 2;
        CHECK(found.median_rank == (n % 2 == 1 ? static_cast<double>(sorted[half])
                                               : static_cast<double>(sorted[half - 1] + sorted[half]) / 2));
      }
    }
  }
  set_threads(threads_before);
}

TEST_CASE("retrieval's chance is that of a random order") {
  const Tensor queries = random_tensor({4, 3}, 1, DType::f32), candidates = random_tensor({20, 3}, 2, DType::f32);
  nn::Retrieval found = nn::retrieval(queries, candidates, counting(4, 20), counting(20, 20));
  CHECK(found.chance1 == Approx(1.0 / 20));
  CHECK(found.chance5 == Approx(5.0 / 20));
  CHECK(found.chance10 == Approx(10.0 / 20));
  found = nn::retrieval(queries, candidates, counting(4, 10), counting(20, 10));  // two right ones of 20 each
  CHECK(found.chance1 == Approx(2.0 / 20));
  CHECK(found.chance5 == Approx(1 - 15.0 * 14 / (20 * 19)));
  const Tensor few = random_tensor({3, 3}, 3, DType::f32);
  found = nn::retrieval(few, few, {0, 1, 2}, {0, 1, 2});
  CHECK(found.chance5 == 1);  // fewer candidates than 5
  CHECK(found.r5 == 1);
  CHECK(found.r1 == 1);  // each finds itself
}

TEST_CASE("features that are all alike find nothing, in whatever order they are") {
  const Tensor alike = Tensor::full({20, 4}, 1);
  const nn::Retrieval found = nn::retrieval(alike, alike, counting(20, 20), counting(20, 20));
  CHECK(found.r1 == 0);
  CHECK(found.r10 == 0);
  CHECK(found.median_rank == 20);
  const Tensor zero = Tensor::full({20, 4}, 0);
  CHECK(nn::retrieval(zero, zero, counting(20, 20), counting(20, 20)).r10 == 0);
  // A right one that is as similar as another right one counts.
  const Tensor two = axes({0, 0, 1, 1}, 2);
  CHECK(nn::retrieval(two, two, {0, 0, 1, 1}, {0, 0, 1, 1}).r1 == 1);
}

TEST_CASE("retrieval asks in one direction, among more candidates than queries") {
  const Tensor queries = axes({2, 3}, 4), candidates = axes({0, 1, 2, 3, 2}, 4);
  const nn::Retrieval found = nn::retrieval(queries, candidates, {7, 8}, {1, 2, 7, 8, 3});
  CHECK(found.r1 == 0.5);  // the first query has an equal of another group
  CHECK(found.r5 == 1);
  CHECK(found.median_rank == 1.5);
}

TEST_CASE("retrieval refuses what it cannot measure") {
  const Tensor a = random_tensor({3, 4}, 1, DType::f32);
  const Groups g = {0, 1, 2};
  const auto message = [&](const Tensor& queries, const Tensor& candidates, const Groups& asked, const Groups& among) {
    return message_of([&] { nn::retrieval(queries, candidates, asked, among); });
  };
  CHECK(message(a, a, g, g) == "no error");
  CHECK_THAT(message(a, a, {0, 1, 5}, g), Catch::Contains("no candidate of a query's group, which is 5"));
  CHECK_THAT(message(a, a, {0, 1}, g), Catch::Contains("2 groups of 3 queries"));
  CHECK_THAT(message(a, a, g, {0, 1}), Catch::Contains("2 groups of 3 candidates"));
  CHECK_THAT(message(a, random_tensor({3, 5}, 1, DType::f32), g, g), Catch::Contains("queries have 4 columns"));
  CHECK_THAT(message(a.to(DType::f64), a, g, g), Catch::Contains("must be f32 on the CPU"));
  Tensor broken = a.clone();
  broken.data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(message(broken, a, g, g), Catch::Contains("row 1 of the queries' features holds NaN or Inf"));
  const auto poll = [] { fail("stop"); };
  CHECK(message_of([&] { nn::retrieval(a, a, g, g, {.poll = poll}); }) == "stop");
}
