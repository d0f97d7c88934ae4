// Modules, layers, ResNets and SimCLR as parts: names, shapes, initial values, state.
#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>

#include <cmath>
#include <set>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::random_tensor;

namespace {

std::int64_t count(const nn::Module& module) {
  std::int64_t total = 0;
  for (const auto& p : module.parameters()) total += p.value.numel();
  return total;
}

const nn::Parameter& named(const std::vector<nn::Parameter>& parameters, const std::string& name) {
  for (const auto& p : parameters) {
    if (p.name == name) return p;
  }
  FAIL("no parameter " << name);
  return parameters[0];
}

/// A model of its own: what a user writes.
struct Tower : nn::Module {
  std::shared_ptr<nn::Linear> linear = add_module("linear", std::make_shared<nn::Linear>(nn::LinearOptions{5, 3}));
  Tensor scale = add_parameter("scale", {3}, nn::Role::norm, {nn::Initializer::Kind::constant, 2.0});
  Tensor forward(const Input& input) override { return nn::add_bias(linear->forward(input.x), scale); }
};

}  // namespace

TEST_CASE("ResNets have torchvision's parameters: names, shapes, counts") {
  // torchvision's totals less the classifier's 1000 * F + 1000.
  CHECK(count(*nn::resnet18({.stem = nn::Stem::imagenet})) == 11689512 - 513000);
  CHECK(count(*nn::resnet34({.stem = nn::Stem::imagenet})) == 21797672 - 513000);
  CHECK(count(*nn::resnet50({.stem = nn::Stem::imagenet})) == 25557032 - 2049000);

  const auto parameters = nn::resnet50({.stem = nn::Stem::imagenet})->parameters();
  CHECK(parameters.size() == 159);
  CHECK(named(parameters, "conv1.weight").value.shape() == Shape{64, 7, 7, 3});
  CHECK(named(parameters, "layer1.0.downsample.0.weight").value.shape() == Shape{256, 1, 1, 64});
  CHECK(named(parameters, "layer4.2.conv3.weight").value.shape() == Shape{2048, 1, 1, 512});
  CHECK(named(parameters, "layer3.5.bn2.bias").role == nn::Role::norm);
  CHECK(named(parameters, "layer3.5.conv2.weight").role == nn::Role::weight);
  std::set<std::string> names;
  for (const auto& p : parameters) names.insert(p.name);
  CHECK(names.size() == parameters.size());

  const auto cifar = nn::resnet18({.width = 16, .channels = 1})->parameters();
  CHECK(named(cifar, "conv1.weight").value.shape() == Shape{16, 3, 3, 1});
  CHECK(named(cifar, "layer4.1.conv2.weight").value.shape() == Shape{128, 3, 3, 128});
  CHECK_THAT(message_of([] { nn::make_resnet("resnet101"); }), Contains("resnet18, resnet34 or resnet50"));
  CHECK_THAT(message_of([] { nn::resnet18({.width = 0}); }), Contains("width 0"));
}

TEST_CASE("ResNet-18, -34 and -50 run forward and backward with both stems, f32 beside f64") {
  CHECK(nn::resnet_names() == std::vector<std::string>{"resnet18", "resnet34", "resnet50"});
  for (const std::string& name : nn::resnet_names()) {
    for (const nn::Stem stem : {nn::Stem::cifar, nn::Stem::imagenet}) {
      INFO(name << (stem == nn::Stem::cifar ? " cifar" : " imagenet"));
      const std::int64_t side = stem == nn::Stem::cifar ? 12 : 37;
      std::vector<Tensor> outputs;
      for (const DType dtype : {DType::f32, DType::f64}) {
        const auto model = nn::make_resnet(name, {.stem = stem, .width = 8, .seed = 3});
        model->to(dtype);
        const Tensor h = (*model)(random_tensor({4, side, side, 3}, 1, dtype));
        CHECK(h.shape() == Shape{4, model->output_features()});
        h.backward(random_tensor(h.shape(), 2, dtype));
        for (const auto& p : model->parameters()) {
          INFO(p.name);
          double largest = 0;
          for (const double g : p.value.grad().to_vector<double>()) largest = std::max(largest, std::abs(g));
          CHECK(std::isfinite(largest));
          CHECK(largest > 0);
        }
        outputs.push_back(h);
      }
      // Up to 53 layers of f32 rounding, with batch norm over as few as 16 values: about 1e-5 was seen.
      CHECK(test::relative_error(outputs[0], outputs[1]) < 1e-4);
    }
  }
}

