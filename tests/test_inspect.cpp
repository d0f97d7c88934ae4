// What nn::inspect says of a step, and whether a NaN or Inf in the middle of one is caught, named and kept out.
#include "support/catch.h"
#include "support/fault.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/nn/inspect.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>

#include <cmath>

using namespace simclr;
using Catch::Contains;
using test::Fault;
using test::random_tensor;
using test::same_bits;

namespace {

/// Every kind of layer: a pooled stem, blocks with and without a projection, a head with and without batch norm.
nn::SimCLR small_model(bool head_batchnorm) {
  const auto encoder =
      std::make_shared<nn::ResNet>(nn::ResNet::Block::basic, std::vector<int>{1, 1},
                                   nn::ResNetOptions{.stem = nn::Stem::imagenet, .width = 4, .channels = 3, .seed = 1});
  return nn::SimCLR({.encoder = encoder, .head = {.hidden = 8, .out = 8, .batchnorm = head_batchnorm, .seed = 1}});
}

Tensor some_views(std::uint64_t seed) {
  return random_tensor({8, 8, 8, 3}, seed, DType::f32);
}

std::vector<Tensor> copies(const std::vector<NamedTensor>& state) {
  std::vector<Tensor> out;
  for (const NamedTensor& tensor : state) out.push_back(tensor.value.clone());
  return out;
}

std::vector<Tensor> values_of(const nn::Module& model) {
  std::vector<Tensor> out;
  for (const nn::Parameter& p : model.parameters()) out.push_back(p.value.clone());
  return out;
}

/// Two numbers a row through a Linear of hand-picked weights.
struct Tiny : nn::Module {
  std::shared_ptr<nn::Linear> fc = add_module("fc", std::make_shared<nn::Linear>(nn::LinearOptions{.in = 2, .out = 2}));
  Tiny() {
    fc->own_parameters()[0].value.detach().copy_from(Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2}));
    fc->own_parameters()[1].value.detach().copy_from(Tensor::from(std::vector<float>{1, -1}, {2}));
  }
  Tensor forward(const Input& input) override { return nn::relu((*fc)(input.x)); }
};

}  // namespace

TEST_CASE("a step is reported layer by layer, with the figures of its values and gradients") {
  Tiny model;
  const Tensor x = Tensor::from(std::vector<float>{1, 0, 0, 1}, {2, 2});
  const nn::Inspection step = nn::inspect(model, [&] { return nn::sum(model(x)); });
  CHECK(step.nonfinite == "");
  REQUIRE(step.layers.size() == 4);
  CHECK(step.layers[0].name() == "fc (linear)");  // [1,3; 2,4]
  CHECK(step.layers[1].name() == "fc (add_bias)");
  CHECK(step.layers[2].name() == "relu");  // [2,2; 3,3]
  CHECK(step.layers[3].name() == "sum");
  const nn::ValueStatistics& out = step.layers[2].output;
  CHECK(step.layers[2].shape == Shape{2, 2});
  CHECK((out.count == 4 && out.nonfinite == 0));
  CHECK(out.mean == Approx(2.5));
  CHECK(out.stddev == Approx(0.5));
  CHECK(out.max_abs == Approx(3));
  CHECK(out.norm == Approx(std::sqrt(26.0)));
  CHECK(step.layers[0].gradient.norm == Approx(2));  // ones
  CHECK(step.loss == Approx(10));
  REQUIRE(step.parameters.size() == 2);
  CHECK(step.parameters[0].name == "fc.weight");
  CHECK(step.parameters[0].value.norm == Approx(std::sqrt(30.0)));
  CHECK(step.parameters[0].gradient.norm == Approx(2));  // [1,1; 1,1]
  CHECK(step.parameters[1].gradient.max_abs == Approx(2));
}

TEST_CASE("layers have their parameters' names, in order of the forward pass") {
  auto model = small_model(true);
  const auto step = nn::inspect(model, [&] { return nn::nt_xent(model(some_views(1))); });
  std::vector<std::string> names;
  for (const auto& layer : step.layers) names.push_back(layer.name());
  CHECK(names == std::vector<std::string>{"encoder.conv1 (conv2d)", "encoder.bn1 (batchnorm)", "encoder (max_pool)",
                                          "encoder.layer1.0.conv1 (conv2d)", "encoder.layer1.0.bn1 (batchnorm)",
                                          "encoder.layer1.0.conv2 (conv2d)", "encoder.layer1.0.bn2 (batchnorm)",
                                          "encoder.layer2.0.conv1 (conv2d)", "encoder.layer2.0.bn1 (batchnorm)",
                                          "encoder.layer2.0.conv2 (conv2d)", "encoder.layer2.0.downsample.0 (conv2d)",
                                          "encoder.layer2.0.downsample.1 (batchnorm)",
                                          "encoder.layer2.0.bn2 (batchnorm)", "encoder (global_average_pool)",
                                          "head.linear1 (linear)", "head.bn1 (batchnorm)", "head.linear2 (linear)",
                                          "nt_xent"});
  for (const auto& layer : step.layers) {
    CAPTURE(layer.name());
    CHECK(layer.gradient.count == layer.output.count);
    CHECK(layer.gradient.norm > 0);
  }
}

TEST_CASE("a look changes nothing") {
  auto model = small_model(true), other = small_model(true);
  const auto before = copies(model.state());
  nn::Sgd optimizer(model.parameters(), {}, nn::constant(0.1)),
      other_optimizer(other.parameters(), {}, nn::constant(0.1));
  nn::inspect(model, [&] { return nn::nt_xent(model(some_views(1))); });
  CHECK(same_bits(copies(model.state()), before));
  const auto train = [](nn::SimCLR& m, nn::Optimizer& o) {
    nn::nt_xent(m(some_views(2))).backward();
    o.step();
  };
  train(model, optimizer);
  train(other, other_optimizer);
  CHECK(same_bits(copies(model.state()), copies(other.state())));
}

