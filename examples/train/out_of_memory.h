#pragma once

#include "train/training.h"

#include <cstdint>
#include <string>

/// A micro-batch that the device has memory for.
struct Fitting {
  std::int64_t samples = 0;  // 0: there is none
  double peak_bytes = 0;     // in use at most, all in all, while a step of the whole batch ran so

  /// "--micro-batch 64: ...", or what else to lower: `smaller` is Modality::smaller().
  std::string remedy(const std::string& smaller) const;
};

/// Where a step on the current batch has run out of memory: tries one in micro-batches, half as large each time, until
/// it fits. Updates nothing.
Fitting find_micro_batch(Training& training);

/// Ends a run whose step has run out of memory. Throws simclr::Error with what `error` says and the micro-batch that
/// fits, always.
[[noreturn]] void explain_out_of_memory(Training& training, const simclr::OutOfMemory& error);
