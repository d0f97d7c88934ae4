#pragma once

#include <simclr/data/pictures/picture_list.h>

#include <string>
#include <vector>

/// What is said of folders of pictures that may be meant otherwise than they are taken.

/// Where a class holds several folders of pictures they may be meant as the classes: how to say so, or nothing.
std::string deeper_classes(const simclr::data::PictureList& list, int classes_at);

/// Where folders of `list`, however deep, hold a train part and a test part of their own, as several places do
/// ("siteA/train/cats") or classes ("cats/train"): a line that says so; else empty.
std::string parts_in_folders(const simclr::data::PictureList& list);

/// A line that names the first two of the `classes` that look equal (plain_name()), or are one number ("1" and "01");
/// else empty.
std::string classes_alike(const std::vector<std::string>& classes);

/// Where all pictures of `list` lie in one folder, deeper than the class that they are at `classes_at`, or in folders
/// of it: a line that says so; else empty.
std::string all_in_one_folder(const simclr::data::PictureList& list, int classes_at);

/// A line that says so where some of the `classes` of `dir` are called like test or unlabelled parts, or nearly like
/// train and test parts ("train_small"), or train beside one or two others; else empty.
std::string classes_like_parts(const std::string& dir, const std::vector<std::string>& classes);
