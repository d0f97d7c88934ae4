#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/parameter_memory.h>
#include <simclr/nn/layers.h>
#include <simclr/nn/optim.h>

#include <numbers>

using namespace simclr;

namespace {

/// A weight, a bias and a norm's scale: loss(x) = sum over parameters of sum (c p^2 / 2), so that dloss/dp = c p.
class Bowl : public nn::Module {
 public:
  explicit Bowl(DType dtype = DType::f32) {
    add_parameter("weight", {7, 5}, nn::Role::weight, {});
    add_parameter("bias", {7}, nn::Role::bias, {});
    add_parameter("norm", {3}, nn::Role::norm, {});
    to(dtype);
    std::uint64_t seed = 1;
    for (auto& p : parameters()) p.value.copy_from(test::random_tensor(p.value.shape(), seed++, dtype));
  }
  Tensor forward(const Input& input) override { return input.x; }
};

/// c p^2 / 2 summed, recorded.
Tensor half_square(const Tensor& p, double c = 1.0) {
  double total = 0;
  for (const double v : p.to_vector<double>()) total += c * v * v / 2;
  return record("half_square", {p}, Tensor::full({}, total, p.dtype()), [p, c](Backward& b) {
    auto dx = p.to_vector<double>();
    for (double& v : dx) v *= c * b.dy().item();
    b.set(0, Tensor::from(dx, p.shape()).to(p.dtype()));
  });
}

void backward(nn::Module& model) {
  for (auto& p : model.parameters()) half_square(p.value).backward();
}

std::vector<double> values(nn::Module& model, std::size_t parameter) {
  return model.parameters()[parameter].value.to_vector<double>();
}

bool same_weights(nn::Module& a, nn::Module& b) {
  for (std::size_t i = 0; i < a.parameters().size(); ++i) {
    if (!test::same_bits(a.parameters()[i].value, b.parameters()[i].value)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("warm-up and cosine are the stated formula") {
  const auto schedule = nn::warmup_cosine({.peak = 2.0f, .steps = 110, .warmup_steps = 10, .final = 0.5});
  CHECK(schedule.rates.size() == 110);
  for (int step = 0; step < 10; ++step) CHECK(schedule.at(step) == static_cast<float>(2.0 * (step + 1) / 10));
  for (int step = 10; step < 110; ++step) {
    const double wanted = 0.5 + 1.5 * (1 + std::cos(std::numbers::pi * (step - 10) / 100.0)) / 2;
    CHECK(schedule.at(step) == Approx(wanted).epsilon(1e-7));
  }
  CHECK(schedule.at(60) == Approx(1.25));
  CHECK(schedule.at(1000) == schedule.at(109));

  CHECK(nn::warmup_cosine({.peak = 3.0, .steps = 4}).at(0) == 3.0f);
  const auto only_warmup = nn::warmup_cosine({.peak = 1.0, .steps = 4, .warmup_steps = 4});
  CHECK(only_warmup.rates == std::vector<float>{0.25f, 0.5f, 0.75f, 1.0f});
  CHECK(nn::constant(0.3).at(12345) == 0.3f);
}

TEST_CASE("a warm-up starts where it is told to") {
  const nn::WarmupCosineOptions run{.peak = 0.4, .steps = 50, .warmup_steps = 10};
  auto options = run;
  options.warmup = nn::Warmup::from_zero;
  const auto zero = nn::warmup_cosine(options);
  for (int step = 0; step < 10; ++step) CHECK(zero.at(step) == static_cast<float>(0.4 * step / 10.0));
  CHECK(zero.at(10) == 0.4f);

  // PyTorch Lightning Bolts' chain: each rate from the one before.
  options.warmup = nn::Warmup::from_start;
  options.start = 3e-5;
  const auto bolts = nn::warmup_cosine(options);
  double rate = 0;
  for (int step = 0; step < 50; ++step) {
    if (step == 0) {
      rate = 3e-5;
    } else if (step < 10) {
      rate += (0.4 - 3e-5) / 9;
    } else if (step == 10) {
      rate = 0.4;
    } else {
      const double pi = std::numbers::pi;
      rate *= (1 + std::cos(pi * (step - 10) / 40.0)) / (1 + std::cos(pi * (step - 11) / 40.0));
    }
    CHECK(bolts.at(step) == Approx(rate).epsilon(1e-6));
  }
  options.warmup_steps = 1;
  CHECK(nn::warmup_cosine(options).at(0) == 0.4f);

  for (int step = 10; step < 50; ++step) CHECK(zero.at(step) == nn::warmup_cosine(run).at(step));
}

TEST_CASE("a schedule that moves once an epoch holds each epoch's first rate") {
  const auto each = nn::warmup_cosine({.peak = 0.24, .steps = 28});
  const auto held = nn::warmup_cosine({.peak = 0.24, .steps = 28, .hold = 7});
  for (int step = 0; step < 28; ++step) {
    CHECK(held.at(step) == each.at(step / 7 * 7));
    CHECK(held.at(step) == Approx(0.24 * (1 + std::cos(std::numbers::pi * (step / 7) / 4.0)) / 2).epsilon(1e-6));
  }
}

TEST_CASE("impossible schedules are refused") {
  using Catch::Contains;
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = 5, .start = -1}), Contains("of the warm-up is -1"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = 5, .hold = 0}), Contains("held for 0 steps"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = 5, .warmup_steps = 6}), Contains("6 warm-up steps"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = 5, .warmup_steps = -1}), Contains("-1 warm-up steps"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = 0}), Contains("a run of 0 steps"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = -7}), Contains("a run of -7 steps"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = std::int64_t{1} << 40}), Contains("a run of"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = -1, .steps = 5}), Contains("the peak is -1"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = NAN, .steps = 5}), Contains("the peak is nan"));
  CHECK_THROWS_WITH(nn::warmup_cosine({.peak = 1, .steps = 5, .final = -1}), Contains("the final rate is -1"));
  CHECK_THROWS_WITH(nn::constant(INFINITY), Contains("the learning rate is inf"));
  CHECK_THROWS_WITH(nn::constant(1).at(-1), Contains("step -1"));
  CHECK_THROWS_WITH(nn::Schedule{}.at(0), Contains("no learning rates"));
}

