#pragma once

#include "run/findings.h"
#include "run/report_material.h"
#include "train/datasets.h"
#include "train/evaluation.h"
#include "train/training_options.h"
#include "train/training_rows.h"
#include "train/view_source.h"

#include <simclr/data/loader.h>
#include <simclr/nn/model.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// What --check looks at besides the training itself.
struct LookedAt {
  static constexpr double least_difference = 0.05;  // with less there is nothing to learn from

  const Datasets& sets;
  const std::vector<simclr::Input>& towers;  // of a batch, or some of it, on the CPU; views in f32 or an integer type
  /// Of a sample's first two views of the first tower over that of different samples': view_difference(); none where a
  /// sample has but one there.
  std::optional<double> difference = {};
  std::uint64_t seed = 0;     // of the run
  std::string sheet = {};     // where to draw some views, without the file's ending
  std::string no_sheet = {};  // why they are not drawn; empty: they are
};

/// What a kind of data measures besides kNN and probe.
struct OwnEvaluation {
  std::string table = {};                                             // printed; empty: nothing
  nlohmann::ordered_json figures = nlohmann::ordered_json::object();  // of the log's event, beside "trained"
};

/// All that the training program is told about a kind of data: its options, its data sets, its views in towers, its
/// model, and how a person looks at it. Where there are several towers the first one's encoder is what is evaluated,
/// reported on and read back from weights.
class Modality : public ModalityOptions {
 public:
  /// Opens what is trained and evaluated on, and becomes what the data and the options say, whose gaps it fills in.
  /// Throws simclr::Error with what is missing and how to get it.
  virtual Datasets open(TrainingOptions& options) = 0;
  /// The folders that hold the data at `place`, a --data of this `dataset`, A::B (split_places()): where nothing is
  /// named, nothing is written there.
  virtual std::string folders(const std::string& dataset, const std::string& place) const;
  /// Throws simclr::Error where an output, a file or a folder named by `option`, lies among these data or is one of
  /// them.
  virtual void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                         const std::string& place) const;
  /// What the files of this data are, so that a run that goes on notices others: see data_files.h.
  virtual nlohmann::ordered_json data_files(const TrainingOptions& options) const = 0;

  /// Becomes what a run's configuration says of the encoder and its views. Throws simclr::Error, or what nlohmann does,
  /// where it lacks something or says the impossible.
  virtual void configure(const nlohmann::ordered_json& config) = 0;
  /// What an encoder's weights hold besides weights and must be known before one is made, a tokenizer's bytes say: the
  /// name of a tensor of its state; empty: nothing. It is learned once: a run that goes on, and every program that
  /// reads weights, takes it from them, and calls take_kept() before make_encoder(). Throws simclr::Error for what is
  /// none.
  virtual std::string kept_in_weights() const { return ""; }
  virtual void take_kept(const simclr::Tensor&) {}
  /// Which tower's encoder of weights with this configuration is one of this kind; -1: none. Unless a kind says more
  /// the first one's of its own weights.
  virtual int tower_in(const nlohmann::ordered_json& config) const;
  /// In a few words what the encoder is, and what samples become for it: "filterbank, 32 bands" and "clips become
  /// 512 values".
  virtual std::string encoder_name() const = 0;
  virtual std::string view_name() const = 0;
  /// The first tower's encoder with its initial weights, on the CPU.
  virtual std::shared_ptr<simclr::nn::Module> make_encoder(std::uint64_t seed) const = 0;
  /// What is trained, with its initial weights, on the CPU. Unless a kind says otherwise make_own_model() (method.h)
  /// over make_encoder(), of the first tower's views. It has as many towers and views as towers() says.
  virtual std::unique_ptr<simclr::nn::Model> make_model(const TrainingOptions& options) const;

  /// What makes the views of each tower: `random`, as the model is trained on them; else the one of each sample that
  /// evaluation sees.
  virtual std::vector<simclr::data::Tower> towers(bool random) const = 0;
  /// A source that keeps the samples on a device and makes the random views there; null: this kind of data has none, or
  /// the samples do not fit and `options` make that a condition.
  virtual std::unique_ptr<ViewSource> on_device(const simclr::data::Dataset& samples,
                                                const ViewSourceOptions& options) const;

  /// What only this kind of data can measure at the end, of the trained model and of an untrained one, whose batch
  /// norms are calibrated, on their device: nothing, unless a kind says otherwise. It has opened a test part. All ranks
  /// of a run call it: what may fail belongs into together() (train/shared_work.h), or else it ends the run.
  virtual OwnEvaluation evaluate(simclr::nn::Model& trained, simclr::nn::Model& untrained,
                                 const EvaluationOptions& options) const;

  /// --check: prints what only this kind of data can tell of samples and views, and adds what looks wrong with them.
  /// Unless a kind says more, views that hardly differ are.
  virtual void look(const LookedAt& at, Findings& findings) const;

  /// What a page shows of a sample, which is of the part of `tower`, at most `side` of its points wide and high.
  virtual Shown shown(const simclr::data::Sample& sample, int tower, int side) const = 0;
  /// The same of a tower's view, of its maker's dtype on the CPU: as much of the view shape as the maker filled,
  /// without the zeros behind it.
  virtual Shown shown_view(const simclr::Tensor& view, int tower, int side) const = 0;

  /// For messages: those of its options that make a step smaller, "--bands or --seconds" say, and the program that
  /// measures its weights, "linear_probe". Empty: it has none.
  virtual std::string smaller() const { return ""; }
  virtual std::string measured_by() const { return ""; }
};
