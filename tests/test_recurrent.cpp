// Recurrent modules: names, shapes and starts of parameters, and what the layers make of their input. The op itself:
// test_gru.cpp.
#include "support/catch.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/source_folder.h"
#include "support/tensors.h"

#include <simclr/nn/recurrent.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::random_lengths;
using test::random_tensor;
using test::same_bits;

namespace {

std::map<std::string, nn::Parameter> parameters_of(const nn::Module& module) {
  std::map<std::string, nn::Parameter> all;
  for (const nn::Parameter& p : module.parameters()) all.emplace(p.name, p);
  return all;
}

kernels::GruWeights weights_of(const nn::Module& module, const std::string& suffix) {
  const auto all = parameters_of(module);
  return {all.at("weight_ih" + suffix).value, all.at("weight_hh" + suffix).value, all.at("bias_ih" + suffix).value,
          all.at("bias_hh" + suffix).value};
}

}  // namespace

TEST_CASE("a Gru has PyTorch's parameters: names, shapes, start") {
  nn::Gru gru({.in = 7, .width = 20, .layers = 2, .bidirectional = true});
  CHECK(gru.output_features() == 40);
  const std::map<std::string, Shape> expected = {
      {"weight_ih_l0", {60, 7}},   {"weight_ih_l0_reverse", {60, 7}},  {"weight_hh_l0", {60, 20}},
      {"bias_ih_l0", {60}},        {"weight_hh_l0_reverse", {60, 20}}, {"bias_ih_l0_reverse", {60}},
      {"bias_hh_l0", {60}},        {"bias_hh_l0_reverse", {60}},       {"weight_ih_l1", {60, 40}},
      {"weight_hh_l1", {60, 20}},  {"weight_ih_l1_reverse", {60, 40}}, {"weight_hh_l1_reverse", {60, 20}},
      {"bias_ih_l1", {60}},        {"bias_ih_l1_reverse", {60}},       {"bias_hh_l1", {60}},
      {"bias_hh_l1_reverse", {60}}};
  gru.initialize(4);
  const auto parameters = parameters_of(gru);
  REQUIRE(parameters.size() == expected.size());
  for (const auto& [name, shape] : expected) {
    CAPTURE(name);
    REQUIRE(parameters.count(name) == 1);
    const nn::Parameter& p = parameters.at(name);
    CHECK(p.value.shape() == shape);
    CHECK(p.role == (name.rfind("weight", 0) == 0 ? nn::Role::weight : nn::Role::bias));
    const auto values = p.value.to_vector<double>();
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double bound = 1 / std::sqrt(20.0);
    CHECK((*least >= -bound && *least<-0.8 * bound&& * most <= bound&& * most> 0.8 * bound));
  }
  CHECK(parameters_of(nn::Gru({.in = 7, .width = 20})).size() == 4);
}

TEST_CASE("a layer of a Gru goes over what the layer before gave, with the same lengths") {
  nn::Gru gru({.in = 3, .width = 5, .layers = 2, .bidirectional = true});
  gru.initialize(1);
  const Tensor x = random_tensor({6, 4, 3}, 2, DType::f32), lengths = random_lengths(6, 3, 4);
  const nn::GruOutput got = gru.run({x, lengths});
  const nn::GruOutput first = nn::gru(x, lengths, {weights_of(gru, "_l0"), weights_of(gru, "_l0_reverse")});
  const nn::GruOutput second = nn::gru(first.y, lengths, {weights_of(gru, "_l1"), weights_of(gru, "_l1_reverse")});
  CHECK(same_bits(got.y, second.y));
  CHECK(same_bits(got.last, second.last));
  CHECK(same_bits(gru({x, lengths}), second.y));
  CHECK(!same_bits(gru(x), second.y));

  nn::sum(got.last).backward();
  for (const auto& [name, p] : parameters_of(gru)) {
    CAPTURE(name);
    REQUIRE(p.value.grad().defined());
    const auto values = p.value.grad().to_vector<double>();
    CHECK(std::any_of(values.begin(), values.end(), [](double v) { return v != 0; }));
  }
}

