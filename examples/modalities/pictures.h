#pragma once

#include "recipes/picture_recipes.h"
#include "train/modality.h"

#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/torchvision.h>

/// Pictures, views of them by SimCLR's augmentation, and ResNets.
class Pictures final : public Modality {
 public:
  Pictures() = default;
  /// As a recipe says, or the options from which one begins.
  explicit Pictures(const PictureOptions& own) : own_(own) {}
  /// `policy`: of the views that are trained on.
  Pictures(const simclr::nn::ResNetKind& kind, const simclr::data::Augmentation& policy);

  const char* name() const override { return "pictures"; }
  void options(OptionTable& table, TrainingOptions& options) override;
  std::vector<Recipe> recipes() const override;
  void use_recipe(const std::string& name) override;
  Datasets open(TrainingOptions& options) override;
  std::string data_folders(const TrainingOptions& options) const override;
  void refuse_out(const TrainingOptions& options) const override;
  nlohmann::ordered_json data_files(const TrainingOptions& options) const override;
  void configure(const nlohmann::ordered_json& config) override;
  std::string encoder_name() const override;
  std::string view_name() const override;
  std::shared_ptr<simclr::nn::Module> make_encoder(std::uint64_t seed) const override;
  std::vector<simclr::data::Tower> towers(bool random) const override;
  std::unique_ptr<ViewSource> on_device(const simclr::data::Dataset& samples,
                                        const ViewSourceOptions& options) const override;
  void look(const LookedAt& at, Findings& findings) const override;
  Shown shown(const simclr::data::Sample& sample, int tower, int side) const override;
  Shown shown_view(const simclr::Tensor& view, int tower, int side) const override;
  std::string smaller() const override { return "--size or --width"; }
  std::string measured_by() const override { return "linear_probe"; }

  simclr::nn::ResNetKind kind() const;
  const simclr::data::Augmentation& policy() const { return own_.augmentation; }

 private:
  PictureOptions own_;
};

/// The configuration that weights need whose run is not at hand, as Pictures::configure() reads it.
nlohmann::ordered_json encoder_config(const Pictures& pictures);
