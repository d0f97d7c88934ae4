#pragma once

#include <simclr/core/tensor.h>
#include <simclr/data/dataset.h>
#include <simclr/data/views.h>

#include <cstdint>
#include <optional>
#include <vector>

/// A sample and two of its views, for people to look at.
struct DrawnViews {
  simclr::data::Sample sample;
  std::vector<simclr::Tensor> views;  // [view shape] of the maker's dtype on the CPU, zeros behind a shorter view's end
};

/// The first two views of up to `count` samples, spread over the set, that a run with this seed makes in its first
/// epoch. Samples that cannot be read are left out. Throws simclr::Error for one that the maker cannot use.
std::vector<DrawnViews> draw_views(const simclr::data::Dataset& samples, const simclr::data::ViewMaker& maker,
                                   std::uint64_t seed, std::int64_t count);

/// The sample; none where it cannot be read, which whoever reads it for training reports.
std::optional<simclr::data::Sample> readable_sample(const simclr::data::Dataset& samples, std::int64_t i);
