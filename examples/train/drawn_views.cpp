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

/// The views of one sample; none where a part of it cannot be read.
std::optional<DrawnViews> draw(const data::Dataset& samples, const std::vector<data::Tower>& towers,
                               data::ViewKey key) {
  DrawnViews drawn;
  for (const data::Tower& tower : towers) {
    auto sample = readable_sample(samples, key.sample, tower.part);
    if (!sample) return std::nullopt;
    std::vector<Tensor>& views = drawn.towers.emplace_back();
    for (int v = 0; v < tower.views; ++v, ++key.view) views.push_back(draw(*tower.maker, *sample, key));
    if (drawn.towers.size() == 1) drawn.sample = std::move(*sample);
  }
  return drawn;
}

}  // namespace

std::vector<DrawnViews> draw_views(const data::Dataset& samples, const std::vector<data::Tower>& towers,
                                   std::uint64_t seed, std::int64_t count) {
  std::vector<DrawnViews> all;
  count = std::min(count, samples.size());
  for (std::int64_t k = 0; k < count; ++k) {
    const auto i = static_cast<std::uint32_t>(k * samples.size() / count);
    auto drawn = draw(samples, towers, {.seed = seed, .sample = i, .epoch = 0, .view = 0});
    if (drawn) all.push_back(std::move(*drawn));
  }
  return all;
}

std::optional<data::Sample> readable_sample(const data::Dataset& samples, std::int64_t i, int part) {
  try {
    return samples.sample(i, part);
  } catch (const simclr::Error&) {
    return std::nullopt;
  }
}
