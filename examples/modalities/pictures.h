#pragma once

#include "recipes/picture_recipes.h"
#include "train/modality.h"

#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/torchvision.h>

struct PictureSets;

/// Pictures, views of them by SimCLR's augmentation, and ResNets.
class Pictures : public Modality {
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
  std::string folders(const std::string& dataset, const std::string& place) const override;
  void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                 const std::string& place) const override;
  nlohmann::ordered_json data_files(const TrainingOptions& options) const override;
  void configure(const nlohmann::ordered_json& config) override;
  /// Weights of pairs have one of pictures, too, where a side is of them.
  int tower_in(const nlohmann::ordered_json& config) const override;
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

  /// For a kind of data that has pictures among others: the rows of encoder and views alone,
  void view_rows(OptionTable& table);
  /// and what open() does once it knows the pictures: fills in the size and the channels of views, as `table`, all of
  /// the program's options, and the sets say. `other_data`: they need not be those that a configuration was written of;
  /// `resumed`: they must be those of the run that goes on. Throws simclr::Error where they are not.
  void take(const PictureSets& sets, const OptionTable& table, bool other_data, bool resumed);

  simclr::nn::ResNetKind kind() const;
  const simclr::data::Augmentation& policy() const { return own_.augmentation; }

 private:
  PictureOptions own_;
};

/// The configuration that weights need whose run is not at hand, as Pictures::configure() reads it.
nlohmann::ordered_json encoder_config(const Pictures& pictures);
