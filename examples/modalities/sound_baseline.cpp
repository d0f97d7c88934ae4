#include "modalities/sound_baseline.h"

#include <simclr/data/sound/spectrogram_views.h>
#include <simclr/kernels/logmel.h>

#include <cmath>
#include <numbers>
#include <span>
#include <vector>

namespace data = simclr::data;
namespace kernels = simclr::kernels;
using simclr::Tensor;

namespace {

constexpr std::int64_t coefficients = 20, mels = 40;

/// The first coefficients of the DCT-II of a frame's log-mels, which keeps lengths.
void cosine_transform(std::span<const float> frame, std::span<double> out) {
  const auto count = static_cast<double>(frame.size());
  for (std::size_t k = 0; k < out.size(); ++k) {
    double sum = 0;
    for (std::size_t m = 0; m < frame.size(); ++m) {
      sum += frame[m] * std::cos(std::numbers::pi * static_cast<double>(k) * (static_cast<double>(m) + 0.5) / count);
    }
    out[k] = sum * std::sqrt((k == 0 ? 1.0 : 2.0) / count);
  }
}

}  // namespace

Baseline mfcc_statistics(const Datasets& sets, std::int32_t rate, const EvaluationOptions& options) {
  const kernels::LogmelPlan plan = kernels::logmel_plan(data::usual_logmel(rate, mels));
  return baseline_of("MFCC statistics", sets, options, [&plan](const data::Dataset& recordings, std::int64_t i) {
    const data::Sample sample = recordings.sample(i);
    const auto samples = sample.values<float>();
    const Tensor waveform = Tensor::from(std::vector<float>(samples.begin(), samples.end()), {1, std::ssize(samples)});
    const std::vector<float> frames = kernels::logmel(waveform, {}, plan).y.to_vector<float>();
    SeriesStatistics own(coefficients), differences(coefficients);
    std::vector<double> now(coefficients), before;
    for (std::size_t at = 0; at < frames.size(); at += mels) {
      cosine_transform(std::span(frames).subspan(at, mels), now);
      own.add(now);
      if (!before.empty()) {
        for (std::size_t k = 0; k < before.size(); ++k) before[k] = now[k] - before[k];
        differences.add(before);
      }
      before = now;
    }
    std::vector<float> features = own.values();
    for (const float value : differences.values()) features.push_back(value);
    return features;
  });
}
