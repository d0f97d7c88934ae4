#pragma once

#include "recipes/recipe.h"

#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/resnet.h>

#include <cstdint>
#include <string>
#include <vector>

/// What a recipe says of pictures alone: the encoder and the views.
struct PictureOptions {
  std::string arch = "resnet18";
  std::int64_t width = 64;
  simclr::nn::Stem stem = simclr::nn::Stem::cifar;
  int stem_padding = -1;  // of the first convolution; -1: half its kernel
  simclr::nn::ConvInit conv_init = simclr::nn::ConvInit::he, stem_init = simclr::nn::ConvInit::he;
  bool zero_last_gamma = false;

  int size = 0;  // side of a view in pixels; 0: what suits the data set
  simclr::data::Augmentation augmentation;
  int means = 3, stddevs = 3;  // how many of the policy's are said
};

/// A whole training recipe for pictures. The named ones are defined once, in picture_recipes.cpp; programs, benchmarks,
/// tests and documents all read them from there. One that is published somewhere either is its source's in every option
/// and says what its source reached, or says where it differs and promises no figure. Only the arithmetic may differ:
/// ours is in floats all through, and PIL, which solo-learn and lightly make views with, rounds to 8 bits after each
/// operation.
struct PictureRecipe : Recipe, PictureOptions {};

/// All named recipes, `quick` first.
const std::vector<PictureRecipe>& recipes();
/// The recipe of that name; throws simclr::Error that lists the names.
const PictureRecipe& recipe(const std::string& name);
