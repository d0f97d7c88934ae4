#pragma once

#include "modalities/picture_sets.h"

#include <functional>
#include <memory>
#include <string>

/// Pictures in arrays: FILE.npz, FILE.npy, a folder of .npy files or one that holds a single .npz file. Their names
/// tell what they are, in any case: one of the words images, image, imgs, x, data (pictures) or labels, label, y,
/// target, targets, with a word of a part (part_names.h) before or behind it ("train_images", "x_test"); arr_0 and
/// arr_1 are pictures and labels. A lone array is pictures. Of FILE.npy the others beside it that are named in the same
/// way belong to it. The likeliest test part is tested on that can be. What is not used is named with its count; of
/// values that no picture should have a warning tells. Without `labels` none are taken. Throws simclr::Error.
PictureSets open_arrays(const std::string& path, bool labels);

/// The pictures of all its parts: training, unlabelled, test, validation; of FILE.npy its own alone. Each is a class of
/// its own, called by its array's name and its number, "train_images/17". Throws simclr::Error as open_arrays() does,
/// and where an encoder for views of so many channels cannot look at them. `on_warning` is told of values that no
/// picture should have, by a look at some pictures of each array.
std::shared_ptr<const simclr::data::Dataset> pictures_of_arrays(
    const std::string& path, int channels, const std::function<void(const std::string&)>& on_warning);
