// Transformers: names, shapes and starts of parameters, and what the layers make of their input. The op itself:
// test_attention.cpp.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/nn/transformer.h>

#include <algorithm>
#include <cmath>
#include <map>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::random_lengths;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;

std::map<std::string, Tensor> parameters_of(const nn::Module& module) {
  std::map<std::string, Tensor> all;
  for (const nn::Parameter& p : module.parameters()) all.emplace(p.name, p.value);
  return all;
}

/// In f64, every parameter random: none is 0 or 1 throughout.
void randomize(nn::Module& module) {
  module.to(DType::f64);
  std::uint64_t seed = 100;
  for (nn::Parameter& p : module.parameters()) p.value.copy_from(random_tensor(p.value.shape(), ++seed));
}

/// Keys of N views.
Tensor keys_of(const std::vector<std::int32_t>& samples) {
  std::vector<std::int32_t> keys;
  for (const std::int32_t sample : samples) keys.insert(keys.end(), {sample, 1, 0});
  return Tensor::from(keys, {static_cast<std::int64_t>(samples.size()), 3});
}

/// The features of one sequence, [T][C], by PyTorch's documentation of its layers.
class PlainTransformer {
 public:
  PlainTransformer(const nn::Module& module, std::size_t width, std::size_t heads, std::size_t layers)
      : parameters_(parameters_of(module)), width_(width), heads_(heads), layers_(layers) {}

  std::vector<Values> operator()(std::vector<Values> x) const {
    const Values positions = of("positions");
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (std::size_t c = 0; c < width_; ++c) x[t][c] += positions[t * width_ + c];
    }
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      const std::string at = "layers." + std::to_string(layer) + ".";
      const std::vector<Values> attended = attention(x, at);
      for (std::size_t t = 0; t < x.size(); ++t) {
        for (std::size_t c = 0; c < width_; ++c) x[t][c] += attended[t][c];
        Values h = linear(normalized(x[t], at + "norm2"), at + "linear1.weight", at + "linear1.bias");
        for (double& v : h) v *= std::erfc(-v / std::sqrt(2.0)) / 2;
        h = linear(h, at + "linear2.weight", at + "linear2.bias");
        for (std::size_t c = 0; c < width_; ++c) x[t][c] += h[c];
      }
    }
    for (Values& step : x) step = normalized(step, "norm");
    return x;
  }

 private:
  Values of(const std::string& name) const { return parameters_.at(name).to_vector<double>(); }

  Values linear(const Values& x, const std::string& weight, const std::string& bias) const {
    const Values w = of(weight);
    Values y = of(bias);
    for (std::size_t i = 0; i < w.size(); ++i) y[i / x.size()] += w[i] * x[i % x.size()];
    return y;
  }

  Values normalized(const Values& x, const std::string& name) const {
    const Values gamma = of(name + ".weight"), beta = of(name + ".bias");
    double mean = 0, variance = 0;
    for (const double v : x) mean += v / static_cast<double>(width_);
    for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(width_);
    Values y(width_);
    for (std::size_t c = 0; c < width_; ++c) y[c] = (x[c] - mean) / std::sqrt(variance + 1e-5) * gamma[c] + beta[c];
    return y;
  }

  std::vector<Values> attention(const std::vector<Values>& x, const std::string& at) const {
    const std::size_t wide = width_ / heads_;
    std::vector<Values> qkv, y;
    for (const Values& step : x) {
      qkv.push_back(
          linear(normalized(step, at + "norm1"), at + "self_attn.in_proj_weight", at + "self_attn.in_proj_bias"));
    }
    for (const Values& query : qkv) {
      Values row(width_, 0.0);
      for (std::size_t h = 0; h < heads_; ++h) {
        Values p;
        for (const Values& key : qkv) {
          double s = 0;
          for (std::size_t d = h * wide; d < (h + 1) * wide; ++d) s += query[d] * key[width_ + d];
          p.push_back(std::exp(s / std::sqrt(static_cast<double>(wide))));
        }
        double sum = 0;
        for (const double v : p) sum += v;
        for (std::size_t j = 0; j < p.size(); ++j) {
          for (std::size_t d = h * wide; d < (h + 1) * wide; ++d) row[d] += p[j] / sum * qkv[j][2 * width_ + d];
        }
      }
      y.push_back(linear(row, at + "self_attn.out_proj.weight", at + "self_attn.out_proj.bias"));
    }
    return y;
  }

  std::map<std::string, Tensor> parameters_;
  std::size_t width_, heads_, layers_;
};

}  // namespace

