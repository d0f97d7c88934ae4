#pragma once

// Private: a sample as a picture that views are made of.

#include <simclr/data/dataset.h>
#include <simclr/kernels/augment.h>

#include <string>

namespace simclr::data {

/// The sample number `index`, as it lies at the arena's beginning. Throws Error, opened by `who`, where it is no
/// picture that views of `channels` channels can be made of, and for values that are NaN or infinite unless the sample
/// is known to have none. `what`: what messages call it.
kernels::ImageRef picture_ref(const Sample& sample, int channels, std::int64_t index, const char* who,
                              const std::string& what = "picture");

}  // namespace simclr::data
