// GELU against a loop in double, its gradient against central differences.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/gelu.h>
#include <simclr/nn/layers.h>

using namespace simclr;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

/// By 1 + erf, and by the density's definition.
double gelu(double x) {
  return x * (1 + std::erf(x / std::sqrt(2.0))) / 2;
}

double gelu_slope(double x) {
  return (1 + std::erf(x / std::sqrt(2.0))) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
}

}  // namespace

TEST_CASE("GELU agrees with a loop in double, forward and backward") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    // A few roundings of 6e-8 in f32, against the largest value.
    const double limit = dtype == DType::f64 ? 1e-14 : 3e-7;
    for (const std::int64_t n : {0, 1, 31, 32, 33, 127, 129, 1003, 40009, 200003}) {
      CAPTURE(dtype, n);
      const Tensor x = random_tensor({n}, 1, dtype, -6.0, 6.0), dy = random_tensor({n}, 2, dtype);
      std::vector<double> y = x.to_vector<double>(), dx = dy.to_vector<double>();
      for (std::size_t i = 0; i < y.size(); ++i) dx[i] *= gelu_slope(y[i]), y[i] = gelu(y[i]);
      CHECK(relative_error(kernels::gelu_forward(x), Tensor::from(y, {n})) < limit);
      CHECK(relative_error(kernels::gelu_backward(dy, x), Tensor::from(dx, {n})) < limit);
    }
  }
}

TEST_CASE("GELU keeps its digits in f32 where it is small") {
  // x P(x) by f64's erfc, which does not cancel; x^2 / 2 itself is rounded by 6e-8 of as much as 40.
  for (const double low : {-9.0, -5.0, -1.0, -0.01}) {
    const Tensor x = random_tensor({1003}, 3, DType::f32, low, 0.0);
    const auto got = kernels::gelu_forward(x).to_vector<double>(), at = x.to_vector<double>();
    double worst = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      const double exact = at[i] * std::erfc(-at[i] / std::sqrt(2.0)) / 2;
      if (exact != 0) worst = std::max(worst, std::abs(got[i] / exact - 1));
    }
    CAPTURE(low);
    CHECK(worst < (low < -1 ? 6e-6 : 5e-7));
  }
}

TEST_CASE("GELU of large values is x or 0, its slope 1 or 0, and faults stay visible") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto of = [&](std::vector<double> values) {
      return Tensor::from(values, {static_cast<std::int64_t>(values.size())}).to(dtype);
    };
    const Tensor x = of({20, -20, 1e5, -1e5, 3e38, -3e38, 0}), ones = of(std::vector<double>(7, 1.0));
    CHECK(relative_error(kernels::gelu_forward(x), of({20, 0, 1e5, 0, 3e38, 0, 0})) < 1e-30);
    CHECK(relative_error(kernels::gelu_backward(ones, x), of({1, 0, 1, 0, 1, 0, 0.5})) < 1e-30);
    const auto y = kernels::gelu_forward(of({NAN, -INFINITY, INFINITY})).to_vector<double>();
    CHECK(std::isnan(y[0]));
    CHECK(std::isnan(y[1]));
    CHECK(y[2] == INFINITY);
    CHECK(std::isnan(kernels::gelu_backward(of({1}), of({NAN})).item()));
    CHECK(std::isnan(kernels::gelu_backward(of({NAN}), of({1})).item()));
  }
}

TEST_CASE("GELU's gradient agrees with central differences") {
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(to_string(shape));
    CHECK(test::gradient_error([](const auto& in) { return nn::gelu(in[0]); },
                               {random_tensor(shape, 4, DType::f64, -4.0, 4.0)}) < 1e-8);
  }
}

TEST_CASE("GELU gives the same bits for any number of threads, and of each value wherever it stands") {
  const int before = threads();
  const Tensor x = random_tensor({200003}, 5, DType::f32, -6.0, 6.0);
  set_threads(1);
  const Tensor one = kernels::gelu_forward(x);
  set_threads(5);
  CHECK(same_bits(kernels::gelu_forward(x), one));
  set_threads(before);
  for (const std::int64_t begin : {1, 3, 16, 100}) {
    CHECK(same_bits(kernels::gelu_forward(x.narrow(begin, 77)).clone(), one.narrow(begin, 77).clone()));
  }
}

TEST_CASE("GELU refuses integers and shapes that differ, and is a layer") {
  CHECK_THROWS_AS(kernels::gelu_forward(Tensor::zeros({2}, DType::i32)), Error);
  CHECK_THROWS_AS(kernels::gelu_backward(Tensor::zeros({2}), Tensor::zeros({3})), Error);
  nn::GELU layer;
  const Tensor x = random_tensor({3, 5}, 6, DType::f32);
  CHECK(same_bits(layer(x), kernels::gelu_forward(x)));
}
