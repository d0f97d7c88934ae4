#pragma once

#include <simclr/data/pictures/picture_list.h>

#include <string>

/// Where links lead to one folder from two of `list`, or to one file where some files are links, so that its pictures
/// count twice: a line that counts and names them; else empty. Lists (picture_table.h) have none.
std::string linked_pictures(const simclr::data::PictureList& list);

/// The same of pictures of `test` that are pictures of `train`, too.
std::string linked_pictures(const simclr::data::PictureList& train, const simclr::data::PictureList& test);
