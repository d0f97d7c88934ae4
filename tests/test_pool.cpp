#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/pool.h>

using namespace simclr;
using namespace simclr::kernels;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;

struct Pooled {
  Values y;
  std::vector<std::int32_t> argmax;
  Shape shape;
};

/// The straight definition; a NaN wins over everything before it, and -Inf counts as one.
Pooled max_pool_reference(const Tensor& x, const MaxPoolGeometry& g) {
  const auto in = x.to_vector<double>();
  const std::int64_t height = x.dim(1), width = x.dim(2), channels = x.dim(3);
  const std::int64_t oh = (height + 2 * g.padding - g.kernel) / g.stride + 1;
  const std::int64_t ow = (width + 2 * g.padding - g.kernel) / g.stride + 1;
  Pooled out{{}, {}, {x.dim(0), oh, ow, channels}};
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    for (std::int64_t i = 0; i < oh; ++i) {
      for (std::int64_t j = 0; j < ow; ++j) {
        for (std::int64_t c = 0; c < channels; ++c) {
          double best = 0;
          std::int64_t winner = -1;
          for (std::int64_t a = 0; a < g.kernel; ++a) {
            for (std::int64_t b = 0; b < g.kernel; ++b) {
              const std::int64_t h = i * g.stride - g.padding + a, w = j * g.stride - g.padding + b;
              if (h < 0 || h >= height || w < 0 || w >= width) continue;
              double value = in[((n * height + h) * width + w) * channels + c];
              if (value == -INFINITY) value = NAN;
              if (winner < 0 || value > best || std::isnan(value)) {
                best = value;
                winner = h * width + w;
              }
            }
          }
          out.y.push_back(best);
          out.argmax.push_back(static_cast<std::int32_t>(winner));
        }
      }
    }
  }
  return out;
}

Values max_pool_backward_reference(const Tensor& dy, const Pooled& forward, const Shape& x_shape) {
  const auto gradient = dy.to_vector<double>();
  Values dx(static_cast<std::size_t>(x_shape.numel()), 0.0);
  const std::int64_t channels = x_shape[3], outputs = forward.shape[1] * forward.shape[2];
  for (std::int64_t i = 0; i < dy.numel(); ++i) {
    const std::int64_t n = i / channels / outputs;
    dx[(n * x_shape[1] * x_shape[2] + forward.argmax[i]) * channels + i % channels] += gradient[i];
  }
  return dx;
}

void check_max_pool(const Tensor& x, const MaxPoolGeometry& g) {
  CAPTURE(x.dtype(), to_string(x.shape()), g.kernel, g.stride, g.padding);
  const Pooled expected = max_pool_reference(x, g);
  const MaxPoolResult result = max_pool_forward(x, g);
  REQUIRE(result.y.shape() == expected.shape);
  CHECK(relative_error(result.y, Tensor::from(expected.y, expected.shape)) == 0);
  CHECK(result.argmax.to_vector<std::int32_t>() == expected.argmax);
  const Tensor dy = random_tensor(expected.shape, 2, x.dtype());
  const Tensor dx = max_pool_backward(dy, result.argmax, x.shape(), g);
  // A pixel may win several windows: a few f32 additions.
  const double limit = x.dtype() == DType::f64 ? 1e-14 : 3e-7;
  CHECK(relative_error(dx, Tensor::from(max_pool_backward_reference(dy, expected, x.shape()), x.shape())) < limit);
}

}  // namespace

TEST_CASE("max pooling agrees with loops, forward and backward") {
  const std::vector<MaxPoolGeometry> geometries = {
      {.kernel = 3, .stride = 2, .padding = 1}, {.kernel = 2, .stride = 2, .padding = 0},
      {.kernel = 1, .stride = 1, .padding = 0}, {.kernel = 3, .stride = 1, .padding = 1},
      {.kernel = 2, .stride = 3, .padding = 1}, {.kernel = 5, .stride = 3, .padding = 2}};
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const auto& g : geometries) {
      for (const Shape& shape : {Shape{1, 5, 5, 1}, Shape{2, 7, 6, 3}, Shape{3, 5, 9, 33}, Shape{1, 8, 31, 129}}) {
        check_max_pool(random_tensor(shape, 1, dtype), g);
      }
    }
    check_max_pool(random_tensor({31, 32, 32, 16}, 1, dtype), geometries[0]);
    check_max_pool(random_tensor({2, 1, 1, 5}, 1, dtype), geometries[0]);
    check_max_pool(random_tensor({0, 4, 4, 3}, 1, dtype), geometries[0]);
  }
}

