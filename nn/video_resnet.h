#pragma once

#include <simclr/nn/layers.h>
#include <simclr/nn/recurrent.h>
#include <simclr/nn/resnet.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// Encoders of clips [N,T,H,W,C] to features [N,F]. Of several clips of a video, [N,K,T,H,W,C], the features are the
/// mean of the K clips' own.
namespace simclr::nn {

/// Of both encoders. Each has a public base so that the mean over clips is written once.
class SIMCLR_API ClipEncoder : public Module {
 public:
  /// Throws Error for other ranks, and as features() does.
  Tensor forward(const Input& input) override;

 protected:
  /// Of clips [N,T,H,W,C].
  virtual Tensor features(const Tensor& clips) = 0;
};

struct VideoResNetOptions {
  /// imagenet: 7 x 7 of stride 2 over each frame, torchvision's; cifar: 3 x 3 of stride 1, for frames up to 64 pixels.
  Stem stem = Stem::imagenet;
  std::int64_t width = 64;    // channels of the first stage
  std::int64_t channels = 3;  // of the clips
  std::uint64_t seed = 0;     // of the initial weights
};

/// The 18-layer R(2+1)D network (Tran et al., arXiv 1711.11248) without the classifier: F = 8 width. Each of three
/// stages halves height, width and time, rounded up. Parameters have torchvision's names (torchvision.models.video):
/// stem.0 to stem.4, layer1.0.conv1.0.0, ..., of which convolutions over frames are [out,kh,kw,in] and those over time
/// [out,kernel,in].
class SIMCLR_API VideoResNet : public ClipEncoder {
 public:
  /// Throws Error for a width or channels that are not positive.
  explicit VideoResNet(const VideoResNetOptions& options = {});
  std::int64_t output_features() const override { return features_; }

 private:
  Tensor features(const Tensor& clips) override;

  std::shared_ptr<Module> stem_;
  std::vector<std::shared_ptr<Module>> blocks_;
  std::int64_t features_ = 0;
};

struct FrameGruOptions {
  std::string frames = "resnet18";  // of each frame by itself: make_resnet()
  ResNetOptions resnet = {};        // its seed is of all initial weights
  std::int64_t width = 256;         // of the GRU, each direction
  int layers = 1;
};

/// A ResNet of each frame, "frames", and a bidirectional GRU over the frames' features, "time", whose mean over time
/// the features are: F = 2 width.
class SIMCLR_API FrameGru : public ClipEncoder {
 public:
  /// Throws Error for sizes that are not positive, and for a ResNet of another name.
  explicit FrameGru(const FrameGruOptions& options = {});
  std::int64_t output_features() const override { return time_->output_features(); }

 private:
  Tensor features(const Tensor& clips) override;

  std::shared_ptr<ResNet> frames_;
  std::shared_ptr<GruEncoder> time_;
};

}  // namespace simclr::nn
