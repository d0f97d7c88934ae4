#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/batchnorm.h>
#include <simclr/kernels/elementwise.h>

#include <functional>
#include <limits>

using namespace simclr;
using namespace simclr::kernels;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;
constexpr double eps = 1e-5;

// f32: the values are near 1, each result takes some ten roundings of 6e-8, and sums over rows add at most
// 32 values before f64 takes over.
double tolerance(DType dtype) {
  return dtype == DType::f64 ? 1e-12 : 3e-6;
}

/// Everything the op should give, by loops in double. The ReLU mask is the tested y's: a value that rounds to the
/// other side of 0 is checked in y and must not fail the gradient.
struct Reference {
  Values sum, magnitudes, squares, mean, var, y, g, dgamma, dbeta, dx, dx_evaluation;

  Reference(const Tensor& x_tensor, const Tensor& gamma_tensor, const Tensor& beta_tensor, const Tensor& residual,
            bool relu, const Tensor& dy_tensor, const Tensor& mask) {
    const Values x = x_tensor.to_vector<double>(), gamma = gamma_tensor.to_vector<double>(),
                 beta = beta_tensor.to_vector<double>(), dy = dy_tensor.to_vector<double>();
    const Values r = residual.defined() ? residual.to_vector<double>() : Values(x.size(), 0.0);
    const Values kept = mask.to_vector<double>();
    const std::size_t channels = gamma.size(), rows = x.size() / channels;
    const auto n = static_cast<double>(rows);
    sum = magnitudes = squares = mean = var = dgamma = dbeta = Values(channels, 0.0);
    y = g = dx = dx_evaluation = Values(x.size());
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t i = c; i < x.size(); i += channels) mean[c] += x[i] / n;
      for (std::size_t i = c; i < x.size(); i += channels) {
        sum[c] += x[i] - x[c];
        magnitudes[c] += std::abs(x[i] - x[c]);
        squares[c] += (x[i] - x[c]) * (x[i] - x[c]);
        var[c] += (x[i] - mean[c]) * (x[i] - mean[c]) / n;
      }
      const double rstd = 1 / std::sqrt(var[c] + eps);
      for (std::size_t i = c; i < x.size(); i += channels) {
        const double xhat = (x[i] - mean[c]) * rstd;
        y[i] = gamma[c] * xhat + beta[c] + r[i];
        if (relu) y[i] = std::max(y[i], 0.0);
        g[i] = !relu || kept[i] > 0 ? dy[i] : 0.0;
        dbeta[c] += g[i];
        dgamma[c] += g[i] * xhat;
      }
      for (std::size_t i = c; i < x.size(); i += channels) {
        const double xhat = (x[i] - mean[c]) * rstd;
        dx[i] = gamma[c] * rstd * (g[i] - dbeta[c] / n - xhat * dgamma[c] / n);
        dx_evaluation[i] = gamma[c] * rstd * g[i];
      }
    }
  }
};

Tensor like(const Values& values, const Tensor& tensor) {
  return Tensor::from(values, tensor.shape());
}

/// The largest |a - b| / scale, element by element.
double error_against(const Values& a, const Values& b, const Values& scale) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]) / (scale[i] + 1e-30));
  return worst;
}

Tensor poisoned(const Shape& shape, DType dtype) {
  return Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), dtype);
}

struct Inputs {
  Tensor x, gamma, beta, residual, dy;

  Inputs(std::int64_t rows, std::int64_t channels, DType dtype)
      : x(random_tensor({rows, channels}, 1, dtype)),
        gamma(random_tensor({channels}, 2, dtype, -1.0, 1.5)),
        beta(random_tensor({channels}, 3, dtype, -0.5, 0.5)),
        residual(random_tensor({rows, channels}, 4, dtype)),
        dy(random_tensor({rows, channels}, 5, dtype)) {}

  BatchnormStatistics statistics() const {
    return batchnorm_finalize(batchnorm_sums(x), x.dim(0), x.dtype(), eps, 0.1, {}, {});
  }
};

void check_case(const Inputs& in, bool with_residual, bool relu) {
  const DType dtype = in.x.dtype();
  const std::int64_t rows = in.x.dim(0), channels = in.x.dim(1);
  const Tensor residual = with_residual ? in.residual : Tensor();
  CAPTURE(dtype, rows, channels, with_residual, relu);
  const BatchnormStatistics statistics = in.statistics();
  const Tensor y = batchnorm_apply(in.x, statistics, in.gamma, in.beta, residual, relu);
  const Reference expected(in.x, in.gamma, in.beta, residual, relu, in.dy, y);
  const double limit = tolerance(dtype);
  const Tensor sums = batchnorm_sums(in.x);
  const auto all = sums.to_vector<double>();
  CHECK(Values(all.begin(), all.begin() + channels) == in.x.narrow(0, 1).to_vector<double>());
  CHECK(error_against(sums.narrow(1, 1).to_vector<double>(), expected.sum, expected.magnitudes) < limit);
  CHECK(error_against(sums.narrow(2, 1).to_vector<double>(), expected.squares, expected.squares) < limit);
  CHECK(relative_error(statistics.mean, like(expected.mean, in.gamma)) < limit);
  CHECK(relative_error(y, like(expected.y, y)) < limit);

  const BatchnormSaved saved{in.x, in.gamma, in.beta, statistics, with_residual && relu ? y : Tensor(), relu};
  Tensor dgamma = poisoned({channels}, dtype), dbeta = poisoned({channels}, dtype);
  Tensor masked = poisoned(in.x.shape(), dtype);
  batchnorm_backward_sums(in.dy, saved, dgamma, dbeta, masked);
  CHECK(relative_error(dgamma, like(expected.dgamma, dgamma)) < limit);
  CHECK(relative_error(dbeta, like(expected.dbeta, dbeta)) < limit);
  CHECK(relative_error(masked, like(expected.g, masked)) == 0);
  Tensor dgamma_alone = poisoned({channels}, dtype), dbeta_alone = poisoned({channels}, dtype);
  batchnorm_backward_sums(in.dy, saved, dgamma_alone, dbeta_alone, {});
  CHECK(same_bits(dgamma_alone, dgamma));
  CHECK(same_bits(dbeta_alone, dbeta));

  const Tensor dx = batchnorm_backward_data(in.dy, false, saved, dgamma, dbeta, rows, true);
  CHECK(relative_error(dx, like(expected.dx, dx)) < limit);
  CHECK(same_bits(batchnorm_backward_data(masked, true, saved, dgamma, dbeta, rows, true), dx));
  const Tensor dx_evaluation = batchnorm_backward_data(in.dy, false, saved, {}, {}, 0, false);
  CHECK(relative_error(dx_evaluation, like(expected.dx_evaluation, dx_evaluation)) < limit);
  CHECK(same_bits(batchnorm_backward_data(masked, true, saved, {}, {}, 0, false), dx_evaluation));
}

}  // namespace

TEST_CASE("batchnorm agrees with loops in double, forward and backward") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const std::int64_t rows : {31, 32, 33, 127, 129, 1003}) {
      for (const std::int64_t channels : {1, 3, 16, 31, 33, 64, 129}) {
        const Inputs in(rows, channels, dtype);
        for (const bool with_residual : {false, true}) {
          for (const bool relu : {false, true}) check_case(in, with_residual, relu);
        }
      }
    }
  }
}

TEST_CASE("batchnorm agrees with loops where rows fill several blocks, and where a step is one row") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    check_case(Inputs(70001, 3, dtype), false, true);
    check_case(Inputs(9001, 64, dtype), true, true);
    check_case(Inputs(131, 1025, dtype), true, true);
  }
}
