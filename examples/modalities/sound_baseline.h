#pragma once

#include "modalities/baseline.h"

#include <cstdint>

/// The usual statistics of recordings at that rate: of 20 MFCCs (the cosine transform of 40 log-mels, orthonormal) and
/// of their differences from frame to frame the mean and the deviation over the whole recording: f32 [N,80], 20 means
/// of MFCCs, their deviations, then both of the differences. As baseline_of().
Baseline mfcc_statistics(const Datasets& sets, std::int32_t rate, const EvaluationOptions& options = {});
