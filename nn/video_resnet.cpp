#include <simclr/nn/video_resnet.h>

#include <algorithm>

namespace simclr::nn {
namespace {

/// Clips as the pictures that their frames are.
Tensor as_frames(const Tensor& x) {
  return x.reshape({x.dim(0) * x.dim(1), x.dim(2), x.dim(3), x.dim(4)});
}

/// The same frames as clips of `clips`.
Tensor as_clips(const Tensor& x, std::int64_t clips) {
  return x.reshape({clips, x.dim(0) / clips, x.dim(1), x.dim(2), x.dim(3)});
}

/// torchvision's R2Plus1dStem: over frames "0" and "1", over time "3" and "4".
class VideoStem : public Module {
 public:
  explicit VideoStem(const VideoResNetOptions& options) {
    constexpr std::int64_t published = 45;  // channels between the two, at width 64
    const std::int64_t middle = std::max<std::int64_t>(published * options.width / 64, 1);
    const bool large = options.stem == Stem::imagenet;
    conv1_ = add_module("0", std::make_shared<Conv2d>(Conv2dOptions{.in = options.channels,
                                                                    .out = middle,
                                                                    .kernel = large ? 7 : 3,
                                                                    .stride = large ? 2 : 1,
                                                                    .padding = large ? 3 : 1}));
    bn1_ = add_module("1", std::make_shared<BatchNorm>(middle));
    conv2_ = add_module("3", std::make_shared<Conv1d>(Conv1dOptions{.in = middle, .out = options.width, .padding = 1}));
    bn2_ = add_module("4", std::make_shared<BatchNorm>(options.width));
  }

  Tensor forward(const Input& input) override {
    Tensor y = bn1_->relu((*conv1_)(as_frames(input.x)));
    y = (*conv2_)(as_clips(y, input.x.dim(0)));
    return bn2_->relu(y);
  }

 private:
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm> bn1_;
  std::shared_ptr<Conv1d> conv2_;
  std::shared_ptr<BatchNorm> bn2_;
};

/// torchvision's Sequential of a (2+1)D convolution, "0", and its batch normalisation, "1".
class ConvNorm : public Module {
 public:
  ConvNorm(std::int64_t in, std::int64_t out, std::int64_t middle, int stride)
      : conv_(add_module("0", std::make_shared<Conv2Plus1d>(
                                  Conv2Plus1dOptions{.in = in, .out = out, .middle = middle, .stride = stride}))),
        norm_(add_module("1", std::make_shared<BatchNorm>(out))) {}
  Tensor forward(const Input& input) override { return (*norm_)((*conv_)(input.x)); }
  Tensor relu(const Tensor& x) { return norm_->relu((*conv_)(x)); }
  Tensor add_relu(const Tensor& x, const Tensor& residual) { return norm_->add_relu((*conv_)(x), residual); }

 private:
  std::shared_ptr<Conv2Plus1d> conv_;
  std::shared_ptr<BatchNorm> norm_;
};

/// The shortcut's projection, where a block changes the shape: 1 x 1 of every `stride`-th frame.
class Downsample : public Module {
 public:
  Downsample(std::int64_t in, std::int64_t out, int stride)
      : stride_(stride),
        conv_(add_module("0",
                         std::make_shared<Conv2d>(Conv2dOptions{.in = in, .out = out, .kernel = 1, .stride = stride}))),
        norm_(add_module("1", std::make_shared<BatchNorm>(out))) {}

  Tensor forward(const Input& input) override {
    Tensor x = input.x;
    const std::int64_t height = x.dim(2), width = x.dim(3), channels = x.dim(4);
    if (stride_ > 1) {  // a maximum over one frame is that frame
      x = max_pool(x.reshape({x.dim(0), x.dim(1), 1, height * width * channels}),
                   {.kernel = 1, .stride = stride_, .padding = 0});
      x = x.reshape({x.dim(0), x.dim(1), height, width, channels});
    }
    return (*norm_)(as_clips((*conv_)(as_frames(x)), x.dim(0)));
  }

