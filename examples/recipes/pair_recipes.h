#pragma once

#include "recipes/picture_recipes.h"
#include "recipes/sound_recipes.h"
#include "recipes/text_recipes.h"

#include <string>
#include <vector>

/// What a recipe says of pairs alone: both sides' encoders and views. Pictures on both sides have the same options, and
/// weights of their own.
struct PairOptions {
  PictureOptions pictures;
  SoundOptions sound;
  TextOptions text;
  bool learn_temperature = true;  // as CLIP does
  bool share_encoder = false;     // one for both sides, which are of one kind
};

/// A whole training recipe for pairs. The named ones are defined once, in pair_recipes.cpp.
struct PairRecipe : Recipe, PairOptions {};

/// All named recipes, `quick-pairs` first.
const std::vector<PairRecipe>& pair_recipes();
/// The recipe of that name; throws simclr::Error that lists the names.
const PairRecipe& pair_recipe(const std::string& name);
