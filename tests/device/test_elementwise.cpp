#include "support/device.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/nn/functional.h>

#include <limits>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::random_both;

namespace {

// One rounding of the exact value: at most 2^-24 of it in f32, 2^-8 in bf16, whose square is 1.53e-5.
constexpr double f32_rounding = 1.2e-7, bf16_rounding = 1.6e-5;

const std::vector<Shape> shapes = [] {
  std::vector<Shape> all = {{}, {0}, {7, 19, 33}};
  for (const std::int64_t n : test::edge_sizes) all.push_back({n});
  return all;
}();

}  // namespace

DEVICE_TEST_CASE("elementwise functions agree with double") {
  for (const DType dtype : test::device_dtypes) {
    for (const Shape& shape : shapes) {
      CAPTURE(dtype, to_string(shape));
      const Both a = random_both(shape, 1, dtype), b = random_both(shape, 2, dtype);
      const auto close = [](const Tensor& x, const Tensor& y) { return agrees(x, y, f32_rounding, bf16_rounding); };
      CHECK(close(add(a.on_device, b.on_device), add(a.exact, b.exact)));
      CHECK(close(multiply(a.on_device, b.on_device), multiply(a.exact, b.exact)));
      CHECK(close(scale(a.on_device, -1.75), scale(a.exact, -1.75)));
      const Tensor y = relu_forward(a.on_device);
      CHECK(agrees(y, relu_forward(a.exact), 0, 0));
      CHECK(agrees(relu_backward(b.on_device, y), relu_backward(b.exact, relu_forward(a.exact)), 0, 0));
      const Tensor total = sum(a.on_device);
      CHECK(total.dtype() == DType::f32);
      CHECK(total.item() == Approx(sum(a.exact).item()).epsilon(1e-6).margin(1e-6));
    }
  }
}

DEVICE_TEST_CASE("the gradient of a sum stays on the device, so that it can be captured") {
  for (const DType dtype : test::device_dtypes) {
    for (const Shape& shape : shapes) {
      CAPTURE(dtype, to_string(shape));
      Tensor x = random_both(shape, 1, dtype).on_device;
      x.set_requires_grad();
      const Tensor dy = Tensor::full({}, 3.0, DType::f32, test::device());
      const auto backward = [&] {
        x.zero_grad();
        nn::sum(x).backward(dy);
      };
      backward();
      CapturedStep step(test::device(), backward);
      step.replay();
      CHECK(test::same_bits(x.grad().to(Device{}), Tensor::full(shape, 3.0, dtype)));
    }
  }
}

DEVICE_TEST_CASE("rows that do not start at 16 bytes are served too") {
  for (const DType dtype : test::device_dtypes) {
    const Both a = random_both({5, 33}, 3, dtype);
    const Tensor part = a.on_device.narrow(1, 3), exact = a.exact.narrow(1, 3);
    CHECK(agrees(scale(part, 3.0), scale(exact, 3.0), f32_rounding, bf16_rounding));
    CHECK(agrees(relu_forward(part), relu_forward(exact), 0, 0));
  }
}

DEVICE_TEST_CASE("ReLU hides neither NaN nor -Inf, blocks gradients behind them, and has gradient 0 at 0") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (const DType dtype : test::device_dtypes) {
    const Tensor x = Tensor::from(std::vector<double>{NAN, -inf, inf, 0.0, -0.0, -1, 2}, {7}).to(dtype);
    const Tensor y = relu_forward(x.to(test::device()));
    const auto values = y.to_vector<double>();
    CHECK(std::isnan(values[0]));
    CHECK(std::isnan(values[1]));
    CHECK(std::vector<double>(values.begin() + 2, values.end()) == std::vector<double>{inf, 0, 0, 0, 2});
    const Tensor dx = relu_backward(Tensor::full({7}, 3.0, dtype, test::device()), y);
    CHECK(dx.to_vector<double>() == std::vector<double>{0, 0, 3, 0, 0, 0, 3});
  }
}

DEVICE_TEST_CASE("gradients that are not finite pass a closed ReLU and a zero row as NaN") {
  for (const DType dtype : test::device_dtypes) {
    for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)}) {
      const Tensor dy = test::both(Tensor::from(std::vector<double>{bad, bad, 1, 1}, {4}), dtype).on_device;
      const Tensor y = test::both(Tensor::from(std::vector<double>{0, 2, 0, 2}, {4}), dtype).on_device;
      const auto dx = relu_backward(dy, y).to_vector<double>();
      CHECK(std::isnan(dx[0]));
      CHECK_FALSE(std::isfinite(dx[1]));
      CHECK((dx[2] == 0 && dx[3] == 1));
      const Normalized zero_row = normalize_forward(Tensor::zeros({1, 4}, dtype, test::device()));
      const auto through = normalize_backward(dy.reshape({1, 4}), zero_row).to_vector<double>();
      CHECK(std::isnan(through[0]));
      CHECK(through[3] == 0);
    }
  }
}