 private:
  int stride_;
  std::shared_ptr<Conv2d> conv_;
  std::shared_ptr<BatchNorm> norm_;
};

class VideoBlock : public Module {
 public:
  VideoBlock(std::int64_t in, std::int64_t out, int stride) {
    // torchvision takes the first convolution's for both.
    const std::int64_t middle = std::max<std::int64_t>(27 * in * out / (9 * in + 3 * out), 1);
    conv1_ = add_module("conv1", std::make_shared<ConvNorm>(in, out, middle, stride));
    conv2_ = add_module("conv2", std::make_shared<ConvNorm>(out, out, middle, 1));
    if (stride != 1 || in != out) {
      downsample_ = add_module("downsample", std::make_shared<Downsample>(in, out, stride));
    }
  }

  Tensor forward(const Input& input) override {
    const Tensor& x = input.x;
    const Tensor shortcut = downsample_ ? (*downsample_)(x) : x;
    return conv2_->add_relu(conv1_->relu(x), shortcut);
  }

 private:
  std::shared_ptr<ConvNorm> conv1_, conv2_;
  std::shared_ptr<Downsample> downsample_;
};

/// A stage of two blocks, named layer1.0 and layer1.1.
class VideoStage : public Module {
 public:
  VideoStage(std::int64_t in, std::int64_t out, int stride)
      : first_(add_module("0", std::make_shared<VideoBlock>(in, out, stride))),
        second_(add_module("1", std::make_shared<VideoBlock>(out, out, 1))) {}
  Tensor forward(const Input& input) override { return (*second_)((*first_)(input.x)); }

 private:
  std::shared_ptr<VideoBlock> first_, second_;
};

}  // namespace

Tensor ClipEncoder::forward(const Input& input) {
  const Tensor& x = input.x;
  SIMCLR_CHECK(x.defined() && (x.rank() == 5 || x.rank() == 6),
               "clip encoder: x must be clips [N,T,H,W,C] or several of each video [N,K,T,H,W,C], got ", describe(x));
  if (x.rank() == 5) return features(x);
  const Tensor each = features(x.reshape({x.dim(0) * x.dim(1), x.dim(2), x.dim(3), x.dim(4), x.dim(5)}));
  return mean_over_time(each.reshape({x.dim(0), x.dim(1), each.dim(1)}));
}

VideoResNet::VideoResNet(const VideoResNetOptions& options) {
  SIMCLR_CHECK(options.width > 0 && options.channels > 0, "video resnet: width ", options.width, " and ",
               options.channels, " input channels; both must be positive");
  stem_ = add_module("stem", std::make_shared<VideoStem>(options));
  std::int64_t channels = options.width;
  for (int i = 0; i < 4; ++i) {
    const std::int64_t out = options.width << i;
    blocks_.push_back(
        add_module("layer" + std::to_string(i + 1), std::make_shared<VideoStage>(channels, out, i == 0 ? 1 : 2)));
    channels = out;
  }
  features_ = channels;
  initialize(options.seed);
}

Tensor VideoResNet::features(const Tensor& clips) {
  Tensor y = (*stem_)(clips);
  for (const auto& stage : blocks_) y = (*stage)(y);
  return global_average_pool(y.reshape({y.dim(0), y.dim(1), y.dim(2) * y.dim(3), y.dim(4)}));
}

FrameGru::FrameGru(const FrameGruOptions& options) {
  frames_ = add_module("frames", make_resnet(options.frames, options.resnet));
  time_ = add_module("time", std::make_shared<GruEncoder>(GruEncoderOptions{
                                 .in = frames_->output_features(), .width = options.width, .layers = options.layers}));
  initialize(options.resnet.seed);
}

Tensor FrameGru::features(const Tensor& clips) {
  const Tensor y = (*frames_)(as_frames(clips));
  return (*time_)(y.reshape({clips.dim(0), clips.dim(1), y.dim(1)}));
}

}  // namespace simclr::nn
