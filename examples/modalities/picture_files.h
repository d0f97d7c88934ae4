#pragma once

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>
#include <simclr/data/pictures/picture_list.h>
#include <simclr/data/views.h>

#include <memory>
#include <string>

/// All pictures of a list. Each is a class of its own, named by its path from the folder: so the label of a sample, or
/// of a row of features, says which file it is of. Throws simclr::Error where there is none.
std::shared_ptr<const simclr::data::Dataset> picture_files(simclr::data::PictureList pictures);

/// The view [1,S,S,C] of one picture, by what makes them without randomness. Throws simclr::Error where it cannot be
/// read.
simclr::Tensor view_of_picture(const std::string& path, const simclr::data::ViewMaker& views);
