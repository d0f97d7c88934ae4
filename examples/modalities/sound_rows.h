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

/// What training on recordings adds to the rows of every kind of data: where they lie, encoder, views, augmentation.
void add_sound_rows(OptionTable& table, TrainingOptions& options, SoundOptions& own);
