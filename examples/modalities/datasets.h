#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/decoded_cache.h>

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

/// What a program trains and evaluates on.
struct Datasets {
  std::string kind;  // cifar10, cifar100, fashion-mnist, idx or folder
  std::shared_ptr<const simclr::data::Dataset> train;
  std::shared_ptr<const simclr::data::Dataset> test;  // null where there is nothing to evaluate with: see no_test
  int size = 32;                                      // the side of a view that suits the pictures
  int channels = 3;                                   // of a view
  std::string note;                                   // what was chosen and how to choose otherwise; empty: nothing was
  std::string no_test = {};                           // why there is no test part
  std::vector<std::string> warnings = {};             // of what could not be read
  /// What the evaluation learns the classes from: `train`, unless unlabelled pictures are trained on.
  std::shared_ptr<const simclr::data::Dataset> labelled = nullptr;
  std::shared_ptr<const simclr::data::Dataset> held_out = nullptr;             // by --hold-out; null: nothing was
  std::vector<std::shared_ptr<const simclr::data::DecodedCache>> caches = {};  // of these, where they have one

  /// One more line of `note`; an empty one adds none.
  void add_note(const std::string& line);
};

/// `kind`: auto, cifar10, cifar100, fashion-mnist, idx or folder. `dir` is where it lies; empty: the usual places. auto
/// takes what it finds in `dir`; without one CIFAR-10, else Fashion-MNIST; the result's `kind` says which. Of a folder
/// of pictures its parts are taken (picture_parts.h); without a test part a fifth of the labelled pictures is kept for
/// the evaluation. Pictures of a single class count as unlabelled. A test part that cannot be used costs the evaluation
/// only (test_part.h). `classes_at` is image_folder()'s. Throws simclr::Error with what is missing and how to get it.
Datasets open_datasets(const std::string& kind, const std::string& dir, int classes_at = 1);

/// The same, for programs that need labels to train and to test on: `train` are the labelled pictures. Throws
/// simclr::Error where there are none.
Datasets open_labelled(const std::string& kind, const std::string& dir, int classes_at = 1);

/// The folder that open_datasets() looks into for this kind (not auto); `dir` where it is given.
std::string data_place(const std::string& kind, const std::string& dir);

/// Where `kind` is auto and `dir` empty, puts what a run with this configuration trained on in their place; leaves them
/// where it names no data set.
void prefer_data_set_of(const nlohmann::ordered_json& config, std::string& kind, std::string& dir, int& classes_at);

/// Lets a folder's pictures be decoded once: as --cache-gb and --cache-dir say. Other data sets' pictures need no
/// decoding.
void cache_decoded(Datasets& sets, double cache_gb, const std::string& cache_dir);

/// What the caches hold by now, in one line; empty where there are none, or nothing in them.
std::string cache_line(const Datasets& sets);
