#pragma once

#include "recipes/sound_recipes.h"
#include "run/option_table.h"
#include "train/training_options.h"

#include <string>
#include <vector>

/// What --arch takes: the ResNets and gru.
std::vector<std::string> sound_encoder_names();

/// The widest encoder.
inline constexpr std::int64_t most_sound_width = 4096;

/// Those of the encoder and the views alone, for a kind of data that has recordings among others.
void add_sound_view_rows(OptionTable& table, SoundOptions& own);

/// What training on recordings adds to the rows of every kind of data: where they lie, encoder, views, augmentation.
void add_sound_rows(OptionTable& table, TrainingOptions& options, SoundOptions& own);
