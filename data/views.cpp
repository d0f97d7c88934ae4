#include <simclr/core/error.h>
#include <simclr/data/views.h>

#include <cstring>

namespace simclr::data {

ViewMaker::~ViewMaker() = default;

DType ViewMaker::view_dtype() const {
  return DType::f32;
}

std::int32_t ViewMaker::make_whole_view(const Sample& sample, const ViewKey& key, std::byte* out) const {
  const Shape shape = view_shape();
  const std::int64_t longest = shape[0];
  const std::int32_t length = make_view(sample, key, out);
  SIMCLR_CHECK(length >= 1 && length <= longest, "loader: the view of sample ", key.sample, " is ", length,
               " long; its maker's views ", shape, " are 1 to ", longest);
  const auto step = static_cast<std::size_t>(shape.numel() / longest * size_of(view_dtype()));
  std::memset(out + static_cast<std::size_t>(length) * step, 0, static_cast<std::size_t>(longest - length) * step);
  return length;
}

}  // namespace simclr::data
