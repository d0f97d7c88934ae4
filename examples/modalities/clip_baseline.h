#pragma once

#include "modalities/baseline.h"

/// Where and how much clips move: of each of 8 x 8 cells the mean and the deviation over time of the absolute
/// differences from one frame to the next, averaged over its pixels and channels: f32 [N,128], the means by rows of
/// cells, then the deviations; 0 of a single frame. As baseline_of().
Baseline motion_statistics(const Datasets& sets, const EvaluationOptions& options = {});
