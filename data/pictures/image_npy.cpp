// Pictures that are NumPy arrays: [height,width], [height,width,channels] or [channels,height,width].
#include "array_pixels.h"
#include "image_codecs.h"

#include <simclr/data/npy.h>

namespace simclr::data {

Raster decode_npy_raster(std::span<const std::uint8_t> bytes, const std::string& name) {
  const NpyHeader header = parse_npy(bytes, name);
  const ArrayPixels pixels = array_pixels(header, ArrayOf::picture, name);
  Raster raster{.height = static_cast<std::int32_t>(pixels.height),
                .width = static_cast<std::int32_t>(pixels.width),
                .channels = static_cast<std::int32_t>(pixels.channels),
                .dtype = pixels.dtype,
                .bands = pixels.bands()};
  const auto values = bytes.subspan(static_cast<std::size_t>(header.begin));
  SIMCLR_CHECK(std::ssize(values) >= header.bytes(), name, ": the file is truncated");
  raster.bytes.resize(static_cast<std::size_t>(pixels.bytes()));
  read_pixels(header, pixels, values, raster.bytes, name);
  return raster;
}

}  // namespace simclr::data
