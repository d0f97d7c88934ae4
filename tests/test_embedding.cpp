// Embedding against plain loops in double, its gradient against central differences.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/embedding.h>
#include <simclr/nn/layers.h>

#include <limits>

using namespace simclr;
using Catch::Contains;
using test::message_of;
using test::random_ids;
using test::random_lengths;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

struct Reference {
  std::vector<double> y, dtable;
};

/// Place by place, in order.
Reference reference(const Tensor& table, const Tensor& ids, const Tensor& lengths, const Tensor& dy) {
  const auto rows = table.to_vector<double>(), gradient = dy.to_vector<double>();
  const auto id = ids.to_vector<std::int32_t>();
  const auto length = lengths.defined() ? lengths.to_vector<std::int32_t>() : std::vector<std::int32_t>();
  const std::int64_t width = table.dim(1);
  Reference out{std::vector<double>(gradient.size()), std::vector<double>(rows.size())};
  for (std::int64_t n = 0; n < ids.dim(0); ++n) {
    for (std::int64_t t = 0; t < ids.dim(1); ++t) {
      if (!length.empty() && t >= length[n]) continue;
      const std::int64_t place = n * ids.dim(1) + t;
      for (std::int64_t c = 0; c < width; ++c) {
        out.y[place * width + c] = rows[id[place] * width + c];
        out.dtable[id[place] * width + c] += gradient[place * width + c];
      }
    }
  }
  return out;
}

void check(const Shape& shape, std::int64_t entries, bool padded, DType dtype) {
  CAPTURE(dtype, to_string(shape), entries, padded);
  const std::int64_t n = shape[0], steps = shape[1], width = shape[2];
  const Tensor table = random_tensor({entries, width}, 1, dtype), dy = random_tensor(shape, 2, dtype);
  Tensor ids = random_ids({n, steps}, 3, entries);
  const Tensor lengths = padded ? random_lengths(n, 4, steps) : Tensor();
  const Reference expected = reference(table, ids, lengths, dy);
  CHECK(relative_error(kernels::embedding_forward(table, ids, lengths, dtype), Tensor::from(expected.y, shape)) == 0);
  Tensor dtable = Tensor::full(table.shape(), NAN, dtype);
  kernels::embedding_backward(dy, ids, lengths, dtable);
  // f64 sums, one rounding at the end
  CHECK(relative_error(dtable, Tensor::from(expected.dtable, table.shape())) < (dtype == DType::f64 ? 1e-13 : 1e-7));
}

}  // namespace

TEST_CASE("embedding agrees with loops, forward and backward") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const bool padded : {false, true}) {
      for (const Shape& shape : test::sequence_shapes) {
        for (const std::int64_t entries : {1, 2, 33, 1003}) check(shape, entries, padded, dtype);
      }
      check({31, 127, 33}, 129, padded, dtype);
      check({129, 32, 65}, 7, padded, dtype);
      check({0, 5, 3}, 4, padded, dtype);
      check({5, 0, 3}, 4, padded, dtype);
    }
  }
}

TEST_CASE("embedding's gradient agrees with central differences") {
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(to_string(shape));
    const Tensor ids = random_ids({shape[0], shape[1]}, 5, 6), lengths = random_lengths(shape[0], 6, shape[1]);
    for (const Tensor& own : {lengths, Tensor()}) {
      CHECK(test::gradient_error([&](const auto& in) { return nn::embedding(in[0], ids, own); },
                                 {random_tensor({6, shape[2]}, 7)}) < 1e-8);
    }
  }
}

TEST_CASE("what padding holds is not looked at") {
  Tensor ids = random_ids({4, 6}, 8, 5);
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{6, 0, 3, 5}, {4}), table = random_tensor({5, 3}, 9);
  const Tensor before = kernels::embedding_forward(table, ids, lengths, DType::f64);
  Tensor dy = random_tensor(before.shape(), 10), gradient = Tensor::empty_like(table), other = gradient.clone();
  kernels::embedding_backward(dy, ids, lengths, gradient);
  for (std::int64_t n = 0; n < 4; ++n) {
    for (std::int64_t t = lengths.data<std::int32_t>()[n]; t < 6; ++t) {
      ids.data<std::int32_t>()[n * 6 + t] = std::numeric_limits<std::int32_t>::max();
      for (std::int64_t c = 0; c < 3; ++c) dy.data<double>()[(n * 6 + t) * 3 + c] = NAN;
    }
  }
  CHECK(same_bits(kernels::embedding_forward(table, ids, lengths, DType::f64), before));
  kernels::embedding_backward(dy, ids, lengths, other);
  CHECK(same_bits(gradient, other));
}

