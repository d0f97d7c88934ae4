// What training asks of a model: SimCLR's one tower, and two towers that learn to match pairs.

#include <simclr/nn/functional.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/micro_batches.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>

#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/tensors.h"
#include "support/two_towers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

using namespace simclr;
using Catch::Contains;
using test::Bag;
using test::classes;
using test::features;
using test::Mlp;
using test::pairs_model;
using test::random_tensor;
using test::same_bits;
using test::some_pairs;

namespace {

/// The mean of both directions by plain functions: rows of similarities, softmax cross-entropy with the diagonal.
Tensor composed(const Tensor& a, const Tensor& b, double temperature) {
  std::vector<std::int32_t> own;
  for (std::int64_t i = 0; i < a.dim(0); ++i) own.push_back(static_cast<std::int32_t>(i));
  const Tensor labels = Tensor::from(own, {a.dim(0)});
  return nn::scale(nn::add(nn::cross_entropy(nn::similarity(a, b, temperature), labels),
                           nn::cross_entropy(nn::similarity(b, a, temperature), labels)),
                   0.5);
}

}  // namespace

TEST_CASE("two towers' loss is both directions' cross-entropy of the similarities, and so are its gradients") {
  const auto model = pairs_model(DType::f64);
  for (const std::int64_t samples : {1, 2, 33}) {
    CAPTURE(samples);
    std::vector<std::vector<double>> values;
    for (const bool fused : {true, false}) {
      Tensor a = random_tensor({samples, 6}, 1), b = random_tensor({samples, 6}, 2);
      a.set_requires_grad(), b.set_requires_grad();
      const Tensor loss = fused ? model->loss(std::vector<Tensor>{a, b}) : composed(a, b, 0.2);
      loss.backward();
      values.push_back(loss.to_vector<double>());
      for (const Tensor& z : {a, b}) {
        for (const double g : z.grad().to_vector<double>()) values.back().push_back(g);
      }
    }
    REQUIRE(values[0].size() == values[1].size());
    for (std::size_t i = 0; i < values[0].size(); ++i) CHECK(std::abs(values[0][i] - values[1][i]) < 1e-12);
  }
}

TEST_CASE("two towers' gradients are those of central differences, down to both encoders' weights") {
  for (const bool learned : {false, true}) {
    const auto model = pairs_model(DType::f64, 0.2, learned);
    const auto batch = some_pairs(9, 5, DType::f64);
    std::vector<Tensor> weights;
    for (const nn::Parameter& p : model->parameters()) weights.push_back(p.value);
    CHECK(test::gradient_error([&](const auto&) { return model->loss_of(batch); }, weights) < 1e-7);
  }
}

TEST_CASE("two towers in micro-batches give the whole batch's loss and gradients") {
  const auto batch = some_pairs(20, 5, DType::f64);
  std::vector<std::vector<Tensor>> results;
  for (const std::int64_t samples : {0, 20, 7, 1}) {
    const auto model = pairs_model(DType::f64, 0.2, true);
    const Tensor loss = model->loss_of(batch, samples);
    loss.backward();
    results.push_back({loss.detach()});
    for (const nn::Parameter& p : model->parameters()) results.back().push_back(p.value.grad().clone());
    for (std::size_t i = 0; i < results.back().size(); ++i) {
      CHECK(test::relative_error(results.back()[i], results[0][i]) < 1e-12);
    }
  }
}

namespace {

/// The mean of both directions with several positives, by plain loops over [N,N] cosines.
double grouped(const Tensor& a, const Tensor& b, const std::vector<std::int32_t>& groups, double temperature) {
  const std::int64_t n = a.dim(0);
  const std::vector<double> forth = nn::similarity(a, b, temperature).to_vector<double>();
  double sum = 0;
  for (const bool back : {false, true}) {
    for (std::int64_t i = 0; i < n; ++i) {
      const auto s = [&](std::int64_t k) { return forth[static_cast<std::size_t>(back ? k * n + i : i * n + k)]; };
      double all = 0, right = 0, count = 0;
      for (std::int64_t k = 0; k < n; ++k) {
        all += std::exp(s(k));
        if (groups[static_cast<std::size_t>(k)] != groups[static_cast<std::size_t>(i)]) continue;
        right += s(k);
        ++count;
      }
      sum += std::log(all) - right / count;
    }
  }
  return sum / static_cast<double>(2 * n);
}

/// The same pairs in these groups.
std::vector<Input> in_groups(std::vector<Input> batch, const std::vector<std::int32_t>& groups) {
  for (Input& input : batch) input.groups = Tensor::from(groups, {input.rows()});
  return batch;
}

}  // namespace

