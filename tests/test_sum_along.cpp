// Sums along a dimension against plain loops in double, and the way back.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/sum_along.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using Catch::Contains;
using test::message_of;
using test::random_tensor;
using test::relative_error;
using test::same_bits;
using Values = std::vector<double>;

namespace {

/// As [outer,n,inner], all in a Shape of three.
Values sum_of(const Values& x, const Shape& s) {
  Values y(static_cast<std::size_t>(s[0] * s[2]), 0.0);
  for (std::int64_t o = 0; o < s[0]; ++o) {
    for (std::int64_t i = 0; i < s[1]; ++i) {
      for (std::int64_t k = 0; k < s[2]; ++k) y[o * s[2] + k] += x[(o * s[1] + i) * s[2] + k];
    }
  }
  return y;
}

std::vector<Shape> shapes() {
  std::vector<Shape> all = {{1, 1, 1}, {2, 3, 4}, {3, 0, 2}, {0, 3, 2}, {3, 2, 0}, {5, 2000, 1}, {2, 900, 70}};
  for (const std::int64_t n : test::edge_sizes) {
    for (const Shape& shape : {Shape{n, 5, 3}, {3, n, 5}, {5, 3, n}, {1, n, 4}, {1, 4, n}, {n, 4, 1}, {4, n, 1}}) {
      all.push_back(shape);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("sums along a dimension agree with loops in double") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Shape& shape : shapes()) {
      CAPTURE(dtype, to_string(shape));
      const Tensor x = random_tensor(shape, 1, dtype, 0.0, 1.0), y = kernels::sum_along(x, 1);
      REQUIRE(y.shape() == Shape{shape[0], shape[2]});
      CHECK(y.dtype() == dtype);
      // Sums are taken in f64 and rounded once.
      CHECK(relative_error(y, Tensor::from(sum_of(x.to_vector<double>(), shape), y.shape())) <
            (dtype == DType::f64 ? 1e-13 : 6e-8));
    }
  }
}

TEST_CASE("any dimension can be summed, counted from either end") {
  const Tensor x = random_tensor({3, 4, 5, 6}, 2);
  for (int dim = 0; dim < 4; ++dim) {
    CAPTURE(dim);
    std::vector<std::int64_t> left, sizes = {1, x.dim(dim), 1};
    for (int i = 0; i < 4; ++i) {
      if (i != dim) left.push_back(x.dim(i));
      if (i != dim) sizes[i < dim ? 0 : 2] *= x.dim(i);
    }
    const Tensor y = kernels::sum_along(x, dim);
    CHECK(y.shape() == Shape(left));
    CHECK(relative_error(y, Tensor::from(sum_of(x.to_vector<double>(), Shape(sizes)), y.shape())) < 1e-15);
    CHECK(same_bits(kernels::sum_along(x, dim - 4), y));
    const Tensor mean = nn::mean(x, dim);
    CHECK(relative_error(mean, nn::scale(y, 1.0 / static_cast<double>(x.dim(dim)))) < 1e-15);
  }
  CHECK(kernels::sum_along(random_tensor({7}, 3), 0).shape() == Shape{});
}

TEST_CASE("what a sum's gradient is spread over is every element") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Shape& shape : shapes()) {
      CAPTURE(dtype, to_string(shape));
      const Tensor dy = random_tensor({shape[0], shape[2]}, 4, dtype);
      const Tensor dx = kernels::spread_along(dy, shape, 1, dtype);
      const Values from = dy.to_vector<double>();
      Values expected;
      for (std::int64_t row = 0; row < shape[0] * shape[1]; ++row) {
        for (std::int64_t k = 0; k < shape[2]; ++k) expected.push_back(from[row / shape[1] * shape[2] + k]);
      }
      CHECK(same_bits(dx, Tensor::from(expected, shape).to(dtype)));
    }
  }
}

TEST_CASE("gradients of sums and means along a dimension agree with central differences") {
  for (const Shape& shape : shapes()) {
    if (shape.numel() == 0 || shape.numel() > 3000) continue;
    for (int dim = -1; dim < 3; ++dim) {
      CAPTURE(to_string(shape), dim);
      const Tensor x = random_tensor(shape, 5);
      CHECK(test::gradient_error([&](const auto& in) { return nn::sum(in[0], dim); }, {x.clone()}) < 1e-7);
      CHECK(test::gradient_error([&](const auto& in) { return nn::mean(in[0], dim); }, {x.clone()}) < 1e-7);
    }
  }
}

TEST_CASE("sums along a dimension give the same bits for any number of threads") {
  const int before = threads();
  for (const Shape& shape : {Shape{1, 40009, 3}, {3001, 40, 1}, {50, 40, 60}}) {
    const Tensor x = random_tensor(shape, 6, DType::f32);
    set_threads(1);
    const Tensor one = kernels::sum_along(x, 1);
    set_threads(5);
    CHECK(same_bits(kernels::sum_along(x, 1), one));
    set_threads(before);
  }
}

TEST_CASE("dimensions that are not there are refused, and means of nothing") {
  const Tensor x = random_tensor({2, 3}, 7);
  CHECK_THAT(message_of([&] { nn::sum(x, 2); }), Contains("dimension 2 of [2,3], which has 2"));
  CHECK_THAT(message_of([&] { nn::sum(x, -3); }), Contains("dimension -3 of [2,3]"));
  CHECK_THAT(message_of([&] { nn::sum(nn::sum(x), 0); }), Contains("dimension 0 of []"));
  CHECK_THAT(message_of([&] { nn::sum(x.to(DType::i32), 0); }), Contains("wants f32 or f64"));
  CHECK_THAT(message_of([] { nn::mean(Tensor::zeros({2, 0}), 1); }), Contains("dimension 1 of f32 [2,0]"));
  CHECK_THAT(message_of([&] { kernels::spread_along(x, {2, 4, 4}, 1, DType::f64); }), Contains("dy must be [2,4]"));
  CHECK_THAT(message_of([&] { kernels::spread_along(x, {2, 4, 3}, 1, DType::f32); }), Contains("must be the same"));
}
