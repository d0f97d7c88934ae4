// Clipping gradients by their norm, of all together.
#include <simclr/core/parallel.h>
#include <simclr/kernels/optimizer_step.h>
#include <simclr/nn/layers.h>
#include <simclr/nn/optim.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

using namespace simclr;
using test::message_of;
using test::random_tensor;
using test::same_bits;

namespace {

double norm_of(const std::vector<double>& x) {
  long double sum = 0;
  for (const double v : x) sum += static_cast<long double>(v) * v;
  return static_cast<double>(std::sqrt(sum));
}

/// Two weights whose gradient is what is given.
struct Weights : nn::Module {
  Tensor first, second;

  Weights() {
    first = add_parameter("first", {3}, nn::Role::weight, {});
    second = add_parameter("second", {2, 2}, nn::Role::weight, {});
    first.copy_from(random_tensor({3}, 1, DType::f32));
    second.copy_from(random_tensor({2, 2}, 2, DType::f32));
  }
  Tensor forward(const Input& input) override { return input.x; }

  void set_gradients(double scale) {
    Tensor of_first = first.grad(), of_second = second.grad();
    of_first.copy_from(Tensor::from(std::vector<float>{1, -2, 2}, {3}));
    of_second.copy_from(Tensor::from(std::vector<float>{2, 4, -4, 6}, {2, 2}));  // a norm of 9 with the first's
    for (Tensor* each : {&of_first, &of_second}) {
      for (std::int64_t i = 0; i < each->numel(); ++i) each->data<float>()[i] *= static_cast<float>(scale);
    }
  }
  std::vector<double> values() const {
    auto all = first.to_vector<double>();
    const auto more = second.to_vector<double>();
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

/// How far a step from gradients `scale` times as large moves each weight.
std::vector<double> moved(double scale, double most) {
  Weights weights;
  nn::Sgd optimizer(weights.parameters(), {.momentum = 0}, nn::constant(0.5));
  optimizer.clip_gradients(most);
  const auto before = weights.values();
  weights.set_gradients(scale);
  optimizer.step();
  auto by = weights.values();
  std::transform(by.begin(), by.end(), before.begin(), by.begin(), std::minus<>());
  return by;
}

}  // namespace

TEST_CASE("gradients of a greater norm are scaled to it, others stay") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const std::int64_t n : {1, 7, 16384, 50001}) {
      INFO(dtype << " " << n);
      const Tensor given = random_tensor({n}, 3, dtype);
      const auto g = given.to_vector<double>();
      const double whole = norm_of(g), limit = dtype == DType::f32 ? 2e-7 : 1e-13;  // the norm's
      for (const double most : {0.5 * whole, 2 * whole}) {
        const Tensor clipped = given.clone(), norm = Tensor::zeros({1}, DType::f64);
        kernels::clip_gradient_norm(clipped, most, norm);
        CHECK(norm.item() == Approx(whole).epsilon(1e-13));
        if (most > whole) {
          CHECK(same_bits(clipped, given));
          continue;
        }
        std::vector<double> wanted;
        for (const double v : g) wanted.push_back(v * (most / (whole + 1e-6)));
        CHECK(test::relative_error(clipped, Tensor::from(wanted, {n})) < limit);
        CHECK(norm_of(clipped.to_vector<double>()) == Approx(most).epsilon(1e-5));  // 1e-6 is added to the norm
      }
    }
  }
}

TEST_CASE("clipped bits do not depend on the thread count, and a NaN stays one") {
  const int before = threads();
  const Tensor given = random_tensor({100003}, 5, DType::f32);
  std::vector<Tensor> first;
  for (const int count : {1, 3}) {
    set_threads(count);
    const Tensor clipped = given.clone(), norm = Tensor::zeros({1}, DType::f64);
    kernels::clip_gradient_norm(clipped, 1, norm);
    if (first.empty()) first = {clipped, norm};
    CHECK(same_bits({clipped, norm}, first));
  }
  set_threads(before);
  Tensor broken = random_tensor({10}, 5, DType::f32), norm = Tensor::zeros({1}, DType::f64);
  broken.data<float>()[4] = std::numeric_limits<float>::quiet_NaN();
  kernels::clip_gradient_norm(broken, 0.1, norm);
  CHECK(std::isnan(norm.item()));
  CHECK(std::isnan(broken.to_vector<double>()[4]));
}

TEST_CASE("an optimizer clips the gradients of all parameters together, before its step") {
  const auto whole = moved(1, 0);
  CHECK(norm_of(whole) == Approx(4.5).epsilon(1e-6));  // half of 9
  const auto clipped = moved(1, 3);
  CHECK(norm_of(clipped) == Approx(1.5).epsilon(1e-5));
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(clipped[i] == Approx(whole[i] / 3).epsilon(1e-5));
  CHECK(moved(1, 10) == whole);
  CHECK(norm_of(moved(1e6, 3)) == Approx(1.5).epsilon(1e-5));
  // A gradient that is no number ends the updates, clipped or not.
  Weights weights;
  nn::Sgd optimizer(weights.parameters(), {.momentum = 0}, nn::constant(0.5));
  optimizer.clip_gradients(1);
  const auto before = weights.values();
  weights.set_gradients(std::numeric_limits<double>::infinity());
  optimizer.step();
  CHECK(optimizer.bad_step() == 0);
  CHECK(weights.values() == before);
}

TEST_CASE("norms that make no sense are refused") {
  Weights weights;
  nn::Sgd optimizer(weights.parameters(), {}, nn::constant(0.5));
  for (const double most : {-1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    CHECK_THAT(message_of([&] { optimizer.clip_gradients(most); }), Catch::Contains("finite and above 0"));
    CHECK_THAT(
        message_of([&] { kernels::clip_gradient_norm(Tensor::zeros({3}), most, Tensor::zeros({1}, DType::f64)); }),
        Catch::Contains("above 0 and finite"));
  }
  CHECK_THAT(message_of([] { kernels::clip_gradient_norm(Tensor::zeros({3}), 1, Tensor::zeros({1})); }),
             Catch::Contains("must be f64"));
}