TEST_CASE("two towers take several captions of one thing as each other's positives") {
  const std::vector<std::int32_t> groups = {4, 1, 4, 0, 7, 4, 1, 12, 5};
  const auto model = pairs_model(DType::f64);
  const Tensor a = random_tensor({9, 6}, 1), b = random_tensor({9, 6}, 2);
  const std::vector<Tensor> z = {a, b};
  const double loss = model->loss_of_groups(z, Tensor::from(groups, {9})).item();
  CHECK(loss == Approx(grouped(a, b, groups, 0.2)).epsilon(1e-12));
  CHECK(std::abs(loss - model->loss(z).item()) > 0.01);
  CHECK(model->loss_of_groups(z, Tensor::from(std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}, {9})).item() ==
        model->loss(z).item());

  // From the inputs, whole and in parts, down to the weights.
  const auto batch = in_groups(some_pairs(9, 5, DType::f64), groups);
  const double whole = model->loss_of(batch).item();
  CHECK(whole != model->loss_of(some_pairs(9, 5, DType::f64)).item());
  CHECK(model->loss_of(batch, 4).item() == Approx(whole).epsilon(1e-12));
  std::vector<Tensor> weights;
  for (const nn::Parameter& p : model->parameters()) weights.push_back(p.value);
  CHECK(test::gradient_error([&](const auto&) { return model->loss_of(batch); }, weights) < 1e-7);
}

TEST_CASE("two towers may share an encoder, which is trained by both and is the model's once") {
  const nn::ProjectionHeadOptions first{.hidden = 16, .out = 6, .batchnorm = false},
      second{.hidden = 16, .out = 6, .batchnorm = false, .seed = 1};
  const auto encoder = std::make_shared<Mlp>();
  nn::TwoTowers model({.encoders = {encoder, encoder}, .heads = {first, second}, .loss = {.temperature = 0.2}});
  model.to(DType::f64);
  std::vector<std::string> names;
  std::vector<Tensor> weights;
  for (const nn::Parameter& p : model.parameters()) {
    names.push_back(p.name);
    weights.push_back(p.value);
  }
  CHECK(std::count(names.begin(), names.end(), "towers.0.encoder.in.weight") == 1);
  CHECK(std::count(names.begin(), names.end(), "towers.1.encoder.in.weight") == 0);
  CHECK(std::count(names.begin(), names.end(), "towers.1.head.linear1.weight") == 1);
  CHECK(&model.encoder(0) == &model.encoder(1));
  const std::vector<Input> batch = {random_tensor({7, 6}, 1), random_tensor({7, 6}, 2)};
  CHECK(test::gradient_error([&](const auto&) { return model.loss_of(batch); }, weights) < 1e-7);
  CHECK(model.loss_of(batch, 3).item() == Approx(model.loss_of(batch).item()).epsilon(1e-12));
  // The gradient of an encoder that both use is the sum over both.
  for (Tensor& each : weights) each.zero_grad();
  model.loss_of(batch).backward();
  const std::vector<double> whole = encoder->parameters().front().value.grad().to_vector<double>();
  for (Tensor& each : weights) each.zero_grad();
  model.loss_of(batch, 3).backward();
  const std::vector<double> parts = encoder->parameters().front().value.grad().to_vector<double>();
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(parts[i] == Approx(whole[i]).margin(1e-12));
}

TEST_CASE("batch norm of an encoder that both towers share sees both parts at once, as evaluation does") {
  struct Normalised : nn::Module {
    std::shared_ptr<nn::BatchNorm> norm = add_module("norm", std::make_shared<nn::BatchNorm>(2));
    Normalised() { initialize(0); }
    Tensor forward(const Input& input) override { return (*norm)(input); }
    std::int64_t output_features() const override { return 2; }
  };
  const auto encoder = std::make_shared<Normalised>();
  const nn::ProjectionHeadOptions first{.out = 3, .batchnorm = false}, second{.out = 3, .batchnorm = false, .seed = 1};
  nn::TwoTowers model({.encoders = {encoder, encoder}, .heads = {first, second}});
  // The first part is bright, the second dark: normalised by themselves they would look alike.
  const std::vector<Input> batch = {Tensor::from(std::vector<float>{9, 11, 10, 10, 11, 9}, {3, 2}),
                                    Tensor::from(std::vector<float>{-9, -11, -10, -10, -11, -9}, {3, 2})};
  const double loss = model.loss_of(batch).item();
  std::vector<double> mean, variance;
  for (const NamedTensor& each : encoder->state()) {
    if (each.name.ends_with("running_mean")) mean = each.value.to_vector<double>();
    if (each.name.ends_with("running_var")) variance = each.value.to_vector<double>();
  }
  REQUIRE(mean.size() == 2);
  const double momentum = nn::BatchNormOptions{}.momentum;
  CHECK(mean[0] == Approx(0).margin(1e-6));
  CHECK(variance[0] == Approx(1 - momentum + momentum * (6 * 100 + 4) / 5.0));
  // Where the statistics are the batch's, evaluation gives what the loss was of.
  encoder->norm->set_momentum(1);
  CHECK(model.loss_of(batch).item() == Approx(loss));
  model.eval();
  CHECK(model.loss(std::vector<Tensor>{model.tower(0)(batch[0]), model.tower(1)(batch[1])}).item() ==
        Approx(loss).epsilon(0.05));  // the running variance is that of a sample, 6/5 as large
}

