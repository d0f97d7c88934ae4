#include "support/device.h"

#include <simclr/kernels/pool.h>

#include <limits>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::both;
using test::random_both;

namespace {

using Values = std::vector<double>;

// One rounding to f32: a few additions or one product in f32 come before it. One to bf16: at most 2^-8,
// squared 1.53e-5.
constexpr double f32_limit = 3e-7, bf16_limit = 1.6e-5;

const std::vector<MaxPoolGeometry> geometries = {
    {.kernel = 3, .stride = 2, .padding = 1}, {.kernel = 2, .stride = 2, .padding = 0},
    {.kernel = 1, .stride = 1, .padding = 0}, {.kernel = 3, .stride = 1, .padding = 1},
    {.kernel = 2, .stride = 3, .padding = 1}, {.kernel = 5, .stride = 3, .padding = 2}};

/// NaNs and infinities included.
bool same_values(const Tensor& a, const Tensor& b) {
  const Values x = a.to_vector<double>(), y = b.to_vector<double>();
  return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                    [](double v, double w) { return v == w || (std::isnan(v) && std::isnan(w)); });
}

void check_max_pool(const Both& x, const MaxPoolGeometry& g) {
  CAPTURE(x.on_device.dtype(), to_string(x.exact.shape()), g.kernel, g.stride, g.padding);
  const MaxPoolResult got = max_pool_forward(x.on_device, g), exact = max_pool_forward(x.exact, g);
  CHECK(same_values(got.y, exact.y));
  CHECK(got.argmax.to_vector<std::int32_t>() == exact.argmax.to_vector<std::int32_t>());
  const Both dy = random_both(exact.y.shape(), 2, x.on_device.dtype());
  CHECK(agrees(max_pool_backward(dy.on_device, got.argmax, x.exact.shape(), g),
               max_pool_backward(dy.exact, exact.argmax, x.exact.shape(), g), f32_limit, bf16_limit));
}

/// The same values, one element behind a 16-byte boundary.
Tensor moved(const Tensor& tensor) {
  const Tensor flat = Tensor::zeros({tensor.numel() + 1}, tensor.dtype(), tensor.device());
  Tensor inner = flat.narrow(1, tensor.numel()).reshape(tensor.shape());
  inner.copy_from(tensor);
  return inner;
}

}  // namespace

DEVICE_TEST_CASE("max pooling agrees with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const auto& g : geometries) {
      for (const Shape& shape : {Shape{1, 5, 5, 1}, Shape{2, 7, 6, 3}, Shape{3, 5, 9, 33}, Shape{1, 8, 31, 129},
                                 Shape{2, 9, 7, 16}, Shape{3, 6, 5, 32}, Shape{31, 3, 4, 8}, Shape{2, 4, 4, 127}}) {
        check_max_pool(random_both(shape, 1, dtype), g);
      }
    }
    check_max_pool(random_both({3, 32, 33, 64}, 1, dtype), geometries[0]);  // more than a grid takes at once
    check_max_pool(random_both({1003, 2, 2, 1}, 1, dtype), geometries[0]);
    check_max_pool(random_both({2, 1, 1, 5}, 1, dtype), geometries[0]);
    for (const std::int64_t size : test::edge_sizes) {
      for (const Shape& shape :
           {Shape{size, 2, 2, 3}, Shape{1, size, 3, 2}, Shape{1, 3, size, 2}, Shape{1, 3, 2, size}})
        check_max_pool(random_both(shape, 1, dtype), geometries[0]);
    }
    check_max_pool(random_both({0, 4, 4, 3}, 1, dtype), geometries[0]);
    check_max_pool(random_both({2, 4, 4, 0}, 1, dtype), geometries[0]);
  }
}

DEVICE_TEST_CASE("max pooling takes the first of equals, and padding never wins") {
  for (const DType dtype : test::device_dtypes) {
    check_max_pool(both(Tensor::full({2, 6, 5, 3}, -1.5), dtype), {});
    const Tensor coarse = test::random_tensor({2, 9, 9, 24}, 4, DType::f64, 0.0, 3.0).to(DType::i32);
    check_max_pool(both(coarse.to(DType::f32), dtype), {});
  }
}

