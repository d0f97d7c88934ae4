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

  Tensor place = in.dy.clone();
  batchnorm_backward_data(place, false, saved, dgamma, dbeta, rows, true, place);
  CHECK(same_bits(place, dx));
  place.copy_from(in.dy);
  batchnorm_backward_sums(place, saved, dgamma_alone, dbeta_alone, place);
  CHECK(same_bits(place, masked));
  CHECK(same_bits(dgamma_alone, dgamma));
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

TEST_CASE("the fused forms equal batchnorm, add and ReLU one after the other") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Inputs in(129, 33, dtype);
    const auto statistics = in.statistics();
    const Tensor plain = batchnorm_apply(in.x, statistics, in.gamma, in.beta, {}, false);
    const Tensor sum = add(plain, in.residual);
    // Not the same bits: fused, the compiler may keep the product unrounded.
    const double limit = dtype == DType::f64 ? 1e-15 : 3e-7;
    CHECK(relative_error(batchnorm_apply(in.x, statistics, in.gamma, in.beta, in.residual, false), sum) < limit);
    CHECK(same_bits(batchnorm_apply(in.x, statistics, in.gamma, in.beta, {}, true), relu_forward(plain)));
    const Tensor y = batchnorm_apply(in.x, statistics, in.gamma, in.beta, in.residual, true);
    CHECK(relative_error(y, relu_forward(sum)) < limit);

    // backward: the mask, then plain batchnorm
    const BatchnormSaved fused{in.x, in.gamma, in.beta, statistics, y, true};
    const BatchnormSaved unfused{in.x, in.gamma, in.beta, statistics, {}, false};
    const Tensor g = relu_backward(in.dy, y);
    Tensor dgamma = poisoned({33}, dtype), dbeta = poisoned({33}, dtype), masked = poisoned(g.shape(), dtype);
    Tensor dgamma_unfused = poisoned({33}, dtype), dbeta_unfused = poisoned({33}, dtype);
    batchnorm_backward_sums(in.dy, fused, dgamma, dbeta, masked);
    batchnorm_backward_sums(g, unfused, dgamma_unfused, dbeta_unfused, {});
    CHECK(same_bits(masked, g));
    CHECK(same_bits(dgamma, dgamma_unfused));
    CHECK(same_bits(dbeta, dbeta_unfused));
    CHECK(same_bits(batchnorm_backward_data(in.dy, false, fused, dgamma, dbeta, 129, true),
                    batchnorm_backward_data(g, false, unfused, dgamma, dbeta, 129, true)));
  }
}

TEST_CASE("the recomputed ReLU mask is the forward pass's to the last value") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    // Coarse values and beta = -(x - mean) scale of row 0 put many results at or beside 0.
    Tensor x = random_tensor({4099, 17}, 8, DType::f64, 0.0, 16.0).to(DType::i32).to(dtype);
    Inputs in(2, 17, dtype);
    in.x = x;
    const auto statistics = in.statistics();
    const auto mean = statistics.mean.to_vector<double>(), rstd = statistics.rstd.to_vector<double>(),
               gamma = in.gamma.to_vector<double>();
    Values beta(17);
    for (std::size_t c = 0; c < 17; ++c) beta[c] = -(x.to_vector<double>()[c] - mean[c]) * rstd[c] * gamma[c];
    in.beta = like(beta, in.beta).to(dtype);
    const Tensor y = batchnorm_apply(x, statistics, in.gamma, in.beta, {}, true);
    const BatchnormSaved saved{x, in.gamma, in.beta, statistics, {}, true};
    Tensor dgamma = poisoned({17}, dtype), dbeta = poisoned({17}, dtype), masked = poisoned(x.shape(), dtype);
    const Tensor ones = Tensor::full(x.shape(), 1.0, dtype);
    batchnorm_backward_sums(ones, saved, dgamma, dbeta, masked);
    CHECK(same_bits(masked, relu_backward(ones, y)));
    const Tensor dx = batchnorm_backward_data(ones, false, saved, {}, {}, 0, false);
    const auto dx_values = dx.to_vector<double>(), y_values = y.to_vector<double>();
    std::size_t disagreeing = 0;
    for (std::size_t i = 0; i < y_values.size(); ++i) disagreeing += (dx_values[i] != 0) != (y_values[i] > 0);
    CHECK(disagreeing == 0);
  }
}

