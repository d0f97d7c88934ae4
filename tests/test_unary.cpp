// Functions of one value against the C library's in long double, their gradients against central differences.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/unary.h>
#include <simclr/nn/functional.h>

#include <functional>
#include <string>

using namespace simclr;
using kernels::Unary;
using test::random_tensor;
using test::relative_error;
using test::same_bits;
using Values = std::vector<double>;

namespace {

struct Case {
  std::string name;
  Unary f;
  std::function<long double(long double)> value, slope;
  std::function<Tensor(const Tensor&)> differentiable;
  double low, high;  // where f is defined and neither large nor small
};

const std::vector<Case> cases = {
    {"exp", Unary::exp, [](long double x) { return std::exp(x); }, [](long double x) { return std::exp(x); }, nn::exp,
     -4, 4},
    {"log", Unary::log, [](long double x) { return std::log(x); }, [](long double x) { return 1 / x; }, nn::log, 0.1,
     9},
    {"sqrt", Unary::sqrt, [](long double x) { return std::sqrt(x); }, [](long double x) { return 0.5L / std::sqrt(x); },
     nn::sqrt, 0.1, 9},
    {"reciprocal", Unary::reciprocal, [](long double x) { return 1 / x; }, [](long double x) { return -1 / (x * x); },
     nn::reciprocal, 0.2, 4},
    {"sigmoid", Unary::sigmoid, [](long double x) { return std::exp(x) / (1 + std::exp(x)); },
     [](long double x) { return 1 / (2 + std::exp(x) + std::exp(-x)); }, nn::sigmoid, -6, 6},
    {"tanh", Unary::tanh, [](long double x) { return std::tanh(x); },
     [](long double x) { return 1 / (std::cosh(x) * std::cosh(x)); }, nn::tanh, -4, 4},
};

Tensor of(const std::function<long double(long double)>& f, const Tensor& x) {
  Values values = x.to_vector<double>();
  for (double& value : values) value = static_cast<double>(f(value));
  return Tensor::from(values, x.shape());
}

/// The worst |y / f(x) - 1|.
double worst_digit(const Case& c, const Tensor& x) {
  const Values got = kernels::unary_forward(c.f, x).to_vector<double>(), exact = of(c.value, x).to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(got[i] / exact[i] - 1));
  return worst;
}

}  // namespace

TEST_CASE("functions of one value agree with the C library's, forward and backward") {
  for (const Case& c : cases) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      // A few roundings against the largest value: of 1.1e-16, or 6e-8. Slopes have some more, and those of tanh and
      // sigmoid near 0 cancel.
      const double limit = dtype == DType::f64 ? 1e-15 : 3e-7, slope_limit = dtype == DType::f64 ? 2e-15 : 6e-7;
      for (const std::int64_t n : {0, 1, 31, 32, 33, 127, 129, 1003, 200003}) {
        CAPTURE(c.name, dtype, n);
        const Tensor x = random_tensor({n}, 1, dtype, c.low, c.high), dy = random_tensor({n}, 2, dtype);
        const Tensor y = kernels::unary_forward(c.f, x);
        CHECK(y.dtype() == dtype);
        CHECK(relative_error(y, of(c.value, x)) < limit);
        Values dx = of(c.slope, x).to_vector<double>();
        const Values gradient = dy.to_vector<double>();
        for (std::size_t i = 0; i < dx.size(); ++i) dx[i] *= gradient[i];
        const Tensor saved = c.f == Unary::log ? x : y;
        CHECK(relative_error(kernels::unary_backward(c.f, dy, saved), Tensor::from(dx, {n})) < slope_limit);
      }
    }
  }
}

TEST_CASE("gradients of functions of one value agree with central differences") {
  for (const Case& c : cases) {
    for (const Shape& shape : test::sequence_shapes) {
      CAPTURE(c.name, to_string(shape));
      CHECK(test::gradient_error([&](const auto& in) { return c.differentiable(in[0]); },
                                 {random_tensor(shape, 3, DType::f64, c.low, c.high)}) < 1e-7);
    }
  }
}

