#pragma once

#include "recipes/picture_recipes.h"
#include "run/option_table.h"
#include "train/training_options.h"

#include <string>
#include <vector>

/// The rows of options that only pictures have, and what their values are called.

extern const Names<simclr::nn::Stem> stem_names;
extern const Names<simclr::kernels::Interpolation> interpolation_names;

/// --dataset alone, of these kinds. `help`: how auto tells them apart.
OptionRow& add_dataset_row(OptionTable& table, std::string& dataset, const std::vector<std::string>& kinds,
                           const std::string& help);

/// --dataset, --data and --classes-at, as open_datasets() takes them. `without_data`: what `auto` takes where --data is
/// not given; `further`: names of sets of other kinds of data.
void add_dataset_rows(OptionTable& table, std::string& dataset, std::string& dir, int& classes_at,
                      const std::string& without_data = "CIFAR-10, else Fashion-MNIST",
                      const std::vector<std::string>& further = {});

/// Smallest random crop, as a share of the picture's area; to be put into a group.
template <class T>
OptionRow& add_crop_min_row(OptionTable& table, T& crop_min) {
  return table.add("crop-min", crop_min, "Smallest random crop, as a share of the picture's area")
      .between(double{1e-6f}, 1);
}

/// Of random views made by SimCLR's augmentation, in the group "augmentation": `means` and `stddevs` are how many of
/// the policy's are said.
void add_augmentation_rows(OptionTable& table, simclr::data::Augmentation& policy, int& means, int& stddevs);

/// Those of the size of the views, the encoder and the augmentation.
void add_picture_view_rows(OptionTable& table, PictureOptions& own);

/// What training on pictures adds to the rows of every kind of data: where they lie, encoder, size, augmentation.
void add_picture_rows(OptionTable& table, TrainingOptions& options, PictureOptions& own);