TEST_CASE("a huge mean does not swallow the variance") {
  const std::int64_t rows = 4001, channels = 5;
  const Tensor noise = random_tensor({rows, channels}, 6, DType::f64, -1.7320508, 1.7320508);  // stddev 1
  const auto check = [&](double offset, DType dtype, double limit) {
    auto values = noise.to_vector<double>();
    for (double& v : values) v += offset;
    const Tensor x = like(values, noise).to(dtype);
    const auto statistics = batchnorm_finalize(batchnorm_sums(x), rows, dtype, 0.0, 0.1, {}, {});
    const auto exact = x.to_vector<double>();
    for (std::int64_t c = 0; c < channels; ++c) {
      double mean = 0, var = 0;  // of x - offset, for the reference's own sake
      for (std::int64_t r = 0; r < rows; ++r) mean += (exact[r * channels + c] - offset) / double(rows);
      for (std::int64_t r = 0; r < rows; ++r)
        var += std::pow(exact[r * channels + c] - offset - mean, 2) / double(rows);
      CAPTURE(offset, dtype, c);
      CHECK(statistics.rstd.to_vector<double>()[c] == Approx(1 / std::sqrt(var)).epsilon(limit));
      CHECK(statistics.mean.to_vector<double>()[c] == Approx(offset + mean).epsilon(limit));
    }
    // y is as exact as the mean is: the difference comes before the product
    const Tensor y = batchnorm_apply(x, statistics, Tensor::full({channels}, 1.0, dtype),
                                     Tensor::zeros({channels}, dtype), {}, false);
    auto expected = exact;
    const auto m = statistics.mean.to_vector<double>(), r = statistics.rstd.to_vector<double>();
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = (exact[i] - m[i % m.size()]) * r[i % m.size()];
    CHECK(relative_error(y, like(expected, y)) < (dtype == DType::f64 ? 1e-15 : 3e-7));
  };
  check(1e4, DType::f32, 1e-6);
  check(-1e6, DType::f32, 1e-6);
  check(1e4, DType::f64, 1e-13);
  check(1e9, DType::f64, 1e-13);
}

TEST_CASE("the fused ReLU hides nothing that is not finite, forward or backward") {
  const Tensor one = Tensor::full({2}, 1.0), zero = Tensor::zeros({2});
  const BatchnormStatistics unit{zero, one};
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    // Values [2,2]: -1, bad; 3, -2.
    const Tensor x = Tensor::from(std::vector<float>{-1, bad, 3, -2}, {2, 2});
    for (const bool added : {false, true}) {
      const Tensor residual = added ? Tensor::zeros({2, 2}) : Tensor();
      const auto y = batchnorm_apply(x, unit, one, zero, residual, true).to_vector<double>();
      CHECK(std::isnan(y[1]) == (bad != INFINITY));
      CHECK_FALSE(std::isfinite(y[1]));
      CHECK((y[0] == 0 && y[2] == 3 && y[3] == 0));
    }
    const Tensor dy = Tensor::from(std::vector<float>{bad, 1, 1, 1}, {2, 2});
    const Tensor closed = Tensor::from(std::vector<float>{-1, -1, 3, 3}, {2, 2});
    for (const Tensor& y : {Tensor(), batchnorm_apply(closed, unit, one, zero, Tensor::zeros({2, 2}), true)}) {
      Tensor dgamma = Tensor::zeros({2}), dbeta = Tensor::zeros({2}), masked = Tensor::zeros({2, 2});
      batchnorm_backward_sums(dy, {closed, one, zero, unit, y, true}, dgamma, dbeta, masked);
      CHECK(std::isnan(dbeta.to_vector<double>()[0]));
      CHECK(dbeta.to_vector<double>()[1] == 1);
      const auto g = masked.to_vector<double>();
      CHECK(std::isnan(g[0]));
      CHECK((g[1] == 0 && g[2] == 1 && g[3] == 1));
    }
  }
}

