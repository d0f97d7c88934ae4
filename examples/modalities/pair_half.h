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

/// Halves of one side: files, or what lies in shards.
struct HalfFiles {
  std::vector<std::string> names = {};                                  // paths; of shards names for messages
  std::function<std::vector<std::uint8_t>(std::int64_t i)> bytes = {};  // of shards; empty: they are files
};
/// Those of a list's side, for as long as they are needed: they keep the shards.
HalfFiles halves_of(const simclr::data::PairList& list, int side);

/// A kind of data as one side of pairs: the kind itself, whose encoder, views and looks a side has, and how a list's
/// values are its samples. A kind that is to be a side adds one of these and its name to Pairs. Text is to be the next:
/// its halves are no files but the list's own values, so that reads() takes any that is asked for, and read() is given
/// the text.
class PairHalf {
 public:
  virtual ~PairHalf() = default;

  virtual const char* name() const = 0;  // "picture": in messages, and what config.json calls it
  virtual Modality& modality() = 0;
  const Modality& modality() const { return const_cast<PairHalf&>(*this).modality(); }

  /// Whether a value of a list is one, by its name.
  virtual bool reads(std::string_view value) const = 0;
  /// Adds the rows of encoder and views. Both sides may be of one kind, which has its rows once.
  virtual void options(OptionTable& table) = 0;
  /// The paths among them (ModalityOptions::paths()).
  virtual std::vector<OptionPath> paths() { return {}; }
  /// Takes a recipe's options, in the same fields.
  virtual void use_recipe(const PairOptions& options) = 0;
  /// Becomes what the options and a look at the files say, whose gaps it fills in; what is worth a line comes as a
  /// note. `place`: what names the files. `resumed`: see Pictures::take().
  virtual void look(const std::vector<HalfFiles>& files, const std::string& place, const OptionTable& table,
                    bool resumed, Datasets& notes) = 0;
  /// One file as a sample of this label. Throws simclr::Error, naming it, where it cannot be read.
  virtual simclr::data::Sample read(const std::string& path, std::int32_t label) const = 0;
  /// The same of a file's bytes in memory, which `name` stands for.
  virtual simclr::data::Sample decode(const std::vector<std::uint8_t>& bytes, const std::string& name,
                                      std::int32_t label) const = 0;
};

/// Pictures with the options, the views and the encoders of the kind Pictures.
std::unique_ptr<PairHalf> picture_half();
/// Recordings with those of the kind Sounds, "sound-" before the options' names.
std::unique_ptr<PairHalf> sound_half();

/// Sample i is what `half` reads of file i, and its label is i.
std::shared_ptr<const simclr::data::Dataset> files_of(std::shared_ptr<const PairHalf> half, HalfFiles files);
