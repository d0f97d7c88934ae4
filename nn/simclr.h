#pragma once

#include <simclr/nn/layers.h>
#include <simclr/nn/losses.h>

#include <memory>

namespace simclr::nn {

struct ProjectionHeadOptions {
  std::int64_t in = 0;
  std::int64_t hidden = 0;  // 0: as `in`
  std::int64_t out = 128;
  int layers = 2;               // 2 (SimCLR) or 3 (SimCLRv2)
  bool batchnorm = true;        // behind every hidden layer, which then has no bias
  bool last_batchnorm = false;  // behind the last layer
  bool last_shift = true;       // whether that batch norm shifts, or scales only
  bool last_bias = false;
  std::uint64_t seed = 0;
};

/// g: the MLP between the encoder's features and the loss, [N,in] -> [N,out]: Linear(-BN)-ReLU-...-Linear(-BN).
class SIMCLR_API ProjectionHead : public Module {
 public:
  explicit ProjectionHead(const ProjectionHeadOptions& options);
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return linear_.back()->output_features(); }

 private:
  std::vector<std::shared_ptr<Linear>> linear_;
  std::vector<std::shared_ptr<BatchNorm>> norm_;  // null where a layer has none
};

struct SimCLROptions {
  std::shared_ptr<Module> encoder;
  ProjectionHeadOptions head = {};  // `in` 0: as the encoder says
  bool views_apart = false;  // in training the first N rows of [2N,...] go through by themselves, then the others
};

/// Encoder f and projection head g: views -> h = f(views) -> z = g(h). Evaluation uses h. All views of a batch go
/// through in one pass, so that batch norm sees them together, as in google-research/simclr; or with `views_apart` two
/// views one after the other, as in solo-learn and lightly. The encoder is any Module.
class SIMCLR_API SimCLR : public Module {
 public:
  explicit SimCLR(const SimCLROptions& options);
  /// z [V N,D] of views [V N,...], row by row. Throws Error for an odd number of rows that are to go apart.
  Tensor forward(const Input& views) override;

  Module& encoder() { return *encoder_; }
  Module& head() { return *head_; }

 private:
  std::shared_ptr<Module> encoder_;
  std::shared_ptr<ProjectionHead> head_;
  bool views_apart_;
};

}  // namespace simclr::nn
