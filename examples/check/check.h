#pragma once

#include "check/figures.h"
#include "run/findings.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

/// `--check`: will a run with these options work?

struct CheckFigures {
  OverfitFigures overfit;
  CostFigures cost;
};

/// What looks wrong in the options and in what was measured with them, behind what the modality has found.
Findings findings_of(const Training& training, const CheckFigures& figures, Findings looked);

/// What a step sends to the other ranks, in a line; empty where there are none, or no step. Its share of the time, too,
/// but of GPUs, whose collectives go beside the program.
std::string communication(const Training& training, const CostFigures& figures);

/// Measures, prints, and lets the modality draw check-views into --out, else into the current folder, but not among the
/// data. Takes about a minute on a CPU. All ranks measure, and rank 0 looks and speaks. Returns the exit code: 0 where
/// it looks fine, 1 where something looks wrong.
/// Throws simclr::Error where the run could not begin at all.
int check_run(const TrainingOptions& options, Modality& modality,
              const std::function<void(const std::string&)>& on_warning,
              const std::shared_ptr<simclr::World>& world = std::make_shared<simclr::World>());
