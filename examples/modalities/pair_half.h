#pragma once

#include "train/modality.h"

#include <simclr/data/dataset.h>
#include <simclr/data/pairs/pair_list.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct PairOptions;

/// Halves of one side: files, what lies in shards, or a list's own texts.
struct HalfFiles {
  std::vector<std::string> names = {};                                  // paths; of others names for messages
  std::function<std::vector<std::uint8_t>(std::int64_t i)> bytes = {};  // of what is no file; empty: they are files
};
/// Those of a list's side, for as long as they are needed: they keep the shards.
HalfFiles halves_of(const simclr::data::PairList& list, int side);
/// Texts that are halves themselves.
HalfFiles halves_of_texts(std::vector<std::string> texts);

/// What is known of a side's halves before they are read.
struct HalfPlaces {
  std::vector<HalfFiles> trained_on = {};
  std::vector<HalfFiles> found_among = {};  // of the test part
  std::string place = {};                   // what names them
};

/// A kind of data as one side of pairs: the kind itself, whose encoder, views and looks a side has, and how a list's
/// values are its samples. A kind that is to be a side adds one of these and its name to Pairs.
class PairHalf {
 public:
  virtual ~PairHalf() = default;

  virtual const char* name() const = 0;  // "picture": in messages, and what config.json calls it
  virtual Modality& modality() = 0;
  virtual const Modality& modality() const = 0;

  /// Whether a list names files of these; else its values are the samples themselves.
  virtual bool of_files() const { return true; }
  /// Whether a file, or a member of shards, is one, by its name.
  virtual bool reads(std::string_view value) const = 0;
  /// Adds the rows of encoder and views. Both sides may be of one kind, which has its rows once.
  virtual void options(OptionTable& table) = 0;
  /// The paths among them (ModalityOptions::paths()).
  virtual std::vector<OptionPath> paths() { return {}; }
  /// Takes a recipe's options, in the same fields.
  virtual void use_recipe(const PairOptions& options) = 0;
  /// Becomes what the options and a look at the halves say, whose gaps it fills in; what is worth a line comes as a
  /// note. `resumed`: see Pictures::take().
  virtual void look(const HalfPlaces& halves, const OptionTable& table, bool resumed, Datasets& notes) = 0;
  /// One file as a sample of this label. Throws simclr::Error, naming it, where it cannot be read.
  virtual simclr::data::Sample read(const std::string& path, std::int32_t label) const = 0;
  /// The same of bytes in memory, of a file or a text, which `name` stands for.
  virtual simclr::data::Sample decode(const std::vector<std::uint8_t>& bytes, const std::string& name,
                                      std::int32_t label) const = 0;
};

/// Pictures with the options, the views and the encoders of the kind Pictures.
std::unique_ptr<PairHalf> picture_half();
/// Recordings with those of the kind Sounds, "sound-" before the options' names.
std::unique_ptr<PairHalf> sound_half();
/// Texts with those of the kind Texts, "text-" before the options' names. The tokenizer is learned from what is trained
/// on, unless it was taken from weights.
std::unique_ptr<PairHalf> text_half();

/// Sample i is what `half` reads of file i, and its label is i.
std::shared_ptr<const simclr::data::Dataset> files_of(std::shared_ptr<const PairHalf> half, HalfFiles files);
