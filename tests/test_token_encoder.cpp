// Encoders of tokens: what a sequence's features are, what padding does, and what their state holds.
#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/nn/token_encoder.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace simclr;
using Catch::Matchers::Contains;
using nn::TokenNetwork;
using test::message_of;
using test::same_bits;

namespace {

constexpr TokenNetwork all_networks[] = {TokenNetwork::bag, TokenNetwork::gru, TokenNetwork::transformer};

Tensor ids(const std::vector<std::int32_t>& values, std::int64_t rows) {
  return Tensor::from(values, {rows, std::ssize(values) / rows});
}

Tensor lengths(const std::vector<std::int32_t>& values) {
  return Tensor::from(values, {std::ssize(values)});
}

Tensor keys(std::int32_t rows, std::int32_t view) {
  std::vector<std::int32_t> values;
  for (std::int32_t n = 0; n < rows; ++n) values.insert(values.end(), {n, 0, view});
  return Tensor::from(values, {rows, 3});
}

}  // namespace

TEST_CASE("a bag's features are the mean and the maximum of its tokens' embeddings") {
  nn::TokenEncoder encoder({.entries = 5, .width = 3});
  encoder.eval();
  const auto table = encoder.parameters().front().value.to_vector<float>();
  const Tensor y = encoder(Input{ids({4, 2, 0, 0, 1, 3, 3, 3}, 2), lengths({2, 4})});
  REQUIRE(y.shape() == Shape{2, 6});
  CHECK(encoder.output_features() == 6);
  const auto of = [&](std::size_t id, std::size_t c) { return table[id * 3 + c]; };
  for (std::size_t c = 0; c < 3; ++c) {
    const auto values = y.to_vector<float>();
    CHECK(values[c] == Approx((of(4, c) + of(2, c)) / 2));
    CHECK(values[3 + c] == std::max(of(4, c), of(2, c)));
    CHECK(values[6 + c] == Approx((of(1, c) + 3 * of(3, c)) / 4));
  }
}

TEST_CASE("embeddings start small, and as the seed says") {
  const auto table = [](std::uint64_t seed) {
    nn::TokenEncoder encoder({.entries = 100, .width = 100, .seed = seed});
    return encoder.parameters().front().value.to_vector<double>();
  };
  const auto values = table(1);
  double squares = 0;
  for (const double value : values) squares += value * value / static_cast<double>(values.size());
  CHECK(std::sqrt(squares) == Approx(0.1).margin(0.003));
  CHECK(table(1) == values);
  CHECK(table(2) != values);
}

TEST_CASE("padding changes nothing, however much of it there is") {
  for (const TokenNetwork network : all_networks) {
    CAPTURE(static_cast<int>(network));
    nn::TokenEncoder encoder({.entries = 9, .width = 8, .network = network, .layers = 2, .heads = 2, .longest = 40});
    encoder.eval();
    std::vector<std::int32_t> wide(2 * 40, 0), other(2 * 40, 7), narrow;
    for (std::int32_t n = 0; n < 2; ++n) {
      for (std::int32_t t = 0; t < 5; ++t) {
        const std::int32_t id = 1 + (3 * n + t) % 8;
        wide[static_cast<std::size_t>(40 * n + t)] = other[static_cast<std::size_t>(40 * n + t)] = id;
        narrow.push_back(id);
      }
    }
    const Tensor own = lengths({5, 3});
    const Tensor expected = encoder(Input{ids(narrow, 2), own});
    const Tensor padded = encoder(Input{ids(wide, 2), own});
    CHECK(test::relative_error(padded, expected) < 1e-6);
    CHECK(same_bits(encoder(Input{ids(other, 2), own}), padded));
    // A sequence's features are its own.
    const Tensor second = encoder(Input{ids({narrow.begin() + 5, narrow.end()}, 1), lengths({3})});
    const auto a = second.to_vector<double>(), b = expected.narrow(1, 1).to_vector<double>();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).margin(1e-6));
  }
}

