#pragma once

#include "run/option_table.h"
#include "train/training_options.h"

#include <string>
#include <vector>

/// A folder or file among the options, from the folder in which a run was begun (run_data.h).
struct OptionPath {
  const char* option;
  std::string* path;
  std::string* found;  // where it lies; empty: there
};

/// What a kind of data adds to training's options: the part of Modality (modality.h) that the command line and
/// config.json need.
class ModalityOptions {
 public:
  virtual ~ModalityOptions() = default;

  /// "recordings", say: what config.json and weights tell that they are of.
  virtual const char* name() const = 0;
  /// Adds the rows of its options, whose fields are its own or some of `options`.
  virtual void options(OptionTable& table, TrainingOptions& options) = 0;

  /// The named recipes as far as they are of every kind of data, at least one: that of a run which names none is the
  /// first. Unless a kind says more, one of the defaults.
  virtual std::vector<Recipe> recipes() const;
  /// Gives all of its own options the values of the recipe of that name, which recipes() has, whatever they were: a
  /// kind is told several configurations, one after the other. Empty in a kind that has no options of its own.
  virtual void use_recipe(const std::string& name) = 0;
  /// The paths among its options, but for the data.
  virtual std::vector<OptionPath> paths() { return {}; }
};

/// The rows of training's options that every kind of data has: head, steps, evaluation, run folder and computing.
void add_training_rows(OptionTable& table, TrainingOptions& options);

/// --cache-gb and --cache-dir, for a kind whose files are decoded; `sample` is what one of them is called, `also_there`
/// what else the folder keeps.
void add_cache_rows(OptionTable& table, TrainingOptions& options, const std::string& sample,
                    const std::string& also_there = {});

/// All of a training program's.
OptionTable training_table(TrainingOptions& options, ModalityOptions& modality);

/// Takes a whole recipe: of this name, or where it is empty the first one. Throws simclr::Error that lists the names.
void use_recipe(TrainingOptions& options, ModalityOptions& modality, const std::string& name);
