#pragma once

#include "run/option_table.h"
#include "train/training_options.h"

/// The rows of training's options that every kind of data has: head, steps, evaluation, run folder and computing.
void add_training_rows(OptionTable& table, TrainingOptions& options);

/// All of train_cifar's: these and the pictures'.
OptionTable training_table(TrainingOptions& options);
