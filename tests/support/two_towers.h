#pragma once

#include <simclr/core/random.h>
#include <simclr/nn/functional.h>
#include <simclr/nn/simclr.h>

#include <cstdint>
#include <memory>
#include <vector>

/// Two small encoders of different kinds, and pairs that they can learn to match.
namespace simclr::test {

inline constexpr std::int64_t classes = 12, features = 8;

/// f32 or f64 [N,6] -> [N,8].
struct Mlp : nn::Module {
  std::shared_ptr<nn::Linear> in = add_module("in", std::make_shared<nn::Linear>(nn::LinearOptions{6, 16}));
  std::shared_ptr<nn::Linear> out = add_module("out", std::make_shared<nn::Linear>(nn::LinearOptions{16, features}));
  Mlp() { initialize(3); }
  Tensor forward(const Input& input) override { return (*out)(nn::relu((*in)(input))); }
  std::int64_t output_features() const override { return features; }
};

/// The mean embedding of the i32 ids [N,T] within each row's length: [N,8].
struct Bag : nn::Module {
  Tensor table =
      add_parameter("table", {3 * classes, features}, nn::Role::weight, {nn::Initializer::Kind::normal, 1.0});
  Bag() { initialize(4); }
  Tensor forward(const Input& input) override {
    const std::int64_t rows = input.rows(), longest = input.x.dim(1);
    const auto ids = input.x.to_vector<std::int32_t>(), lengths = input.lengths.to_vector<std::int32_t>();
    std::vector<double> share(static_cast<std::size_t>(rows * table.dim(0)));
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int32_t length = lengths[static_cast<std::size_t>(i)];
      for (std::int32_t k = 0; k < length; ++k) {
        const std::int64_t id = ids[static_cast<std::size_t>(i * longest + k)];
        share[static_cast<std::size_t>(i * table.dim(0) + id)] += 1.0 / length;
      }
    }
    return nn::matmul(Tensor::from(share, {rows, table.dim(0)}).to(table.dtype()), table);
  }
  std::int64_t output_features() const override { return features; }
};

inline std::unique_ptr<nn::TwoTowers> pairs_model(DType dtype = DType::f32, double temperature = 0.2,
                                                  bool learned = false) {
  const nn::ProjectionHeadOptions head{.hidden = 16, .out = 6, .batchnorm = false};
  auto model = std::make_unique<nn::TwoTowers>(
      nn::TwoTowersOptions{.encoders = {std::make_shared<Mlp>(), std::make_shared<Bag>()},
                           .heads = {head, head},
                           .loss = {.temperature = temperature},
                           .learn_temperature = learned});
  model->to(dtype);
  return model;
}

/// Pair i of class i % 12: a noisy direction of the class, and two of its three words, or one.
inline std::vector<Input> some_pairs(std::int64_t samples, std::uint64_t seed, DType dtype = DType::f32) {
  std::vector<float> x;
  std::vector<std::int32_t> ids, lengths;
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto c = static_cast<std::uint32_t>(i % classes);
    const Random direction(1, RandomPurpose::user, c), noise(seed, RandomPurpose::user, static_cast<std::uint32_t>(i));
    for (std::uint32_t k = 0; k < 6; ++k) x.push_back(direction.uniform(k) - 0.5f + 0.1f * (noise.uniform(k) - 0.5f));
    const auto first = static_cast<std::int32_t>(3 * c);
    const bool two = noise.uniform(6) < 0.5f;
    ids.insert(ids.end(), {first + static_cast<std::int32_t>(noise.below(3, 7)), two ? first : 0});
    lengths.push_back(two ? 2 : 1);
  }
  return {Tensor::from(x, {samples, 6}).to(dtype),
          Input(Tensor::from(ids, {samples, 2}), Tensor::from(lengths, {samples}))};
}

}  // namespace simclr::test
