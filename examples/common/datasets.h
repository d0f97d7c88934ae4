#pragma once

#include <simclr/data/dataset.h>

#include <memory>
#include <string>

/// What a program trains and evaluates on.
struct Datasets {
  std::string kind;  // cifar10, cifar100, fashion-mnist or folder
  std::shared_ptr<const simclr::data::Dataset> train;
  std::shared_ptr<const simclr::data::Dataset> test;  // null where there are no labels to evaluate with
  int size = 32;                                      // the side of a view that suits the pictures
  int channels = 3;                                   // of a view
  std::string note;  // which was chosen, why, and how to get the other; for `auto` only
};

/// `kind`: auto, cifar10, cifar100, fashion-mnist or folder. `dir` is where it lies; empty: the usual places. A folder
/// with train/ and test/ inside is taken as split; else a fifth of a labelled folder is kept for evaluation.
/// Throws simclr::Error with what is missing and how to get it.
Datasets open_datasets(const std::string& kind, const std::string& dir);

/// The same, for programs that need labels to train and to test on. Throws simclr::Error where there are none.
Datasets open_labelled(const std::string& kind, const std::string& dir);
