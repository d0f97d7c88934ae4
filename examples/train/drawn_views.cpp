#include "train/drawn_views.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace data = simclr::data;
using simclr::Tensor;

namespace {

Tensor draw(const data::ViewMaker& maker, const data::Sample& sample, const data::ViewKey& key) {
  Tensor view = Tensor::empty(maker.view_shape(), maker.view_dtype());
  maker.make_whole_view(sample, key, static_cast<std::byte*>(view.raw_data()));
  return view;
}

}  // namespace

std::vector<DrawnViews> draw_views(const data::Dataset& samples, const data::ViewMaker& maker, std::uint64_t seed,
                                   std::int64_t count) {
  std::vector<DrawnViews> all;
  count = std::min(count, samples.size());
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int64_t i = k * samples.size() / count;
    auto sample = readable_sample(samples, i);
    if (!sample) continue;
    DrawnViews& drawn = all.emplace_back(DrawnViews{std::move(*sample), {}});
    for (std::uint32_t v = 0; v < 2; ++v) {
      drawn.views.push_back(
          draw(maker, drawn.sample, {.seed = seed, .sample = static_cast<std::uint32_t>(i), .epoch = 0, .view = v}));
    }
  }
  return all;
}

std::optional<data::Sample> readable_sample(const data::Dataset& samples, std::int64_t i) {
  try {
    return samples.sample(i);
  } catch (const simclr::Error&) {
    return std::nullopt;
  }
}
