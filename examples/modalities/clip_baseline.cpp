#include "modalities/clip_baseline.h"

#include <simclr/core/error.h>
#include <simclr/data/video/clip_io.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace data = simclr::data;
using simclr::DType;

namespace {

constexpr std::int64_t cells = 8;  // each way
// A long video never lies in memory as a whole. Each read begins anew: at the key frame before its frames, or where a
// video cannot be entered there, at its start.
constexpr std::int64_t bytes_of_a_read = 64 << 20, least_frames_of_a_read = 16;

template <class T>
void append(std::span<const std::byte> bytes, double white, std::vector<double>& out) {
  const std::span values(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
  for (const T value : values) out.push_back(static_cast<double>(value) / white);
}

/// A frame's values, 1 is white.
std::vector<double> values_of(std::span<const std::byte> frame, DType dtype) {
  std::vector<double> values;
  switch (dtype) {
    case DType::u8: append<std::uint8_t>(frame, 255, values); break;
    case DType::u16: append<std::uint16_t>(frame, 65535, values); break;
    default: append<float>(frame, 1, values);
  }
  return values;
}

class Motion {
 public:
  void add(std::span<const std::byte> frame, const data::ClipInfo& info) {
    std::vector<double> now = values_of(frame, info.dtype);
    if (!before_.empty()) {
      std::vector<double> sums(cells * cells), counts(cells * cells);
      for (std::size_t i = 0; i < now.size(); ++i) {
        const std::int64_t pixel = static_cast<std::int64_t>(i) / info.channels;
        const std::int64_t y = pixel / info.width * cells / info.height, x = pixel % info.width * cells / info.width;
        sums[static_cast<std::size_t>(y * cells + x)] += std::abs(now[i] - before_[i]);
        ++counts[static_cast<std::size_t>(y * cells + x)];
      }
      for (std::size_t cell = 0; cell < sums.size(); ++cell) sums[cell] /= std::max(counts[cell], 1.0);
      statistics_.add(sums);
    }
    before_ = std::move(now);
  }

  std::vector<float> values() const { return statistics_.values(); }

 private:
  SeriesStatistics statistics_{cells * cells};
  std::vector<double> before_;
};

void add_file(const std::string& path, Motion& motion) {
  const auto clip = data::open_clip(path);
  const data::ClipInfo& info = clip->info();
  const auto bytes = static_cast<std::size_t>(info.frame_bytes());
  const std::int64_t frames_of_a_read = std::max(least_frames_of_a_read, bytes_of_a_read / info.frame_bytes());
  for (std::int64_t begin = 0; begin < info.frames; begin += frames_of_a_read) {
    std::vector<std::int64_t> some(static_cast<std::size_t>(std::min(frames_of_a_read, info.frames - begin)));
    std::iota(some.begin(), some.end(), begin);
    std::vector<std::uint8_t> frames(some.size() * bytes);
    clip->read(some, frames);
    for (std::size_t k = 0; k < some.size(); ++k) {
      motion.add(std::as_bytes(std::span(frames).subspan(k * bytes, bytes)), info);
    }
  }
}

}  // namespace

Baseline motion_statistics(const Datasets& sets, const EvaluationOptions& options) {
  return baseline_of("motion statistics", sets, options, [](const data::Dataset& clips, std::int64_t i) {
    Motion motion;
    if (const std::string file = clips.file(i); !file.empty()) {
      add_file(file, motion);
    } else {
      const data::Sample clip = clips.sample(i);
      const data::ClipInfo info{.frames = clip.shape[0],
                                .height = static_cast<std::int32_t>(clip.shape[1]),
                                .width = static_cast<std::int32_t>(clip.shape[2]),
                                .channels = static_cast<std::int32_t>(clip.shape[3]),
                                .dtype = clip.dtype};
      const auto bytes = static_cast<std::size_t>(info.frame_bytes());
      for (std::size_t at = 0; at < clip.bytes.size(); at += bytes) motion.add(clip.bytes.subspan(at, bytes), info);
    }
    return motion.values();
  });
}
