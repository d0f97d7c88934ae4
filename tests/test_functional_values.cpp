// Sums, differences, products and quotients, of tensors of one shape and of rows, and what is composed of them.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/nn/functional.h>
#include <simclr/nn/losses.h>

#include <functional>
#include <string>

using namespace simclr;
using Catch::Contains;
using test::gradient_error;
using test::message_of;
using test::random_tensor;
using test::relative_error;
using Values = std::vector<double>;

namespace {

struct Operation {
  std::string name;
  std::function<Tensor(const Tensor&, const Tensor&)> of;
  std::function<double(double, double)> value;
};

const std::vector<Operation> operations = {
    {"add", nn::add, [](double a, double b) { return a + b; }},
    {"subtract", nn::subtract, [](double a, double b) { return a - b; }},
    {"multiply", nn::multiply, [](double a, double b) { return a * b; }},
    {"divide", nn::divide, [](double a, double b) { return a / b; }},
};

const std::vector<Shape> some_shapes = {{1},      {2},       {31},      {33},      {1, 1},    {1, 7},       {7, 1},
                                        {3, 5},   {31, 3},   {3, 31},   {5, 33},   {127, 2},  {2, 127},     {129, 3},
                                        {3, 129}, {2, 3, 4}, {1, 1, 9}, {3, 1, 5}, {1003, 2}, {2, 3, 3, 4}, {2, 1003}};

}  // namespace

TEST_CASE("the four operations agree with loops in double, of one shape and of rows") {
  for (const Operation& op : operations) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      for (const Shape& shape : some_shapes) {
        for (const bool row : {false, true}) {
          CAPTURE(op.name, dtype, to_string(shape), row);
          const Tensor a = random_tensor(shape, 1, dtype);
          const Tensor b = random_tensor(row ? Shape{shape[-1]} : shape, 2, dtype, 0.5, 2.0);
          Values y = a.to_vector<double>();
          const Values with = b.to_vector<double>();
          for (std::size_t i = 0; i < y.size(); ++i) y[i] = op.value(y[i], with[i % with.size()]);
          // One rounding, two of a quotient.
          CHECK(relative_error(op.of(a, b), Tensor::from(y, shape)) < (dtype == DType::f64 ? 3e-16 : 1.3e-7));
        }
      }
    }
  }
}

TEST_CASE("gradients of the four operations agree with central differences, of one shape and of rows") {
  for (const Operation& op : operations) {
    for (const Shape& shape : some_shapes) {
      for (const bool row : {false, true}) {
        CAPTURE(op.name, to_string(shape), row);
        const Tensor b = random_tensor(row ? Shape{shape[-1]} : shape, 2, DType::f64, 0.5, 2.0);
        CHECK(gradient_error([&](const auto& in) { return op.of(in[0], in[1]); }, {random_tensor(shape, 1), b}) < 1e-7);
      }
    }
    CHECK(gradient_error([&](const auto& in) { return op.of(in[0], in[0]); },
                         {random_tensor({3, 5}, 3, DType::f64, 0.5, 2.0)}) < 1e-7);
  }
}

TEST_CASE("operations name themselves where tensors do not fit") {
  const Tensor a = random_tensor({2, 3}, 1);
  for (const Operation& op : operations) {
    CAPTURE(op.name);
    CHECK_THAT(message_of([&] { op.of(a, random_tensor({2}, 2)); }),
               Contains(op.name + ": b must be [2,3] or a row of its last dimension, got f64 [2] on cpu"));
    CHECK_THAT(message_of([&] { op.of(a, random_tensor({1, 3}, 2)); }), Contains(op.name + ": b must be"));
    CHECK_THAT(message_of([&] { op.of(random_tensor({3}, 2), a); }), Contains(op.name + ": b must be"));
    CHECK_THAT(message_of([&] { op.of(a, Tensor()); }), Contains(op.name + ": b must be"));
    CHECK_THAT(message_of([&] { op.of(Tensor(), a); }), Contains(op.name + ": wants f32 or"));
    CHECK_THAT(message_of([&] { op.of(a, a.to(DType::f32)); }), Contains(op.name + ": got f32"));
    CHECK_THAT(message_of([&] { op.of(a, random_tensor({3}, 2, DType::f32)); }), Contains(op.name + ": got f32"));
  }
}

TEST_CASE("a layer norm of single functions is the one with a kernel of its own") {
  const Tensor x = random_tensor({7, 33}, 4), gamma = random_tensor({33}, 5), beta = random_tensor({33}, 6);
  const auto composed = [](const std::vector<Tensor>& in) {
    const Tensor columns = nn::transpose(in[0]);  // a row is a column's statistics then
    const Tensor centred = nn::subtract(columns, nn::mean(columns, 0));
    const Tensor variance = nn::mean(nn::multiply(centred, centred), 0);
    const Tensor deviation = nn::sqrt(nn::add(variance, Tensor::full(variance.shape(), 1e-5, DType::f64)));
    return nn::add(nn::multiply(nn::transpose(nn::divide(centred, deviation)), in[1]), in[2]);
  };
  CHECK(relative_error(composed({x, gamma, beta}), nn::layernorm(x, gamma, beta)) < 1e-14);
  CHECK(gradient_error(composed, {x.clone(), gamma.clone(), beta.clone()}) < 1e-7);
}

TEST_CASE("NT-Xent of single functions is the one with a kernel of its own") {
  const std::int64_t n = 5;
  const Tensor z = random_tensor({2 * n, 8}, 7);
  std::vector<double> self(static_cast<std::size_t>(4 * n * n), 0.0);
  for (std::int64_t i = 0; i < 2 * n; ++i) self[i * 2 * n + i] = -1e9;
  const Tensor mask = Tensor::from(self, {2 * n, 2 * n});
  const auto composed = [&](const std::vector<Tensor>& in) {
    const Tensor u = nn::normalize(in[0]);
    const Tensor p = nn::softmax(nn::add(nn::scale(nn::linear(u, u), 1 / 0.5), mask));
    // Row i's positive stands n columns further, around the end.
    const Tensor turned = nn::concatenate({nn::columns(p, n, n), nn::columns(p, 0, n)});
    return nn::scale(nn::mean(nn::log(nn::diagonal(turned))), -1.0);
  };
  CHECK(composed({z}).item() == Approx(nn::nt_xent(z).item()).epsilon(1e-13));
  CHECK(gradient_error(composed, {z.clone()}) < 1e-7);
}

TEST_CASE("functions of values refuse when what their backward pass reads was written since") {
  const auto message = [](const auto& f, bool output) {
    Tensor x = random_tensor({4, 4}, 1, DType::f64, 0.5, 2.0);
    x.set_requires_grad();
    Tensor y = f(x);
    (output ? y : x).fill(1.0);
    return message_of([&] { y.backward(Tensor::zeros(y.shape(), DType::f64)); });
  };
  for (const auto f : {nn::exp, nn::sqrt, nn::reciprocal, nn::sigmoid, nn::tanh, nn::softmax}) {
    CHECK_THAT(message(f, true), Contains("f64 [4,4]"));
    CHECK(message(f, false) == "no error");
  }
  CHECK_THAT(message(nn::log, false), Catch::StartsWith("log: f64 [4,4]"));
  CHECK(message(nn::log, true) == "no error");
  for (const auto f : {nn::transpose, nn::diagonal}) {
    CHECK(message(f, true) == "no error");
    CHECK(message(f, false) == "no error");
  }
}