TEST_CASE("a value that is not finite spoils its own channel and no other") {
  for (const double bad : {double(INFINITY), double(NAN)}) {
    for (const std::int64_t row : {0, 7}) {
      Inputs in(40, 3, DType::f32);
      in.x.data<float>()[row * 3 + 1] = static_cast<float>(bad);
      const auto statistics = in.statistics();
      const auto rstd = statistics.rstd.to_vector<double>();
      CHECK(std::isfinite(rstd[0]));
      CHECK_FALSE(std::isfinite(rstd[1]));
      CHECK(std::isfinite(rstd[2]));
      const auto y = batchnorm_apply(in.x, statistics, in.gamma, in.beta, {}, true).to_vector<double>();
      CHECK(std::isnan(y[1]));  // the ReLU does not hide it
      CHECK(std::isfinite(y[2]));
    }
  }
}

TEST_CASE("a constant channel gives rstd = 1 / sqrt(eps) and y = beta") {
  const Tensor x = Tensor::full({64, 2}, 3.25);
  const auto statistics = batchnorm_finalize(batchnorm_sums(x), 64, DType::f32, eps, 0.1, {}, {});
  CHECK(statistics.rstd.to_vector<double>()[0] == Approx(1 / std::sqrt(eps)).epsilon(1e-7));
  const Tensor gamma = Tensor::full({2}, 2.0), beta = Tensor::full({2}, 0.5);
  CHECK(same_bits(batchnorm_apply(x, statistics, gamma, beta, {}, false), Tensor::full({64, 2}, 0.5)));
}

TEST_CASE("running statistics move by momentum toward the mean and the unbiased variance") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Tensor x = Tensor::from(Values{1, 10, 3, 20, 8, 60}, {3, 2}).to(dtype);
    Tensor mean = Tensor::from(Values{2, -1}, {2}).to(dtype), var = Tensor::from(Values{1, 4}, {2}).to(dtype);
    batchnorm_finalize(batchnorm_sums(x), 3, dtype, eps, 0.25, mean, var);
    // means 4 and 30; unbiased variances (9 + 1 + 16) / 2 = 13 and (400 + 100 + 900) / 2 = 700
    CHECK(relative_error(mean, Tensor::from(Values{0.75 * 2 + 0.25 * 4, 0.75 * -1 + 0.25 * 30}, {2})) < 1e-7);
    CHECK(relative_error(var, Tensor::from(Values{0.75 * 1 + 0.25 * 13, 0.75 * 4 + 0.25 * 700}, {2})) < 1e-7);
    const auto evaluation = batchnorm_from_running(mean, var, eps);
    CHECK(same_bits(evaluation.mean, mean));
    CHECK(evaluation.rstd.to_vector<double>()[0] == Approx(1 / std::sqrt(4.0 + eps)).epsilon(1e-7));
  }
}

TEST_CASE("a single row works in evaluation and is refused in training") {
  const Inputs in(1, 31, DType::f64);
  const auto statistics =
      batchnorm_from_running(random_tensor({31}, 9), random_tensor({31}, 10, DType::f64, 0.5, 2.0), eps);
  const Tensor y = batchnorm_apply(in.x, statistics, in.gamma, in.beta, in.residual, false);
  for (std::size_t c = 0; c < 31; ++c) {
    const auto at = [c](const Tensor& tensor) { return tensor.to_vector<double>()[c]; };
    CHECK(at(y) ==
          Approx(at(in.gamma) * (at(in.x) - at(statistics.mean)) * at(statistics.rstd) + at(in.beta) + at(in.residual))
              .epsilon(1e-12)
              .margin(1e-14));
  }
  CHECK_THROWS_WITH(in.statistics(), Catch::Contains("1 values a channel have no variance"));
}

TEST_CASE("merged sums of parts are the sums of the whole") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const std::int64_t parts : {1, 2, 3, 17, 1003}) {
      const Tensor x = random_tensor({1003, 7}, 12, dtype, 2.0, 4.0).narrow(0, 1003 / parts * parts);
      const std::int64_t count = x.dim(0) / parts;
      const Tensor sums = Tensor::empty({parts, 3, 7}, DType::f64);
      for (std::int64_t p = 0; p < parts; ++p) {
        sums.narrow(p, 1).copy_from(batchnorm_sums(x.narrow(p * count, count)).reshape({1, 3, 7}));
      }
      const Tensor merged = batchnorm_merge(sums, count);
      const Tensor whole = batchnorm_sums(x);
      CAPTURE(dtype, parts);
      CHECK(relative_error(merged, whole) < (dtype == DType::f64 ? 1e-13 : 1e-6));
      const auto a = batchnorm_finalize(merged, x.dim(0), dtype, eps, 0.1, {}, {});
      const auto b = batchnorm_finalize(whole, x.dim(0), dtype, eps, 0.1, {}, {});
      CHECK(relative_error(a.rstd, b.rstd) < (dtype == DType::f64 ? 1e-13 : 1e-6));
    }
  }
}

