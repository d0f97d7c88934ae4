#pragma once

#include <simclr/nn/layers.h>

#include <memory>
#include <string>
#include <vector>

/// Residual networks (He et al., arXiv 1512.03385) without the classifier: [N,H,W,C] -> [N,F]. Parameters have
/// torchvision's names; ResNet-50's stride sits on the 3x3 convolution (v1.5), as torchvision's does.
namespace simclr::nn {

/// The first layers. `cifar`: 3x3 stride 1, no pooling, for pictures up to 64 pixels; `imagenet`: 7x7 stride 2 and
/// max-pooling. The wrong stem is the most common cause of poor CIFAR results.
enum class Stem { cifar, imagenet };

struct ResNetOptions {
  Stem stem = Stem::cifar;
  std::int64_t width = 64;    // channels of the first stage
  std::int64_t channels = 3;  // of the input
  std::uint64_t seed = 0;     // of the initial weights

  int stem_padding = -1;  // of the first convolution; -1: half its kernel, which keeps the picture's size
  ConvInit init = ConvInit::he, stem_init = ConvInit::he;  // of the convolutions; of the first one
  bool zero_last_gamma =
      false;  // each block's last batch norm starts at scale 0, so that a block starts as its shortcut
};

class SIMCLR_API ResNet : public Module {
 public:
  enum class Block { basic, bottleneck };

  /// `depths`: blocks in each of the four stages. Throws Error for a width or channels that are not positive.
  ResNet(Block block, const std::vector<int>& depths, const ResNetOptions& options);
  /// h [N,F] of x [N,H,W,channels], f32 or f64 on the CPU, f32 or bf16 on a GPU. Throws Error for other ranks and
  /// channels, and for an x that is too small for the stem.
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return features_; }
  Stem stem() const { return stem_; }

 private:
  Stem stem_;
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm> bn1_;
  std::vector<std::shared_ptr<Module>> blocks_;
  std::int64_t features_ = 0;
};

SIMCLR_API std::shared_ptr<ResNet> resnet18(const ResNetOptions& options = {});  // F = 8 width
SIMCLR_API std::shared_ptr<ResNet> resnet34(const ResNetOptions& options = {});  // F = 8 width
SIMCLR_API std::shared_ptr<ResNet> resnet50(const ResNetOptions& options = {});  // F = 32 width
/// What make_resnet() takes.
SIMCLR_API std::vector<std::string> resnet_names();
/// By name: "resnet18", "resnet34" or "resnet50"; throws Error for another, naming these.
SIMCLR_API std::shared_ptr<ResNet> make_resnet(const std::string& name, const ResNetOptions& options = {});

}  // namespace simclr::nn
