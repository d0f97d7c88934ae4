#include <simclr/nn/onnx_encoders.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/video_resnet.h>

namespace simclr::nn::onnx {

namespace {

std::string bottleneck_or_basic(Layers& layers, const std::string& at, const std::string& x) {
  const int convolutions = layers.has(at + "conv3") ? 3 : 2;
  std::string y = x;
  for (int i = 1; i <= convolutions; ++i) {
    const std::string number = std::to_string(i), conv = at + "conv" + number;
    y = layers.conv_of_pictures(y, conv, at + "bn" + number);
    if (i < convolutions) y = layers.relu(y, conv);
  }
  const std::string down = at + "downsample";
  const std::string shortcut = layers.has(down) ? layers.conv_of_pictures(x, down + ".0", down + ".1") : x;
  return layers.relu(layers.graph().add(whole(at), "Add", {y, shortcut}), whole(at));
}

/// A ConvNorm: a (2+1)D convolution and its batch normalisation.
std::string conv_2_plus_1d(Layers& layers, const std::string& at, const std::string& x) {
  const std::string y = layers.relu(layers.conv_of_frames(x, at + "0.0", at + "0.1"), at + "0.0");
  return layers.conv_over_time(y, at + "0.3", at + "1");
}

std::string video_block(Layers& layers, const std::string& at, const std::string& x) {
  std::string y = layers.relu(conv_2_plus_1d(layers, at + "conv1.", x), at + "conv1");
  y = conv_2_plus_1d(layers, at + "conv2.", y);
  const std::string down = at + "downsample";
  std::string shortcut = x;
  if (layers.has(down)) {
    const int stride = layers.as<Conv2d>(down + ".0")->geometry().stride.height;  // of time, too
    shortcut = layers.conv_of_frames(x, down + ".0", down + ".1", stride);
  }
  return layers.relu(layers.graph().add(whole(at), "Add", {y, shortcut}), whole(at));
}

/// The four stages, layer1 to layer4, of as many blocks as there are.
template <class Block>
std::string stages(Layers& layers, const std::string& at, std::string x, Block block) {
  for (int stage = 1; stage <= 4; ++stage) {
    for (int i = 0;; ++i) {
      const std::string name = at + "layer" + std::to_string(stage) + "." + std::to_string(i);
      if (!layers.has(name)) break;
      x = block(layers, name + ".", x);
    }
  }
  return x;
}

/// The mean over all places.
std::string pooled(Layers& layers, const std::string& x) {
  const std::string mean = layers.graph().add("features", "GlobalAveragePool", {x});
  return layers.graph().add("features", "Flatten", {mean}, {{"axis", std::int64_t{1}}});
}

}  // namespace

std::string resnet(Layers& layers, const std::string& at, const std::string& x) {
  std::string y = layers.relu(layers.conv_of_pictures(x, at + "conv1", at + "bn1"), at + "conv1");
  const auto& network = dynamic_cast<const ResNet&>(layers.module(whole(at)));
  if (network.stem() == Stem::imagenet) {
    y = layers.graph().add(at + "maxpool", "MaxPool", {y},
                           {{"kernel_shape", std::vector<std::int64_t>{3, 3}},
                            {"pads", std::vector<std::int64_t>{1, 1, 1, 1}},
                            {"strides", std::vector<std::int64_t>{2, 2}}});
  }
  return pooled(layers, stages(layers, at, y, bottleneck_or_basic));
}

std::string video_resnet(Layers& layers, const std::string& at, const std::string& x) {
  const std::string stem = at + "stem.";
  std::string y = layers.relu(layers.conv_of_frames(x, stem + "0", stem + "1"), stem + "0");
  y = layers.relu(layers.conv_over_time(y, stem + "3", stem + "4"), stem + "3");
  return pooled(layers, stages(layers, at, y, video_block));
}

}  // namespace simclr::nn::onnx