TEST_CASE("max pooling takes the first of equals, and padding never wins") {
  check_max_pool(Tensor::full({2, 6, 5, 3}, -1.5), {});
  // many ties
  check_max_pool(random_tensor({2, 9, 9, 17}, 4, DType::f64, 0.0, 3.0).to(DType::i32).to(DType::f32), {});
  const auto argmax = max_pool_forward(Tensor::full({1, 4, 4, 1}, -7.0), {}).argmax.to_vector<std::int32_t>();
  CHECK(argmax == std::vector<std::int32_t>{0, 1, 4, 5});
}

TEST_CASE("max pooling propagates NaN and -Inf as NaN") {
  Tensor x = random_tensor({1, 5, 5, 2}, 5, DType::f32);
  x.data<float>()[(2 * 5 + 2) * 2] = NAN;  // channel 0 of pixel 12
  x.data<float>()[0] = -INFINITY;
  check_max_pool(x, {});
  const auto y = max_pool_forward(x, {}).y.to_vector<double>();
  CHECK(std::isnan(y[0]));
  CHECK_FALSE(std::isnan(y[1]));
  CHECK(std::isnan(y[(1 * 3 + 1) * 2]));
}

TEST_CASE("the global average agrees with loops, forward and backward") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 4, 4, 33}, Shape{3, 31, 33, 3}, Shape{33, 8, 8, 129},
                               Shape{0, 4, 4, 3}, Shape{1, 127, 129, 5}}) {
      CAPTURE(dtype, to_string(shape));
      const Tensor x = random_tensor(shape, 6, dtype, 1.0, 2.0);
      const auto in = x.to_vector<double>();
      const std::int64_t pixels = shape[1] * shape[2], channels = shape[3];
      const Shape small = {shape[0], channels};
      Values mean(static_cast<std::size_t>(small.numel()), 0.0), dx(in.size());
      const Tensor dy = random_tensor(small, 7, dtype);
      const auto gradient = dy.to_vector<double>();
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        const std::int64_t at = i / channels / pixels * channels + i % channels;
        mean[at] += in[i] / double(pixels);
        dx[i] = gradient[at] / double(pixels);
      }
      // f64 sums, one rounding at the end
      const double limit = dtype == DType::f64 ? 1e-12 : 1e-7;
      CHECK(relative_error(global_average_pool_forward(x), Tensor::from(mean, small)) < limit);
      CHECK(relative_error(global_average_pool_backward(dy, shape), Tensor::from(dx, shape)) < limit);
    }
  }
}

TEST_CASE("pooling gives the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_tensor({9, 33, 33, 31}, 8, DType::f32);
  const auto run = [&](int count) {
    set_threads(count);
    const auto pooled = max_pool_forward(x, {});
    return std::vector<Tensor>{pooled.y, pooled.argmax, max_pool_backward(pooled.y, pooled.argmax, x.shape(), {}),
                               global_average_pool_forward(x)};
  };
  const auto one = run(1);
  for (const int count : {2, 5}) {
    const auto many = run(count);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_bits(one[i], many[i]));
  }
  set_threads(before);
}

TEST_CASE("pooling refuses impossible shapes and geometries and says why") {
  const Tensor x = Tensor::zeros({1, 4, 4, 2});
  CHECK_THROWS_WITH(max_pool_forward(x, {.kernel = 3, .stride = 0, .padding = 1}), Catch::Contains("stride 0"));
  CHECK_THROWS_WITH(max_pool_forward(x, {.kernel = 3, .stride = 1, .padding = 2}),
                    Catch::Contains("padding 0 to kernel / 2"));
  CHECK_THROWS_WITH(max_pool_forward(x, {.kernel = 5, .stride = 1, .padding = 0}), Catch::Contains("does not fit"));
  CHECK_THROWS_WITH(max_pool_forward(Tensor::zeros({4, 4}), {}), Catch::Contains("4 dimensions"));
  CHECK_THROWS_WITH(max_pool_forward(Tensor::zeros({1, 4, 4, 2}, DType::u8), {}), Catch::Contains("wants f32 or f64"));
  const auto pooled = max_pool_forward(x, {});
  CHECK_THROWS_WITH(max_pool_backward(x, pooled.argmax, x.shape(), {}), Catch::Contains("dy must be [1,2,2,2]"));
  CHECK_THROWS_WITH(max_pool_backward(pooled.y, pooled.y, x.shape(), {}), Catch::Contains("argmax must be i32"));
  CHECK_THROWS_WITH(global_average_pool_forward(Tensor::zeros({1, 0, 4, 2})), Catch::Contains("at least one pixel"));
  CHECK_THROWS_WITH(global_average_pool_backward(Tensor::zeros({2, 2}), x.shape()),
                    Catch::Contains("dy must be [1,2]"));
}
