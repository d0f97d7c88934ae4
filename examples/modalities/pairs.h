#pragma once

#include "modalities/pair_half.h"
#include "modalities/pair_parts.h"
#include "modalities/pair_prompts.h"
#include "modalities/pair_retrieval.h"
#include "recipes/pair_recipes.h"
#include "train/modality.h"

#include <simclr/data/path_list.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Pairs of a list: two things that belong together, a picture and another drawing of it, its spoken name or a caption,
/// each side through an encoder of its own.
class Pairs final : public Modality {
 public:
  Pairs();

  const char* name() const override { return "pairs"; }
  void options(OptionTable& table, TrainingOptions& options) override;
  std::vector<Recipe> recipes() const override;
  void use_recipe(const std::string& name) override;
  std::vector<OptionPath> paths() override;
  Datasets open(TrainingOptions& options) override;
  std::string folders(const std::string& dataset, const std::string& place) const override;
  void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                 const std::string& place) const override;
  nlohmann::ordered_json data_files(const TrainingOptions& options) const override;
  void configure(const nlohmann::ordered_json& config) override;
  /// That of a side of texts: both have one tokenizer.
  std::string kept_in_weights() const override;
  void take_kept(const simclr::Tensor& kept) override;
  std::string encoder_name() const override;
  std::string view_name() const override;
  std::shared_ptr<simclr::nn::Module> make_encoder(std::uint64_t seed) const override;
  std::unique_ptr<simclr::nn::Model> make_model(const TrainingOptions& options) const override;
  std::vector<simclr::data::Tower> towers(bool random) const override;
  OwnEvaluation evaluate(simclr::nn::Model& trained, simclr::nn::Model& untrained,
                         const EvaluationOptions& options) const override;
  void look(const LookedAt& at, Findings& findings) const override;
  Shown shown(const simclr::data::Sample& sample, int tower, int side) const override;
  Shown shown_view(const simclr::Tensor& view, int tower, int side) const override;
  std::string smaller() const override { return "--size or --width"; }

  /// What a side, 0 or 1, is of, once open() or configure() knows it.
  std::shared_ptr<const PairHalf> half_at(int side) const;
  /// encoder_name() and view_name() are of this side alone from now on: for whoever takes one side's encoder.
  void name_side(int side) { named_side_ = side; }
  /// The seed that a side's encoder begins with in a run of this one.
  std::uint64_t encoder_seed(std::uint64_t seed, int side) const;
  /// As whoever reads pairs at `data` needs it: with what the options, or configure(), say of columns and kinds.
  PairSource source(const std::string& data, const std::string& cache_dir) const;
  /// The same; it lives as long as this.
  simclr::data::IsHalf is_half(const std::string& data) const;

 private:
  const Modality& kind(int side) const { return std::as_const(*half_at(side)).modality(); }
  void tell_kinds(const simclr::data::PairList& list, const OptionTable& table);
  void look_at_halves(const PairParts& parts, const OptionTable& table, bool resumed, Datasets& sets);
  void open_test(const PairParts& parts, Datasets& sets);
  simclr::data::PairHalves files_in(const simclr::data::PairList& list) const;

  const PairHalf* reader_of(std::string_view file, bool in_shards) const;
  int number_of(const PairHalf* kind) const;
  const PairHalf& reader_of(const simclr::data::PairList& list, std::size_t side) const;

  std::vector<std::shared_ptr<PairHalf>> halves_;  // the kinds that a side may be of
  std::array<std::string, 2> kinds_ = {"auto", "auto"};
  std::string columns_, prompts_file_;
  std::string halves_at_;      // the columns that were taken, as --columns has them
  std::string prompts_found_;  // where the prompts lie; empty: there
  bool learn_temperature_ = true, share_encoder_ = false;
  int named_side_ = -1;           // -1: both
  simclr::data::PathList files_;  // the list and what it names, from its folder
  PairGallery gallery_;           // empty without a test part
  PairPrompts prompts_;           // empty without --prompts
};

/// What the files of pairs at `data` are (train/data_files.h); of a list these, as open_pairs() gives them.
nlohmann::ordered_json pair_data_files(const std::string& data, const simclr::data::PathList& files);
