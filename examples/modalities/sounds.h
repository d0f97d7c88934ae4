#pragma once

#include "recipes/sound_recipes.h"
#include "train/modality.h"

#include <simclr/data/sound/spectrogram_views.h>

/// Recordings, random views of them as log-mel spectrograms, and ResNets or GRUs.
class Sounds : public Modality {
 public:
  Sounds() = default;
  /// As a recipe says, or the options from which one begins.
  explicit Sounds(const SoundOptions& own) : own_(own) {}

  const char* name() const override { return "recordings"; }
  void options(OptionTable& table, TrainingOptions& options) override;
  std::vector<Recipe> recipes() const override;
  void use_recipe(const std::string& name) override;
  std::vector<OptionPath> paths() override { return {{"noise", &own_.noise, &noise_found_}}; }
  Datasets open(TrainingOptions& options) override;
  std::string folders(const std::string& dataset, const std::string& place) const override;
  void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                 const std::string& place) const override;
  nlohmann::ordered_json data_files(const TrainingOptions& options) const override;
  /// Of pairs, too: what their configuration says of recordings.
  void configure(const nlohmann::ordered_json& config) override;
  /// Weights of pairs have an encoder of recordings where a side is of them.
  int tower_in(const nlohmann::ordered_json& config) const override;
  std::string encoder_name() const override;
  std::string view_name() const override;
  std::shared_ptr<simclr::nn::Module> make_encoder(std::uint64_t seed) const override;
  /// The random ones mix in noise where open() has read some.
  std::vector<simclr::data::Tower> towers(bool random) const override;
  void look(const LookedAt& at, Findings& findings) const override;
  Shown shown(const simclr::data::Sample& sample, int tower, int side) const override;
  Shown shown_view(const simclr::Tensor& view, int tower, int side) const override;
  std::string smaller() const override { return "--seconds, --mels or --width"; }
  std::string measured_by() const override { return "linear_probe"; }

  /// For a kind of data that has recordings among others: the rows of encoder and views alone,
  void view_rows(OptionTable& table);
  /// and what open() does besides opening recordings: checks the views, and reads the noise, of which `sets` are told.
  void take(Datasets& sets);

  const SoundOptions& own() const { return own_; }
  /// Random views that change little: another part of a recording, as long as
  /// evaluation's, or a shift over its ends.
  std::shared_ptr<const simclr::data::ViewMaker> light_views() const;

 private:
  void take_noise(Datasets& sets);
  bool recurrent() const { return own_.arch == "gru"; }
  simclr::data::SpectrogramViewOptions view_options(bool random) const;

  SoundOptions own_;
  std::string noise_found_;  // where own_.noise lies; empty: there
  std::shared_ptr<const simclr::data::Noises> noises_;
};
