#include "../pictures/picture_ref.h"

#include <simclr/core/random.h>
#include <simclr/data/video/clip_io.h>
#include <simclr/data/video/clip_views.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace simclr::data {
namespace {

constexpr std::uint32_t start_slot = 60;  // of the view's random numbers, kept in kernels/shared/augment_parameters.h

/// A clip's frames, wherever they lie.
class Frames {
 public:
  Frames(const Sample& sample, const ViewKey& key) : sample_(sample) {
    if (sample.shape.rank() == 1) {
      const auto text = sample.values<std::uint8_t>();
      reader_ = open_clip(std::string(text.begin(), text.end()));
      const ClipInfo& info = reader_->info();
      count_ = info.frames;
      frame_.shape = {info.height, info.width, info.channels};
      frame_.dtype = info.dtype;
      frame_.finite = true;  // the reader has looked
      return;
    }
    const Shape& shape = sample.shape;
    SIMCLR_CHECK(shape.rank() == 4 && shape[0] >= 1, "clip views: sample ", key.sample, " has shape ", shape,
                 ", a clip is [frames,height,width,channels]");
    SIMCLR_CHECK(static_cast<std::int64_t>(sample.bytes.size()) == shape.numel() * size_of(sample.dtype),
                 "clip views: sample ", key.sample, " has ", sample.bytes.size(), " bytes, its shape ", shape,
                 " needs ", shape.numel() * size_of(sample.dtype));
    count_ = shape[0];
    frame_.shape = {shape[1], shape[2], shape[3]};
    frame_.dtype = sample.dtype;
    frame_.finite = sample.finite;
  }

  std::int64_t count() const { return count_; }
  std::size_t taken() const { return numbers_.size(); }

  /// Makes these frames the ones that at() gives.
  void take(std::vector<std::int64_t> numbers) {
    numbers_ = std::move(numbers);
    if (!reader_) return;
    values_.resize(numbers_.size() * static_cast<std::size_t>(reader_->info().frame_bytes()));
    reader_->read(numbers_, values_);
  }

  /// The k-th of them, as a picture.
  Sample at(std::size_t k) const {
    Sample frame = frame_;
    const auto bytes = static_cast<std::size_t>(frame.shape.numel() * size_of(frame.dtype));
    frame.bytes = reader_ ? std::as_bytes(std::span(values_)).subspan(k * bytes, bytes)
                          : sample_.bytes.subspan(static_cast<std::size_t>(numbers_[k]) * bytes, bytes);
    return frame;
  }

 private:
  const Sample& sample_;
  Sample frame_;  // without its values
  std::int64_t count_ = 0;
  std::unique_ptr<ClipReader> reader_;
  std::vector<std::int64_t> numbers_;
  std::vector<std::uint8_t> values_;
};

/// What a view reads from `start` on; behind the clip's end its last frame.
std::vector<std::int64_t> numbers_from(std::int64_t start, const ClipTimes& times, std::int64_t count) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t at = 0; at < times.span(); at += times.stride) numbers.push_back(std::min(start + at, count - 1));
  return numbers;
}

/// Frames [T+1] in normalised units as what changes from each to the next, [T], in place.
void make_differences(const Augmentation& policy, std::int32_t frames, std::int64_t frame_values, float* values) {
  float grey[kernels::most_channels] = {};
  for (int c = 0; c < policy.channels; ++c) grey[c] = (0.5f - policy.mean[c]) / policy.stddev[c];
  for (std::int64_t i = 0; i < frames * frame_values; ++i) {
    values[i] = grey[i % policy.channels] + 0.5f * (values[i + frame_values] - values[i]);
  }
}

}  // namespace

ClipViews::ClipViews(const Augmentation& policy, const ClipTimes& times) : policy_(policy), times_(times) {
  kernels::check(policy);
  constexpr std::int32_t most = 4096;
  SIMCLR_CHECK(times.frames >= 1 && times.frames <= most && times.stride >= 1 && times.stride <= most &&
                   times.spread >= 0 && times.spread <= most,
               "clip views: ", times.frames, " frames, stride ", times.stride, ", spread ", times.spread,
               "; frames and stride are 1 to ", most, ", spread 0 to ", most);
}

Shape ClipViews::view_shape() const {
  const Shape view{times_.frames, policy_.size, policy_.size, policy_.channels};
  return times_.spread == 0 ? view : Shape{times_.spread, view[0], view[1], view[2], view[3]};
}

std::int32_t ClipViews::make_view(const Sample& sample, const ViewKey& key, std::byte* out) const {
  Frames clip(sample, key);
  const std::int64_t last = std::max<std::int64_t>(clip.count() - times_.span(), 0);
  const Random random(key.seed, RandomPurpose::augmentation, key.sample, key.epoch, key.view);
  const std::int64_t frame_values = std::int64_t{policy_.size} * policy_.size * policy_.channels;
  auto* to = reinterpret_cast<float*>(out);
  std::vector<float> with_next(times_.differences ? static_cast<std::size_t>((times_.frames + 1) * frame_values) : 0);
  for (std::int32_t part = 0; part < std::max(times_.spread, 1); ++part) {
    const std::int64_t start = times_.spread == 0   ? random.below(static_cast<std::uint32_t>(last + 1), start_slot)
                               : times_.spread == 1 ? last / 2
                                                    : last * part / (times_.spread - 1);
    clip.take(numbers_from(start, times_, clip.count()));
    const kernels::ImageRef first = picture_ref(clip.at(0), policy_.channels, key.sample, "clip views", "frame");
    const kernels::AugmentParameters parameters =
        kernels::draw_augment_parameters(policy_, first.height, first.width, key.seed, key.sample, key.epoch, key.view);
    float* const begin = times_.differences ? with_next.data() : to;
    for (std::size_t k = 0; k < clip.taken(); ++k) {
      const Sample frame = clip.at(k);
      const kernels::ImageRef picture = picture_ref(frame, policy_.channels, key.sample, "clip views", "frame");
      kernels::dispatch_values(frame.dtype, [&](auto zero) {
        kernels::augment_picture(frame.values<decltype(zero)>().data(), picture, policy_, parameters,
                                 begin + static_cast<std::int64_t>(k) * frame_values);
      });
    }
    if (times_.differences) {
      make_differences(policy_, times_.frames, frame_values, begin);
      std::copy_n(begin, times_.frames * frame_values, to);
    }
    to += times_.frames * frame_values;
  }
  return times_.spread == 0 ? times_.frames : times_.spread;
}

}  // namespace simclr::data
