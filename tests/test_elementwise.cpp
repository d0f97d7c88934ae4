#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/elementwise.h>

#include <functional>

using namespace simclr;
using namespace simclr::kernels;
using test::edge_sizes;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;

Tensor reference(const Shape& shape, const std::function<double(std::size_t)>& value) {
  Values values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = value(i);
  return Tensor::from(values, shape);
}

// One or two roundings of 6e-8 in f32; sums are taken in f64 and rounded once.
double tolerance(DType dtype) {
  return dtype == DType::f64 ? 1e-12 : 2e-7;
}

const Shape large = {3, 40009};  // several threads' worth, and not a multiple of anything

}  // namespace

TEST_CASE("elementwise functions agree with loops in double") {
  std::vector<Shape> shapes = {{}, {0}, large};
  for (const std::int64_t n : edge_sizes) shapes.push_back({n});
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Shape& shape : shapes) {
      CAPTURE(dtype, to_string(shape));
      const Tensor a = random_tensor(shape, 1, dtype), b = random_tensor(shape, 2, dtype);
      const Values x = a.to_vector<double>(), z = b.to_vector<double>();
      const double limit = tolerance(dtype);
      CHECK(relative_error(add(a, b), reference(shape, [&](std::size_t i) { return x[i] + z[i]; })) < limit);
      CHECK(relative_error(multiply(a, b), reference(shape, [&](std::size_t i) { return x[i] * z[i]; })) < limit);
      CHECK(relative_error(scale(a, -1.75), reference(shape, [&](std::size_t i) { return x[i] * -1.75; })) < limit);
      const Tensor y = relu_forward(a);
      CHECK(relative_error(y, reference(shape, [&](std::size_t i) { return std::max(x[i], 0.0); })) == 0);
      CHECK(relative_error(relu_backward(b, y), reference(shape, [&](std::size_t i) { return x[i] > 0 ? z[i] : 0; })) ==
            0);
      double total = 0, magnitude = 1e-30;
      for (const double value : x) total += value, magnitude += std::abs(value);
      CHECK(sum(a).shape() == Shape{});
      CHECK(std::abs(sum(a).item() - total) / magnitude < limit);
    }
  }
}

TEST_CASE("ReLU hides neither NaN nor -Inf, blocks gradients behind them, and has gradient 0 at 0") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Tensor x = Tensor::from(Values{NAN, -INFINITY, INFINITY, 0.0, -0.0, -1, 2}, {7}).to(dtype);
    const Tensor y = relu_forward(x);
    const Values values = y.to_vector<double>();
    CHECK(std::isnan(values[0]));
    CHECK(std::isnan(values[1]));
    CHECK(Values(values.begin() + 2, values.end()) == Values{INFINITY, 0, 0, 0, 2});
    CHECK(relu_backward(Tensor::full({7}, 3.0, dtype), y).to_vector<double>() == Values{0, 0, 3, 0, 0, 0, 3});
  }
}

TEST_CASE("gradients that are not finite pass a closed ReLU and a zero row as NaN") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const double bad : Values{NAN, INFINITY, -INFINITY}) {
      const Tensor dy = Tensor::from(Values{bad, bad, 1, 1}, {4}).to(dtype);
      const Values dx = relu_backward(dy, Tensor::from(Values{0, 2, 0, 2}, {4}).to(dtype)).to_vector<double>();
      CHECK(std::isnan(dx[0]));
      CHECK_FALSE(std::isfinite(dx[1]));
      CHECK(Values(dx.begin() + 2, dx.end()) == Values{0, 1});
      const Normalized zero_row = normalize_forward(Tensor::zeros({1, 4}, dtype));
      const Values through = normalize_backward(dy.reshape({1, 4}), zero_row).to_vector<double>();
      CHECK(std::isnan(through[0]));
      CHECK(through[3] == 0);
    }
  }
}

TEST_CASE("rows' products, bias and its gradient agree with loops in double") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const std::int64_t rows : edge_sizes) {
      for (const std::int64_t channels : {1, 3, 16, 31, 33, 128, 1003}) {
        CAPTURE(dtype, rows, channels);
        const Tensor x = random_tensor({rows, channels}, 3, dtype), bias = random_tensor({channels}, 4, dtype);
        const Values xs = x.to_vector<double>(), bs = bias.to_vector<double>();
        const auto c = static_cast<std::size_t>(channels);
        CHECK(relative_error(add_bias(x, bias), reference(x.shape(), [&](std::size_t i) {
                               return xs[i] + bs[i % c];
                             })) < tolerance(dtype));
        CHECK(relative_error(multiply_rows(x, bias), reference(x.shape(), [&](std::size_t i) {
                               return xs[i] * bs[i % c];
                             })) < tolerance(dtype));
        Values total(c, 0.0);
        for (std::size_t i = 0; i < xs.size(); ++i) total[i % c] += xs[i];
        Tensor dbias = Tensor::full({channels}, NAN, dtype);
        bias_backward(x, dbias);
        CHECK(relative_error(dbias, Tensor::from(total, {channels})) < tolerance(dtype));
      }
    }
  }
}

TEST_CASE("bias works on any rank, and the gradient over no rows is 0") {
  const Tensor x = random_tensor({2, 3, 5, 7}, 5), bias = random_tensor({7}, 6);
  CHECK(same_bits(add_bias(x, bias), add_bias(x.reshape({30, 7}), bias).reshape(x.shape())));
  CHECK(same_bits(add_bias(bias, bias), add(bias, bias)));
  CHECK(same_bits(multiply_rows(x, bias), multiply_rows(x.reshape({30, 7}), bias).reshape(x.shape())));
  Tensor dbias = Tensor::full({7}, NAN, DType::f64);
  bias_backward(Tensor::empty({0, 7}, DType::f64), dbias);
  CHECK(dbias.to_vector<double>() == Values(7, 0.0));
}

