#include "modalities/shown_sound.h"

#include <simclr/data/pictures/image_io.h>
#include <simclr/data/sound/sound_io.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace data = simclr::data;
using simclr::Tensor;

namespace {

constexpr double most_seconds = 3.0;             // a page holds a hundred recordings
constexpr std::int32_t most_heard_rate = 16000;  // a report holds a hundred players

std::uint8_t grey(double value, double mean, double deviation) {
  const double share = deviation > 0 ? 0.5 + (value - mean) / (4 * deviation) : 0.0;
  return static_cast<std::uint8_t>(std::lround(255 * std::clamp(share, 0.0, 1.0)));
}

}  // namespace

Shown shown_spectrogram(const Tensor& spectrogram, int most_side) {
  const std::vector<float> values = spectrogram.to_vector<float>();
  const std::int64_t frames = spectrogram.dim(0), mels = spectrogram.dim(1);
  double sum = 0, squares = 0;
  for (const float value : values) sum += double{value};
  const double count = static_cast<double>(values.size()), mean = sum / count;
  for (const float value : values) squares += (double{value} - mean) * (double{value} - mean);
  const double deviation = std::sqrt(squares / count);

  const std::int64_t width = std::min<std::int64_t>(frames, most_side),
                     height = std::min<std::int64_t>(mels, most_side);
  data::Picture picture{
      .height = static_cast<std::int32_t>(height), .width = static_cast<std::int32_t>(width), .channels = 1};
  for (std::int64_t y = height - 1; y >= 0; --y) {  // low mels at the bottom
    for (std::int64_t x = 0; x < width; ++x) {
      double total = 0;
      std::int64_t points = 0;
      for (std::int64_t t = x * frames / width; t < (x + 1) * frames / width; ++t) {
        for (std::int64_t m = y * mels / height; m < (y + 1) * mels / height; ++m, ++points) {
          total += double{values[static_cast<std::size_t>(t * mels + m)]};
        }
      }
      picture.pixels.push_back(grey(total / static_cast<double>(points), mean, deviation));
    }
  }
  return {"image/png", data::png_bytes(picture, "the report's spectrogram"), picture.width, picture.height};
}

Shown shown_sound(std::span<const float> samples, std::int32_t rate, const simclr::kernels::LogmelOptions& logmel,
                  int most_side) {
  const auto most = static_cast<std::size_t>(most_seconds * rate);
  if (samples.size() > most) samples = samples.subspan((samples.size() - most) / 2, most);
  const auto count = static_cast<std::int64_t>(samples.size());
  const Tensor wave = Tensor::from(std::vector<float>(samples.begin(), samples.end()), {1, count});
  const Tensor mels = simclr::kernels::logmel(wave, {}, simclr::kernels::logmel_plan(logmel)).y;
  std::vector<float> heard(samples.begin(), samples.end());
  const std::int32_t heard_rate = rate > most_heard_rate && data::can_resample() ? most_heard_rate : rate;
  if (heard_rate != rate) heard = data::resample_sound(std::move(heard), rate, heard_rate);
  return {.type = "audio/wav",
          .bytes = data::wav_bytes(heard, heard_rate),
          .above = {shown_spectrogram(mels.reshape({mels.dim(1), mels.dim(2)}), most_side)}};
}
