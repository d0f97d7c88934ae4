#include <simclr/core/error.h>
#include <simclr/data/sound/sound_io.h>
#include <simclr/data/sound/spectrogram_views.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace simclr::data {
namespace {

constexpr double lowest_hertz = 60.0, share_of_band = 0.975;
constexpr float least_deviation = 0.1f;  // of logarithms: below it a view is silence, and is not stretched

/// In Hz, of the lowest mel, the narrowest.
double narrowest_mel(double highest, std::int32_t mels) {
  const auto mel = [](double hertz) { return 2595.0 * std::log10(1.0 + hertz / 700.0); };
  const double step = (mel(highest) - mel(lowest_hertz)) / (mels + 1);
  return 700.0 * (std::pow(10.0, (mel(lowest_hertz) + 2.0 * step) / 2595.0) - 1.0) - lowest_hertz;
}

void standardise(std::span<float> values) {
  double sum = 0.0, squares = 0.0;
  for (const float value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const float value : values) squares += (value - mean) * (value - mean);
  const auto deviation = static_cast<float>(std::sqrt(squares / static_cast<double>(values.size())));
  for (float& value : values) value = (value - static_cast<float>(mean)) / std::max(deviation, least_deviation);
}

}  // namespace

kernels::LogmelOptions usual_logmel(std::int32_t rate, std::int32_t mels) {
  constexpr std::int64_t most_fft = 65536;
  SIMCLR_CHECK(rate >= min_sound_rate && rate <= max_sound_rate, "log-mels: a rate of ", rate, " Hz, ", min_sound_rate,
               " to ", max_sound_rate, " are possible");
  SIMCLR_CHECK(mels >= 1 && mels <= 256, "log-mels: ", mels, " mels, 1 to 256 are possible");
  kernels::LogmelOptions options{.sample_rate = static_cast<double>(rate),
                                 .window = std::llround(0.025 * rate),
                                 .fft = 4,
                                 .hop = std::llround(0.010 * rate),
                                 .mels = mels,
                                 .lowest = lowest_hertz,
                                 .highest = share_of_band * rate / 2.0};
  const double narrowest = narrowest_mel(options.highest, mels);
  while (options.fft < most_fft &&
         (options.fft < options.window || rate > narrowest * static_cast<double>(options.fft)))
    options.fft *= 2;
  return options;
}

SpectrogramViews::SpectrogramViews(const SpectrogramViewOptions& options, std::shared_ptr<const Noises> noises)
    : options_(options), sound_(options.sound, std::move(noises)), plan_(kernels::logmel_plan(options.logmel)) {
  check(options_.spectrogram);
  SIMCLR_CHECK(options_.logmel.sample_rate == options_.sound.rate, "spectrogram views: log-mels of ",
               options_.logmel.sample_rate, " Hz, and recordings of ", options_.sound.rate);
}

Shape SpectrogramViews::view_shape() const {
  const std::int64_t frames = kernels::logmel_frames(options_.sound.view_samples(), options_.logmel);
  if (options_.channel) return {frames, options_.logmel.mels, 1};
  return {frames, options_.logmel.mels};
}

std::int32_t SpectrogramViews::make_view(const Sample& sample, const ViewKey& key, std::byte* out) const {
  const Tensor room = Tensor::empty(sound_.view_shape(), sound_.view_dtype());
  const std::int64_t length = sound_.make_view(sample, key, static_cast<std::byte*>(room.raw_data()));
  const Tensor mels = kernels::logmel(room.narrow(0, length).reshape({1, length}), {}, plan_).y;
  const std::span<const float> values(mels.data<const float>(), static_cast<std::size_t>(mels.numel()));
  const std::span<float> view(reinterpret_cast<float*>(out), values.size());
  std::copy(values.begin(), values.end(), view.begin());
  standardise(view);
  augment_spectrogram(view, static_cast<std::int32_t>(options_.logmel.mels), options_.spectrogram, key);
  return static_cast<std::int32_t>(mels.dim(1));
}

}  // namespace simclr::data
