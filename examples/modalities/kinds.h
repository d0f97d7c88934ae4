#pragma once

#include "modalities/baseline.h"
#include "modalities/listed_sets.h"
#include "run/option_table.h"
#include "train/embedding.h"
#include "train/training_options.h"

#include <simclr/core/file.h>
#include <simclr/nn/evaluate.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// What Kind::open_named() opens, for the programs' help.
inline constexpr const char* named_samples_help =
    "Pictures, in it and in the folders below it; or a list of them, LIST.csv; or an .npz or .npy file; or several "
    "folders and lists, A::B; or tar shards, 'DIR/{000..127}.tar'. Recordings and clips: in a folder and below it, or "
    "a list. Texts: a file of lines or a table of them. Of weights of pairs also a list or tar shards of pairs, of "
    "which a side's own are taken";

/// Where the programs that take weights find labelled data.
struct LabelledPlace {
  std::string dataset = "auto", data_dir;  // auto and empty: what the weights were trained on
  int classes_at = 1;
  std::string pattern, test;  // of recordings and clips: sound_sets.h, clip_sets.h
  // What Kind::fill_in() finds:
  std::string parted_otherwise = {};     // a warning that the run had other parts; empty: it had these, or other data
  nlohmann::ordered_json run_data = {};  // data_files_of_run() of the run that had these parts; null: not known
};

/// --dataset, --data, --classes-at, --pattern and --test, of every kind of data.
void add_place_rows(OptionTable& table, LabelledPlace& place);

/// --side, of weights of pairs: see side_asked().
void add_side_row(OptionTable& table, std::string& side);

/// Kind::fill_in() for a kind whose samples --pattern and --test part: by what a run's options `trained` and its
/// `pattern` and `test` say. Where others were asked for, place.parted_otherwise says so. Throws as data_of_run().
void fill_in_parts(LabelledPlace& place, const TrainingOptions& trained, const std::string& pattern,
                   const std::string& test, const std::string& run);

inline constexpr double usual_crop_min = 0.3;

/// A kind of data as the programs see it that take weights: embed, nearest, linear_probe and finetune. `place` is a
/// folder, a list or whatever else the kind knows, of `dataset`, one of its names for these, or auto.
class Kind {
 public:
  virtual ~Kind() = default;

  virtual Modality& modality() = 0;
  virtual const Modality& modality() const = 0;
  /// What one sample is called: "picture".
  virtual const char* sample() const = 0;
  /// As the modality says, unless a kind knows more places.
  virtual void refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                         const std::string& place) const {
    modality().refuse_in(option, outputs, dataset, place);
  }
  virtual std::string folders(const std::string& dataset, const std::string& place) const {
    return modality().folders(dataset, place);
  }

  /// All samples there, for this encoder. Throws simclr::Error where there are none, or they do not fit.
  virtual NamedSamples open_named(const std::string& dataset, const std::string& place, const EncoderFile& file,
                                  const std::function<void(const std::string&)>& on_warning) const = 0;
  /// The sample that a file holds, for this encoder. Throws simclr::Error where it cannot be read.
  virtual simclr::data::Sample read(const std::string& path, const EncoderFile& file) const = 0;
  /// Throws simclr::Error for a --sheet of a kind that cannot be drawn, before any work is done.
  virtual void check_sheet(const std::string& sheet) const;
  /// Draws a file, framed, and some of the named samples into a PNG file. Throws simclr::Error for a kind that cannot
  /// be drawn, and as AtomicFile does.
  virtual void write_sheet(const std::string& sheet, const std::string& path, const NamedSamples& samples,
                           const std::vector<std::int64_t>& found, simclr::Existing existing) const;

  /// Where no place is named, puts in what the weights `run` were trained on, and for that place how the run parted it.
  /// Throws as data_of_run().
  virtual void fill_in(LabelledPlace& place, const EncoderFile& file, const std::string& run) const = 0;
  /// Opens labelled samples to learn from (sets.train, which are sets.labelled) and to test on. Throws simclr::Error
  /// where there are none.
  virtual Datasets open_labelled(const LabelledPlace& place, const EncoderFile& file) const = 0;
  /// The seed that the encoder began with in a run of this one.
  virtual std::uint64_t encoder_seed(std::uint64_t seed) const { return seed; }
  /// Random views of an encoder's samples that change little, as labels need. `crop_min`: of pictures; for others it
  /// must be usual_crop_min, else simclr::Error is thrown.
  virtual std::shared_ptr<const simclr::data::ViewMaker> light_views(double crop_min) const = 0;
  /// What the kind's usual method makes of open_labelled()'s samples, to be measured beside an encoder; none: there is
  /// no such method here.
  virtual std::optional<Baseline> baseline(const Datasets&, const EvaluationOptions&) const { return {}; }

 protected:
  /// Throws simclr::Error, unless it `fits`, for an option that is of other kinds of data than these weights:
  /// "--dataset cifar10", which is "of pictures".
  void refuse_unless(bool fits, const std::string& option, const std::string& of = "of pictures") const;
  /// The same for values of --dataset that are none of these, and for --classes-at.
  void check_place(const std::string& dataset, const std::vector<std::string>& known, int classes_at = 1) const;
};

/// Throws simclr::Error where --pattern or --test is given, which say how recordings or clips are parted.
void refuse_part_rows(const LabelledPlace& place, const std::string& sample);

/// All samples of a folder or a list, named by their paths; segments with their seconds, "cats/1.wav 0.5-1.25".
NamedSamples named_list(const std::string& place, const ListedKind& kind,
                        const std::function<void(const std::string&)>& on_warning);

/// Adds a warning where sets of a place that Kind::fill_in() filled in are not those that the run had, so that it may
/// have been trained on test samples. `now` is what the files are (train/data_files.h), with "labels" and "within"
/// where these are to be compared.
void compare_with_run(Datasets& sets, const LabelledPlace& place, const nlohmann::ordered_json& now);
/// The same of these files, and of the sets' labels and what they hold within files.
void compare_with_run(Datasets& sets, const LabelledPlace& place, const ListedFiles& files);

/// The labelled samples of sets to learn from. Throws simclr::Error where there is no test part.
Datasets learned_from(Datasets sets, const LabelledPlace& place);

/// The kind of data that weights are of; pictures where they do not say, or of a kind that these programs do not know:
/// open_encoder() says so then. `side`, one of either_side(), is that of weights of pairs: see side_asked(). Throws
/// simclr::Error for a side of other weights.
std::unique_ptr<Kind> kind_of_weights(const std::string& run_or_file, const std::string& side = "none");

/// The encoder of these weights, of their kind and, of pairs, of this side. Throws simclr::Error as open_encoder().
EncoderFile open_side_encoder(const std::string& run_or_file, Kind& kind, const std::string& side);

/// The same; with a side with its head: what it gives can be compared with what the other gives.
EncoderFile open_side(const std::string& run_or_file, Kind& kind, const std::string& side);
