#pragma once

#include <simclr/data/dataset.h>
#include <simclr/data/pictures/float_range.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_list.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace simclr::data {

/// What a look at some pictures finds: of how many channels their views are. Views of 3 are made of grey, RGB and RGB
/// with alpha; views of another count of pictures with as many channels.
struct PictureChannels {
  int channels = 3;
  std::map<int, std::int64_t> seen = {};  // how many of the pictures that were looked at ask for views of how many
  std::int64_t rgb_and_one = 0;           // of those of 3: have one more, which is left out
  FloatRange floats = {};                 // of the floating-point ones
  /// "channels: 5, as 20 of 32 pictures have that were looked at; 12 have 3: pictures of others than 5 are skipped";
  /// empty where all are grey or RGB.
  SIMCLR_API std::string text() const;
};

/// Which pictures are opened to be looked at: those that may have other counts by their names, TIFF and .npy, if there
/// are some; or all.
enum class LookAt { may_have_bands, all };

/// Of 3, unless more of the pictures that are looked at, at most 32 spread over the list, have another count. What
/// cannot be read does not count.
SIMCLR_API PictureChannels channels_of_pictures(const PictureList& pictures, LookAt which = LookAt::may_have_bands);

/// The same of any pictures that have names to be told by, and can be read.
SIMCLR_API PictureChannels channels_of_pictures(std::int64_t count,
                                                const std::function<std::string(std::int64_t)>& name,
                                                const std::function<Raster(std::int64_t)>& read,
                                                LookAt which = LookAt::may_have_bands);

/// A picture of decode_raster() as a sample, which owns it. Of RGB and one channel more that is no alpha, grey and
/// colour views are of the RGB. Floats are not looked at again: decode_raster() refuses NaN and infinite ones, and a
/// raster of another origin must have none. Throws Error, opened by `name`, for a picture that views of so many
/// channels cannot be made of; 0 takes any.
SIMCLR_API Sample picture_sample(Raster picture, std::int32_t label, int channels, const std::string& name);

}  // namespace simclr::data
