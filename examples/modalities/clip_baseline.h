#pragma once

#include "modalities/baseline.h"

/// Where and how much clips move: of each of 8 x 8 cells the mean and the deviation over time of the absolute
/// differences from one frame to the next, averaged over its pixels and channels, 128 features; 0 of a single frame.
Baseline motion_statistics(const Datasets& sets);
