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

/// --pattern and --test, how recordings are parted; `unset`: what else stands for them, to begin a sentence with.
void add_part_rows(OptionTable& table, std::string& pattern, std::string& test, const std::string& unset = {});

/// What training on recordings adds to the rows of every kind of data: where they lie, encoder, views, augmentation.
void add_sound_rows(OptionTable& table, TrainingOptions& options, SoundOptions& own);
