#pragma once

#include "train/run_recorder.h"

/// Trains from `state`, which `recorder` brings forward, to the last epoch; of several ranks all do. Throws
/// simclr::Error where a step runs out of memory or its loss is NaN or Inf, and Stopped where the recorder ends it.
void train(Training& training, const RunState& state, RunRecorder& recorder);