DEVICE_TEST_CASE("rows' products, bias and its gradient agree with double") {
  const auto check = [](std::int64_t rows, std::int64_t channels, DType dtype) {
    CAPTURE(dtype, rows, channels);
    const Both x = random_both({rows, channels}, 4, dtype), bias = random_both({channels}, 5, DType::f32);
    CHECK(agrees(add_bias(x.on_device, bias.on_device), add_bias(x.exact, bias.exact), f32_rounding, bf16_rounding));
    CHECK(agrees(multiply_rows(x.on_device, bias.on_device), multiply_rows(x.exact, bias.exact), f32_rounding,
                 bf16_rounding));
    Tensor dbias = test::poisoned({channels}, DType::f32), exact = Tensor::empty({channels}, DType::f64);
    bias_backward(x.on_device, dbias);
    bias_backward(x.exact, exact);
    CHECK(agrees(dbias, exact, f32_rounding));
  };
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t rows : {0, 1, 31, 33, 513, 1100}) {
      for (const std::int64_t channels : {1, 3, 16, 31, 33, 64}) check(rows, channels, dtype);
    }
    for (const std::int64_t size : test::edge_sizes) {
      check(size, 5, dtype);
      check(5, size, dtype);
    }
  }
}

DEVICE_TEST_CASE("normalize agrees with double, forward and backward") {
  const auto check = [](std::int64_t rows, std::int64_t size, DType dtype) {
    CAPTURE(dtype, rows, size);
    Both x = random_both({rows, size}, 6, dtype, -2.0, 2.0);
    const Both du = random_both({rows, size}, 7, dtype);
    if (rows > 1) {
      x.on_device.narrow(1, 1).fill(0);
      x.exact.narrow(1, 1).fill(0);
    }
    const Normalized result = normalize_forward(x.on_device), exact = normalize_forward(x.exact);
    CHECK(agrees(result.u, exact.u, f32_rounding, bf16_rounding));
    CHECK(agrees(result.norm, exact.norm, f32_rounding));
    // The gradient from the device's own u and norm: what is checked is this kernel.
    const Normalized same = {result.u.to(DType::f64).to(Device{}), result.norm.to(DType::f64).to(Device{})};
    if (size > 1) {  // with one column the two terms cancel to nothing
      CHECK(agrees(normalize_backward(du.on_device, result), normalize_backward(du.exact, same), 5e-7, bf16_rounding));
    }
  };
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t size : test::edge_sizes) {
      for (const std::int64_t rows : {1, 5, 33}) check(rows, size, dtype);
      check(size, 7, dtype);
    }
  }
}

DEVICE_TEST_CASE("primitives: fill, copy, cast and add") {
  const std::vector<DType> all = {DType::f32, DType::f64, DType::bf16, DType::u8, DType::i32};
  for (const DType from : all) {
    const Tensor x = Tensor::from(std::vector<double>{-3.5, 0.0, 0.5, 1.5, 2.4, 300.7, 3e9, NAN, 7}, {9}).to(from);
    const Tensor there = x.to(test::device());
    CHECK(test::same_bits(there.to(Device{}), x));
    CHECK(test::same_bits(there.clone().to(Device{}), x));
    for (const DType to : all) {
      CAPTURE(from, to);
      Tensor expected = x.to(to).clone(), got = there.to(to).to(Device{});
      if (is_floating(to)) {  // a NaN may have any payload
        CHECK(std::isnan(expected.to_vector<double>()[7]) == std::isnan(got.to_vector<double>()[7]));
        expected.narrow(7, 1).fill(0);
        got.narrow(7, 1).fill(0);
      }
      CHECK(test::same_bits(got, expected));
    }
    for (const double value : {0.0, 2.5, -1.0, 1e9}) {
      for (const std::int64_t n : {1, 33, 1003}) {
        const Tensor y = Tensor::full({n}, value, from, test::device());
        CHECK(test::same_bits(y.to(Device{}), Tensor::full({n}, value, from)));
      }
    }
  }
}
