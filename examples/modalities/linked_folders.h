#pragma once

#include <simclr/data/pictures/picture_list.h>

#include <string>

/// Where links lead to one folder from two of `list`, so that its pictures count twice: a line that counts and names
/// them; else empty. Lists (picture_table.h) have none.
std::string linked_folders(const simclr::data::PictureList& list);

/// The same of folders of `test` that are folders of `train`, too.
std::string linked_folders(const simclr::data::PictureList& train, const simclr::data::PictureList& test);
