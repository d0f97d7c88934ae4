#pragma once

// Private: what the CPU's augmentation asks of a picture. augment_picture itself is public (augment.h).

#include <simclr/kernels/shared/augment_source.h>

namespace simclr::kernels {

/// Throws Error for what is no picture that views of `channels` channels can be made of.
void check_picture(const ImageRef& picture, std::int32_t channels);

}  // namespace simclr::kernels
