#pragma once

#include "recipes/clip_recipes.h"
#include "run/option_table.h"
#include "train/training_options.h"

#include <string>
#include <vector>

/// What --arch takes: "r2plus1d_18", and a ResNet of each frame with a GRU, "resnet18_gru".
std::vector<std::string> clip_encoder_names();

constexpr int most_clip_frames = 256, most_clip_size = 1024;
constexpr double most_clip_width = 1024;

/// What training on clips adds to the rows of every kind of data: where they lie, encoder, times, augmentation.
void add_clip_rows(OptionTable& table, TrainingOptions& options, ClipOptions& own);
