// Weights in torchvision's layout and back. That torchvision itself takes them: test_torchvision.py.
#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/nn/simclr.h>
#include <simclr/nn/torchvision.h>

#include <algorithm>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;

namespace {

const Tensor& named(const std::vector<NamedTensor>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  if (found == tensors.end()) FAIL("no tensor " << name);
  return found->value;
}

std::vector<NamedTensor> without(std::vector<NamedTensor> tensors, const std::string& part) {
  std::erase_if(tensors, [&](const auto& t) { return t.name.find(part) != std::string::npos; });
  return tensors;
}

}  // namespace

TEST_CASE("torchvision's convolution weights are [out,in,kh,kw]", "[torchvision]") {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    const Tensor weight = test::random_tensor({5, 2, 3, 4}, 1, dtype);  // [out,kh,kw,in]
    const Tensor theirs = nn::to_torchvision({{"conv1.weight", weight}})[0].value;
    REQUIRE(theirs.shape() == Shape{5, 4, 2, 3});
    REQUIRE(theirs.dtype() == dtype);
    const auto x = weight.to_vector<double>(), y = theirs.to_vector<double>();
    for (std::size_t o = 0; o < 5; ++o) {
      for (std::size_t r = 0; r < 2; ++r) {
        for (std::size_t c = 0; c < 3; ++c) {
          for (std::size_t i = 0; i < 4; ++i) {
            REQUIRE(y[((o * 4 + i) * 2 + r) * 3 + c] == x[((o * 2 + r) * 3 + c) * 4 + i]);
          }
        }
      }
    }
    CHECK(test::same_bits(nn::from_torchvision({{"conv1.weight", theirs}})[0].value, weight));
  }
}

TEST_CASE("A ResNet goes to torchvision's layout and comes back", "[torchvision]") {
  for (const char* name : {"resnet18", "resnet34", "resnet50"}) {
    for (const nn::Stem stem : {nn::Stem::cifar, nn::Stem::imagenet}) {
      const auto encoder = nn::make_resnet(name, {.stem = stem, .width = 4, .channels = 1, .seed = 3});
      std::vector<NamedTensor> theirs = nn::to_torchvision(encoder->state());
      theirs.push_back({"bn1.num_batches_tracked", Tensor::zeros({}, DType::i32)});
      theirs.push_back({"fc.weight", Tensor::zeros({1000, 32})});
      theirs.push_back({"fc.bias", Tensor::zeros({1000})});

      const std::vector<NamedTensor> state = nn::from_torchvision(theirs);
      const nn::ResNetKind kind = nn::resnet_kind(state);
      CHECK(kind.name == name);
      CHECK((kind.options.stem == stem && kind.options.width == 4 && kind.options.channels == 1));
      const auto copy = nn::make_resnet(kind.name, kind.options);
      copy->load_state(state);
      for (const NamedTensor& tensor : copy->state()) {
        INFO(tensor.name);
        CHECK(test::same_bits(tensor.value, named(encoder->state(), tensor.name)));
      }
    }
  }
}

TEST_CASE("What is no ResNet of ours is named", "[torchvision]") {
  const auto encoder = nn::resnet18({.width = 4});
  const std::vector<NamedTensor> state = encoder->state();
  nn::SimCLR whole({.encoder = encoder});
  CHECK_THAT(message_of([&] { nn::resnet_kind(whole.state()); }), Contains("the encoder's own state"));
  CHECK_THAT(message_of([&] { nn::resnet_kind({}); }), Contains("not the weights of a ResNet"));
  CHECK_THAT(message_of([&] {
               nn::resnet_kind({{"conv1.weight", Tensor::zeros({64, 5, 5, 3})}});
             }),
             Contains("conv1.weight is [64,5,5,3]") && Contains("[width,7,7,channels]"));
  CHECK_THAT(message_of([&] { nn::resnet_kind(without(state, "layer3.1.")); }),
             Contains("stages of 2, 2, 1 and 2 basic blocks"));
  const auto deep = nn::ResNet(nn::ResNet::Block::bottleneck, {2, 2, 2, 2}, {.width = 4}).state();
  CHECK_THAT(message_of([&] { nn::resnet_kind(deep); }), Contains("2 bottleneck blocks"));

  // The rest is load_state's: a 7x7 stem, another width, a tensor that is missing, one left over.
  const auto load = [&](const std::vector<NamedTensor>& other) {
    return message_of([&] { encoder->load_state(nn::from_torchvision(nn::to_torchvision(other))); });
  };
  CHECK_THAT(load(nn::resnet18({.stem = nn::Stem::imagenet, .width = 4})->state()),
             Contains("conv1.weight is [4,7,7,3], this model has [4,3,3,3]"));
  CHECK_THAT(load(nn::resnet18({.width = 8})->state()), Contains("conv1.weight is [8,3,3,3]"));
  CHECK_THAT(load(without(state, "layer2.0.downsample.1.running_var")),
             Contains("layer2.0.downsample.1.running_var [8] is missing"));
  std::vector<NamedTensor> more = state;
  more.push_back({"layer1.9.conv1.weight", Tensor::zeros({4, 3, 3, 4})});
  CHECK_THAT(load(more), Contains("this model has no layer1.9.conv1.weight"));
}