TEST_CASE("sums accumulate in f64: small terms beside large ones count") {
  const std::int64_t n = 1 << 20;
  Tensor x = Tensor::full({n}, 1.0 / 1024);
  x.data<float>()[0] = 16777216.0f;  // a running f32 sum would stand still here
  CHECK(sum(x).item() == Approx(16777216.0 + double(n - 1) / 1024).epsilon(1e-7));
  Tensor dbias = Tensor::zeros({1});
  bias_backward(x.reshape({n, 1}), dbias);
  CHECK(dbias.item() == Approx(16777216.0 + double(n - 1) / 1024).epsilon(1e-7));
}

TEST_CASE("normalize agrees with loops in double, forward and backward") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const std::int64_t rows : {1, 33, 257}) {
      for (const std::int64_t size : edge_sizes) {
        CAPTURE(dtype, rows, size);
        const Tensor x = random_tensor({rows, size}, 7, dtype, -2.0, 2.0), du = random_tensor({rows, size}, 8, dtype);
        const Values xs = x.to_vector<double>(), dus = du.to_vector<double>();
        const auto width = static_cast<std::size_t>(size);
        Values norm(static_cast<std::size_t>(rows), 0.0), dot(norm);
        for (std::size_t i = 0; i < xs.size(); ++i) norm[i / width] += xs[i] * xs[i];
        for (double& value : norm) value = std::sqrt(value);
        const auto u = [&](std::size_t i) { return xs[i] / norm[i / width]; };
        for (std::size_t i = 0; i < xs.size(); ++i) dot[i / width] += dus[i] * u(i);
        const Normalized result = normalize_forward(x);
        CHECK(relative_error(result.norm, Tensor::from(norm, {rows})) < tolerance(dtype));
        CHECK(relative_error(result.u, reference(x.shape(), u)) < tolerance(dtype));
        const Tensor dx = normalize_backward(du, result);
        const Values got = dx.to_vector<double>();
        double error = 0;  // against the terms' scale: for size 1 they cancel
        for (std::size_t i = 0; i < got.size(); ++i) {
          const std::size_t row = i / width;
          const double expected = (dus[i] - dot[row] * u(i)) / norm[row];
          error = std::max(error, std::abs(got[i] - expected) * norm[row]);
        }
        CHECK(error < tolerance(dtype));
      }
    }
  }
}

TEST_CASE("a zero row has u = 0 and no gradient; tiny and huge rows are still unit vectors") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Tensor x = Tensor::from(Values{0, 0, 3e-30, 4e-30, 3e30, -4e30}, {3, 2}).to(dtype);
    const Normalized result = normalize_forward(x);
    CHECK(relative_error(result.u, Tensor::from(Values{0, 0, 0.6, 0.8, 0.6, -0.8}, {3, 2})) < tolerance(dtype));
    CHECK(result.norm.to_vector<double>()[0] == 0);
    const auto dx = normalize_backward(Tensor::full({3, 2}, 1.0, dtype), result).to_vector<double>();
    CHECK(dx[0] == 0);
    CHECK(dx[1] == 0);
    CHECK(std::isfinite(dx[2]));
  }
}

TEST_CASE("sums give the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_tensor(large, 9, DType::f32);
  const auto run = [&](int count) {
    set_threads(count);
    Tensor dbias = Tensor::zeros({3});
    bias_backward(x.reshape({40009, 3}), dbias);
    return std::pair{sum(x), dbias};
  };
  const auto one = run(1);
  for (const int count : {2, 3, 5}) {
    const auto many = run(count);
    CHECK(same_bits(one.first, many.first));
    CHECK(same_bits(one.second, many.second));
  }
  set_threads(before);
}

TEST_CASE("elementwise functions refuse wrong shapes and dtypes and say which") {
  const Tensor a = Tensor::zeros({2, 3}), b = Tensor::zeros({3, 2}), bytes = Tensor::zeros({2, 3}, DType::u8);
  CHECK_THROWS_WITH(add(a, b), Catch::Contains("add: b must be [2,3], got f32 [3,2]"));
  CHECK_THROWS_WITH(multiply(a, b), Catch::Contains("multiply: b must be [2,3]"));
  CHECK_THROWS_WITH(add(a, a.to(DType::f64)), Catch::Contains("dtypes and devices must be the same"));
  CHECK_THROWS_WITH(scale(bytes, 2), Catch::Contains("scale: wants f32 or f64, got u8"));
  CHECK_THROWS_WITH(relu_forward(Tensor()), Catch::Contains("an undefined tensor"));
  CHECK_THROWS_WITH(relu_backward(a, b), Catch::Contains("relu_backward: y must be [2,3]"));
  CHECK_THROWS_WITH(add_bias(a, Tensor::zeros({2})), Catch::Contains("add_bias: bias must be [3]"));
  Tensor dbias = Tensor::zeros({2});
  CHECK_THROWS_WITH(bias_backward(a, dbias), Catch::Contains("bias_backward: dbias must be [3]"));
  CHECK_THROWS_WITH(sum(bytes), Catch::Contains("sum: wants f32 or f64"));
  CHECK_THROWS_WITH(normalize_forward(Tensor::zeros({3})), Catch::Contains("x must have 2 dimensions"));
  CHECK_THROWS_WITH(normalize_backward(b, normalize_forward(a)), Catch::Contains("u must be [3,2]"));
}
