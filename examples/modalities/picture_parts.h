#pragma once

#include <simclr/data/pictures/picture_list.h>

#include <string>
#include <vector>

/// What a folder called so is for.
enum class PartRole { none, train, test, unlabelled };

/// By the names that people give: "train", "Training", "train2017", "test_set", "val", "valid", "validation", "eval",
/// "unlabeled", in any case. A word beside these that is neither a number nor "set", "data", "images" or the like makes
/// it another name: "train station" is a class.
PartRole part_role(const std::string& folder);

/// The parts of a folder of pictures.
struct PictureParts {
  struct Part {
    std::string name;  // of the folder
    simclr::data::PictureList pictures;
  };
  std::vector<Part> train, test, unlabelled;  // the likeliest first: "train" before "labeled", "test" before "val"
  std::vector<Part> others;                   // sub-folders of no role, and pictures in the folder itself: name ""
};

/// Looks for parts in `dir`. Without a train part beside another part, or as the only folder that holds pictures, it
/// has none: then what it holds are classes, or pictures alone. Throws simclr::Error where there is no such folder.
PictureParts find_parts(const std::string& dir);
