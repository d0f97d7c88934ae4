#pragma once

#include "modalities/picture_sets.h"

#include <string>
#include <vector>

/// A published set of pictures that is read from files of its own layout.
struct PublishedSet {
  const char* kind;  // as --dataset has it
  const char* name;
  bool (*lies_in)(const std::string& dir);      // what auto knows it by; null: its files are named as another's
  PictureSets (*open)(const std::string& dir);  // its kind is filled in
  bool (*is_file)(const std::string& name);     // whether a file is of this set
};

/// All, in the order that auto looks for them.
const std::vector<PublishedSet>& published_sets();

/// The set that auto finds in a folder; null where it finds none.
const PublishedSet* published_set_in(const std::string& dir);

/// The set of this kind; null where there is none.
const PublishedSet* published_set(const std::string& kind);

/// Of the name of one of EMNIST's files how all of its set begin: "emnist-letters-".
std::string emnist_stem(const std::string& file);
