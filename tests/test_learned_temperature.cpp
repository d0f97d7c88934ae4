// The temperature that two towers learn: it falls, it is held, and no optimizer decays it.
#include <simclr/nn/optim.h>

#include "support/catch.h"
#include "support/two_towers.h"

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

using namespace simclr;
using test::classes;
using test::pairs_model;
using test::some_pairs;

TEST_CASE("two towers learn their temperature, which lowers the loss") {
  std::vector<double> last;
  for (const bool learned : {false, true}) {
    const auto model = pairs_model(DType::f32, 0.5, learned);
    nn::AdamW optimizer(model->parameters(), {}, nn::constant(0.01));
    double first = 0;
    for (std::uint64_t step = 0; step < 300; ++step) {
      const Tensor loss = model->loss_of(some_pairs(classes, step));
      loss.backward();
      optimizer.step(loss);
      if (step == 0) first = loss.item();
      if (step == 299) last.push_back(loss.item());
    }
    CHECK(last.back() < first);
    if (!learned) continue;
    const nn::Parameter scale = model->parameters().front();
    CHECK(scale.name == "logit_scale");
    CHECK(scale.role == nn::Role::temperature);
    CHECK(std::exp(-scale.value.item()) < 0.25);  // from 0.5
    // The state carries it, and so do drawn weights.
    const auto other = pairs_model(DType::f32, 0.5, true);
    CHECK(other->parameters().front().value.item() == Approx(std::log(2.0)));
    other->load_state(model->state());
    CHECK(other->parameters().front().value.item() == scale.value.item());
    other->initialize(1);
    CHECK(other->parameters().front().value.item() == Approx(std::log(2.0)));
  }
  CHECK(last[1] < 0.5 * last[0]);
}

TEST_CASE("a temperature that two towers learn holds at 1/100, and comes back") {
  const auto model = pairs_model(DType::f32, 0.0101, true);
  const Tensor scale = model->parameters().front().value;
  nn::Sgd optimizer({model->parameters().front()}, {.momentum = 0}, nn::constant(100.0));
  const Tensor z = Tensor::from(std::vector<float>{1, 0.1f, 1, -0.1f}, {2, 2});
  const Tensor swapped = Tensor::from(std::vector<float>{1, -0.1f, 1, 0.1f}, {2, 2});
  const auto step = [&](const Tensor& other) {
    const Tensor loss = model->loss(std::vector<Tensor>{z, other});
    loss.backward();
    optimizer.step(loss);
    return loss.item();
  };
  step(z);  // a right pair asks for an ever smaller temperature: this step is a long one
  const double beyond = scale.item();
  CHECK(beyond > 10);
  const double held = step(z);
  CHECK(held == Approx(std::log1p(std::exp(-100 * (1 - 0.99 / 1.01)))).epsilon(1e-4));  // at 0.01
  CHECK(step(z) == held);
  CHECK(scale.item() == beyond);
  step(swapped);
  CHECK(scale.item() < beyond);
}

TEST_CASE("no optimizer decays a learned temperature, and LARS takes its gradient as it is") {
  const nn::Schedule rate = nn::constant(0.1);
  using Make = std::function<std::unique_ptr<nn::Optimizer>(const std::vector<nn::Parameter>&)>;
  const std::vector<Make> decaying = {
      [&](const auto& p) { return std::make_unique<nn::Sgd>(p, nn::SgdOptions{.weight_decay = 0.5}, rate); },
      [&](const auto& p) { return std::make_unique<nn::Lars>(p, nn::LarsOptions{.weight_decay = 0.5}, rate); },
      [&](const auto& p) { return std::make_unique<nn::AdamW>(p, nn::AdamWOptions{.weight_decay = 0.5}, rate); }};
  for (std::size_t i = 0; i < decaying.size(); ++i) {
    CAPTURE(i);
    const auto model = pairs_model(DType::f32, 0.2, true);
    const std::vector<nn::Parameter> parameters = model->parameters();
    const auto optimizer = decaying[i](parameters);
    const double scale = parameters[0].value.item(), weight = parameters[1].value.detach().to_vector<double>()[0];
    optimizer->step();  // no gradient has reached them
    CHECK(parameters[0].value.item() == scale);
    CHECK(parameters[1].value.detach().to_vector<double>()[0] != weight);
  }
  const auto model = pairs_model(DType::f32, 0.2, true);
  const Tensor scale = model->parameters().front().value;
  nn::Lars lars(model->parameters(), {.momentum = 0}, rate);
  model->loss_of(some_pairs(classes, 1)).backward();
  const double before = scale.item(), gradient = scale.grad().item();
  CHECK(gradient != 0);
  lars.step();
  CHECK(scale.item() == Approx(before - 0.1 * gradient).epsilon(1e-6));
}
