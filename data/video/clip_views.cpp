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

constexpr std::uint32_t start_slot = 60;  // of the view's random numbers, behind those of kernels/augment.h

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

/// T frames from `start` on; behind the clip's end its last one.
std::vector<std::int64_t> numbers_from(std::int64_t start, const ClipTimes& times, std::int64_t count) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t k = 0; k < times.frames; ++k) numbers.push_back(std::min(start + k * times.stride, count - 1));
  return numbers;
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
  const std::int64_t last = std::max<std::int64_t>(clip.count() - 1 - (times_.frames - 1) * times_.stride, 0);
  const Random random(key.seed, RandomPurpose::augmentation, key.sample, key.epoch, key.view);
  const std::int64_t frame_values = std::int64_t{policy_.size} * policy_.size * policy_.channels;
  auto* to = reinterpret_cast<float*>(out);
  for (std::int32_t part = 0; part < std::max(times_.spread, 1); ++part) {
    const std::int64_t start = times_.spread == 0   ? random.below(static_cast<std::uint32_t>(last + 1), start_slot)
                               : times_.spread == 1 ? last / 2
                                                    : last * part / (times_.spread - 1);
    clip.take(numbers_from(start, times_, clip.count()));
    const kernels::ImageRef first = picture_ref(clip.at(0), policy_.channels, key.sample, "clip views");
    const kernels::AugmentParameters parameters =
        kernels::draw_augment_parameters(policy_, first.height, first.width, key.seed, key.sample, key.epoch, key.view);
    for (std::int32_t k = 0; k < times_.frames; ++k, to += frame_values) {
      const Sample frame = clip.at(static_cast<std::size_t>(k));
      const kernels::ImageRef picture = picture_ref(frame, policy_.channels, key.sample, "clip views");
      kernels::dispatch_values(frame.dtype, [&](auto zero) {
        kernels::augment_picture(frame.values<decltype(zero)>().data(), picture, policy_, parameters, to);
      });
    }
  }
  return times_.spread == 0 ? times_.frames : times_.spread;
}

}  // namespace simclr::data