TEST_CASE("a Transformer has the parameters of PyTorch's encoder: names, shapes, start") {
  nn::Transformer transformer({.width = 12, .layers = 2, .heads = 3, .hidden = 20, .positions = 7});
  transformer.initialize(4);
  CHECK(transformer.output_features() == 12);
  std::map<std::string, Shape> expected = {{"positions", {7, 12}}, {"norm.weight", {12}}, {"norm.bias", {12}}};
  for (const char* layer : {"layers.0.", "layers.1."}) {
    const std::map<std::string, Shape> own = {{"self_attn.in_proj_weight", {36, 12}},
                                              {"self_attn.in_proj_bias", {36}},
                                              {"self_attn.out_proj.weight", {12, 12}},
                                              {"self_attn.out_proj.bias", {12}},
                                              {"linear1.weight", {20, 12}},
                                              {"linear1.bias", {20}},
                                              {"linear2.weight", {12, 20}},
                                              {"linear2.bias", {12}},
                                              {"norm1.weight", {12}},
                                              {"norm1.bias", {12}},
                                              {"norm2.weight", {12}},
                                              {"norm2.bias", {12}}};
    for (const auto& [name, shape] : own) expected.emplace(layer + name, shape);
  }
  const auto parameters = parameters_of(transformer);
  REQUIRE(parameters.size() == expected.size());
  for (const auto& [name, shape] : expected) {
    CAPTURE(name);
    REQUIRE(parameters.count(name) == 1);
    CHECK(parameters.at(name).shape() == shape);
  }
  const Values weights = parameters.at("layers.1.self_attn.in_proj_weight").to_vector<double>();
  const auto [least, most] = std::minmax_element(weights.begin(), weights.end());
  const double bound = std::sqrt(6.0 / 48);
  CHECK((*least >= -bound && *least < -0.9 * bound));
  CHECK((*most <= bound && *most > 0.9 * bound));
  CHECK(parameters.at("layers.0.self_attn.in_proj_bias").to_vector<double>() == Values(36, 0.0));
  double squares = 0;
  for (const double v : parameters.at("positions").to_vector<double>()) squares += v * v / 84;
  CHECK(std::sqrt(squares) == Approx(0.02).epsilon(0.25));
  CHECK(parameters_of(nn::Transformer({.width = 8, .layers = 1})).at("layers.0.linear1.weight").shape() ==
        Shape({32, 8}));
}

TEST_CASE("a Transformer agrees with plain loops, sequence by sequence") {
  const std::int64_t steps = GENERATE(9, 70), width = 12;  // in one block of attention's, and in two
  nn::Transformer transformer({.width = width, .layers = 2, .heads = 3, .hidden = 10, .positions = 71});
  randomize(transformer);
  const PlainTransformer plain(transformer, 12, 3, 2);
  const Tensor x = random_tensor({4, steps, width}, 1);
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{static_cast<std::int32_t>(steps), 1, 0, 5}, {4});
  const Values values = x.to_vector<double>();
  for (const bool padded : {false, true}) {
    const Tensor y = transformer({x, padded ? lengths : Tensor()});
    for (std::int64_t n = 0; n < 4; ++n) {
      const std::int64_t length = padded ? lengths.data<std::int32_t>()[n] : steps;
      std::vector<Values> own;
      for (std::int64_t t = 0; t < length; ++t) {
        const auto from = values.begin() + (n * steps + t) * width;
        own.emplace_back(from, from + width);
      }
      Values expected;
      for (const Values& step : plain(own)) expected.insert(expected.end(), step.begin(), step.end());
      if (length == 0) continue;
      const Tensor got = y.narrow(n, 1).reshape({steps, width}).narrow(0, length);
      CHECK(relative_error(got, Tensor::from(expected, {length, width})) < 1e-13);
    }
  }
}