TEST_CASE("the training loop of the guide") {
  Bowl model;
  const std::int64_t steps = 20;
  nn::Lars optimizer(model.parameters(), {.weight_decay = 1e-4f}, nn::warmup_cosine({.peak = 2.0f, .steps = steps}));
  CHECK(optimizer.learning_rate() == 2.0f);
  for (std::int64_t step = 0; step < steps; ++step) {
    for (auto& p : model.parameters()) half_square(p.value, p.role == nn::Role::weight ? 1.0 : 0.1).backward();
    optimizer.step();
    CHECK(optimizer.steps() == step + 1);
    for (const auto& p : model.parameters()) {
      for (const float g : p.value.grad().to_vector<float>()) REQUIRE(g == 0.0f);
    }
  }
  CHECK(optimizer.learning_rate() < 0.02f);
}

TEST_CASE("sgd follows PyTorch's rule through backward and step") {
  for (const bool decay_all : {true, false}) {
    Bowl model(DType::f64);
    std::vector<std::vector<double>> w, v;
    for (std::size_t i = 0; i < 3; ++i) {
      w.push_back(values(model, i));
      v.emplace_back(w[i].size(), 0.0);
    }
    nn::Sgd optimizer(model.parameters(), {.weight_decay = 0.1, .nesterov = true, .decay_norm_and_bias = decay_all},
                      nn::warmup_cosine({.peak = 0.5, .steps = 8, .warmup_steps = 4}));
    for (int step = 0; step < 10; ++step) {
      const double lr = double{optimizer.learning_rate()};
      backward(model);
      optimizer.step();
      for (std::size_t p = 0; p < 3; ++p) {
        for (std::size_t i = 0; i < w[p].size(); ++i) {
          const double g = w[p][i] + (decay_all || p == 0 ? 0.1 * w[p][i] : 0.0);
          v[p][i] = 0.9 * v[p][i] + g;
          w[p][i] -= lr * (g + 0.9 * v[p][i]);
        }
      }
    }
    for (std::size_t p = 0; p < 3; ++p) {
      for (std::size_t i = 0; i < w[p].size(); ++i) CHECK(values(model, p)[i] == Approx(w[p][i]).epsilon(1e-11));
    }
  }
}

