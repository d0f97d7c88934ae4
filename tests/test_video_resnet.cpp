// Encoders of clips: torchvision's names and shapes, sizes, gradients, several clips of a video.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/nn/video_resnet.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::random_tensor;

namespace {

std::map<std::string, Shape> shapes_of(const nn::Module& module) {
  std::map<std::string, Shape> all;
  for (const NamedTensor& each : module.state()) all.emplace(each.name, each.value.shape());
  return all;
}

}  // namespace

TEST_CASE("R(2+1)D-18 has torchvision's parameters") {
  const auto model = std::make_shared<nn::VideoResNet>();
  CHECK(model->output_features() == 512);
  const auto shapes = shapes_of(*model);
  const std::map<std::string, Shape> some = {{"stem.0.weight", {45, 7, 7, 3}},
                                             {"stem.1.running_mean", {45}},
                                             {"stem.3.weight", {64, 3, 45}},
                                             {"stem.4.bias", {64}},
                                             {"layer1.0.conv1.0.0.weight", {144, 3, 3, 64}},
                                             {"layer1.0.conv1.0.1.weight", {144}},
                                             {"layer1.0.conv1.0.3.weight", {64, 3, 144}},
                                             {"layer1.0.conv1.1.weight", {64}},
                                             {"layer2.0.conv1.0.0.weight", {230, 3, 3, 64}},
                                             {"layer2.0.conv2.0.0.weight", {230, 3, 3, 128}},  // not 288
                                             {"layer2.0.conv2.0.3.weight", {128, 3, 230}},
                                             {"layer2.0.downsample.0.weight", {128, 1, 1, 64}},
                                             {"layer2.0.downsample.1.weight", {128}},
                                             {"layer2.1.conv1.0.0.weight", {288, 3, 3, 128}},
                                             {"layer4.1.conv2.0.3.weight", {512, 3, 1152}}};
  for (const auto& [name, shape] : some) {
    CAPTURE(name);
    REQUIRE(shapes.contains(name));
    CHECK(shapes.at(name) == shape);
  }
  std::int64_t parameters = 0;
  for (const nn::Parameter& each : model->parameters()) parameters += each.value.numel();
  CHECK(parameters == 31'505'325 - 400 * 513);  // torchvision's, without its classifier of 400 classes
}

TEST_CASE("sizes are rounded up, and one frame is enough") {
  const auto small =
      std::make_shared<nn::VideoResNet>(nn::VideoResNetOptions{.stem = nn::Stem::cifar, .width = 4, .channels = 1});
  small->eval();
  for (const Shape& shape : {Shape{2, 5, 9, 7, 1}, Shape{1, 1, 1, 1, 1}, Shape{3, 8, 16, 16, 1}}) {
    CAPTURE(shape);
    CHECK((*small)(random_tensor(shape, 1).to(DType::f32)).shape() == Shape{shape[0], 32});
  }
  CHECK_THAT(message_of([&] {
               (*small)(Tensor::zeros({2, 9, 7, 1}, DType::f32));
             }),
             Contains("x must be clips [N,T,H,W,C]"));
}

TEST_CASE("several clips of a video have the mean of their features") {
  const auto check = [](nn::Module& model) {
    model.eval();
    const Tensor x = random_tensor({2, 3, 4, 8, 8, 3}, 5).to(DType::f32);
    const auto mean = model(x).to_vector<float>();
    const auto each = model(x.reshape({6, 4, 8, 8, 3})).to_vector<float>();
    const std::size_t features = static_cast<std::size_t>(model.output_features());
    REQUIRE(mean.size() == 2 * features);
    for (std::size_t n = 0; n < 2; ++n) {
      for (std::size_t f = 0; f < features; ++f) {
        float sum = 0;
        for (std::size_t k = 0; k < 3; ++k) sum += each[(3 * n + k) * features + f];
        CHECK(mean[n * features + f] == Approx(sum / 3).margin(1e-5));
      }
    }
  };
  check(*std::make_shared<nn::VideoResNet>(nn::VideoResNetOptions{.stem = nn::Stem::cifar, .width = 4}));
  check(*std::make_shared<nn::FrameGru>(nn::FrameGruOptions{.resnet = {.width = 4}, .width = 8}));
}

TEST_CASE("both encoders hear the order of the frames, and have gradients") {
  const auto check = [](nn::Module& model) {
    model.to(DType::f64);
    model.eval();  // by running statistics, so that a sample's features are its own
    const Tensor x = random_tensor({1, 4, 6, 6, 1}, 3);
    Tensor turned = Tensor::zeros(x.shape(), DType::f64);
    for (std::int64_t t = 0; t < 4; ++t) {
      std::copy_n(x.data<double>() + (3 - t) * 36, 36, turned.data<double>() + t * 36);
    }
    const auto one = model(x).to_vector<double>(), other = model(turned).to_vector<double>();
    double difference = 0;
    for (std::size_t i = 0; i < one.size(); ++i) difference = std::max(difference, std::abs(one[i] - other[i]));
    CHECK(difference > 1e-6);
    Tensor input = random_tensor({1, 4, 6, 6, 1}, 4);
    input.set_requires_grad(true);
    std::vector<Tensor> inputs = {input};
    CHECK(test::gradient_error([&](const std::vector<Tensor>& in) { return model(in[0]); }, inputs) < 1e-4);
    for (const nn::Parameter& each : model.parameters()) {
      CAPTURE(each.name);
      CHECK(each.value.grad().defined());
    }
  };
  check(*std::make_shared<nn::VideoResNet>(nn::VideoResNetOptions{.stem = nn::Stem::cifar, .width = 2, .channels = 1}));
  check(*std::make_shared<nn::FrameGru>(nn::FrameGruOptions{.resnet = {.width = 2, .channels = 1}, .width = 3}));
}

TEST_CASE("impossible sizes are refused") {
  CHECK_THAT(message_of([] { nn::VideoResNet({.width = 0}); }), Contains("video resnet: width 0"));
  CHECK_THAT(message_of([] { nn::FrameGru({.frames = "vgg"}); }), Contains("\"vgg\" is not known"));
}
