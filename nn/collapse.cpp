// Whether features have collapsed: the spread and the effective rank of a sample of them.
#define EIGEN_DONT_PARALLELIZE  // threads come from parallel_for alone
#include "unit_rows.h"

#include <simclr/kernels/shared/check.h>
#include <simclr/nn/evaluate.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <iomanip>

namespace simclr::nn {
namespace {

// The eigenvalues of a matrix of this size take about a tenth of a second.
constexpr std::int64_t most_rows = 2000;
constexpr std::int64_t largest_matrix = 512;

// A spread of s means that two rows have a cosine of about 1 - s^2 on average: at 0.01 they agree to 0.9999, closer
// than untrained encoders bring different pictures; a loss at chance level that comes from it cannot recover.
constexpr double least_spread = 0.01;
// One direction with 90 % of the variance and twenty that share the rest still give 1.9; below 1.5 nearly all the
// variance lies along one line, on which more than two classes cannot be told apart by direction.
constexpr double least_rank = 1.5;
// Dimensional collapse (Jing et al., arXiv 2110.09348): the other dimensions hold nothing. The effective rank does not
// tell it from a healthy spectrum that falls steeply: a trained encoder of Fashion-MNIST has 9 of 128, but 99 % of its
// variance takes 52 directions. Of those measured (width 4 to 64, trained for a moment to minutes) none had below 40 %
// of its dimensions in use.
constexpr double most_variance = 0.99;
constexpr std::int64_t dimensions_a_direction = 6;
constexpr std::int64_t rows_for_rank = 4;  // two or three rows have a low rank whatever the encoder does
// Total variance of unit vectors that is nothing but f32 rounding (its square is about 4e-15 a row).
constexpr double no_variance = 1e-12;

/// How the variance is spread over directions.
struct Directions {
  double effective = 0;   // see CollapseReport::effective_rank
  std::int64_t most = 0;  // of the variance: so many hold `most_variance` of it
};

Directions directions_of(const UnitRows& centred) {
  const UnitRows product = centred.rows() < centred.cols() ? UnitRows(centred * centred.transpose())
                                                           : UnitRows(centred.transpose() * centred);
  const double total = product.trace();
  if (total <= no_variance * static_cast<double>(centred.rows())) return {};
  const Eigen::SelfAdjointEigenSolver<UnitRows> solver(product, Eigen::EigenvaluesOnly);  // in rising order
  Directions found;
  double entropy = 0, held = 0;
  for (Eigen::Index i = solver.eigenvalues().size(); i-- > 0;) {
    const double share = solver.eigenvalues()[i] / total;
    if (held < most_variance) ++found.most;
    held += share;
    if (share > 0) entropy -= share * std::log(share);
  }
  found.effective = std::exp(entropy);
  return found;
}

}  // namespace

CollapseReport check_collapse(const Tensor& values) {
  kernels::check_rank("collapse check", "values", values, 2);
  SIMCLR_CHECK(values.dtype() == DType::f32 && is_host_memory(values.device()),
               "collapse check: values must be f32 on the CPU, got ", describe(values));
  SIMCLR_CHECK(values.dim(0) >= 2 && values.dim(1) >= 1, "collapse check: values are ", values.shape(),
               "; at least two rows and one column are needed");
  CollapseReport report;
  const float* x = values.data<const float>();
  const std::int64_t broken = std::count_if(x, x + values.numel(), [](float v) { return !std::isfinite(v); });
  std::ostringstream message;
  if (broken > 0) {
    report.collapsed = true;
    message << "features hold NaN or Inf (" << broken << " of " << values.numel()
            << " values): training diverged; lower the learning rate or lengthen the warm-up";
    report.message = message.str();
    return report;
  }

  UnitRows sample = unit_rows(values, values.dim(1) > largest_matrix ? largest_matrix : most_rows);
  sample.rowwise() -= Eigen::RowVectorXd(sample.colwise().mean());
  const auto rows = static_cast<double>(sample.rows()), dimensions = static_cast<double>(sample.cols());
  report.mean_std = (sample.colwise().squaredNorm() / rows).cwiseSqrt().mean() * std::sqrt(dimensions);
  const Directions directions = directions_of(sample);
  report.effective_rank = directions.effective;

  const std::int64_t most = std::min(sample.rows() - 1, sample.cols());  // the highest rank there could be
  const bool point = report.mean_std < least_spread;
  const bool line = !point && most >= rows_for_rank && report.effective_rank < least_rank;
  const bool plane = !point && !line && most >= rows_for_rank && dimensions_a_direction * directions.most <= most;
  report.collapsed = point || line || plane;
  message << std::fixed << std::setprecision(2);
  if (point) {
    message << "features have collapsed: all inputs give nearly the same vector (";
  } else if (line) {
    message << "features have collapsed to nearly one direction (";
  } else if (plane) {
    message << "features have collapsed to " << directions.most << " of " << most << " dimensions (";
  } else {
    message << "features are spread: ";
  }
  message << "effective rank " << report.effective_rank << " of " << most << ", spread " << report.mean_std;
  if (report.collapsed) message << "); lower the learning rate, and check the temperature and the augmentation";
  report.message = message.str();
  return report;
}

}  // namespace simclr::nn