TEST_CASE("gradients of a TransformerEncoder") {
  nn::TransformerEncoder encoder(
      {.width = 6, .layers = 2, .heads = 2, .hidden = 7, .positions = 5, .dropout = {.p = 0.25}});
  randomize(encoder);
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{5, 2, 0}, {3}), keys = keys_of({3, 4, 9});
  std::vector<Tensor> inputs = {random_tensor({3, 5, 6}, 1)};
  for (const nn::Parameter& p : encoder.parameters()) inputs.push_back(p.value);
  CHECK(test::gradient_error([&](const auto& in) { return encoder({in[0], lengths, keys}); }, inputs, 12) < 1e-7);
}

TEST_CASE("frozen parts of a TransformerEncoder get no gradient, and the others' keep their bits") {
  const Tensor x = random_tensor({3, 5, 6}, 1), dy = random_tensor({3, 6}, 2);
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{5, 2, 0}, {3});
  const auto gradients = [&](const std::string& frozen) {
    nn::TransformerEncoder encoder({.width = 6, .layers = 2, .heads = 2, .hidden = 7, .positions = 5});
    randomize(encoder);
    for (nn::Parameter& p : encoder.parameters()) {
      if (p.name.find(frozen) != std::string::npos) p.value.set_requires_grad(false);
    }
    encoder({x, lengths}).backward(dy);
    std::map<std::string, Tensor> found;
    for (const nn::Parameter& p : encoder.parameters()) found.emplace(p.name, p.value.grad());
    return found;
  };
  const auto all = gradients("nothing");
  for (const char* frozen : {"in_proj_weight", "in_proj_bias", "positions", "layers.0.norm1", "layers.1.norm2.weight",
                             "transformer.norm", "linear1"}) {
    int without = 0;
    for (const auto& [name, gradient] : gradients(frozen)) {
      CAPTURE(frozen, name);
      const bool wanted = name.find(frozen) == std::string::npos;
      without += wanted ? 0 : 1;
      CHECK(gradient.defined() == wanted);
      if (wanted && gradient.defined()) CHECK(same_bits(gradient, all.at(name)));
    }
    CHECK(without > 0);
  }
}

TEST_CASE("without positions the order of steps is not seen, with them it is") {
  const Tensor x = random_tensor({2, 6, 8}, 1);
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{6, 4}, {2});
  Tensor turned = x.clone();  // each sequence's first four steps the other way round
  for (std::int64_t n = 0; n < 2; ++n) {
    for (std::int64_t t = 0; t < 4; ++t) {
      turned.narrow(n, 1).reshape({6, 8}).narrow(t, 1).copy_from(x.narrow(n, 1).reshape({6, 8}).narrow(3 - t, 1));
    }
  }
  for (const std::int64_t positions : {0, 6}) {
    nn::TransformerEncoder encoder({.width = 8, .layers = 2, .heads = 2, .positions = positions});
    randomize(encoder);
    const double difference = relative_error(encoder({turned, lengths}), encoder({x, lengths}));
    CHECK((positions == 0 ? difference < 1e-13 : difference > 1e-3));
  }
}

