#pragma once

#include <simclr/core/export.h>
#include <simclr/data/pictures/picture_list.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

namespace simclr::data {

/// Gives pictures that have none the labels of their folders, as image_folder() does, and orders them as it does.
/// Labels that are there stay, unless `classes_at` is 0. Throws Error as image_folder() does.
SIMCLR_API void name_classes(PictureList& pictures, int classes_at);

/// The same with the classes that `class_of` names by the pictures' paths from `dir`, "" for none: of some sets a file
/// tells them.
SIMCLR_API void name_classes(PictureList& pictures, const std::function<std::string(const std::string&)>& class_of);

/// The pictures of that numbers, with the classes that occur among them.
SIMCLR_API PictureList selected(const PictureList& pictures, const std::vector<std::uint32_t>& which);

/// Leaves pictures out of a place's lists, and counts them there, whose files are in `known`; then puts the files of
/// the others into it. A file is told by its path, links followed. Labels count to those that stay.
SIMCLR_API void leave_out_known(const std::vector<PictureList*>& lists, std::unordered_set<std::size_t>& known);

/// All pictures of these lists, one list after the other; classes of the same name are one class. Throws Error as
/// name_classes() does.
SIMCLR_API PictureList joined(std::vector<PictureList> lists, int classes_at);

}  // namespace simclr::data
