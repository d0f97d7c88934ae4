#pragma once

#include "run/progress.h"
#include "run/run_folder.h"
#include "train/evaluation.h"
#include "train/report_material.h"
#include "train/run_state.h"
#include "train/training.h"

#include <string>
#include <vector>

/// The page that shows the run so far, which rank 0 makes alone. Weights, log and checkpoints are there without it, and
/// --resume makes it again, so where it cannot be made the run is none the worse: a line says why, and the exit code
/// stays 0. `seconds`: of training, where the log does not say them yet.
void leave_report(const Training& training, const Datasets& sets, const EvaluationOptions& evaluation,
                  const RunFolder& run, const MaterialOptions& size, const std::vector<std::string>& notes,
                  double seconds = 0);

/// A finished run's report, which is a function of its log and its weights, is made again where it is gone.
void remake_report(const Training& training, const EvaluationOptions& evaluation, const RunFolder& run);

/// What follows the last step: what the encoder has learned, beside an untrained one, and the report. The test samples
/// are looked at here and nowhere before. All ranks call it.
void finish(const Training& training, const RunState& state, const EvaluationOptions& evaluation, RunFolder& run,
            Progress& progress);