TEST_CASE("batchnorm gives the same bits for any number of threads") {
  const int before = threads();
  const Inputs in(70001, 16, DType::f32);
  const auto run = [&](int count) {
    set_threads(count);
    const Tensor sums = batchnorm_sums(in.x);
    const auto statistics = in.statistics();
    const BatchnormSaved saved{in.x, in.gamma, in.beta, statistics, {}, true};
    Tensor dgamma = poisoned({16}, DType::f32), dbeta = poisoned({16}, DType::f32);
    batchnorm_backward_sums(in.dy, saved, dgamma, dbeta, {});
    return std::vector<Tensor>{sums, batchnorm_apply(in.x, statistics, in.gamma, in.beta, {}, true), dgamma, dbeta,
                               batchnorm_backward_data(in.dy, false, saved, dgamma, dbeta, 70001, true)};
  };
  const auto one = run(1);
  for (const int count : {2, 3, 7}) {
    const auto many = run(count);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_bits(one[i], many[i]));
  }
  set_threads(before);
}

TEST_CASE("batchnorm refuses wrong shapes and dtypes and says which") {
  const Inputs in(8, 4, DType::f32);
  const auto statistics = in.statistics();
  CHECK_THROWS_WITH(batchnorm_sums(Tensor::zeros({4}, DType::f32)), Catch::Contains("at least 2 dimensions"));
  CHECK_THROWS_WITH(batchnorm_sums(Tensor::zeros({4, 4}, DType::u8)), Catch::Contains("wants f32 or f64"));
  CHECK_THROWS_WITH(batchnorm_apply(in.x, statistics, Tensor::zeros({5}), in.beta, {}, false),
                    Catch::Contains("gamma must be [4], got f32 [5]"));
  CHECK_THROWS_WITH(batchnorm_apply(in.x, statistics, in.gamma, in.beta.to(DType::f64), {}, false),
                    Catch::Contains("dtypes and devices must be the same"));
  CHECK_THROWS_WITH(batchnorm_apply(in.x, statistics, in.gamma, in.beta, Tensor::zeros({7, 4}), true),
                    Catch::Contains("residual must be [8,4]"));
  CHECK_THROWS_WITH(
      batchnorm_finalize(batchnorm_sums(in.x), 8, DType::f32, eps, 0.1, Tensor::zeros({3}), Tensor::zeros({4})),
      Catch::Contains("running_mean must be [4]"));
  CHECK_THROWS_WITH(batchnorm_finalize(Tensor::zeros({3, 4}), 8, DType::f32, eps, 0.1, {}, {}),
                    Catch::Contains("sums must be f64 [3,C]"));
  CHECK_THROWS_WITH(batchnorm_from_running(Tensor::zeros({3}), Tensor::zeros({4}), eps),
                    Catch::Contains("running_var must be [3]"));
  CHECK_THROWS_WITH(batchnorm_merge(Tensor::zeros({3, 4}, DType::f64), 1),
                    Catch::Contains("parts must be f64 [P,3,C]"));
  const BatchnormSaved saved{in.x, in.gamma, in.beta, statistics, {}, true};
  Tensor dgamma = Tensor::zeros({4}), dbeta = Tensor::zeros({5});
  CHECK_THROWS_WITH(batchnorm_backward_sums(in.dy, saved, dgamma, dbeta, {}), Catch::Contains("dbeta must be [4]"));
  CHECK_THROWS_WITH(batchnorm_backward_sums(Tensor::zeros({4, 8}), saved, dgamma, dgamma, {}),
                    Catch::Contains("dy must be [8,4]"));
  CHECK_THROWS_WITH(batchnorm_backward_data(in.dy, false, saved, dgamma, dgamma, 0, true),
                    Catch::Contains("count is 0"));
}
