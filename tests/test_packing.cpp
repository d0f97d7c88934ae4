#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/kernels/shared/packing.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::random_tensor;

TEST_CASE("packing keeps the sequences' own steps in order, and padding puts zeros behind them") {
  std::uint64_t seed = 1;
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(shape);
    const Tensor x = random_tensor(shape, ++seed), lengths = test::random_lengths(shape[0], seed, shape[1]);
    const auto values = x.to_vector<double>();
    std::vector<double> rows, padded;
    for (std::int64_t n = 0; n < shape[0]; ++n) {
      for (std::int64_t t = 0; t < shape[1]; ++t) {
        for (std::int64_t c = 0; c < shape[2]; ++c) {
          const double value = values[static_cast<std::size_t>((n * shape[1] + t) * shape[2] + c)];
          const bool own = t < lengths.data<std::int32_t>()[n];
          if (own) rows.push_back(value);
          padded.push_back(own ? value : 0.0);
        }
      }
    }
    const Tensor packed = nn::pack_sequences(x, lengths);
    CHECK(packed.to_vector<double>() == rows);
    CHECK(nn::pad_sequences(packed, lengths, shape[0], shape[1]).to_vector<double>() == padded);
    CHECK(nn::pack_sequences(x, {}).raw_data() == x.raw_data());
    CHECK(nn::pad_sequences(nn::pack_sequences(x, {}), {}, shape[0], shape[1]).raw_data() == x.raw_data());
    const auto pack = [&](const auto& in) { return nn::pack_sequences(in[0], lengths); };
    const auto pad = [&](const auto& in) { return nn::pad_sequences(in[0], lengths, shape[0], shape[1]); };
    if (packed.numel() == 0) continue;
    CHECK(test::gradient_error(pack, {x.clone()}) < 1e-8);
    CHECK(test::gradient_error(pad, {packed.clone()}) < 1e-8);
  }
}

TEST_CASE("packing says what does not fit") {
  const Tensor x = Tensor::zeros({2, 4, 3}), lengths = Tensor::from(std::vector<std::int32_t>{4, 1}, {2});
  CHECK_THAT(message_of([&] {
               kernels::pack_sequences(Tensor::zeros({8, 3}), lengths);
             }),
             Contains("x must have 3 dimensions"));
  CHECK_THAT(message_of([&] { kernels::pack_sequences(x, Tensor::full({2}, 5, DType::i32)); }),
             Contains("pack_sequences: length 5 of sequence 0"));
  Tensor to = Tensor::zeros({2, 4, 3});
  CHECK_THAT(message_of([&] {
               kernels::pad_sequences(Tensor::zeros({4, 3}), lengths, to);
             }),
             Contains("rows must be [5,3], got f32 [4,3]"));
  CHECK_THAT(message_of([&] {
               kernels::pad_sequences(Tensor::zeros({5, 3}, DType::f64), lengths, to);
             }),
             Contains("must be the same"));
  CHECK_THAT(message_of([&] {
               kernels::pad_sequences(Tensor::zeros({8, 3}), {}, to);
             }),
             Contains("pad_sequences: wants lengths"));
  CHECK_THAT(message_of([&] { nn::pad_sequences(Tensor::zeros({5}), lengths, 2, 4); }), Contains("rows must be [R,C]"));
}
