// Barlow Twins, as docs/your-own-loss.md makes it of single functions, against a loop in double, lightly's value and
// gradients on the same batches (fixtures/make_barlow_twins_fixture.py), and central differences.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/source_folder.h"
#include "support/tensors.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <string>

#include "own_loss/barlow_twins.h"

using namespace simclr;
using test::random_tensor;
using test::relative_error;
using Values = std::vector<double>;

namespace {

struct Views {
  Tensor a, b;

  explicit Views(const Shape& shape) : a(random_tensor(shape, 1)), b(random_tensor(shape, 2)) {
    for (std::int64_t i = 0; i < shape.numel(); ++i) {
      double& value = b.data<double>()[i];
      value = 0.6 * a.data<double>()[i] + 0.4 * value;
    }
  }
};

/// Column i of z [n,width], standardised.
Values column(const Tensor& z, std::int64_t i) {
  const std::int64_t n = z.dim(0), width = z.dim(1);
  Values values;
  for (std::int64_t row = 0; row < n; ++row) values.push_back(z.data<double>()[row * width + i]);
  double mean = 0, variance = 0;
  for (const double value : values) mean += value / static_cast<double>(n);
  for (const double value : values) variance += (value - mean) * (value - mean) / static_cast<double>(n);
  for (double& value : values) value = (value - mean) / std::sqrt(variance + 1e-5);
  return values;
}

double barlow_twins(const Tensor& a, const Tensor& b, double lambda) {
  double loss = 0;
  for (std::int64_t i = 0; i < a.dim(1); ++i) {
    for (std::int64_t j = 0; j < a.dim(1); ++j) {
      const Values left = column(a, i), right = column(b, j);
      double c = 0;
      for (std::size_t row = 0; row < left.size(); ++row) c += left[row] * right[row] / static_cast<double>(a.dim(0));
      loss += i == j ? (c - 1) * (c - 1) : lambda * c * c;
    }
  }
  return loss;
}

}  // namespace

TEST_CASE("Barlow Twins agrees with a loop in double") {
  for (const Shape& shape : {Shape{2, 1}, {1, 3}, {3, 5}, {31, 7}, {33, 32}, {129, 3}, {5, 127}}) {
    for (const double lambda : {5e-3, 1.0}) {
      CAPTURE(to_string(shape), lambda);
      const Views views(shape);
      const double exact = barlow_twins(views.a, views.b, lambda);
      CHECK(own::barlow_twins(views.a, views.b, lambda).item() == Approx(exact).epsilon(1e-12));
      // In f32 a few hundred roundings of products whose sum is at most 1.
      CHECK(own::barlow_twins(views.a.to(DType::f32), views.b.to(DType::f32), lambda).item() ==
            Approx(exact).epsilon(2e-5));
    }
  }
}

TEST_CASE("Barlow Twins agrees with lightly's, and its gradients do") {
  std::ifstream file(test::source_folder() + "/fixtures/barlow_twins.json");
  const auto fixture = nlohmann::json::parse(file);
  REQUIRE(fixture["cases"].size() == 4);
  for (const auto& c : fixture["cases"]) {
    const Shape shape(c["shape"].get<std::vector<std::int64_t>>());
    CAPTURE(to_string(shape));
    Views views(shape);
    views.a.set_requires_grad(), views.b.set_requires_grad();
    const Tensor loss = own::barlow_twins(views.a, views.b);
    CHECK(loss.item() == Approx(c["loss"].get<double>()).epsilon(1e-12));
    loss.backward();
    CHECK(relative_error(views.a.grad(), Tensor::from(c["da"].get<Values>(), shape)) < 1e-10);
    CHECK(relative_error(views.b.grad(), Tensor::from(c["db"].get<Values>(), shape)) < 1e-10);
  }
}

TEST_CASE("the gradient of Barlow Twins agrees with central differences") {
  for (const Shape& shape : {Shape{3, 5}, {31, 7}, {33, 32}, {7, 3}}) {
    CAPTURE(to_string(shape));
    const Views views(shape);
    CHECK(test::gradient_error([](const auto& in) { return own::barlow_twins(in[0], in[1], 0.1); },
                               {views.a, views.b}) < 1e-6);
  }
}