TEST_CASE("a model whose loss takes no groups says so") {
  struct Plain : nn::Model {
    std::shared_ptr<Mlp> mlp = add_module("mlp", std::make_shared<Mlp>());
    Tensor forward(const Input& input) override { return (*mlp)(input); }
    int towers() const override { return 1; }
    int views(int) const override { return 2; }
    nn::Module& tower(int) override { return *mlp; }
    nn::Module& encoder(int) override { return *mlp; }
    Tensor loss(std::span<const Tensor> z) override { return nn::nt_xent(z[0]); }
    double chance(std::int64_t samples) const override { return nn::nt_xent_chance(samples); }
    double bound(std::int64_t) const override { return 0; }
  } model;
  Input views = random_tensor({4, 6}, 1, DType::f32);
  CHECK_NOTHROW(model.loss_of(std::vector<Input>{views}));
  views.groups = Tensor::from(std::vector<std::int32_t>{0, 0, 0, 0}, {4});
  CHECK_THROWS_WITH(model.loss_of(std::vector<Input>{views}), Contains("takes no groups"));
}

TEST_CASE("two small encoders of different kinds learn to match pairs") {
  const auto model = pairs_model();
  const std::int64_t samples = classes;  // one pair a class, so that each pair's own is the only right one
  const auto matched = [&] {
    const NoGrad no_grad;
    const auto test = some_pairs(samples, 1000);
    const auto s = nn::similarity(model->tower(0)(test[0]), model->tower(1)(test[1])).to_vector<double>();
    int right = 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      const auto row = s.begin() + i * samples;
      right += std::max_element(row, row + samples) - row == i;
    }
    return right;
  };
  const int before = matched();
  nn::AdamW optimizer(model->parameters(), {}, nn::constant(0.01));
  double first = 0, last = 0;
  for (std::uint64_t step = 0; step < 600; ++step) {
    const Tensor loss = model->loss_of(some_pairs(samples, step));
    loss.backward();
    optimizer.step(loss);
    (step == 0 ? first : last) = loss.item();
  }
  CAPTURE(before, first, last);
  CHECK(before < samples / 2);
  CHECK(matched() == samples);
  CHECK(last < first / 4);
}

TEST_CASE("two towers name their parameters, give their encoders, and refuse what is not a pair") {
  const auto model = pairs_model();
  std::vector<std::string> names;
  for (const nn::Parameter& p : model->parameters()) names.push_back(p.name);
  CHECK(names == std::vector<std::string>{
                     "towers.0.encoder.in.weight", "towers.0.encoder.in.bias", "towers.0.encoder.out.weight",
                     "towers.0.encoder.out.bias", "towers.0.head.linear1.weight", "towers.0.head.linear1.bias",
                     "towers.0.head.linear2.weight", "towers.1.encoder.table", "towers.1.head.linear1.weight",
                     "towers.1.head.linear1.bias", "towers.1.head.linear2.weight"});
  CHECK(model->towers() == 2);
  CHECK(model->views(1) == 1);
  CHECK(dynamic_cast<Mlp*>(&model->encoder()) != nullptr);
  CHECK(dynamic_cast<Bag*>(&model->encoder(1)) != nullptr);
  const auto batch = some_pairs(4, 1);
  CHECK_THROWS_WITH((*model)(batch[0]), Contains("an input for each tower"));
  CHECK_THROWS_WITH(model->tower(2), Contains("tower 2 of 2"));
  CHECK_THROWS_WITH(model->loss_of({batch.data(), 1}), Contains("1 inputs for 2 towers"));
  CHECK_THROWS_WITH(model->loss(std::vector<Tensor>{random_tensor({4, 6}, 1), random_tensor({5, 6}, 1)}),
                    Contains("of the same samples"));
  CHECK_THROWS_WITH(nn::TwoTowers({.encoders = {std::make_shared<Mlp>(), nullptr}}),
                    Contains("two encoders are needed"));
  for (const double temperature : {0.005, -0.5, 0.0, std::numeric_limits<double>::infinity()}) {
    CHECK_THROWS_WITH(pairs_model(DType::f32, temperature, true), Contains("it must be finite and at least 0.01"));
  }
  CHECK_THROWS_WITH(nn::TwoTowers({.encoders = {std::make_shared<Mlp>(), std::make_shared<Bag>()},
                                   .loss = {.logit_scale = Tensor::zeros({})}}),
                    Contains("learn_temperature makes one"));
  CHECK_THROWS_WITH(nn::SimCLR({.encoder = std::make_shared<Mlp>(), .loss = {.logit_scale = Tensor::zeros({})}}),
                    Contains("loss.logit_scale would be in no parameters()"));
  CHECK_THROWS_WITH(nn::TwoTowers({.encoders = {std::make_shared<Mlp>(), std::make_shared<Bag>()},
                                   .heads = {{{.out = 4}, {.out = 5}}}}),
                    Contains("the heads give 4 and 5 columns"));
}

