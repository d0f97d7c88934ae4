// ResNet-18 with SimCLR's head and loss against PyTorch, from the same weights: see fixtures/make_resnet_fixture.py.
#include "support/catch.h"
#include "support/source_folder.h"
#include "support/tensors.h"

#include <simclr/kernels/optimizer_step.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <map>
#include <string>

using namespace simclr;

namespace {

struct Trace {
  std::vector<std::pair<std::string, Tensor>> values;
  std::vector<double> losses;

  const Tensor& at(const std::string& name) const {
    for (const auto& [key, value] : values) {
      if (key == name) return value;
    }
    FAIL("no " << name);
    return values[0].second;
  }
};

const nlohmann::json& fixture() {
  static const nlohmann::json json = [] {
    std::ifstream file(test::source_folder() + "/fixtures/resnet18.json");
    return nlohmann::json::parse(file);
  }();
  return json;
}

/// The run that the fixture describes, in `dtype`. The encoder's outputs are traced in order of execution, under the
/// numbers that the fixture uses.
Trace run(DType dtype) {
  const auto& f = fixture();
  const std::int64_t size = f["size"], images = f["images"];
  const std::uint64_t seed = f["seed"];
  const auto encoder = nn::resnet18();
  nn::SimCLR model({.encoder = encoder});
  model.to(dtype);
  encoder->initialize(seed);
  model.head().initialize(seed);
  nn::Sgd optimizer(model.parameters(), {.momentum = f["momentum"], .weight_decay = f["weight_decay"]},
                    nn::constant(f["lr"]));
  Tensor x = test::random_tensor({2 * images, size, size, 3}, 5, dtype, 0.0, 1.0);
  x.set_requires_grad();

  Trace trace;
  std::vector<Tensor> events;
  for (int step = 0; step < static_cast<int>(f["losses"].size()); ++step) {
    Tensor z;
    {
      const RecordObserver observer([&](const char* name, Tensor& output) {
        const bool traced = std::string(name) == "conv2d" || (std::string(name) == "batchnorm" && output.rank() == 4);
        if (step == 0 && traced) {
          output.retain_grad();
          events.push_back(output);
        }
      });
      z = model(x);
    }
    const Tensor loss = nn::nt_xent(z, {.temperature = f["temperature"]});
    loss.backward();
    trace.losses.push_back(loss.item());
    if (step == 0) {
      for (std::size_t i = 0; i < events.size(); ++i) {
        const std::string number = std::string(i < 10 ? "0" : "") + std::to_string(i);
        trace.values.emplace_back("activation " + number, events[i].clone());
        trace.values.emplace_back("gradient " + number, events[i].grad().clone());
      }
      events.clear();
      trace.values.emplace_back("z", z.clone());
      trace.values.emplace_back("gradient of the input", x.grad().clone());
      for (const auto& p : model.parameters())
        trace.values.emplace_back("gradient of " + p.name, p.value.grad().clone());
    }
    optimizer.step();
  }
  for (const auto& [name, value] : model.state()) trace.values.emplace_back("after ten steps " + name, value.clone());
  return trace;
}

/// "activation 03 layer1.0.relu" in the fixture is "activation 03" here.
std::string own_key(const std::string& key) {
  const bool numbered =
      key.starts_with("activation ") || (key.starts_with("gradient ") && !key.starts_with("gradient of"));
  return numbered ? key.substr(0, key.find(' ') + 3) : key;
}

std::string kind(const std::string& key) {
  if (key.starts_with("activation") || key == "z") return "activations";
  return key.starts_with("gradient") ? "gradients" : "weights after ten steps";
}

double norm_of_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  double difference = 0, scale = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    scale += y[i] * y[i];
  }
  return std::sqrt(difference / std::max(scale, 1e-300));
}

const Trace& f64_trace() {
  static const Trace trace = run(DType::f64);
  return trace;
}

}  // namespace

