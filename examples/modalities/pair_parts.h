#pragma once

#include "train/datasets.h"

#include <simclr/data/pairs/pair_list.h>
#include <simclr/data/path_list.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// A list of pairs in its parts. Labels are numbers of the same classes in all of them.
struct PairParts {
  simclr::data::PairList train = {};
  simclr::data::PairList test = {};        // may be empty: then no_test says why
  simclr::data::PairList candidates = {};  // those of the test part, then those that are only found among
  std::string no_test = {};
  std::vector<std::string> notes = {};  // what was chosen, is not used, or is in both parts, in lines
  std::vector<std::string> warnings = {};
  std::string no_classes = {};  // why train and test part have lost their classes, which is a note, too
};

/// How many are in the largest group, of each one's.
std::int64_t largest_group(const std::vector<std::int32_t>& groups);

/// By the list's column of parts: train, unlabelled, too, and test by the names that part_name() knows, "gallery" or
/// "candidates" for what is only found among. Without such a column every fifth group of pairs is the test part
/// (split_pairs()), so that no half is in both, and a note says `how` to choose it. Throws simclr::Error where no pair
/// is left to train on.
PairParts parts_of_pairs(const simclr::data::PairList& list,
                         const std::string& how = "give the list a column called split with train and test");

/// Where pairs lie: a list, or tar shards.
struct PairSource {
  std::string data = {};                                // "pairs.tsv", or "DIR/train-{000..127}.tar"
  std::string columns = {};                             // as read_pair_list() and read_pair_shards() take them
  std::array<simclr::data::PairValues, 2> values = {};  // of a list's columns
  std::array<int, 2> kinds = {};                        // of a list's files, as IsHalf numbers them; 0: any
  std::string cache_dir = {};                           // of shards' index: open_tar_files()
};

/// The files that a list of pairs names, paths from its folder; of shards none. Throws simclr::Error as
/// read_pair_list() does.
simclr::data::PathList files_of_pairs(const PairSource& source, const simclr::data::IsHalf& is_half);

/// Opens them; `files` becomes a list and what it names, paths from its folder, and stays empty for shards. Of shards
/// the test part is those beside them that are called test (find_shard_parts()); without these every fifth pair is.
/// What could not be used comes as `sets`' warnings, and a digest of what shards hold, or of a list's pairs in their
/// parts, as sets.within. Test pairs of a class that is not trained on lose its number, and train and test part lose
/// all classes where kNN and probe could not learn or tell any; the candidates keep them. Throws simclr::Error as these
/// do.
PairParts open_pairs(const PairSource& source, const simclr::data::IsHalf& is_half, Datasets& sets,
                     simclr::data::PathList& files);
