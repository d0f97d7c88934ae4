#include "train/drawn_views.h"

#include "train/shared_work.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace data = simclr::data;
using simclr::Tensor;

namespace {

/// A view without the padding behind its end.
Tensor draw(const data::ViewMaker& maker, const data::Sample& sample, const data::ViewKey& key) {
  const Tensor view = Tensor::empty(maker.view_shape(), maker.view_dtype());
  return view.narrow(0, maker.make_whole_view(sample, key, static_cast<std::byte*>(view.raw_data())));
}

/// The views of one sample. Throws simclr::Error where a part of it cannot be read or used.
DrawnViews draw(const data::Dataset& samples, const std::vector<data::Tower>& towers, data::ViewKey key) {
  DrawnViews drawn;
  for (const data::Tower& tower : towers) {
    data::Sample sample = samples.sample(key.sample, tower.part);
    std::vector<Tensor>& views = drawn.towers.emplace_back();
    for (int v = 0; v < tower.views; ++v, ++key.view) views.push_back(draw(*tower.maker, sample, key));
    if (drawn.towers.size() == 1) drawn.sample = std::move(sample);
  }
  return drawn;
}

bool has_view(const data::Dataset& samples, std::int64_t i, const data::Tower& tower) {
  try {
    draw(*tower.maker, samples.sample(i, tower.part), {.sample = static_cast<std::uint32_t>(i)});
    return true;
  } catch (const simclr::Error&) {
    return false;
  }
}

}  // namespace

std::vector<DrawnViews> draw_views(const data::Dataset& samples, const std::vector<data::Tower>& towers,
                                   std::uint64_t seed, std::int64_t count) {
  std::vector<DrawnViews> all;
  count = std::min(count, samples.size());
  for (std::int64_t k = 0; k < count; ++k) {
    const auto i = static_cast<std::uint32_t>(k * samples.size() / count);
    try {
      all.push_back(draw(samples, towers, {.seed = seed, .sample = i, .epoch = 0, .view = 0}));
    } catch (const simclr::Error&) {  // whoever reads it for training reports it
    }
  }
  return all;
}

std::vector<std::int64_t> viewed(const data::Dataset& samples, std::span<const data::Tower> towers,
                                 simclr::World* world) {
  const Part part = part_of(world, samples.size());
  std::vector<std::int64_t> seen;
  together(world, [&] {
    for (std::int64_t i = part.begin; i < part.begin + part.count; ++i) {
      const auto sees = [&](const data::Tower& tower) { return has_view(samples, i, tower); };
      if (std::all_of(towers.begin(), towers.end(), sees)) seen.push_back(i);
    }
  });
  return gather_values(world, std::move(seen));
}
