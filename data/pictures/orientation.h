#pragma once

// Private: which way is up.

#include <simclr/data/pictures/image_io.h>

namespace simclr::data {

/// EXIF's orientation of a file of this kind (picture_kind()), 1 to 8: what a JPEG, PNG or WebP has in its EXIF data
/// or, where these say nothing, in its XMP data; of a PNG's packed texts the first 16 count. 1 where the file says
/// nothing, and of other kinds. Damage counts as nothing.
int orientation_of(std::span<const std::uint8_t> bytes, const std::string& kind);

/// Turns and mirrors a picture whose file has that orientation, so that it stands as it is meant to be seen.
void turn_upright(Picture& picture, int orientation);

}  // namespace simclr::data