TEST_CASE("lars excludes biases and norm layers; adamw does on request") {
  for (const bool lars : {true, false}) {
    Bowl model(DType::f64);
    const auto before = model.state();
    std::vector<std::vector<double>> w;
    for (const auto& tensor : before) w.push_back(tensor.value.to_vector<double>());
    double ww = 0;
    for (const double value : w[0]) ww += value * value;
    if (lars) {
      nn::Lars optimizer(model.parameters(), {.weight_decay = 0.5, .trust_coefficient = 0.25}, nn::constant(0.5));
      backward(model);
      optimizer.step();
      for (std::size_t i = 0; i < w[0].size(); ++i) {  // |w| / |w + 0.5 w| = 2/3, times 1.5 w
        CHECK(values(model, 0)[i] == Approx(w[0][i] * (1 - 0.5 * 0.25)).epsilon(1e-12));
      }
      for (std::size_t p = 1; p < 3; ++p) {
        for (std::size_t i = 0; i < w[p].size(); ++i) CHECK(values(model, p)[i] == Approx(0.5 * w[p][i]));
      }
    } else {
      nn::AdamW optimizer(model.parameters(), {.weight_decay = 0.5, .decay_norm_and_bias = false}, nn::constant(0.5));
      optimizer.step();  // gradient 0: only decay moves anything
      for (std::size_t i = 0; i < w[0].size(); ++i) CHECK(values(model, 0)[i] == Approx(0.75 * w[0][i]));
      CHECK(values(model, 1) == w[1]);
      CHECK(values(model, 2) == w[2]);
    }
  }
}

TEMPLATE_TEST_CASE("a saved state goes on to the same bits", "", nn::Sgd, nn::Lars, nn::AdamW) {
  const auto schedule = nn::warmup_cosine({.peak = 0.3, .steps = 20, .warmup_steps = 3});
  Bowl straight;
  TestType optimizer(straight.parameters(), {.weight_decay = 0.01}, schedule);
  const auto train = [](nn::Module& model, nn::Optimizer& o, int steps) {
    for (int i = 0; i < steps; ++i) {
      backward(model);
      o.step();
    }
  };
  train(straight, optimizer, 6);

  std::vector<NamedTensor> weights, state;
  for (const auto& t : straight.state()) weights.push_back({t.name, t.value.clone()});
  for (const auto& t : optimizer.state()) state.push_back({t.name, t.value.clone()});
  CHECK(state[0].name == "step");
  CHECK(state[0].value.item() == 6);
  CHECK(state.size() == (std::is_same_v<TestType, nn::AdamW> ? 7 : 4));

  Bowl resumed;
  TestType other(resumed.parameters(), {.weight_decay = 0.01}, schedule);
  train(resumed, other, 2);
  resumed.load_state(weights);
  other.load_state(state);
  CHECK(other.steps() == 6);
  CHECK(other.learning_rate() == optimizer.learning_rate());
  train(straight, optimizer, 5);
  train(resumed, other, 5);
  CHECK(same_weights(straight, resumed));
}

TEST_CASE("a state that does not fit is refused and nothing changes") {
  Bowl model;
  nn::Sgd optimizer(model.parameters(), {}, nn::constant(0.1));
  backward(model);
  optimizer.step();
  std::vector<NamedTensor> good;
  for (const auto& t : optimizer.state()) good.push_back({t.name, Tensor::full(t.value.shape(), 3, t.value.dtype())});
  CHECK(good[1].name == "momentum.weight");
  const auto refuses = [&](const std::string& message, const std::function<void(std::vector<NamedTensor>&)>& spoil) {
    auto bad = good;
    spoil(bad);
    CHECK_THROWS_WITH(optimizer.load_state(bad), Catch::Contains(message));
    CHECK(optimizer.steps() == 1);
    CHECK(optimizer.state()[1].value.to_vector<float>()[0] != 3.0f);
  };
  refuses("momentum.norm [3] is missing", [](auto& s) { s.pop_back(); });
  refuses("step [1] is missing", [](auto& s) { s.erase(s.begin()); });
  refuses("has no m.weight", [](auto& s) { s.push_back({"m.weight", Tensor::zeros({7, 5})}); });
  refuses("momentum.bias is [8]", [](auto& s) { s[2].value = Tensor::zeros({8}); });
  refuses("at least 0", [](auto& s) { s[0].value = Tensor::full({1}, -1, DType::i32); });
  refuses("at least 0", [](auto& s) { s[0].value = Tensor::full({1}, 0.5); });
  refuses("momentum.bias is undefined", [](auto& s) { s[2].value = {}; });
  optimizer.load_state(good);
  CHECK(optimizer.steps() == 3);
}

