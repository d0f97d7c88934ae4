// Concatenation and slices along the last dimension.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/kernels/columns.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using Catch::Contains;
using test::message_of;
using test::random_tensor;
using test::same_bits;

TEST_CASE("columns are copied, and no others") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const std::int64_t rows : test::edge_sizes) {
      for (const std::int64_t count : {0, 1, 3, 8}) {
        CAPTURE(dtype, rows, count);
        const Tensor from = random_tensor({rows, 11}, 1, dtype);
        Tensor to = random_tensor({rows, 9}, 2, dtype);
        const auto a = from.to_vector<double>();
        auto expected = to.to_vector<double>();
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t c = 0; c < count; ++c) expected[r * 9 + 1 + c] = a[r * 11 + 2 + c];
        }
        kernels::copy_columns(from, 2, to, 1, count);
        CHECK(to.to_vector<double>() == expected);
      }
    }
  }
}

TEST_CASE("tensors are concatenated along the last dimension, and slices give them back") {
  const std::vector<Tensor> parts = {random_tensor({2, 3, 4}, 1), random_tensor({2, 3, 1}, 2),
                                     random_tensor({2, 3, 0}, 3), random_tensor({2, 3, 33}, 4)};
  const Tensor y = nn::concatenate(parts);
  REQUIRE(y.shape() == Shape{2, 3, 38});
  std::int64_t begin = 0;
  for (const Tensor& part : parts) {
    CHECK(same_bits(nn::columns(y, begin, part.dim(-1)), part));
    begin += part.dim(-1);
  }
  const Tensor vector = nn::concatenate({random_tensor({3}, 1), random_tensor({2}, 2)});
  CHECK(vector.shape() == Shape{5});
}

TEST_CASE("gradients of concatenation and slices agree with central differences") {
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(to_string(shape));
    const Tensor a = random_tensor(shape, 1), b = random_tensor({shape[0], shape[1], 3}, 2);
    CHECK(test::gradient_error(
              [](const auto& in) {
                return nn::concatenate({in[0], in[1], in[0]});
              },
              {a.clone(), b.clone()}) < 1e-8);
    CHECK(test::gradient_error([](const auto& in) { return nn::columns(in[0], 1, 2); }, {b.clone()}) < 1e-8);
    CHECK(test::gradient_error([&](const auto& in) { return nn::columns(in[0], 0, shape[2]); }, {a.clone()}) < 1e-8);
  }
}

TEST_CASE("columns that are not there are refused, and tensors that do not fit") {
  const Tensor x = random_tensor({2, 3}, 1);
  CHECK_THAT(message_of([&] { nn::columns(x, 2, 2); }),
             Contains("columns 2 .. 4 of from f64 [2,3] on cpu, which has 3"));
  CHECK_THAT(message_of([&] { nn::columns(x, -1, 2); }), Contains("columns -1"));
  CHECK_THAT(message_of([&] { nn::columns(x, 0, -1); }), Contains("-1 of f64 [2,3]"));
  CHECK_THAT(message_of([&] { nn::columns(x, 0, std::int64_t{1} << 40); }),
             Contains("columns: 1099511627776 of f64 [2,3]"));
  CHECK_THAT(message_of([] { nn::concatenate({}); }), Contains("no tensors"));
  CHECK_THAT(message_of([&] {
               nn::concatenate({x, random_tensor({3, 3}, 2)});
             }),
             Contains("all dimensions but the last must be the same"));
  CHECK_THAT(message_of([&] { nn::concatenate({x, random_tensor({2, 1, 3}, 2)}); }), Contains("but the last"));
  CHECK_THAT(message_of([&] { nn::concatenate({x, x.to(DType::f32)}); }), Contains("must be the same"));
  Tensor y = random_tensor({4, 3}, 2);
  CHECK_THAT(message_of([&] { kernels::copy_columns(y, 0, y, 1, 2); }), Contains("share memory"));
  Tensor front = y.narrow(0, 3);
  CHECK_THAT(message_of([&] { kernels::copy_columns(y.narrow(1, 3), 0, front, 0, 3); }), Contains("share memory"));
  Tensor row = y.narrow(0, 1);
  kernels::copy_columns(y.narrow(3, 1), 0, row, 0, 3);
  CHECK(same_bits(y.narrow(0, 1).clone(), y.narrow(3, 1).clone()));
}
