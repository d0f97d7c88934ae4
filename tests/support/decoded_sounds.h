#pragma once

// What decoding a recording gives, for tests.

#include <simclr/data/sound/sound_io.h>

#include "support/catch.h"
#include "support/message_of.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace simclr::test {

/// Why a recording cannot be decoded, in one line.
inline std::string error_of(const std::vector<std::uint8_t>& bytes, std::int32_t rate = 0,
                            const data::SoundSegment& segment = {}) {
  const std::string message = message_of([&] { data::decode_sound(bytes, "a.wav", rate, segment); });
  CHECK(message.find('\n') == std::string::npos);
  return message;
}

/// 10 log10 of the error's share of the signal.
inline double error_db(const std::vector<float>& values, const std::vector<float>& wanted, std::size_t from,
                       std::size_t to) {
  double error = 0.0, power = 0.0;
  for (std::size_t i = from; i < to; ++i) {
    error += std::pow(double{values[i]} - wanted[i], 2);
    power += double{wanted[i]} * wanted[i];
  }
  return 10.0 * std::log10(error / power + 1e-30);
}

}  // namespace simclr::test