TEST_CASE("embedding gives the same bits for any number of threads") {
  const int before = threads();
  const Tensor table = random_tensor({1003, 33}, 1, DType::f32), ids = random_ids({64, 127}, 2, 1003),
               dy = random_tensor({64, 127, 33}, 3, DType::f32);
  const auto run = [&](int count) {
    set_threads(count);
    Tensor dtable = Tensor::empty_like(table);
    kernels::embedding_backward(dy, ids, {}, dtable);
    return std::vector<Tensor>{kernels::embedding_forward(table, ids, {}, DType::f32), dtable};
  };
  const auto one = run(1);
  for (const int count : {2, 5}) CHECK(same_bits(run(count), one));
  set_threads(before);
}

TEST_CASE("embedding refuses what does not fit and says why") {
  const Tensor table = Tensor::zeros({5, 3});
  const auto of = [](std::vector<std::int32_t> values, const Shape& shape) { return Tensor::from(values, shape); };
  const Tensor ids = of({0, 4, 2, 5, 1, 0}, {2, 3});
  const auto forward = [&](const Tensor& i, const Tensor& lengths, DType dtype) {
    return message_of([&] { kernels::embedding_forward(table, i, lengths, dtype); });
  };
  CHECK(forward(ids, {}, DType::f32) == "embedding_forward: id 5 of sequence 1, step 0, is outside 0..4");
  CHECK(forward(ids, of({3, 0}, {2}), DType::f32) == "no error");
  CHECK_THAT(forward(of({-1}, {1, 1}), {}, DType::f32), Contains("id -1"));
  CHECK_THAT(forward(ids, of({3, 4}, {2}), DType::f32), Contains("length 4 of sequence 1 is outside 0..3"));
  CHECK_THAT(forward(ids, of({3, -1}, {2}), DType::f32), Contains("length -1"));
  CHECK_THAT(forward(ids, of({3}, {1}), DType::f32), Contains("lengths must be i32 [2]"));
  CHECK_THAT(forward(ids.to(DType::f32), {}, DType::f32), Contains("ids must be i32 [N,T]"));
  CHECK_THAT(forward(of({1, 2}, {2}), {}, DType::f32), Contains("ids must be i32 [N,T]"));
  CHECK_THAT(forward(ids, {}, DType::bf16), Contains("no bf16 from a table f32 [5,3]"));
  CHECK_THAT(forward(ids, {}, DType::f64), Contains("no f64"));
  Tensor dtable = Tensor::zeros({5, 3});
  CHECK_THAT(message_of([&] {
               kernels::embedding_backward(Tensor::zeros({2, 3, 4}), ids, {}, dtable);
             }),
             Contains("dy must be [2,3,3]"));
}

TEST_CASE("the layer looks up its weight and passes lengths on") {
  nn::Embedding layer({.entries = 7, .width = 4});
  layer.initialize(1);
  const auto parameters = layer.parameters();
  REQUIRE(parameters.size() == 1);
  CHECK(parameters[0].name == "weight");
  CHECK(parameters[0].value.shape() == Shape{7, 4});
  CHECK(layer.output_features() == 4);
  const Tensor ids = random_ids({3, 5}, 2, 7), lengths = random_lengths(3, 3, 5);
  const Tensor y = layer(Input(ids, lengths));
  CHECK(same_bits(y, kernels::embedding_forward(parameters[0].value, ids, lengths, DType::f32)));
  y.backward(Tensor::full(y.shape(), 1.0));
  CHECK(parameters[0].value.grad().defined());
  layer.to(DType::f64);
  CHECK(layer(ids).dtype() == DType::f64);
  CHECK_THAT(message_of([] { nn::Embedding({.entries = 0, .width = 4}); }), Contains("entries 0"));
  CHECK_THAT(message_of([] { nn::Embedding({.entries = 2, .width = 4, .dtype = DType::f64}); }),
             Contains("it is f32 or bf16"));
}
