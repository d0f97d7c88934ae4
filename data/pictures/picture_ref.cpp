#include "picture_ref.h"

#include <simclr/core/error.h>
#include <simclr/kernels/shared/augment_source.h>

#include <algorithm>
#include <cmath>

namespace simclr::data {

kernels::ImageRef picture_ref(const Sample& sample, int channels, std::int64_t index, const char* who,
                              const std::string& what) {
  const Shape& shape = sample.shape;
  const bool known = sample.dtype == DType::u8 || sample.dtype == DType::u16 || sample.dtype == DType::f32;
  SIMCLR_CHECK(known, who, ": sample ", index, " holds ", sample.dtype, " values, a ", what, " u8, u16 or f32");
  kernels::ImageRef picture{.sample = static_cast<std::uint32_t>(index)};
  if (shape.rank() == 3) {
    picture.height = static_cast<std::int32_t>(shape[0]);
    picture.width = static_cast<std::int32_t>(shape[1]);
    picture.channels = static_cast<std::int32_t>(shape[2]);
  }
  SIMCLR_CHECK(kernels::is_picture(picture, channels), who, ": sample ", index, " has shape ", shape, ", a ", what,
               " is [height,width,channels] with ", kernels::picture_channels(channels), " channels for views of ",
               channels);
  SIMCLR_CHECK(static_cast<std::int64_t>(sample.bytes.size()) == shape.numel() * size_of(sample.dtype), who,
               ": sample ", index, " has ", sample.bytes.size(), " bytes, its shape ", shape, " needs ",
               shape.numel() * size_of(sample.dtype));
  if (sample.dtype == DType::f32 && !sample.finite) {
    const auto values = sample.values<float>();
    const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
    SIMCLR_CHECK(bad == values.end(), who, ": sample ", index, " has the value ", *bad, " at number ",
                 bad - values.begin(), "; give missing values a number");
  }
  return picture;
}

}  // namespace simclr::data