TEST_CASE("initial values depend on the seed and the parameter's name alone") {
  const auto a = nn::resnet18({.width = 8, .seed = 1}), b = nn::resnet18({.width = 8, .seed = 1});
  const auto c = nn::resnet18({.width = 8, .seed = 2}), deeper = nn::resnet34({.width = 8, .seed = 1});
  const auto first = a->parameters();
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(test::same_bits(first[i].value, b->parameters()[i].value));
  CHECK_FALSE(test::same_bits(first[0].value, c->parameters()[0].value));
  CHECK(test::same_bits(named(first, "layer1.1.conv2.weight").value,
                        named(deeper->parameters(), "layer1.1.conv2.weight").value));
  CHECK_FALSE(
      test::same_bits(named(first, "layer1.0.conv1.weight").value, named(first, "layer1.0.conv2.weight").value));

  // Normal with variance 2 / fan out: 8 * 8 * 64 * 9 values, five standard errors.
  const auto values = named(nn::resnet18({.seed = 1})->parameters(), "layer1.0.conv1.weight").value.to_vector<double>();
  double sum = 0, squares = 0;
  for (const double v : values) {
    sum += v;
    squares += v * v;
  }
  const auto n = static_cast<double>(values.size());
  const double variance = 2.0 / (64 * 9);
  CHECK(std::abs(sum / n) < 5 * std::sqrt(variance / n));
  CHECK(std::abs(squares / n - variance) < 5 * variance * std::sqrt(2 / n));
}

TEST_CASE("images in PyTorch's order are named as such") {
  const std::string told = "it looks like [N,C,H,W], and this library's images are [N,H,W,C]";
  const auto encoder = nn::resnet18({.width = 4});
  CHECK_THAT(message_of([&] {
               (*encoder)(random_tensor({2, 3, 16, 16}, 1, DType::f32));
             }),
             Contains("x [2,3,16,16] has 16 channels") && Contains(told));
  CHECK_THAT(message_of([&] {
               (*encoder)(random_tensor({2, 16, 16, 1}, 1, DType::f32));
             }),
             Contains("has 1 channels") && !Contains("looks like"));
  const auto norm = std::make_shared<nn::BatchNorm>(4);
  norm->initialize(1);
  CHECK_THAT(message_of([&] {
               (*norm)(random_tensor({2, 4, 8, 8}, 1, DType::f32));
             }),
             Contains("batchnorm: x [2,4,8,8] has 8 channels, this layer 4") && Contains(told));
  CHECK_THAT(message_of([&] {
               nn::conv2d(random_tensor({2, 16, 16, 3}, 1, DType::f32), random_tensor({8, 3, 5, 5}, 1, DType::f32), {});
             }),
             Contains("w looks like [O,C,K,L], and this library's filters are [O,K,L,C]"));
}

