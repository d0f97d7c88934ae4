#pragma once

#include <simclr/nn/layers.h>
#include <simclr/nn/model.h>

#include <cstdint>
#include <memory>

namespace simclr::nn {

struct SupervisedOptions {
  std::shared_ptr<Module> encoder;
  std::int64_t classes = 0;  // at least 2
  std::uint64_t seed = 0;    // of the classifier's weights
};

/// Supervised pre-training, what SimCLR is compared with: encoder f and a linear classifier on its features, views
/// [N,...] of one view a sample -> logits [N,classes]. The loss is the softmax cross-entropy with the inputs' groups,
/// which are the labels, 0 .. classes-1. Evaluation uses h = f(views), as SimCLR's does. Parameters are encoder.* and
/// classifier.*
class SIMCLR_API Supervised : public Model {
 public:
  /// Throws Error without an encoder that says how many features it gives, and for fewer than two classes.
  explicit Supervised(const SupervisedOptions& options);
  Tensor forward(const Input& views) override;

  int towers() const override { return 1; }
  int views(int tower = 0) const override;  // 1
  Module& tower(int tower) override;
  Module& encoder(int tower = 0) override;
  /// Throws Error: without labels there is no loss.
  Tensor loss(std::span<const Tensor> z) override;
  /// Of logits [N,classes] and labels i32 [N]; with a world the mean over the ranks' N. Throws Error as cross_entropy()
  /// does.
  Tensor loss_of_groups(std::span<const Tensor> z, const Tensor& groups) override;
  /// ln(classes): all are as likely. And 0.
  double chance(std::int64_t samples) const override;
  double bound(std::int64_t samples) const override;

 private:
  std::shared_ptr<Module> encoder_;
  std::shared_ptr<Linear> classifier_;
};

}  // namespace simclr::nn
