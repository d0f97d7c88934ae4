#pragma once

#include "train/datasets.h"

#include <simclr/data/field_list.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// A kind of data whose samples are files of a folder or of a list with fields: recordings and clips.
struct ListedKind {
  std::string sample;                         // what one is called, "recording"
  std::vector<std::string_view> group_names;  // fields that say whose samples they are, the likeliest first
  std::function<simclr::data::FieldList(const std::string& dir, const std::string& pattern)> folder;
  std::function<simclr::data::FieldList(const std::string& path)> table;
  std::function<bool(const std::string& path)> is_sample;  // by its name
  /// Opens some of `all` samples, which share a cache.
  std::function<std::shared_ptr<const simclr::data::Dataset>(const simclr::data::FieldList& list, std::size_t all)>
      open;
  /// The files that samples are, from the list's folder; none: its own.
  std::function<simclr::data::PathList(const simclr::data::FieldList& list)> files = {};
};

/// Where samples lie and how they are parted.
struct ListedSource {
  std::string data;          // a folder, or a list
  std::string pattern = {};  // of a folder's names; empty: its folders are the labels
  std::string test = {};     // FIELD=VALUES, or FIELD=20%; empty: as open_listed() says
};

/// Whether --data names a list: a file.
bool is_listed(const std::string& data);

/// Throws simclr::Error for a --dataset that is not what --data names; any fits where nothing is named or there.
void check_listed(const std::string& dataset, const std::string& data);

/// All samples there: of a folder, by its folders or the pattern, or of a list. Throws simclr::Error where nothing is
/// named or there, and for a pattern beside a list.
simclr::data::FieldList listed_samples(const std::string& data, const std::string& pattern, const ListedKind& kind);

/// What is trained and evaluated on. Of a folder that has one called train and one called test (part_names.h) these are
/// the parts, and the pattern is of the names within each; of one that has train alone this stands for it; else what is
/// tested on is what `test` names; else of a list with a column "split" (part, set, subset) its test part; else a fifth
/// of each label is kept, of parts of files whole files. Values of a column that are of neither part are left out, and
/// named: of test parts also those beside the one that `test` names. Where samples have groups, or are parts of files,
/// a line says how many of these are in both parts. Throws simclr::Error as listed_samples() and data::split_list() do,
/// for `test` beside such folders, and for a folder that has test alone.
Datasets open_listed(const ListedSource& source, const ListedKind& kind);

/// Whether samples have the field that `test` names, and no folders part them. Throws as listed_samples() does.
bool can_test(const ListedSource& source, const ListedKind& kind);

/// The files that open_listed() may read, each once, and a list itself: paths from `dir`. Of a folder with parts all.
struct ListedFiles {
  std::string dir;
  simclr::data::PathList files;
};
ListedFiles listed_files(const std::string& data, const std::string& pattern, const ListedKind& kind);

/// The folders that hold them, A::B: of a list those of its samples; empty where none is named.
std::string folders_of_listed(const std::string& data, const ListedKind& kind);

/// As refuse_in_data() of each path, and for the files that a list names and their folders, but for those that the list
/// itself lies in. Throws where a list cannot be read.
void refuse_in_listed(const std::string& option, const std::vector<std::string>& paths, const std::string& data,
                      const ListedKind& kind);