TEST_CASE("a module of one's own is NaN until it is initialized, and carries its children's state") {
  Tower tower;
  CHECK(std::isnan(tower.scale.to_vector<double>()[0]));
  CHECK_THAT(message_of([&] {
               tower(random_tensor({2, 5}, 1, DType::f32));
             }),
             Contains("NaN throughout: initialize() was not called"));
  tower.initialize(4);
  CHECK(tower.scale.to_vector<double>() == std::vector<double>{2, 2, 2});
  const auto weights = named(tower.parameters(), "linear.weight").value.to_vector<double>();
  for (const double w : weights) CHECK(std::abs(w) <= 1 / std::sqrt(5.0));

  Tower other;
  other.initialize(5);
  other.load_state(tower.state());
  const Tensor x = random_tensor({2, 5}, 1, DType::f32);
  CHECK(test::same_bits(other(x), tower(x)));

  auto state = tower.state();
  state.pop_back();
  CHECK_THAT(message_of([&] { other.load_state(state); }), Contains("load_state: ") && Contains("is missing"));
  state = tower.state();
  state.push_back({"extra", Tensor::zeros({1})});
  CHECK_THAT(message_of([&] { other.load_state(state); }), Contains("this model has no extra"));
  state = tower.state();
  state[0].value = Tensor::zeros({7});
  CHECK_THAT(message_of([&] { other.load_state(state); }), Contains("is [7], this model has"));
}

TEST_CASE("training and evaluation mode reach every child, and batch norm keeps running statistics") {
  nn::SimCLR model({.encoder = nn::resnet18({.width = 4})});
  const Tensor x = random_tensor({6, 8, 8, 3}, 1, DType::f32);
  model.eval();
  const NoGrad no_grad;
  const auto before = model.state();
  const Tensor one = model(x.narrow(0, 1));  // a single picture is fine in evaluation
  CHECK(test::relative_error(model(x).narrow(0, 1), one) < 1e-5);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(test::same_bits(before[i].value, model.state()[i].value));
  model.train();
  const auto running = [&] {
    for (const auto& s : model.state()) {
      if (s.name == "encoder.bn1.running_mean") return s.value.clone();
    }
    return Tensor();
  };
  const Tensor old = running();
  model(x);
  CHECK_FALSE(test::same_bits(old, running()));
}

TEST_CASE("projection heads: two and three layers, with and without batch norm") {
  const auto names = [](const nn::ProjectionHeadOptions& options) {
    std::string all;
    for (const auto& p : nn::ProjectionHead(options).parameters()) all += p.name + " ";
    return all;
  };
  CHECK(names({.in = 8}) == "linear1.weight bn1.weight bn1.bias linear2.weight ");
  CHECK(names({.in = 8, .batchnorm = false}) == "linear1.weight linear1.bias linear2.weight ");
  CHECK(names({.in = 8, .layers = 3, .last_batchnorm = true}) ==
        "linear1.weight bn1.weight bn1.bias linear2.weight bn2.weight bn2.bias linear3.weight bn3.weight bn3.bias ");
  CHECK(names({.in = 8, .last_batchnorm = true, .last_shift = false}) ==
        "linear1.weight bn1.weight bn1.bias linear2.weight bn2.weight ");
  for (const int layers : {2, 3}) {
    for (const bool norm : {false, true}) {
      nn::ProjectionHead head(
          {.in = 8, .hidden = 16, .out = 5, .layers = layers, .batchnorm = norm, .last_bias = true});
      const Tensor z = head(random_tensor({4, 8}, 1, DType::f32));
      CHECK(z.shape() == Shape{4, 5});
      z.backward(Tensor::full({4, 5}, 1.0));
      for (const auto& p : head.parameters()) CHECK(p.value.grad().defined());
    }
  }
  CHECK_THAT(message_of([] { nn::ProjectionHead({.in = 8, .layers = 4}); }), Contains("4 layers"));
  CHECK_THAT(message_of([] { nn::SimCLR({.encoder = nullptr}); }), Contains("an encoder is needed"));
  CHECK_THAT(message_of([] { nn::SimCLR({.encoder = std::make_shared<nn::ReLU>()}); }), Contains("set head.in"));
}

