#pragma once

#include "recipes/recipe.h"

#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/video/clip_views.h>
#include <simclr/nn/resnet.h>

#include <cstdint>
#include <string>
#include <vector>

/// What a recipe says of clips alone: the encoder and the views.
struct ClipOptions {
  std::string arch = "r2plus1d_18";
  std::int64_t width = 64;  // channels of the ResNet's first stage
  simclr::nn::Stem stem = simclr::nn::Stem::imagenet;
  std::int64_t gru_width = 256;  // of the GRU, each direction

  simclr::data::ClipTimes times;
  int clips = 3;  // of a video that evaluation averages
  int size = 112;
  simclr::data::Augmentation augmentation;
  int means = 3, stddevs = 3;  // how many of the policy's are said

  std::string pattern, test;  // clip_sets.h
};

/// A whole training recipe for clips; the named ones are defined once, in clip_recipes.cpp.
struct ClipRecipe : Recipe, ClipOptions {};

/// All named recipes, `moving` first.
const std::vector<ClipRecipe>& clip_recipes();
/// The recipe of that name; throws simclr::Error that lists the names.
const ClipRecipe& clip_recipe(const std::string& name);
