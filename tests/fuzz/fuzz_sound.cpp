#include "../support/vorbis_leak.h"
#include "targets.h"

#include <simclr/data/sound/sound_io.h>

#include <cmath>
#include <vector>

namespace simclr::fuzz {

void sound(Bytes bytes) {
  std::string message;
  data::SoundInfo info;
  const bool looks = succeeds([&] { info = data::look_at_sound(bytes, "recording"); }, message);
  data::Sound whole;
  const bool reads = succeeds([&] { whole = data::decode_sound(bytes, "recording"); }, message);
  if (reads && !looks) finding("a recording without a header");
  if (reads) {
    if (whole.samples.empty() || whole.rate != info.rate) finding("an impossible recording");
    for (const float value : whole.samples) {
      if (!(std::abs(value) <= data::max_sound_level)) finding("a value that is no sound");
    }
    if (whole.warning.find('\n') != std::string::npos) finding("a warning is not one line: " + whole.warning);
  }
  if (!looks || info.frames < 0) return;
  const double middle = info.seconds() / 2;
  data::Sound part;
  const bool parts = succeeds(
      [&] {
        part = data::decode_sound(bytes, "recording", 0, {middle, middle + 0.01});
      },
      message);
  if (!parts) return;
  const auto most = static_cast<std::size_t>(std::ceil(0.01 * info.rate)) + 1;
  if (part.samples.empty() || part.samples.size() > most) finding("a segment of another length");
  if (!reads || data::sound_kind(bytes) != ".wav") return;
  const auto from = static_cast<std::size_t>(std::ceil(middle * info.rate - 1e-6));
  for (std::size_t i = 0; i < part.samples.size(); ++i) {
    if (part.samples[i] != whole.samples.at(from + i)) finding("a segment that differs from the whole");
  }
}

}  // namespace simclr::fuzz
