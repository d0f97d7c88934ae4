#pragma once

#include <simclr/core/error.h>
#include <simclr/data/pictures/image_io.h>

#include "support/catch.h"
#include "support/pictures.h"

namespace simclr::test {

/// Decodes `whole` with each of its bytes changed in three ways: each time it is a picture, or an error that names it.
/// How many were errors.
inline int decode_with_changed_bytes(const Bytes& whole) {
  int errors = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      Bytes bytes = whole;
      bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ flip);
      try {
        const data::Picture picture = data::decode_picture(bytes, "a picture");
        CHECK(static_cast<std::int64_t>(picture.pixels.size()) ==
              std::int64_t{picture.height} * picture.width * picture.channels);
      } catch (const Error& error) {
        CHECK_THAT(error.what(), Catch::Matchers::Contains("a picture: "));
        ++errors;
      }
    }
  }
  return errors;
}

}  // namespace simclr::test
