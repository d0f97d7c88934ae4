// Alignment and uniformity of features, against loops.

#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/nn/evaluate.h>

#include <limits>

using namespace simclr;
using Catch::Matchers::Contains;
using test::random_tensor;

namespace {

/// Row i over its norm; 0 stays 0.
std::vector<double> unit_row(const Tensor& values, std::int64_t i) {
  std::vector<double> row = values.narrow(i, 1).to_vector<double>();
  double sum = 0;
  for (const double v : row) sum += v * v;
  for (double& v : row) v = sum > 0 ? v / std::sqrt(sum) : 0;
  return row;
}

double squared_distance(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t d = 0; d < x.size(); ++d) sum += (x[d] - y[d]) * (x[d] - y[d]);
  return sum;
}

double reference_alignment(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.dim(0); ++i) sum += squared_distance(unit_row(a, i), unit_row(b, i));
  return sum / static_cast<double>(a.dim(0));
}

double reference_uniformity(const Tensor& values) {
  double sum = 0;
  std::int64_t pairs = 0;
  for (std::int64_t i = 0; i < values.dim(0); ++i) {
    const auto row = unit_row(values, i);
    for (std::int64_t j = 0; j < i; ++j, ++pairs) sum += std::exp(-2 * squared_distance(row, unit_row(values, j)));
  }
  return std::log(sum / static_cast<double>(pairs));
}

}  // namespace

TEST_CASE("alignment and uniformity agree with loops") {
  for (const std::int64_t n : {2, 31, 63, 64, 65, 129, 200}) {
    for (const std::int64_t dimensions : {1, 3, 33, 129}) {
      CAPTURE(n, dimensions);
      const Tensor a = random_tensor({n, dimensions}, 1, DType::f32);
      const Tensor b = random_tensor({n, dimensions}, 2, DType::f32);
      for (std::int64_t d = 0; d < dimensions; ++d) a.data<float>()[d] = 0;  // a row without a direction
      CHECK(nn::alignment(a, b) == Approx(reference_alignment(a, b)).epsilon(1e-12));
      CHECK(nn::uniformity(a) == Approx(reference_uniformity(a)).epsilon(1e-12));
    }
  }
}

TEST_CASE("alignment and uniformity of cases worked out by hand") {
  const auto points = [](std::vector<float> values) {
    return Tensor::from(values, {static_cast<std::int64_t>(values.size()) / 2, 2});
  };
  const Tensor square = points({1, 0, 0, 2, -3, 0, 0, -0.5f});
  // Distances squared: 0 to itself whatever the lengths; 2 to a neighbour; 4 to the opposite.
  CHECK(nn::alignment(square, points({5, 0, 0, 1, -1, 0, 0, -2})) == 0);
  CHECK(nn::alignment(square, points({0, 1, 0, 1, 1, 0, 0, -1})) == Approx((2.0 + 0 + 4 + 0) / 4));
  CHECK(nn::uniformity(square) == Approx(std::log((4 * std::exp(-4.0) + 2 * std::exp(-8.0)) / 6)));
  CHECK(nn::uniformity(points({1, 1, 2, 2, 3, 3})) == Approx(0).margin(1e-12));
}

TEST_CASE("uniformity of many rows looks at 2,000, spread evenly, and does not depend on the threads") {
  const Tensor values = random_tensor({4500, 16}, 3, DType::f32);
  Tensor chosen = Tensor::empty({2000, 16});
  for (std::int64_t i = 0; i < 2000; ++i) chosen.narrow(i, 1).copy_from(values.narrow(i * 4500 / 2000, 1));
  const int before = threads();
  set_threads(1);
  const double one = nn::uniformity(values);
  set_threads(3);
  const double three = nn::uniformity(values);
  set_threads(before);
  CHECK(one == three);
  CHECK(one == nn::uniformity(chosen));
  CHECK(one < -3);  // spread over the sphere
}

TEST_CASE("alignment and uniformity of NaN and Inf are NaN, and wrong shapes are refused") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const Tensor good = random_tensor({70, 8}, 4, DType::f32);
    const Tensor values = good.clone();
    values.data<float>()[8 * 69 + 3] = bad;
    CHECK(std::isnan(nn::alignment(good, values)));
    CHECK(std::isnan(nn::uniformity(values)));
  }
  CHECK_THROWS_WITH(nn::alignment(Tensor::zeros({3, 2}), Tensor::zeros({2, 2})), Contains("[3,2] and [2,2]"));
  CHECK_THROWS_WITH(nn::alignment(Tensor::empty({0, 2}), Tensor::empty({0, 2})), Contains("at least one"));
  CHECK_THROWS_WITH(nn::uniformity(Tensor::zeros({1, 2})), Contains("at least two rows"));
  CHECK_THROWS_AS(nn::uniformity(Tensor::zeros({4, 2}, DType::f64)), Error);
  CHECK_THROWS_AS(nn::alignment(Tensor::zeros({4}), Tensor::zeros({4})), Error);
}