DEVICE_TEST_CASE("max pooling propagates NaN and -Inf as NaN") {
  for (const DType dtype : test::device_dtypes) {
    Tensor x = test::random_tensor({1, 5, 5, 8}, 5, DType::f32);
    x.data<float>()[(2 * 5 + 2) * 8] = NAN;  // channel 0 of pixel 12
    x.data<float>()[(2 * 5 + 3) * 8] = NAN;
    x.data<float>()[0] = -INFINITY;
    check_max_pool(both(x, dtype), {});
    const Values y = max_pool_forward(x.to(dtype).to(test::device()), {}).y.to_vector<double>();
    CHECK(std::isnan(y[0]));
    CHECK(std::isnan(y[(1 * 3 + 1) * 8]));
    CHECK_FALSE(std::isnan(y[1]));
  }
}

DEVICE_TEST_CASE("the global average agrees with double, forward and backward") {
  std::vector<Shape> shapes = {{1, 1, 1, 1},    {2, 4, 4, 33},  {3, 31, 33, 3}, {33, 4, 4, 129}, {0, 4, 4, 3},
                               {1, 32, 127, 5}, {31, 7, 7, 16}, {129, 2, 2, 8}, {1, 1, 1003, 24}};
  for (const std::int64_t size : test::edge_sizes) {
    shapes.insert(shapes.end(), {{size, 2, 3, 2}, {1, size, 1, 3}, {2, 3, 1, size}});
  }
  for (const DType dtype : test::device_dtypes) {
    for (const Shape& shape : shapes) {
      CAPTURE(dtype, to_string(shape));
      const Both x = random_both(shape, 6, dtype, 1.0, 2.0), dy = random_both({shape[0], shape[3]}, 7, dtype);
      CHECK(agrees(global_average_pool_forward(x.on_device), global_average_pool_forward(x.exact), f32_limit,
                   bf16_limit));
      CHECK(agrees(global_average_pool_backward(dy.on_device, shape), global_average_pool_backward(dy.exact, shape),
                   f32_limit, bf16_limit));
    }
  }
}

DEVICE_TEST_CASE("pooling serves pixels that do not start at 16 bytes") {
  for (const DType dtype : test::device_dtypes) {
    Both x = random_both({2, 5, 5, 16}, 8, dtype);
    x.on_device = moved(x.on_device);
    check_max_pool(x, {});
    CHECK(
        agrees(global_average_pool_forward(x.on_device), global_average_pool_forward(x.exact), f32_limit, bf16_limit));
    const Both dy = random_both({2, 16}, 9, dtype);
    CHECK(agrees(global_average_pool_backward(moved(dy.on_device), {2, 3, 3, 16}),
                 global_average_pool_backward(dy.exact, {2, 3, 3, 16}), f32_limit, bf16_limit));
    const MaxPoolResult forward = max_pool_forward(x.exact, {});
    const Both gradient = random_both(forward.y.shape(), 10, dtype);
    const Tensor argmax = moved(forward.argmax.to(test::device()));
    CHECK(agrees(max_pool_backward(gradient.on_device, argmax, x.exact.shape(), {}),
                 max_pool_backward(gradient.exact, forward.argmax, x.exact.shape(), {}), f32_limit, bf16_limit));
  }
}

DEVICE_TEST_CASE("pooling wants f32 or bf16") {
  CHECK_THROWS_WITH(max_pool_forward(Tensor::zeros({1, 4, 4, 2}, DType::f64, test::device()), {}),
                    Catch::Contains("wants f32 or bf16"));
  CHECK_THROWS_WITH(global_average_pool_forward(Tensor::zeros({1, 4, 4, 2}, DType::f64, test::device())),
                    Catch::Contains("wants f32 or bf16"));
}
