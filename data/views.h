#pragma once

#include <simclr/data/dataset.h>

#include <cstddef>
#include <cstdint>

namespace simclr::data {

/// Which view of which sample: what its random numbers are drawn from, all of them, so that runs repeat to the bit.
struct ViewKey {
  std::uint64_t seed = 0;
  std::uint32_t sample = 0, epoch = 0, view = 0;
};

/// Turns a sample into random views. Stateless: safe to call from several threads at once.
class SIMCLR_API ViewMaker {
 public:
  virtual ~ViewMaker();
  /// The shape of one view, 1 to 5 dimensions; of views that differ in length the longest's.
  virtual Shape view_shape() const = 0;
  /// Of the views' values: f32, or an integer type, which reaches the model as it is: i32 for token ids.
  virtual DType view_dtype() const;
  /// Writes a view of `sample` to `out`, which has room for view_shape() of view_dtype(), and returns the view's
  /// length: how much of the first dimension it filled, at least 1. The caller zeroes what is left behind it. A
  /// function of its arguments only. Throws Error, one line of what is wrong, for a sample that it cannot use, one too
  /// short say: the loader warns of it once and takes another in its place, as for one that cannot be read.
  virtual std::int32_t make_view(const Sample& sample, const ViewKey& key, std::byte* out) const = 0;

  /// make_view() into the whole of `out`, with zeros behind the view's end. Throws Error for a length that the maker
  /// must not return, too.
  std::int32_t make_whole_view(const Sample& sample, const ViewKey& key, std::byte* out) const;
};

}  // namespace simclr::data
