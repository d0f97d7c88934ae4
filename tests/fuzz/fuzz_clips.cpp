#include "targets.h"

#include <simclr/data/video/clip_io.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace simclr::fuzz {

void clips(Bytes bytes) {
  std::string message;
  std::unique_ptr<data::ClipReader> clip;
  if (!succeeds([&] { clip = data::open_clip(bytes, "clip"); }, message)) return;
  const data::ClipInfo& info = clip->info();
  if (info.frames < 1 || info.height < 1 || info.width < 1 || info.channels < 1) finding("an impossible clip");
  constexpr std::int64_t most_bytes = 1 << 22;
  if (info.frame_bytes() > most_bytes) return;
  // Frames are the same whatever was read before, where both can be read.
  const std::vector<std::int64_t> some = {0, info.frames / 2}, last = {info.frames / 2};
  std::vector<std::uint8_t> both(static_cast<std::size_t>(2 * info.frame_bytes())), one(both.size() / 2);
  const bool reads = succeeds([&] { clip->read(some, both); }, message);
  const bool again = succeeds([&] { clip->read(last, one); }, message);
  std::vector<std::uint8_t> repeated(one.size());
  if (!again || !succeeds([&] { clip->read(last, repeated); }, message)) return;
  if (one != repeated) finding("the same frame read twice differs");
  static_cast<void>(reads);  // of a damaged file the way from the start may fail where a later key frame is whole
}

}  // namespace simclr::fuzz