TEST_CASE("SimCLR is a model of one tower, whose loss is NT-Xent at its temperature, of its views") {
  for (const int views : {2, 3}) {
    const auto make = [&] {
      return std::make_unique<nn::SimCLR>(nn::SimCLROptions{
          .encoder = std::make_shared<Mlp>(), .head = {.out = 4}, .loss = {.temperature = 0.3, .views = views}});
    };
    const auto model = make(), other = make();
    CHECK(model->towers() == 1);
    CHECK(model->views() == views);
    CHECK(&model->tower(0) == model.get());
    const Input input = random_tensor({6 * views, 6}, 1, DType::f32);
    const Tensor loss = model->loss_of({&input, 1});
    CHECK(same_bits(loss.detach(), nn::nt_xent((*other)(input), {.temperature = 0.3, .views = views}).detach()));
    const Tensor parts = make()->loss_of({&input, 1}, 2);
    CHECK(same_bits(
        parts.detach(),
        nn::nt_xent(nn::in_micro_batches(*make(), input, 2, views), {.temperature = 0.3, .views = views}).detach()));
    CHECK(model->parameters().front().name == "encoder.in.weight");
    CHECK(model->parameters().back().name == "head.linear2.weight");
  }
  CHECK_THROWS_WITH(nn::SimCLR({.encoder = std::make_shared<Mlp>(), .loss = {.views = 1}}), Contains("at least 2"));
  CHECK_THROWS_WITH(nn::SimCLR({.encoder = std::make_shared<Mlp>(), .views_apart = true, .loss = {.views = 3}}),
                    Contains("views_apart is for two views"));
}

TEST_CASE("a model knows its loss's chance and bound") {
  // A simplex of three samples, with which nothing can go lower, and z of which none is like another.
  const Tensor simplex = Tensor::from<double>({1, 0, 0, 0, 1, 0, 0, 0, 1}, {3, 3});
  std::vector<double> centred = simplex.to_vector<double>();
  for (double& value : centred) value -= 1.0 / 3;
  const Tensor spread = Tensor::from(centred, {3, 3}), same = Tensor::full({3, 3}, 1, DType::f64);
  const auto repeated = [](const Tensor& z, int views) {
    Tensor all = Tensor::empty({views * z.dim(0), z.dim(1)}, z.dtype());
    for (int v = 0; v < views; ++v) all.narrow(v * z.dim(0), z.dim(0)).copy_from(z);
    return all;
  };
  for (const int views : {2, 3}) {
    CAPTURE(views);
    nn::SimCLR model({.encoder = std::make_shared<Mlp>(), .loss = {.temperature = 0.3, .views = views}});
    const Tensor best = repeated(spread, views), alike = repeated(same, views);
    CHECK(model.loss({&best, 1}).item() == Approx(model.bound(3)).epsilon(1e-12));
    CHECK(model.loss({&alike, 1}).item() == Approx(model.chance(3)).epsilon(1e-12));
  }
  const auto pairs = pairs_model();
  const std::vector<Tensor> best = {spread, spread}, alike = {same, same};
  CHECK(pairs->loss(best).item() == Approx(pairs->bound(3)).epsilon(1e-12));
  CHECK(pairs->loss(alike).item() == Approx(pairs->chance(3)).epsilon(1e-12));
  CHECK(pairs->bound(1) == 0);

  const auto learned = pairs_model(DType::f64, 0.2, true);
  CHECK(learned->bound(1000) == Approx(pairs_model(DType::f64, 0.01)->bound(1000)).epsilon(1e-12));  // at the cap
}
