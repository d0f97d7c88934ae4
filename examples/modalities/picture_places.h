#pragma once

#include "modalities/picture_parts.h"

#include <simclr/data/pictures/picture_list.h>

#include <string>

/// Where pictures lie: in a folder, by a list (picture_table.h), or in several of these (split_places()).

/// Whether a place is a list: by its ending, where no folder is called so. `lists`: whatever it is called.
bool is_list(const std::string& place, bool lists = false);

/// Whether --data names a list by its ending, or several places.
bool names_list(const std::string& data);

/// Throws simclr::Error where several places are not all tar shards though one is, or one is a file of arrays.
void check_places(const std::string& data);

/// What lies in places.
struct PicturePlaces {
  PictureParts parts;     // of each place; without parts, `whole` is the only one of them; there is a train part
  bool whole = false;     // parts.train.front() is all there is
  bool all_lists = true;  // no folder is among them
  std::string notes;      // on each place, in lines
  std::string no_test;    // why parts.test is empty, though a place has a test part
};

/// Reads them. Parts of one role are put together, the likeliest of each place with those of the others (of test parts
/// the likeliest that has classes): classes of the same name are one class, by `classes_at` as image_folder() has it. A
/// place without parts is trained on, and of unlabelled parts those that have no train part anywhere beside them: these
/// are parts.train then, to be taken without classes. What a place before has is left out, and counted. `lists`: all
/// are lists, whatever they are called. Throws simclr::Error where a place cannot be read.
PicturePlaces read_places(const std::string& data, int classes_at, bool lists);

/// All pictures of places, each once, whatever the parts. `lists`: as read_places() has it.
simclr::data::PictureList pictures_of_places(const std::string& data, bool lists = false);

/// Where the paths of pictures_of_places() of one place begin.
std::string folder_of_place(const std::string& place, bool list);
