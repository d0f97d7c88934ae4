#pragma once

#include <simclr/core/tensor.h>
#include <simclr/core/world.h>
#include <simclr/data/dataset.h>
#include <simclr/data/loader.h>

#include <cstdint>
#include <span>
#include <vector>

/// A sample and its views, for people to look at.
struct DrawnViews {
  simclr::data::Sample sample;  // of the first tower's part
  /// Each tower's views, [length, rest of the view shape] of the maker's dtype on the CPU.
  std::vector<std::vector<simclr::Tensor>> towers;
};

/// Of up to `count` samples, spread over the set, the views that a run with this seed makes of them in its first epoch.
/// Samples of which a part cannot be read, or of no use to a maker, are left out.
std::vector<DrawnViews> draw_views(const simclr::data::Dataset& samples, const std::vector<simclr::data::Tower>& towers,
                                   std::uint64_t seed, std::int64_t count);

/// Which samples evaluation sees, by each of these towers of views without randomness: their part can be read, and be
/// used. The ranks of `world` look at a part each; null: this process at all.
std::vector<std::int64_t> viewed(const simclr::data::Dataset& samples, std::span<const simclr::data::Tower> towers,
                                 simclr::World* world);
