#pragma once

#include "run/option_table.h"
#include "train/training_options.h"

#include <functional>

/// The rows of training's options that every kind of data has: head, steps, evaluation, run folder and computing.
void add_training_rows(OptionTable& table, TrainingOptions& options);

/// What adds the rows that a kind of data has besides: Modality::rows().
using AddRows = std::function<void(OptionTable&, TrainingOptions&)>;

/// All of a training program's.
OptionTable training_table(TrainingOptions& options, const AddRows& rows_of_data);