TEST_CASE("a fault in any layer's output or gradient is caught at its step, named, and updates nothing") {
  set_threads(1);
  for (const bool head_batchnorm : {false, true}) {
    auto model = small_model(head_batchnorm);
    nn::Lars optimizer(model.parameters(), {}, nn::constant(0.1));
    Tensor loss;
    const auto compute = [&](int step) {
      loss = nn::nt_xent(model(some_views(static_cast<std::uint64_t>(step))));
      return loss;
    };
    const auto train = [&](int step) {
      compute(step).backward();
      optimizer.step(loss);
    };
    for (int step = 0; step < 2; ++step) train(step);
    CHECK(optimizer.bad_step() == -1);
    const auto saved = optimizer.state();
    std::vector<NamedTensor> kept;
    for (const NamedTensor& tensor : saved) kept.push_back({tensor.name, tensor.value.clone()});
    const auto before = copies(saved), weights = values_of(model);
    const auto layers = nn::inspect(model, [&] { return compute(2); }).layers;

    for (std::size_t i = 0; i < layers.size(); ++i) {
      for (const auto in : {Fault::In::output, Fault::In::gradient}) {
        for (const float value : {NAN, INFINITY, -INFINITY}) {
          CAPTURE(layers[i].name(), int(in), value, head_batchnorm);
          {
            Fault fault(i, in, value);
            train(2);
            CHECK(optimizer.bad_step() == 2);
            fault.restart();
            const std::string found = nn::inspect(model, [&] { return compute(2); }).nonfinite;
            const std::string what =
                in == Fault::In::output ? " outputs are NaN or Inf" : " values of its output's gradient are NaN or Inf";
            CHECK(found == layers[i].name() + ": 1 of " + std::to_string(layers[i].output.count) + what);
          }
          train(3);  // nothing wrong with this one
          CHECK(optimizer.bad_step() == 2);
          CHECK(optimizer.steps() == 2);
          CHECK(same_bits(values_of(model), weights));
          CHECK(same_bits(copies(saved), before));
          CHECK_THROWS_WITH(optimizer.state(), Contains("NaN or Inf at update 2"));
          optimizer.load_state(kept);
          CHECK(optimizer.bad_step() == -1);
        }
      }
    }
    train(2);
    CHECK(optimizer.steps() == 3);
    CHECK_FALSE(same_bits(values_of(model), weights));
  }
}

TEST_CASE("a parameter, an input and a parameter's gradient are named too") {
  Tiny model;
  Tensor x = Tensor::from(std::vector<float>{1, 0, 0, 1}, {2, 2});
  const auto look = [&](double scale) {
    return nn::inspect(model, [&] { return nn::sum(nn::scale(model(x), scale)); }).nonfinite;
  };
  CHECK(look(1) == "");
  x.data<float>()[1] = NAN;
  CHECK(look(1) == "the model's input: 1 of 4 values are NaN or Inf");
  x.data<float>()[1] = 3e38f;  // its product with a gradient of 10 is no f32 any more; that of the forward pass is
  model.fc->own_parameters()[0].value.detach().fill(1e-30);
  CHECK(look(10) == "fc.weight: 2 of 4 values of its gradient are NaN or Inf");
  model.fc->own_parameters()[0].value.data<float>()[2] = INFINITY;
  CHECK(look(1) == "parameter fc.weight: 1 of 4 values are NaN or Inf before the step");
}

TEST_CASE("what one module computes is no input of the next") {
  Tiny encoder, head;
  encoder.fc->own_parameters()[0].value.detach().fill(3e38);
  const Tensor x = Tensor::full({2, 2}, 10.0);
  CHECK(nn::inspect(encoder, [&] { return nn::sum(head(encoder(x))); }).nonfinite ==
        "fc (linear): 4 of 4 outputs are NaN or Inf");
}

TEST_CASE("an update that overflows is seen before it is saved") {
  Tiny model;
  nn::Sgd optimizer(model.parameters(), {.momentum = 0}, nn::constant(1e38));
  nn::scale(nn::sum(model(Tensor::full({2, 2}, 1.0))), 100).backward();
  optimizer.step();
  CHECK_THROWS_WITH(optimizer.state(), Contains("NaN or Inf at update 1"));
  CHECK(optimizer.bad_step() == 1);
}

TEST_CASE("variances below 0 are refused, other values may be") {
  const auto variances = [](float last) { return Tensor::from(std::vector<float>{1, 0, last}, {3}); };
  nn::check_variances("file", {{"bn.running_var", variances(0.5f)}, {"bn.running_mean", variances(-1)}}, "");
  CHECK_THROWS_WITH(nn::check_variances("file", {{"bn.running_var", variances(-1)}}, "; another"),
                    "file: bn.running_var: 1 of 3 variances are below 0; another");
}

TEST_CASE("statistics leave out what is not finite, and want floats") {
  const Tensor x = Tensor::from(std::vector<double>{1, NAN, 3, -INFINITY}, {4});
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const auto s = nn::statistics_of(x.to(dtype));
    CHECK((s.count == 4 && s.nonfinite == 2 && s.mean == 2 && s.stddev == 1 && s.max_abs == 3));
  }
  CHECK(nn::statistics_of(Tensor::zeros({0})).norm == 0);
  CHECK_THROWS_WITH(nn::statistics_of(Tensor::zeros({2}, DType::i32)), Contains("wants a floating tensor"));
  CHECK_THROWS_WITH(nn::statistics_of({}), Contains("none"));
}
