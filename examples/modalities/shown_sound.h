#pragma once

#include "run/report_material.h"

#include <simclr/core/tensor.h>
#include <simclr/kernels/logmel.h>

#include <cstdint>
#include <span>

/// The middle of a recording, at most three seconds of it, to be played, and above it its spectrogram.
Shown shown_sound(std::span<const float> samples, std::int32_t rate, const simclr::kernels::LogmelOptions& logmel,
                  int most_side);

/// A spectrogram as a PNG: time to the right, mels upwards, black what is two deviations below the mean, white what is
/// two above. `mels` [frames,M] or [frames,M,1] f32 on the CPU. Each point is the mean of those that it stands for.
Shown shown_spectrogram(const simclr::Tensor& mels, int most_side);
