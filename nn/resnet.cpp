#include <simclr/nn/resnet.h>

#include <simclr/core/text.h>

namespace simclr::nn {
namespace {

std::shared_ptr<Conv2d> conv(std::int64_t in, std::int64_t out, int kernel, ConvInit init, int stride = 1,
                             int padding = -1) {
  return std::make_shared<Conv2d>(Conv2dOptions{.in = in,
                                                .out = out,
                                                .kernel = kernel,
                                                .stride = stride,
                                                .padding = padding < 0 ? kernel / 2 : padding,
                                                .init = init});
}

std::shared_ptr<BatchNorm> last_norm(std::int64_t channels, const ResNetOptions& options) {
  return std::make_shared<BatchNorm>(
      BatchNormLayerOptions{.channels = channels, .gamma = options.zero_last_gamma ? 0.0 : 1.0});
}

/// The shortcut's projection, where a block changes the shape: torchvision's Sequential "0" and "1".
class Downsample : public Module {
 public:
  Downsample(std::int64_t in, std::int64_t out, int stride, ConvInit init)
      : conv_(add_module("0", conv(in, out, 1, init, stride))),
        bn_(add_module("1", std::make_shared<BatchNorm>(out))) {}
  Tensor forward(const Input& input) override { return (*bn_)((*conv_)(input.x)); }

 private:
  std::shared_ptr<Conv2d> conv_;
  std::shared_ptr<BatchNorm> bn_;
};

class BasicBlock : public Module {
 public:
  static constexpr std::int64_t expansion = 1;

  BasicBlock(std::int64_t in, std::int64_t width, int stride, const ResNetOptions& options)
      : conv1_(add_module("conv1", conv(in, width, 3, options.init, stride))),
        bn1_(add_module("bn1", std::make_shared<BatchNorm>(width))),
        conv2_(add_module("conv2", conv(width, width, 3, options.init))),
        bn2_(add_module("bn2", last_norm(width, options))) {
    if (stride != 1 || in != width) {
      downsample_ = add_module("downsample", std::make_shared<Downsample>(in, width, stride, options.init));
    }
  }

  Tensor forward(const Input& input) override {
    const Tensor& x = input.x;
    Tensor y = bn1_->relu((*conv1_)(x));
    y = (*conv2_)(y);
    const Tensor shortcut = downsample_ ? (*downsample_)(x) : x;
    return bn2_->add_relu(y, shortcut);
  }

 private:
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm> bn1_;
  std::shared_ptr<Conv2d> conv2_;
  std::shared_ptr<BatchNorm> bn2_;
  std::shared_ptr<Downsample> downsample_;
};

class Bottleneck : public Module {
 public:
  static constexpr std::int64_t expansion = 4;

  Bottleneck(std::int64_t in, std::int64_t width, int stride, const ResNetOptions& options)
      : conv1_(add_module("conv1", conv(in, width, 1, options.init))),
        bn1_(add_module("bn1", std::make_shared<BatchNorm>(width))),
        conv2_(add_module("conv2", conv(width, width, 3, options.init, stride))),
        bn2_(add_module("bn2", std::make_shared<BatchNorm>(width))),
        conv3_(add_module("conv3", conv(width, width * expansion, 1, options.init))),
        bn3_(add_module("bn3", last_norm(width * expansion, options))) {
    if (stride != 1 || in != width * expansion) {
      downsample_ = add_module("downsample", std::make_shared<Downsample>(in, width * expansion, stride, options.init));
    }
  }

  Tensor forward(const Input& input) override {
    const Tensor& x = input.x;
    Tensor y = bn1_->relu((*conv1_)(x));
    y = bn2_->relu((*conv2_)(y));
    y = (*conv3_)(y);
    const Tensor shortcut = downsample_ ? (*downsample_)(x) : x;
    return bn3_->add_relu(y, shortcut);
  }

