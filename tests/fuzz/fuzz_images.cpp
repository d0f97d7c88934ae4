#include "targets.h"

#include <simclr/data/pictures/image_io.h>

namespace simclr::fuzz {

void images(Bytes bytes) {
  std::string message;
  data::Picture picture;
  const bool is_picture = succeeds(
      [&] {
        picture = data::decode_picture(bytes, "picture");
        const bool possible = picture.height > 0 && picture.width > 0 &&
                              (picture.channels == 1 || picture.channels == 3 || picture.channels == 4);
        if (!possible) finding("an impossible picture");
        if (picture.pixels.size() !=
            std::size_t(picture.height) * std::size_t(picture.width) * std::size_t(picture.channels)) {
          finding("pixels that are not the picture's size");
        }
      },
      message);
  succeeds(
      [&] {
        const data::Raster raster = data::decode_raster(bytes, "picture");
        if (raster.bytes.size() != std::size_t(raster.height) * std::size_t(raster.width) *
                                       std::size_t(raster.channels) * std::size_t(size_of(raster.dtype))) {
          finding("values that are not the raster's size");
        }
        if (is_picture && raster.dtype == DType::u8 && !raster.bands && raster.bytes != picture.pixels) {
          finding("two ways to read a picture, which differ");
        }
      },
      message);
}

}  // namespace simclr::fuzz