TEST_CASE("wrong inputs to layers are named") {
  nn::Conv2d conv({.in = 3, .out = 4});
  CHECK_THAT(message_of([&] { conv(Tensor::zeros({1, 8, 8, 2})); }), Contains("conv2d") && Contains("[1,8,8,2]"));
  CHECK_THAT(message_of([&] { conv(Tensor::zeros({8, 8, 3})); }), Contains("conv2d"));
  CHECK_THAT(message_of([&] { conv(Tensor::zeros({1, 8, 8, 3}, DType::u8)); }), Contains("u8"));
  nn::Linear linear({.in = 3, .out = 4});
  CHECK_THAT(message_of([&] { linear(Tensor::zeros({2, 5})); }), Contains("linear") && Contains("[2,5]"));
  nn::BatchNorm norm(4);
  CHECK_THAT(message_of([&] { norm(Tensor::zeros({1, 4})); }), Contains("batchnorm") || Contains("count"));
  CHECK_THAT(message_of([&] { norm(Tensor::zeros({5, 3})); }), Contains("batchnorm"));
  CHECK_THAT(message_of([] { nn::Conv2d({.in = 0, .out = 4}); }), Contains("in 0"));
  CHECK_THAT(message_of([] { nn::Conv2d({.in = 3, .out = 4, .stride = {1, 0}}); }), Contains("stride 1 x 0"));
}

TEST_CASE("parameters move into one arena and keep their handles") {
  Tower tower;
  tower.initialize(1);
  const auto parameters = tower.parameters();
  const auto before = named(parameters, "linear.weight").value.to_vector<double>();
  const nn::ParameterArena arena = nn::make_arena(parameters);
  CHECK(named(tower.parameters(), "linear.weight").value.to_vector<double>() == before);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    CHECK(parameters[i].value.raw_data() == arena.values.data<float>() + arena.offsets[i]);
    CHECK(parameters[i].value.grad().raw_data() == arena.gradients.data<float>() + arena.offsets[i]);
    CHECK(arena.offsets[i] % 16 == 0);
  }
  tower(random_tensor({2, 5}, 1, DType::f32)).backward(Tensor::full({2, 3}, 1.0));
  CHECK(arena.gradients.narrow(arena.offsets.back(), 1).item() != 0);
}

TEST_CASE("views that go apart meet no statistics of each other's") {
  const auto make = [](bool apart) {
    nn::SimCLROptions options{.encoder = nn::resnet18({.width = 4}), .head = {.out = 8}, .views_apart = apart};
    options.head.last_batchnorm = true;
    options.head.last_shift = false;
    return std::make_unique<nn::SimCLR>(options);
  };
  const auto apart = make(true), each = make(true), together = make(false);
  const Tensor x = random_tensor({8, 8, 8, 3}, 1, DType::f32), dz = random_tensor({8, 8}, 2, DType::f32);
  const Tensor z = (*apart)(x);
  z.backward(dz);
  // The same by hand: two batches of 4, one after the other.
  std::vector<float> by_hand;
  for (int view = 0; view < 2; ++view) {
    const Tensor part = each->head()(each->encoder()(x.narrow(4 * view, 4)));
    for (const float value : part.to_vector<float>()) by_hand.push_back(value);
    part.backward(dz.narrow(4 * view, 4));
  }
  CHECK(z.to_vector<float>() == by_hand);
  CHECK((*together)(x).to_vector<float>() != by_hand);
  const auto a = apart->parameters(), b = each->parameters();
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO(a[i].name);
    CHECK(test::relative_error(a[i].value.grad(), b[i].value.grad()) < 1e-5);
  }
  const auto s = apart->state(), t = each->state();  // running statistics moved twice
  for (std::size_t i = 0; i < s.size(); ++i) CHECK(test::same_bits(s[i].value, t[i].value));
  // The shift that there is not: a buffer of zeros.
  bool found = false;
  for (const auto& tensor : s) {
    if (tensor.name != "head.bn2.bias") continue;
    found = tensor.value.to_vector<float>() == std::vector<float>(8, 0.0f);
  }
  CHECK(found);

  apart->eval();
  together->eval();
  together->load_state(s);
  CHECK((*apart)(x).to_vector<float>() == (*together)(x).to_vector<float>());
  apart->train();
  CHECK_THAT(message_of([&] { (*apart)(x.narrow(0, 7)); }), Catch::Contains("[2N,...]"));
}
