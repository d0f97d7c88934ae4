#pragma once

#include <simclr/core/export.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace simclr::data {

/// What a part of a data set is for.
enum class PartRole { none, train, test, unlabelled };

/// What the name of a part says of it.
struct PartName {
  PartRole role = PartRole::none;
  std::string_view word = {};  // that says so; of one meaning always the same: "val" of "Valid2017"
  std::size_t place = 0;       // of its meaning among all: of parts of one role the likeliest has the least
};

/// By the names that people give to folders, files, arrays and parts of lists: "train", "Training", "train2017",
/// "test_set", "val", "valid", "validation", "eval", "dev", "unlabeled", in any case; a test part called "test" is
/// likelier meant than "val", and that than "eval" and "dev". "trainval" and "train_val" are train parts. A word beside
/// these that is neither a number nor "set", "data", "images" or the like makes it another name: "train station" is a
/// class.
SIMCLR_API PartName part_name(std::string_view name);

/// Its role alone.
inline PartRole part_role(std::string_view name) {
  return part_name(name).role;
}

/// The role that a name may be meant to have which is none of part_name(): of its first word that is one of a part, or
/// begins with train, test or val: "train_small", "x_train", "testA", "bounding_box_train".
SIMCLR_API PartRole part_hint(std::string_view name);

}  // namespace simclr::data
