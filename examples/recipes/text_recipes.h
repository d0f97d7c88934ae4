#pragma once

#include "recipes/recipe.h"

#include <simclr/data/text/text_views.h>
#include <simclr/nn/token_encoder.h>

#include <cstdint>
#include <string>
#include <vector>

/// What a recipe says of texts alone: tokens, encoder and views.
struct TextOptions {
  std::string tokens = "words";     // or pieces
  std::int32_t vocabulary = 16384;  // tokens at most
  simclr::nn::TokenNetwork arch = simclr::nn::TokenNetwork::bag;
  std::int64_t width = 256;
  int layers = 1;
  std::int64_t heads = 4;
  double dropout = 0;
  simclr::data::TextPolicy views;
};

/// A whole training recipe for texts. The named ones are defined once, in text_recipes.cpp. None has a published
/// figure: who trains on sentences from scratch does it otherwise.
struct TextRecipe : Recipe, TextOptions {};

/// All named recipes, `bag` first.
const std::vector<TextRecipe>& text_recipes();
/// The recipe of that name; throws simclr::Error that lists the names.
const TextRecipe& text_recipe(const std::string& name);