TEST_CASE("what padding holds, and how much there is, changes nothing of a TransformerEncoder's features") {
  nn::TransformerEncoder encoder({.width = 8, .layers = 2, .heads = 2, .positions = 9});
  encoder.initialize(1);
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{3, 5}, {2});
  const Tensor x = random_tensor({2, 5, 8}, 1, DType::f32);
  Tensor other = x.clone();
  std::fill(other.data<float>() + 24, other.data<float>() + 40, 7.0f);  // of sequence 0, behind step 3
  CHECK(same_bits(encoder({x, lengths}), encoder({other, lengths})));
  CHECK(!same_bits(encoder(x), encoder(other)));
  Tensor longer = Tensor::zeros({2, 9, 8});
  for (std::int64_t n = 0; n < 2; ++n) {
    longer.narrow(n, 1).reshape({9, 8}).narrow(0, 5).copy_from(x.narrow(n, 1).reshape({5, 8}));
  }
  CHECK(relative_error(encoder({longer, lengths}), encoder({x, lengths})) < 1e-6);
  const Tensor none = Tensor::zeros({2}, DType::i32);
  CHECK(encoder({x, none}).to_vector<double>() == Values(16, 0.0));
}

TEST_CASE("a Transformer's dropouts draw by the views' keys, each in its own way, and in training alone") {
  const auto make = [](double p, std::uint32_t layer) {
    auto encoder = std::make_shared<nn::TransformerEncoder>(
        nn::TransformerOptions{.width = 8, .layers = 1, .heads = 2, .dropout = {.p = p, .layer = layer}});
    encoder->initialize(1);
    return encoder;
  };
  const auto plain = make(0, 0), dropping = make(0.3, 0), other = make(0.3, 2);
  const Tensor x = random_tensor({2, 5, 8}, 1, DType::f32), keys = keys_of({1, 2});
  const Tensor y = (*dropping)({x, {}, keys});
  CHECK(same_bits(y, (*dropping)({x, {}, keys})));
  CHECK(!same_bits(y, (*other)({x, {}, keys})));
  CHECK(!same_bits(y, (*dropping)({x, {}, keys_of({1, 3})})));
  CHECK(same_bits(y.narrow(0, 1), (*dropping)({x, {}, keys_of({1, 3})}).narrow(0, 1)));
  CHECK_THROWS_AS((*dropping)(x), Error);
  dropping->eval();
  CHECK(same_bits((*dropping)(x), (*plain)(x)));
}

TEST_CASE("a Transformer's branches are dropped by layers' numbers that count up, on rows without padding, too") {
  nn::Transformer transformer({.width = 8, .layers = 1, .heads = 2, .dropout = {.p = 0.3, .seed = 6, .layer = 5}});
  randomize(transformer);
  const auto of = parameters_of(transformer);
  const Tensor x = random_tensor({2, 5, 8}, 1), keys = keys_of({1, 2});
  const auto rows = [](const Tensor& t, std::int64_t c) { return t.reshape({10, c}); };
  const auto linear = [&](const Tensor& t, const std::string& weight, const std::string& bias) {
    return nn::linear(rows(t, t.dim(-1)), of.at("layers.0." + weight), of.at("layers.0." + bias));
  };
  const auto norm = [&](const Tensor& t, const std::string& name) {
    return nn::layernorm(t, of.at(name + ".weight"), of.at(name + ".bias"));
  };
  const auto add = [&](const Tensor& to, const Tensor& branch, std::uint32_t layer) {
    return nn::add(to, nn::dropout(branch.reshape({2, 5, 8}), keys, {.p = 0.3, .seed = 6, .layer = layer}));
  };
  for (const Tensor& lengths : {Tensor(), Tensor::from(std::vector<std::int32_t>{2, 5}, {2})}) {
    const Tensor qkv =
        linear(norm(x, "layers.0.norm1"), "self_attn.in_proj_weight", "self_attn.in_proj_bias").reshape({2, 5, 24});
    const Tensor attended =
        linear(nn::attention(qkv, 2, lengths), "self_attn.out_proj.weight", "self_attn.out_proj.bias");
    const Tensor middle = add(x, attended, 5);
    const Tensor hidden = nn::gelu(linear(norm(middle, "layers.0.norm2"), "linear1.weight", "linear1.bias"));
    const Tensor expected = norm(add(middle, linear(hidden, "linear2.weight", "linear2.bias"), 6), "norm");
    const Tensor got = transformer({x, lengths, keys});
    CHECK(relative_error(nn::mean_over_time(got, lengths), nn::mean_over_time(expected, lengths)) < 1e-13);
  }
}

