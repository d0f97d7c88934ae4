#pragma once

#include "recipes/text_recipes.h"
#include "train/modality.h"

#include <simclr/data/text/tokenizer.h>

#include <memory>

/// Texts, views of their words, and encoders of tokens.
class Texts : public Modality {
 public:
  const char* name() const override { return "texts"; }
  void options(OptionTable& table, TrainingOptions& options) override;
  std::vector<Recipe> recipes() const override;
  void use_recipe(const std::string& name) override;
  /// Learns the tokenizer from what is trained on, unless it was taken from weights.
  Datasets open(TrainingOptions& options) override;
  std::string folders(const std::string& dataset, const std::string& place) const override;
  void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                 const std::string& place) const override;
  nlohmann::ordered_json data_files(const TrainingOptions& options) const override;
  /// Of pairs, too: what their configuration says of texts.
  void configure(const nlohmann::ordered_json& config) override;
  /// Weights of pairs have an encoder of texts where a side is of them.
  int tower_in(const nlohmann::ordered_json& config) const override;
  std::string kept_in_weights() const override { return "tokenizer"; }
  void take_kept(const simclr::Tensor& kept) override;
  std::string encoder_name() const override;
  std::string view_name() const override;
  std::shared_ptr<simclr::nn::Module> make_encoder(std::uint64_t seed) const override;
  std::vector<simclr::data::Tower> towers(bool random) const override;
  void look(const LookedAt& at, Findings& findings) const override;
  Shown shown(const simclr::data::Sample& sample, int tower, int side) const override;
  Shown shown_view(const simclr::Tensor& view, int tower, int side) const override;
  std::string smaller() const override { return "--width or --longest"; }
  std::string measured_by() const override { return "linear_probe"; }

  /// For a kind of data that has texts among others: the rows of tokens, encoder and views alone, a recipe's options
  /// for them, and what open() does besides opening texts: learns the tokenizer of these, and says so in a line.
  void view_rows(OptionTable& table);
  void use_options(const TextOptions& options) { own_ = options; }
  bool has_tokenizer() const { return tokenizer_ != nullptr; }
  std::string learn_tokens(const simclr::data::TextList& texts);

  /// What open() opens, for programs that need labels: sets.train are the labelled texts. Throws simclr::Error where
  /// there are none, or none to test on.
  Datasets open_labelled(TrainingOptions& options);
  /// Random views that change little, as labels need: a few words are left out, and no half of them.
  std::shared_ptr<const simclr::data::ViewMaker> light_views() const;
  /// Throws simclr::Error where it is not known yet.
  const simclr::data::Tokenizer& tokenizer() const;
  /// Tokens of a text that are looked at.
  std::int64_t longest() const { return own_.views.longest; }

 private:
  TextOptions own_;
  std::shared_ptr<const simclr::data::Tokenizer> tokenizer_;
};