TEST_CASE("a parameter used twice gets both gradients and one update") {
  Bowl model(DType::f64);
  auto parameters = model.parameters();
  parameters.push_back({"tied", parameters[0].value, nn::Role::weight, {}});  // and is listed twice
  nn::Sgd optimizer(parameters, {.momentum = 0.0}, nn::constant(0.125));
  const auto before = values(model, 0);
  half_square(parameters[0].value, 1.0).backward();
  half_square(parameters[3].value, 3.0).backward();
  optimizer.step();
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(values(model, 0)[i] == before[i] - 0.125 * 4.0 * before[i]);
  CHECK(optimizer.state().size() == 4);
}

TEST_CASE("frozen parameters stay as they are") {
  Bowl model;
  auto parameters = model.parameters();
  parameters[0].value.set_requires_grad(false);
  const auto before = values(model, 0);
  nn::Sgd optimizer(parameters, {.weight_decay = 0.5}, nn::constant(0.5));
  optimizer.step();
  CHECK(values(model, 0) == before);
  for (auto& p : parameters) p.value.set_requires_grad(false);
  CHECK_THROWS_WITH(nn::Sgd(parameters, {}, nn::constant(1)), Catch::Contains("none of 3 parameters"));
}

TEST_CASE("an optimizer whose parameters have moved says so") {
  Bowl model;
  nn::Sgd first(model.parameters(), {}, nn::constant(0.1));
  SECTION("to another optimizer") {
    nn::Sgd second(model.parameters(), {}, nn::constant(0.1));
    CHECK_NOTHROW(second.step());
  }
  SECTION("to another dtype") {
    model.to(DType::f64);
  }
  SECTION("by a dropped gradient") {
    model.to(DType::f32);
  }
  SECTION("by another gradient") {
    set_grad(model.parameters()[0].value, Tensor::zeros({7, 5}));
  }
  CHECK_THROWS_WITH(first.step(), Catch::Contains("weight or its gradient has moved"));
}

TEST_CASE("optimizers refuse impossible options when they are made") {
  Bowl model;
  const auto p = model.parameters();
  CHECK_THROWS_WITH(nn::Sgd(p, {.momentum = -0.5}, nn::constant(1)), Catch::Contains("momentum is -0.5"));
  CHECK_THROWS_WITH(nn::Lars(p, {.trust_coefficient = NAN}, nn::constant(1)), Catch::Contains("trust_coefficient"));
  CHECK_THROWS_WITH(nn::AdamW(p, {.beta2 = 2}, nn::constant(1)), Catch::Contains("a beta is 2"));
  CHECK_THROWS_WITH(nn::Sgd(p, {}, nn::Schedule{}), Catch::Contains("no learning rates"));
  CHECK_THROWS_WITH(nn::Sgd({}, {}, nn::constant(1)), Catch::Contains("none of 0 parameters"));
  auto twice = p;
  twice[1].name = "weight";
  CHECK_THROWS_WITH(nn::Sgd(twice, {}, nn::constant(1)), Catch::Contains("two parameters are called weight"));
}

TEST_CASE("a step between forward and backward does not pass unnoticed") {
  nn::Linear model({.in = 3, .out = 2});
  model.initialize(1);
  nn::Sgd optimizer(model.parameters(), {}, nn::warmup_cosine({.peak = 0.1f, .steps = 10}));
  Tensor x = test::random_tensor({4, 3}, 1, DType::f32);
  x.set_requires_grad();
  const Tensor first = model(x), second = model(x), dy = Tensor::full({4, 2}, 1.0);
  first.backward(dy);
  optimizer.step();
  CHECK_THROWS_WITH(second.backward(dy), Catch::Contains("linear: f32 [2,3] on cpu, which its backward pass reads"));
  CHECK_NOTHROW(model(x).backward(dy));
}
