#pragma once

#include <simclr/core/tensor.h>
#include <simclr/data/augmentation.h>
#include <simclr/data/dataset.h>

#include <memory>
#include <string>

/// All JPEG and PNG files of a folder and of the folders below it, in order of their paths. Each is a class of its own,
/// named by its path from `dir`: so the label of a sample, or of a row of features, says which file it is of. Names
/// that start with a dot are left out, and links to folders are not followed. Throws simclr::Error where there is no
/// such folder and where it holds no picture.
std::shared_ptr<const simclr::data::Dataset> picture_files(const std::string& dir);

/// One picture as `policy` without randomness makes it, [1,S,S,C]. Throws simclr::Error where it cannot be read.
simclr::Tensor view_of_picture(const std::string& path, const simclr::data::Augmentation& policy);
