#pragma once

#include "check/figures.h"

#include <functional>
#include <string>
#include <vector>

/// `train_cifar --check`: will a run with these options work?

/// Something that looks wrong, and what to do about it.
struct Finding {
  std::string about;    // "stem", "learning rate", ...
  std::string problem;  // one sentence
  std::string remedy;   // options to try
};

struct CheckFigures {
  PictureFigures pictures;
  ViewFigures views;
  OverfitFigures overfit;
  CostFigures cost;
};

/// What looks wrong in the options and in what was measured with them.
std::vector<Finding> findings_of(const Training& training, const CheckFigures& figures);

/// Measures, prints, and writes check-views.png into --out, else into the current folder, but not among the data. Takes
/// about a minute on a CPU. Returns the exit code: 0 where it looks fine, 1 where something looks wrong. Throws
/// simclr::Error where the run could not begin at all.
int check_run(const TrainingOptions& options, const std::function<void(const std::string&)>& on_warning);
