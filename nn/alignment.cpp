// Alignment and uniformity: what the contrastive loss asks of features on the unit sphere.
#define EIGEN_DONT_PARALLELIZE  // threads come from parallel_for alone
#include "evaluate_checks.h"
#include "unit_rows.h"

#include <simclr/core/parallel.h>
#include <simclr/nn/evaluate.h>

#include <cmath>
#include <numeric>

namespace simclr::nn {
namespace {

constexpr std::int64_t most_rows = 2000;
constexpr std::int64_t tile = 64;  // rows; fixed, so that the sums do not depend on the threads

}  // namespace

double alignment(const Tensor& a, const Tensor& b) {
  check_features("alignment", "features", a);
  check_features("alignment", "features", b);
  SIMCLR_CHECK(a.shape() == b.shape() && a.dim(0) >= 1, "alignment: features are ", a.shape(), " and ", b.shape(),
               "; two views of the same inputs are needed, at least one");
  const std::int64_t rows = a.dim(0);
  return (unit_rows(a, rows) - unit_rows(b, rows)).rowwise().squaredNorm().sum() / static_cast<double>(rows);
}

double uniformity(const Tensor& values) {
  check_features("uniformity", "features", values);
  SIMCLR_CHECK(values.dim(0) >= 2, "uniformity: features are ", values.shape(), "; at least two rows are needed");
  const UnitRows x = unit_rows(values, most_rows);
  const Eigen::VectorXd squared = x.rowwise().squaredNorm();  // 1, or 0 for a row of norm 0
  const std::int64_t n = x.rows(), tiles = (n + tile - 1) / tile;
  std::vector<double> sums(static_cast<std::size_t>(tiles));
  parallel_for(tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t first = t * tile, rows = std::min(tile, n - first);
      const UnitRows products = x.middleRows(first, rows) * x.bottomRows(n - first).transpose();
      double sum = 0;
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = i + 1; j < n - first; ++j) {
          sum += std::exp(-2 * (squared[first + i] + squared[first + j] - 2 * products(i, j)));
        }
      }
      sums[static_cast<std::size_t>(t)] = sum;
    }
  });
  const double pairs = static_cast<double>(n) * static_cast<double>(n - 1) / 2;
  return std::log(std::accumulate(sums.begin(), sums.end(), 0.0) / pairs);
}

}  // namespace simclr::nn
