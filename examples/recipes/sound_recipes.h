#pragma once

#include "recipes/recipe.h"

#include <simclr/data/sound/sound_augmentation.h>

#include <cstdint>
#include <string>
#include <vector>

/// What a recipe says of recordings alone: what they are, the encoder and the views.
struct SoundOptions {
  std::string pattern;  // of the files' names: data::list_sounds(); empty: folders are labels
  std::string test;     // FIELD=VALUES, the part that is evaluated on; empty: as open_sounds() says

  std::string arch = "resnet18";  // or "gru"
  std::int64_t width = 16;        // of a ResNet the first stage's channels, of a GRU each direction's units
  int layers = 1;                 // of a GRU

  std::int32_t mels = 64;
  double eval_seconds = 0;  // of what evaluation sees; 0: as a view
  std::string noise;        // a folder of recordings to mix in; empty: none are
  simclr::data::SoundPolicy sound;
  simclr::data::SpectrogramPolicy spectrogram;
};

/// A whole training recipe for recordings. The named ones are defined once, in sound_recipes.cpp.
struct SoundRecipe : Recipe, SoundOptions {};

/// All named recipes, `commands` first.
const std::vector<SoundRecipe>& sound_recipes();
/// The recipe of that name; throws simclr::Error that lists the names.
const SoundRecipe& sound_recipe(const std::string& name);