TEST_CASE("a Gru of two layers and directions agrees with PyTorch, forward and backward") {
  std::ifstream file(test::source_folder() + "/fixtures/gru.json");
  const nlohmann::json fixture = nlohmann::json::parse(file);
  const auto lengths = fixture["lengths"].get<std::vector<std::int32_t>>();
  const std::int64_t sequences = static_cast<std::int64_t>(lengths.size()), steps = fixture["steps"],
                     inputs = fixture["inputs"], width = fixture["width"];
  nn::Gru gru({.in = inputs, .width = width, .layers = 2, .bidirectional = true});
  gru.to(DType::f64);
  std::uint64_t seed = 100;
  std::vector<std::string> names;
  for (nn::Parameter& p : gru.parameters()) {
    p.value.copy_from(random_tensor(p.value.shape(), seed++));
    names.push_back(p.name);
  }
  CHECK(names == fixture["parameters"].get<std::vector<std::string>>());

  Tensor x = random_tensor({sequences, steps, inputs}, 1);
  x.set_requires_grad();
  const nn::GruOutput got = gru.run({x, Tensor::from(lengths, {sequences})});
  const Tensor loss = nn::add(nn::sum(nn::multiply(got.y, random_tensor(got.y.shape(), 2))),
                              nn::sum(nn::multiply(got.last, random_tensor(got.last.shape(), 3))));
  loss.backward();
  std::map<std::string, Tensor> results = {{"y", got.y}, {"last", got.last}, {"dx", x.grad()}};
  for (const nn::Parameter& p : gru.parameters()) results.emplace(p.name, p.value.grad());
  CHECK(results.size() == fixture["tensors"].size());
  for (const auto& [name, tensor] : results) {
    CAPTURE(name);
    const auto expected = fixture["tensors"].at(name).get<std::vector<double>>();
    CHECK(test::relative_error(tensor, Tensor::from(expected, tensor.shape())) < 1e-12);
  }
}

TEST_CASE("a GruEncoder gives the mean of a sequence's own outputs, or its last states") {
  const Tensor x = random_tensor({5, 6, 3}, 2, DType::f32), lengths = random_lengths(5, 3, 6);
  for (const bool bidirectional : {false, true}) {
    nn::GruEncoder mean({.in = 3, .width = 4, .layers = 2, .bidirectional = bidirectional}),
        last({.in = 3, .width = 4, .layers = 2, .bidirectional = bidirectional, .readout = nn::Readout::last});
    nn::Gru gru({.in = 3, .width = 4, .layers = 2, .bidirectional = bidirectional});
    mean.initialize(1);
    last.initialize(1);
    for (nn::Parameter& p : gru.parameters()) p.value.copy_from(parameters_of(mean).at("gru." + p.name).value);
    const std::int64_t features = bidirectional ? 8 : 4;
    CHECK(mean.output_features() == features);
    for (const Tensor& own : {Tensor(), lengths}) {
      const nn::GruOutput output = gru.run({x, own});
      CHECK(same_bits(last({x, own}), output.last));
      const auto y = output.y.to_vector<double>(), got = mean({x, own}).to_vector<double>();
      REQUIRE(got.size() == static_cast<std::size_t>(5 * features));
      for (std::int64_t i = 0; i < 5; ++i) {
        const std::int64_t length = own.defined() ? own.data<std::int32_t>()[i] : 6;
        for (std::int64_t k = 0; k < features; ++k) {
          double sum = 0;
          for (std::int64_t t = 0; t < length; ++t) sum += y[static_cast<std::size_t>((i * 6 + t) * features + k)];
          const double expected = length == 0 ? 0.0 : sum / static_cast<double>(length);
          CHECK(got[static_cast<std::size_t>(i * features + k)] == Approx(expected).margin(1e-6));
        }
      }
    }
  }
}

TEST_CASE("what padding holds changes nothing of a GruEncoder's features") {
  nn::GruEncoder encoder({.in = 3, .width = 4});
  encoder.initialize(1);
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{3, 5}, {2});
  const Tensor x = random_tensor({2, 5, 3}, 1, DType::f32);
  Tensor other = x.clone();
  float* padding = other.data<float>();  // of sequence 0, behind step 3
  std::fill(padding + 9, padding + 15, 7.0f);
  CHECK(same_bits(encoder({x, lengths}), encoder({other, lengths})));
  CHECK(!same_bits(encoder(x), encoder(other)));
}

TEST_CASE("a Gru says what does not fit") {
  CHECK_THAT(message_of([] { nn::Gru({.in = 3}); }), Contains("Gru: in 3, width 0, layers 1; all must be positive"));
  nn::Gru gru({.in = 3, .width = 5});
  CHECK_THAT(message_of([&] { gru.run(Tensor::zeros({2, 4, 3})); }), Contains("weight_ih_l0 [15,3] is NaN throughout"));
  gru.initialize(0);
  CHECK(message_of([&] { gru.run(Tensor::zeros({2, 4, 3})); }) == "no error");
  CHECK_THAT(message_of([&] { gru(Tensor::zeros({2, 4, 2})); }), Contains("w_ih must be [15,2], got f32 [15,3]"));
}
