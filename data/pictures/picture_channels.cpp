#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/kernels/augment.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

namespace simclr::data {
namespace {

/// Of which channels views of this picture are.
int channels_of(const Raster& picture) {
  return picture.bands ? picture.channels : 3;
}

/// Whether a file of this name may have other channels than grey, RGB and alpha.
bool may_have_bands(const std::string& file) {
  const std::string ending = ending_of(file);
  return ending == ".npy" || ending == ".tif" || ending == ".tiff" || !is_picture_name(file);
}

std::span<const float> values_of(const Raster& picture) {
  return {reinterpret_cast<const float*>(picture.bytes.data()), picture.bytes.size() / sizeof(float)};
}

/// RGB without the channel beside it.
void keep_rgb(Raster& picture) {
  const auto value = static_cast<std::size_t>(size_of(picture.dtype));
  const std::size_t pixels = picture.bytes.size() / (4 * value);
  for (std::size_t i = 0; i < pixels; ++i) {
    std::memmove(&picture.bytes[3 * value * i], &picture.bytes[4 * value * i], 3 * value);
  }
  picture.bytes.resize(3 * value * pixels);
  picture.channels = 3;
  picture.bands = picture.rgb_and_one = false;
}

void check_channels(const Raster& picture, int channels, const std::string& name) {
  if (channels == 0) return;
  if (kernels::is_colour(channels)) {
    SIMCLR_CHECK(!picture.bands, printable(name), ": has ", picture.channels,
                 " channels, and views here are of grey or RGB; keep pictures of other channels in a folder of their "
                 "own");
    return;
  }
  SIMCLR_CHECK(picture.channels == channels && picture.bands, printable(name), ": has ", picture.channels,
               picture.bands ? " channels" : " channels of grey, RGB or alpha", ", and views here are of ", channels,
               "; keep pictures of other channels in a folder of their own");
}

}  // namespace

std::string PictureChannels::text() const {
  if (seen.empty() || (seen.size() == 1 && channels == 3 && rgb_and_one == 0)) return {};
  std::int64_t all = 0;
  std::string others;
  for (const auto& [count, pictures] : seen) {
    all += pictures;
    if (count == channels) continue;
    others += (others.empty() ? "; " : ", ") + std::to_string(pictures) + (pictures == 1 ? " has " : " have ") +
              (count == 3 ? "grey or RGB" : std::to_string(count));
  }
  const std::int64_t of_these = seen.contains(channels) ? seen.at(channels) : 0;
  const std::string what = channels == 3 ? "grey or RGB" : std::to_string(channels);
  return "channels: " + what + ", as " + std::to_string(of_these) + " of " + counted(all, "picture") +
         " have that were looked at" +
         (rgb_and_one == 0 ? ""
                           : ", of which " + std::to_string(rgb_and_one) + (rgb_and_one == 1 ? " has" : " have") +
                                 " a fourth that is not called alpha: it is left out") +
         others + (others.empty() ? "" : ": pictures of others are skipped");
}

PictureChannels channels_of_pictures(const PictureList& pictures, LookAt which) {
  const auto file = [&](std::int64_t i) { return pictures.files[static_cast<std::size_t>(i)]; };
  const auto read = [&](std::int64_t i) {
    return read_raster((std::filesystem::path(pictures.dir) / file(i)).string());
  };
  return channels_of_pictures(std::ssize(pictures.files), file, read, which);
}

PictureChannels channels_of_pictures(std::int64_t count, const std::function<std::string(std::int64_t)>& name,
                                     const std::function<Raster(std::int64_t)>& read, LookAt which) {
  constexpr std::int64_t most = 32;
  PictureChannels found;
  std::int64_t rgb_and_one = 0;
  std::int64_t first = 0;
  const auto is_opened = [&](std::int64_t i) { return which == LookAt::all || may_have_bands(name(i)); };
  while (first < count && !is_opened(first)) ++first;
  if (first == count) return found;
  for (std::int64_t k = 0; k < std::min(most, count); ++k) {
    const std::int64_t i = k * count / std::min(most, count);
    if (!is_opened(i)) {
      ++found.seen[3];
      continue;
    }
    try {
      const Raster picture = read(i);
      ++found.seen[channels_of(picture)];
      rgb_and_one += picture.rgb_and_one ? 1 : 0;
      if (picture.dtype == DType::f32) found.floats.add(values_of(picture));
    } catch (const Error&) {  // whoever reads it for training reports it
    }
  }
  std::int64_t votes = found.seen.contains(3) ? found.seen[3] : 0;
  for (const auto& [channels, seen] : found.seen) {
    if (seen > votes) {
      found.channels = channels;
      votes = seen;
    }
  }
  if (found.channels == 3 && rgb_and_one > 0) {
    found.rgb_and_one = rgb_and_one;
    found.seen[3] += rgb_and_one;
    if ((found.seen[4] -= rgb_and_one) == 0) found.seen.erase(4);
  }
  return found;
}

Sample picture_sample(Raster picture, std::int32_t label, int channels, const std::string& name) {
  // Many programs write RGB with a fourth channel that they fill with anything and call nothing. Among RGB pictures it
  // is that; in a folder of its own kind it may be infrared.
  if (picture.rgb_and_one && kernels::is_colour(channels)) keep_rgb(picture);
  check_channels(picture, channels, name);
  const auto owner = std::make_shared<const Raster>(std::move(picture));
  return {.bytes = std::as_bytes(std::span(owner->bytes)),
          .shape = {owner->height, owner->width, owner->channels},
          .dtype = owner->dtype,
          .label = label,
          .owner = owner,
          .warning = owner->warning,
          .finite = true};
}

}  // namespace simclr::data
