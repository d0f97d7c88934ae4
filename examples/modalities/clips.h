#pragma once

#include "recipes/clip_recipes.h"
#include "train/modality.h"

/// Clips: video files, folders of frames and arrays, views with one crop, flip and jitter for all frames of each, and
/// encoders that see the motion.
class Clips final : public Modality {
 public:
  const char* name() const override { return "clips"; }
  void options(OptionTable& table, TrainingOptions& options) override;
  std::vector<Recipe> recipes() const override;
  void use_recipe(const std::string& name) override;
  Datasets open(TrainingOptions& options) override;
  std::string folders(const std::string& dataset, const std::string& place) const override;
  void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                 const std::string& place) const override;
  nlohmann::ordered_json data_files(const TrainingOptions& options) const override;
  void configure(const nlohmann::ordered_json& config) override;
  std::string encoder_name() const override;
  std::string view_name() const override;
  std::shared_ptr<simclr::nn::Module> make_encoder(std::uint64_t seed) const override;
  std::vector<simclr::data::Tower> towers(bool random) const override;
  void look(const LookedAt& at, Findings& findings) const override;
  Shown shown(const simclr::data::Sample& sample, int tower, int side) const override;
  Shown shown_view(const simclr::Tensor& view, int tower, int side) const override;
  std::string smaller() const override { return "--size, --frames or --width"; }
  std::string measured_by() const override { return "linear_probe"; }

  const ClipOptions& own() const { return own_; }
  /// Random views that change little, as labels need.
  std::shared_ptr<const simclr::data::ViewMaker> light_views(double crop_min) const;

 private:
  /// What views are made by: its size is --size.
  simclr::data::Augmentation policy() const;

  ClipOptions own_;
};