TEST_CASE("f32 keeps its digits where values are small and where they are large") {
  // Each value by itself, to a few times 2^-24.
  const auto check = [](std::size_t of_case, double low, double high) {
    CAPTURE(cases[of_case].name, low, high);
    CHECK(worst_digit(cases[of_case], random_tensor({10007}, 4, DType::f32, low, high)) < 4e-7);
  };
  check(0, -86.9, -40), check(0, -1, 1), check(0, 40, 88.7);
  check(1, 1e-30, 1e-20), check(1, 1e-3, 0.9), check(1, 1.1, 2), check(1, 1e10, 3e38);
  check(1, 1e-44, 1e-38);  // not normal
  check(2, 1e-30, 1e-20), check(2, 1e10, 3e38);
  check(4, -86, -20), check(4, -20, 20), check(4, 20, 100);
  check(5, -1e-3, -1e-6), check(5, 1e-6, 0.1), check(5, 0.1, 20);
}

TEST_CASE("functions of one value at the ends of numbers, and faults stay visible") {
  constexpr double inf = INFINITY;
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto at = [&](Unary f, double x) {
      return kernels::unary_forward(f, Tensor::full({5}, x, dtype)).to_vector<double>();
    };
    for (const Case& c : cases) {
      CAPTURE(c.name, dtype);
      CHECK(std::isnan(at(c.f, NAN)[0]));
    }
    CHECK(at(Unary::exp, inf) == Values(5, inf));
    CHECK(at(Unary::exp, 1e30) == Values(5, inf));
    CHECK(at(Unary::exp, -1e30) == Values(5, 0.0));
    CHECK(at(Unary::exp, -inf) == Values(5, 0.0));
    CHECK(at(Unary::exp, 0) == Values(5, 1.0));
    CHECK(at(Unary::log, inf) == Values(5, inf));
    CHECK(at(Unary::log, 0) == Values(5, -inf));
    CHECK(at(Unary::log, 1) == Values(5, 0.0));
    CHECK(std::isnan(at(Unary::log, -1)[4]));
    CHECK(std::isnan(at(Unary::log, -inf)[0]));
    CHECK(std::isnan(at(Unary::sqrt, -1)[4]));
    CHECK(at(Unary::sqrt, inf) == Values(5, inf));
    CHECK(at(Unary::reciprocal, 0) == Values(5, inf));
    CHECK(at(Unary::reciprocal, -inf) == Values(5, 0.0));
    CHECK(at(Unary::sigmoid, inf) == Values(5, 1.0));
    CHECK(at(Unary::sigmoid, -inf) == Values(5, 0.0));
    CHECK(at(Unary::sigmoid, 0) == Values(5, 0.5));
    CHECK(at(Unary::tanh, inf) == Values(5, 1.0));
    CHECK(at(Unary::tanh, -1e30) == Values(5, -1.0));
    CHECK(at(Unary::tanh, 0) == Values(5, 0.0));
  }
}

TEST_CASE("functions of one value give the same bits for any number of threads, and wherever a value stands") {
  const int before = threads();
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Tensor x = random_tensor({200003}, 5, DType::f32, c.low, c.high);
    set_threads(1);
    const Tensor one = kernels::unary_forward(c.f, x);
    set_threads(5);
    CHECK(same_bits(kernels::unary_forward(c.f, x), one));
    set_threads(before);
    for (const std::int64_t begin : {1, 3, 16, 100}) {
      CHECK(same_bits(kernels::unary_forward(c.f, x.narrow(begin, 77)).clone(), one.narrow(begin, 77).clone()));
    }
  }
}

TEST_CASE("functions of one value refuse integers and shapes that differ") {
  CHECK_THROWS_AS(kernels::unary_forward(Unary::exp, Tensor::zeros({2}, DType::i32)), Error);
  CHECK_THROWS_AS(kernels::unary_forward(Unary::exp, Tensor()), Error);
  CHECK_THROWS_AS(kernels::unary_backward(Unary::exp, Tensor::zeros({2}), Tensor::zeros({3})), Error);
  CHECK_THROWS_AS(kernels::unary_backward(Unary::exp, Tensor::zeros({2}), Tensor::zeros({2}, DType::f64)), Error);
}
