#pragma once

#include "recipes/picture_recipes.h"
#include "train/modality.h"

#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/torchvision.h>

/// Pictures, views of them by SimCLR's augmentation, and ResNets.
class Pictures final : public Modality {
 public:
  Pictures() = default;
  /// As a recipe says whose augmentation has the views' size and channels.
  explicit Pictures(const Recipe& recipe);
  /// `policy`: of the views that are trained on.
  Pictures(simclr::nn::ResNetKind kind, const simclr::data::Augmentation& policy);

  AddRows rows() const override;
  Datasets open(TrainingOptions& options) override;
  nlohmann::ordered_json data_files(const TrainingOptions& options) const override;
  void configure(const nlohmann::ordered_json& config) override;
  std::string encoder_name() const override;
  std::string view_name() const override;
  std::shared_ptr<simclr::nn::Module> make_encoder(std::uint64_t seed) const override;
  Views views(bool random) const override;
  std::unique_ptr<ViewSource> on_device(const simclr::data::Dataset& samples,
                                        const ViewSourceOptions& options) const override;
  void look(const LookedAt& at, Findings& findings) const override;
  Shown shown(const simclr::data::Sample& sample, int side) const override;
  Shown shown_view(const simclr::Tensor& view, int side) const override;

  const simclr::nn::ResNetKind& kind() const { return kind_; }
  const simclr::data::Augmentation& policy() const { return policy_; }

 private:
  simclr::nn::ResNetKind kind_;
  simclr::data::Augmentation policy_;
};

/// The configuration that weights need whose run is not at hand, as Pictures::configure() reads it.
nlohmann::ordered_json encoder_config(const Pictures& pictures);