TEST_CASE("a token's features are those that the sequence's are made of") {
  for (const TokenNetwork network : all_networks) {
    CAPTURE(static_cast<int>(network));
    nn::TokenEncoder encoder({.entries = 9, .width = 8, .network = network, .heads = 2});
    encoder.eval();
    const Input input{ids({1, 2, 3, 4, 5, 0, 0, 0}, 2), lengths({4, 1})};
    const Tensor tokens = encoder.features_of_tokens(input);
    REQUIRE(tokens.shape() == Shape{2, 4, 8});
    const auto mean = nn::mean_over_time(tokens, input.lengths).to_vector<double>();
    const auto y = encoder(input).to_vector<double>();
    for (std::size_t c = 0; c < 8; ++c) CHECK(y[c] == Approx(mean[c]).margin(1e-6));
    const auto behind = tokens.to_vector<float>();
    CHECK(std::all_of(behind.end() - 3 * 8, behind.end(), [](float value) { return value == 0; }));
  }
}

TEST_CASE("dropout is of the view, in training alone") {
  nn::TokenEncoder encoder({.entries = 9, .width = 16, .dropout = {.p = 0.5}});
  const Tensor x = ids({1, 2, 3, 4}, 1);
  const auto of = [&](std::int32_t view) { return encoder(Input{x, {}, keys(1, view)}); };
  CHECK(same_bits(of(0), of(0)));
  CHECK_FALSE(same_bits(of(0), of(1)));
  CHECK_THAT(message_of([&] { encoder(Input{x}); }), Contains("keys"));
  encoder.eval();
  CHECK(same_bits(of(0), of(1)));
}

TEST_CASE("every weight gets a gradient") {
  for (const TokenNetwork network : all_networks) {
    CAPTURE(static_cast<int>(network));
    nn::TokenEncoder encoder({.entries = 4, .width = 8, .network = network, .heads = 2, .longest = 4});
    const Tensor y = encoder(Input{ids({0, 1, 2, 3, 3, 2, 1, 0}, 2), lengths({4, 4})});
    nn::sum(nn::multiply(y, y)).backward();
    for (const nn::Parameter& p : encoder.parameters()) {
      CAPTURE(p.name);
      REQUIRE(p.value.grad().defined());
      const auto gradient = p.value.grad().to_vector<double>();
      CHECK(std::any_of(gradient.begin(), gradient.end(), [](double value) { return value != 0; }));
    }
  }
}

TEST_CASE("the tokenizer's bytes are part of the state, and stay bytes") {
  const std::vector<std::uint8_t> bytes = {7, 0, 255, 3};
  nn::TokenEncoder encoder({.entries = 4, .width = 2, .tokenizer = Tensor::from(bytes, {4})});
  const auto kept = [&] {
    for (const NamedTensor& each : encoder.state()) {
      if (each.name == "tokenizer") return each.value;
    }
    return Tensor();
  };
  REQUIRE(kept().defined());
  encoder.to(DType::f64);
  CHECK(kept().dtype() == DType::u8);
  CHECK(encoder.parameters().front().value.dtype() == DType::f64);
  CHECK(kept().to_vector<std::uint8_t>() == bytes);
  nn::TokenEncoder other({.entries = 4, .width = 2, .tokenizer = Tensor::zeros({4}, DType::u8), .seed = 3});
  other.to(DType::f64);
  other.load_state(encoder.state());
  CHECK(other.state().back().value.to_vector<std::uint8_t>() == bytes);
}

TEST_CASE("impossible encoders and inputs are refused") {
  CHECK_THAT(message_of([] { nn::TokenEncoder({.entries = 0}); }), Contains("entries 0"));
  CHECK_THAT(message_of([] { nn::TokenEncoder({.entries = 4, .width = 7, .network = TokenNetwork::gru}); }),
             Contains("an even one"));
  CHECK_THAT(message_of([] { nn::TokenEncoder({.entries = 4, .width = 4, .tokenizer = Tensor::zeros({4})}); }),
             Contains("u8 [bytes]"));
  nn::TokenEncoder encoder({.entries = 4, .width = 4});
  CHECK_THAT(message_of([&] { encoder(Tensor::zeros({2, 3})); }), Contains("ids i32 [N,T]"));
}
