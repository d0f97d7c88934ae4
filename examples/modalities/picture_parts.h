#pragma once

#include <simclr/data/pictures/picture_list.h>
#include <simclr/data/pictures/picture_table.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The parts of a folder of pictures, of a list, or of several of them, by their names (part_names.h).
struct PictureParts {
  struct Part {
    std::string name;  // of the folder, or what a list calls it
    simclr::data::PictureList pictures;
  };
  std::vector<Part> train, test, unlabelled;  // the likeliest first: "train" before "labeled", "test" before "val"
  std::vector<Part> others;                   // sub-folders of no role, and pictures in the folder itself: name ""
};

/// Looks for parts in `dir`, a folder. Without a train part beside another part, or as the only folder that holds
/// pictures, it has none: then what it holds are classes, or pictures alone. But an unlabelled part needs no train part
/// where only test parts lie beside it. Throws simclr::Error where there is no such folder.
PictureParts find_parts(const std::string& dir);

/// What a list calls a part that is trained on, if one is. Beside test parts it is the only other text, whatever that
/// says. Throws simclr::Error where no row of the train part is left.
std::optional<std::string> trained_part(const simclr::data::PictureTable& table);

/// The parts of a list, by its column of parts, in the same order. Without one it has none, and without a
/// trained_part() but for an unlabelled one beside which there are test parts alone. Throws as trained_part().
PictureParts table_parts(const simclr::data::PictureTable& table);

/// What a message says of a part that is not used: "photos/val (6 pictures, and 1 .txt file; why)".
std::string unused_part(const std::string& name, std::int64_t count, const std::string& left_out,
                        const std::string& why = {});

/// `dir`, or where it holds one folder, as what a zip file leaves may, and that another one, as many as eight: the
/// first that has a train or unlabelled part; beside pictures that are read a train and another part, as find_parts()
/// has it. `dir` where none has. What lies beside these folders is put into `beside`, if it is counted as pictures.
/// Throws as find_parts().
std::string folder_of_parts(const std::string& dir, std::vector<PictureParts::Part>* beside = nullptr);