TEST_CASE("ResNet-18 in f64 gives PyTorch's activations, gradients, losses and ten SGD steps") {
  const Trace& trace = f64_trace();
  std::size_t compared = 0;
  for (const auto& [key, expected] : fixture()["tensors"].items()) {
    const Tensor& value = trace.at(own_key(key));
    INFO(key << " " << value.shape());
    const auto values = value.to_vector<double>();
    CHECK(nlohmann::json(std::vector<std::int64_t>(value.shape().begin(), value.shape().end())) == expected["shape"]);
    double norm = 0;
    for (const double v : values) norm += v * v;
    norm = std::sqrt(norm);
    // Both sides round at 1e-16 in other orders, ten layers and ten steps deep.
    const double tolerance = key.starts_with("after") ? 1e-9 : 1e-10;
    CHECK(norm == Approx(expected["norm"].get<double>()).epsilon(tolerance));
    const double scale = norm / std::sqrt(static_cast<double>(values.size()));
    for (std::size_t k = 0; k < expected["samples"].size(); ++k) {
      const double error = std::abs(values[(k * 7919 + 13) % values.size()] - expected["samples"][k].get<double>());
      CHECK(error < 20 * tolerance * scale);
    }
    ++compared;
  }
  // 40 outputs and their gradients, z, the input's gradient, 64 parameters twice, 42 running statistics.
  CHECK(compared == 2 * 40 + 2 + 2 * 64 + 2 * 21);
  for (std::size_t i = 0; i < trace.losses.size(); ++i) {
    CHECK(trace.losses[i] == Approx(fixture()["losses"][i].get<double>()).epsilon(1e-9));
  }
}

TEST_CASE("ResNet-18 in f32 is within three times PyTorch's own f32 error") {
  const Trace trace = run(DType::f32);
  // A ReLU whose input is within rounding of zero may open in one arithmetic and not in the other; that moves every
  // gradient before it. Which one it is depends on the machine, so a kind of tensor shares its largest error.
  std::map<std::string, double> allowed, found;
  for (const auto& [key, expected] : fixture()["tensors"].items()) {
    double& bound = allowed[kind(key)];
    bound = std::max(bound, 3 * expected["torch_f32_error"].get<double>());
    double& worst = found[kind(key)];
    worst = std::max(worst, norm_of_difference(trace.at(own_key(key)), f64_trace().at(own_key(key))));
  }
  for (const auto& [name, bound] : allowed) {
    INFO(name);
    CHECK(found[name] > 0);
    CHECK(found[name] <= bound);
  }
  for (std::size_t i = 0; i < trace.losses.size(); ++i) {
    const double expected = f64_trace().losses[i];
    CHECK(std::abs(trace.losses[i] - expected) <= 3 * fixture()["torch_f32_loss_error"].get<double>() * expected);
  }
}

TEST_CASE("options of a ResNet's beginning do what they say") {
  const Tensor x = test::random_tensor({2, 16, 16, 3}, 3, DType::f32);
  // Padding 2 keeps 18 x 18 cells, so that the stages see 18, 9, 5 and 3.
  nn::Conv2d conv({.in = 3, .out = 4, .kernel = 3, .padding = 2});
  conv.initialize(0);
  CHECK(conv(x).shape() == Shape{2, 18, 18, 4});
  const auto value = [](const nn::ResNetOptions& options, const std::string& name) {
    for (const auto& p : nn::resnet18(options)->parameters()) {
      if (p.name == name) return p.value.to_vector<double>();
    }
    return std::vector<double>();
  };
  const auto wide = nn::resnet18({.width = 4, .stem_padding = 2}), usual = nn::resnet18({.width = 4});
  wide->eval();
  usual->eval();
  CHECK((*wide)(x).shape() == Shape{2, 32});
  CHECK((*wide)(x).to_vector<float>() != (*usual)(x).to_vector<float>());

  // A block whose last scale is 0 is relu(shortcut): the network is its stem and its projections.
  CHECK(value({.width = 4, .zero_last_gamma = true}, "layer2.0.bn2.weight") == std::vector<double>(8, 0.0));
  CHECK(value({.width = 4, .zero_last_gamma = true}, "layer2.0.bn1.weight") == std::vector<double>(8, 1.0));
  CHECK(value({.width = 4, .zero_last_gamma = true}, "layer2.0.downsample.1.weight") == std::vector<double>(8, 1.0));
  CHECK(value({.width = 4}, "layer2.0.bn2.weight") == std::vector<double>(8, 1.0));

  // Uniform in +-1/sqrt(in kernel^2): a deviation of bound / sqrt(3), and no value beyond.
  for (const auto& [name, fan_in, stem] :
       {std::tuple{"conv1.weight", 27.0, true}, {"layer4.1.conv2.weight", 1152.0, false}}) {
    const auto w = value({.width = 16,
                          .init = stem ? nn::ConvInit::he : nn::ConvInit::uniform,
                          .stem_init = stem ? nn::ConvInit::uniform : nn::ConvInit::he},
                         name);
    double square = 0, largest = 0;
    for (const double each : w) {
      square += each * each;
      largest = std::max(largest, std::abs(each));
    }
    CAPTURE(name, w.size());
    CHECK(largest <= 1 / std::sqrt(fan_in));
    CHECK(std::sqrt(square / static_cast<double>(w.size())) == Approx(1 / std::sqrt(3 * fan_in)).epsilon(0.08));
    CHECK(value({.width = 16}, name) != w);
  }
}