TEST_CASE("a VisionTransformer is a TransformerEncoder over a picture's patches") {
  nn::VisionTransformer vit({.size = 6, .patch = 3, .channels = 2, .width = 8, .layers = 1, .heads = 2, .seed = 5});
  CHECK(vit.output_features() == 8);
  const auto parameters = parameters_of(vit);
  CHECK(parameters.at("encoder.transformer.positions").shape() == Shape({4, 8}));
  vit.to(DType::f64);
  nn::TransformerEncoder encoder({.width = 8, .layers = 1, .heads = 2, .positions = 4});
  encoder.to(DType::f64);
  for (nn::Parameter& p : encoder.parameters()) p.value.copy_from(parameters_of(vit).at("encoder." + p.name));
  const Tensor pictures = random_tensor({2, 6, 6, 2}, 1);
  const Values x = pictures.to_vector<double>(), w = parameters_of(vit).at("conv_proj.weight").to_vector<double>(),
               bias = parameters_of(vit).at("conv_proj.bias").to_vector<double>();
  Values patches;  // [2,4,8]
  for (std::size_t i = 0; i < 2 * 4 * 8; ++i) {
    const std::size_t n = i / 32, row = i / 16 % 2, column = i / 8 % 2, out = i % 8;
    double sum = bias[out];
    for (std::size_t j = 0; j < 18; ++j) {
      const std::size_t h = 3 * row + j / 6, v = 3 * column + j / 2 % 3, c = j % 2;
      sum += w[out * 18 + j] * x[((n * 6 + h) * 6 + v) * 2 + c];
    }
    patches.push_back(sum);
  }
  CHECK(relative_error(vit(pictures), encoder(Tensor::from(patches, {2, 4, 8}))) < 1e-13);

  std::vector<Tensor> inputs = {pictures.clone()};
  for (const nn::Parameter& p : vit.parameters()) inputs.push_back(p.value);
  CHECK(test::gradient_error([&](const auto& in) { return vit(in[0]); }, inputs, 12) < 1e-7);
}

TEST_CASE("transformers say what does not fit") {
  CHECK_THAT(message_of([] { nn::MultiHeadAttention({.width = 8, .heads = 3}); }),
             Contains("MultiHeadAttention: width 8, heads 3"));
  CHECK_THAT(message_of([] { nn::MultiHeadAttention({.width = 514, .heads = 2}); }),
             Contains("heads of 257 values; at most 256 are supported, take more heads"));
  CHECK_THAT(message_of([] { nn::Transformer({.layers = 2}); }), Contains("Transformer: width 0, layers 2"));
  CHECK_THAT(message_of([] { nn::Transformer({.width = 4, .dropout = {.p = 1}}); }), Contains("Dropout: p 1"));
  CHECK_THAT(message_of([] { nn::VisionTransformer({.size = 10, .patch = 4}); }),
             Contains("VisionTransformer: size 10, patch 4"));
  nn::Transformer transformer({.width = 4, .layers = 1, .heads = 2, .positions = 3});
  CHECK_THAT(message_of([&] { transformer(Tensor::zeros({2, 3, 4})); }), Contains("is NaN throughout"));
  transformer.initialize(0);
  CHECK(message_of([&] { transformer(Tensor::zeros({2, 3, 4})); }) == "no error");
  CHECK_THAT(message_of([&] {
               transformer(Tensor::zeros({2, 3, 5}));
             }),
             Contains("x must be [N,T,4], got f32 [2,3,5]"));
  CHECK_THAT(message_of([&] {
               transformer(Tensor::zeros({2, 4, 4}));
             }),
             Contains("x has 4 steps, positions are learned for 3"));
  nn::VisionTransformer vit({.size = 8, .patch = 4, .width = 8, .layers = 1, .heads = 2});
  CHECK_THAT(message_of([&] { vit(Tensor::zeros({2, 8, 9, 3})); }), Contains("x must be [N,8,8,3], got f32 [2,8,9,3]"));
}
