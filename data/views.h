#pragma once

#include <simclr/data/dataset.h>

#include <cstdint>

namespace simclr::data {

/// Turns a sample into random views, all of one shape. Stateless: safe to call from several threads at once.
class SIMCLR_API ViewMaker {
 public:
  virtual ~ViewMaker() = default;
  /// The shape of one view, at most 5 dimensions.
  virtual Shape view_shape() const = 0;
  /// Writes view number `view` of `sample` to `out`, f32 [view_shape]. A function of its arguments only: every random
  /// number comes from (seed, sample_id, epoch, view). Throws Error for a sample that it cannot use.
  virtual void make_view(const Sample& sample, std::uint64_t seed, std::uint32_t sample_id, std::uint32_t epoch,
                         std::uint32_t view, float* out) const = 0;
};

}  // namespace simclr::data
