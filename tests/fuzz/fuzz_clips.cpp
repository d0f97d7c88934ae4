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
  // A frame is the same whatever was read before, or fails the same.
  const std::vector<std::int64_t> some = {0, info.frames / 2}, last = {info.frames / 2};
  std::vector<std::uint8_t> both(static_cast<std::size_t>(2 * info.frame_bytes())), one(both.size() / 2);
  succeeds([&] { clip->read(some, both); }, message);  // it may fail where a later key frame is whole
  const bool reads = succeeds([&] { clip->read(last, one); }, message);
  std::vector<std::uint8_t> fresh(one.size());
  const bool again = succeeds([&] { data::open_clip(bytes, "clip")->read(last, fresh); }, message);
  if (reads != again) finding("a frame is read or not by what was read before: " + message);
  if (reads && one != fresh) finding("a frame depends on what was read before");
}

}  // namespace simclr::fuzz