 private:
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm> bn1_;
  std::shared_ptr<Conv2d> conv2_;
  std::shared_ptr<BatchNorm> bn2_;
  std::shared_ptr<Conv2d> conv3_;
  std::shared_ptr<BatchNorm> bn3_;
  std::shared_ptr<Downsample> downsample_;
};

/// A stage: torchvision's Sequential, so that its blocks are named layer1.0, layer1.1, ...
class Stage : public Module {
 public:
  template <class B>
  static std::shared_ptr<Stage> make(std::int64_t in, std::int64_t width, int depth, int stride,
                                     const ResNetOptions& options) {
    auto stage = std::make_shared<Stage>();
    for (int i = 0; i < depth; ++i) {
      stage->blocks_.push_back(
          stage->add_module(std::to_string(i), std::make_shared<B>(in, width, i == 0 ? stride : 1, options)));
      in = width * B::expansion;
    }
    return stage;
  }

  Tensor forward(const Input& input) override {
    Tensor y = input.x;
    for (const auto& block : blocks_) y = (*block)(y);
    return y;
  }

 private:
  std::vector<std::shared_ptr<Module>> blocks_;
};

}  // namespace

ResNet::ResNet(Block block, const std::vector<int>& depths, const ResNetOptions& options) : stem_(options.stem) {
  SIMCLR_CHECK(options.width > 0 && options.channels > 0, "resnet: width ", options.width, " and ", options.channels,
               " input channels; both must be positive");
  std::int64_t channels = options.width;
  const bool cifar = stem_ == Stem::cifar;
  conv1_ = add_module(
      "conv1", conv(options.channels, channels, cifar ? 3 : 7, options.stem_init, cifar ? 1 : 2, options.stem_padding));
  bn1_ = add_module("bn1", std::make_shared<BatchNorm>(channels));
  for (std::size_t i = 0; i < depths.size(); ++i) {
    const std::int64_t width = options.width << i;
    const int stride = i == 0 ? 1 : 2;
    const bool basic = block == Block::basic;
    blocks_.push_back(add_module("layer" + std::to_string(i + 1),
                                 basic ? Stage::make<BasicBlock>(channels, width, depths[i], stride, options)
                                       : Stage::make<Bottleneck>(channels, width, depths[i], stride, options)));
    channels = width * (basic ? BasicBlock::expansion : Bottleneck::expansion);
  }
  features_ = channels;
  initialize(options.seed);
}

Tensor ResNet::forward(const Input& input) {
  Tensor y = bn1_->relu((*conv1_)(input.x));
  if (stem_ == Stem::imagenet) y = max_pool(y, {.kernel = 3, .stride = 2, .padding = 1});
  for (const auto& stage : blocks_) y = (*stage)(y);
  return global_average_pool(y);
}

std::shared_ptr<ResNet> resnet18(const ResNetOptions& options) {
  return std::make_shared<ResNet>(ResNet::Block::basic, std::vector<int>{2, 2, 2, 2}, options);
}

std::shared_ptr<ResNet> resnet34(const ResNetOptions& options) {
  return std::make_shared<ResNet>(ResNet::Block::basic, std::vector<int>{3, 4, 6, 3}, options);
}

std::shared_ptr<ResNet> resnet50(const ResNetOptions& options) {
  return std::make_shared<ResNet>(ResNet::Block::bottleneck, std::vector<int>{3, 4, 6, 3}, options);
}

namespace {

struct NamedResNet {
  const char* name;
  std::shared_ptr<ResNet> (*make)(const ResNetOptions& options);
};
constexpr NamedResNet named_resnets[] = {{"resnet18", resnet18}, {"resnet34", resnet34}, {"resnet50", resnet50}};

}  // namespace

std::vector<std::string> resnet_names() {
  std::vector<std::string> names;
  for (const NamedResNet& each : named_resnets) names.emplace_back(each.name);
  return names;
}

std::shared_ptr<ResNet> make_resnet(const std::string& name, const ResNetOptions& options) {
  for (const NamedResNet& each : named_resnets) {
    if (name == each.name) return each.make(options);
  }
  fail("resnet: \"", name, "\" is not known; use ", one_of(resnet_names()));
}

}  // namespace simclr::nn
