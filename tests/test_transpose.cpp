// The transpose and the diagonal of a matrix.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/transpose.h>
#include <simclr/nn/functional.h>

#include <array>

using namespace simclr;
using Catch::Contains;
using test::message_of;
using test::random_tensor;
using test::same_bits;
using Values = std::vector<double>;

namespace {

/// Rows and columns; and those of gradient checks.
std::vector<std::array<std::int64_t, 2>> sizes(std::int64_t largest) {
  std::vector<std::array<std::int64_t, 2>> all = {{2, 3}, {3, 2}, {7, 7}, {64, 96}};
  for (const std::int64_t n : test::edge_sizes) {
    if (n > largest) break;
    for (const auto& size : {std::array{n, std::int64_t{1}}, {std::int64_t{1}, n}, {n, std::int64_t{5}}, {n, n}}) {
      all.push_back(size);
    }
    all.push_back({5, n});
  }
  return all;
}

}  // namespace

TEST_CASE("a transposed matrix has rows for columns") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const auto& [rows, columns] : sizes(1003)) {
      CAPTURE(dtype, rows, columns);
      const Tensor x = random_tensor({rows, columns}, 1, dtype), y = kernels::transpose(x);
      REQUIRE(y.shape() == Shape{columns, rows});
      const Values from = x.to_vector<double>();
      Values expected(from.size());
      for (std::int64_t i = 0; i < rows * columns; ++i) expected[i % columns * rows + i / columns] = from[i];
      CHECK(same_bits(y, Tensor::from(expected, y.shape()).to(dtype)));
    }
  }
  CHECK(kernels::transpose(Tensor::zeros({0, 3})).shape() == Shape{3, 0});
}

TEST_CASE("the diagonal of a matrix is where row and column are one") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const auto& [rows, columns] : sizes(1003)) {
      CAPTURE(dtype, rows, columns);
      const Tensor x = random_tensor({rows, columns}, 2, dtype), y = nn::diagonal(x);
      const Values from = x.to_vector<double>();
      Values expected;
      for (std::int64_t i = 0; i < std::min(rows, columns); ++i) expected.push_back(from[i * columns + i]);
      CHECK(y.dtype() == dtype);
      CHECK(y.to_vector<double>() == expected);
    }
  }
  Tensor none = Tensor::zeros({0, 3}, DType::f64);
  none.set_requires_grad();
  nn::sum(nn::diagonal(none)).backward();
  CHECK(none.grad().shape() == Shape{0, 3});
}

TEST_CASE("gradients of transpose and diagonal agree with central differences") {
  for (const auto& [rows, columns] : sizes(129)) {
    CAPTURE(rows, columns);
    const Tensor x = random_tensor({rows, columns}, 3);
    CHECK(test::gradient_error([](const auto& in) { return nn::transpose(in[0]); }, {x.clone()}) < 1e-8);
    CHECK(test::gradient_error([](const auto& in) { return nn::diagonal(in[0]); }, {x.clone()}) < 1e-8);
  }
}

TEST_CASE("a product with a transposed matrix is the product by linear()") {
  const Tensor a = random_tensor({9, 5}, 4), b = random_tensor({7, 5}, 5);
  CHECK(test::relative_error(nn::matmul(a, nn::transpose(b)), nn::linear(a, b)) < 1e-15);
}

TEST_CASE("a transpose is the same for any number of threads") {
  const int before = threads();
  const Tensor x = random_tensor({1003, 517}, 6, DType::f32);
  set_threads(1);
  const Tensor one = kernels::transpose(x);
  set_threads(5);
  CHECK(same_bits(kernels::transpose(x), one));
  set_threads(before);
}

TEST_CASE("transpose and diagonal refuse what is no matrix of floating-point numbers") {
  CHECK_THAT(message_of([] { nn::transpose(Tensor::zeros({2, 3, 4})); }), Contains("transpose: x must have 2"));
  CHECK_THAT(message_of([] { nn::transpose(Tensor::zeros({2, 3}, DType::i32)); }), Contains("transpose: wants f32"));
  CHECK_THAT(message_of([] { nn::diagonal(Tensor::zeros({2})); }), Contains("diagonal: x must have 2"));
  CHECK_THAT(message_of([] { nn::diagonal(Tensor::zeros({2, 3}, DType::i32)); }), Contains("diagonal: wants f32"));
  CHECK_THAT(message_of([] { nn::diagonal(Tensor()); }), Contains("diagonal: wants f32"));
}
