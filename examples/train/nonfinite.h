#pragma once

#include "train/training.h"

#include <cstdint>

/// Ends a run whose optimizer has refused update number `bad_step` (nn::Optimizer::bad_step): runs the batch of that
/// step again, with the weights from before it, to find the layer where the NaN or Inf starts. Throws simclr::Error
/// with epoch, step, layer and what to try, always.
[[noreturn]] void explain_nonfinite(Training& training, std::int64_t bad_step);
