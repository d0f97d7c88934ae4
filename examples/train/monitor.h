#pragma once

#include "run/progress.h"
#include "run/run_folder.h"
#include "train/evaluation.h"
#include "train/training.h"

#include <optional>

/// How the encoder does, on a subset, so that it costs little: kNN where there are labels, of two towers how often a
/// part finds the other, a look for collapse, and alignment and uniformity of random views. Only training samples are
/// looked at: kNN is of those that --hold-out keeps, without it of a fifth by the rest, whole groups where samples are
/// in groups. Prints a line, and logs an event `knn`. `epoch` counts from 1. Returns what the best checkpoint is chosen
/// by, the kNN accuracy, or of two towers without labels R@1; empty: neither, too few samples, or it cannot be
/// measured, which a warning says.
std::optional<double> monitor(const Training& training, const EvaluationOptions& evaluation, int epoch, RunFolder& run,
                              Progress& progress);
