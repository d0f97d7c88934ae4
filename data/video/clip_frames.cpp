// Clips whose frames lie apart: folders of pictures, and .npy files.
#include "../file.h"
#include "../pictures/array_pixels.h"
#include "clip_kinds.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace simclr::data {
namespace {

namespace fs = std::filesystem;

class FrameFolder final : public ClipReader {
 public:
  FrameFolder(const std::string& folder, std::vector<std::string> files)
      : ClipReader(printable(folder)), folder_(folder), files_(std::move(files)) {
    SIMCLR_CHECK(!files_.empty(), name_, ": a folder without a ", read_kinds(),
                 " picture, so no clip; where it holds clips, give one of them");
    first_ = read_raster(path(0));
    info_ = {.frames = std::ssize(files_),
             .height = first_.height,
             .width = first_.width,
             .channels = first_.channels,
             .dtype = first_.dtype};
    check_clip(info_, name_);
  }

 private:
  std::string path(std::size_t i) const { return (fs::path(folder_) / files_[i]).string(); }

  void read_frames(std::span<const std::int64_t> frames, std::span<std::uint8_t> out) override {
    const auto bytes = static_cast<std::size_t>(info_.frame_bytes());
    for (std::size_t k = 0; k < frames.size(); ++k) {
      std::uint8_t* const to = out.data() + k * bytes;
      if (k > 0 && frames[k] == frames[k - 1]) {
        std::memcpy(to, to - bytes, bytes);
        continue;
      }
      const auto i = static_cast<std::size_t>(frames[k]);
      const Raster frame = i == 0 ? first_ : read_raster(path(i));
      SIMCLR_CHECK(frame.height == info_.height && frame.width == info_.width && frame.channels == info_.channels &&
                       frame.dtype == info_.dtype,
                   printable(path(i)), ": ", frame.width, "x", frame.height, " pixels of ", frame.channels,
                   " channels of ", frame.dtype, ", the clip's first frame is ", info_.width, "x", info_.height, " of ",
                   info_.channels, " of ", info_.dtype, "; all frames of a clip are of one size and kind");
      std::memcpy(to, frame.bytes.data(), bytes);
    }
  }

  const std::string folder_;
  const std::vector<std::string> files_;
  Raster first_;
};

class NpyClip final : public ClipReader {
 public:
  explicit NpyClip(std::shared_ptr<const NpyArray> array)
      : ClipReader(array->name()),
        array_(std::move(array)),
        pixels_(array_pixels(array_->header(), ArrayOf::frames, name_)) {
    info_ = {.frames = pixels_.count,
             .height = static_cast<std::int32_t>(pixels_.height),
             .width = static_cast<std::int32_t>(pixels_.width),
             .channels = static_cast<std::int32_t>(pixels_.channels),
             .dtype = pixels_.dtype};
    check_clip(info_, name_);
  }

 private:
  void read_frames(std::span<const std::int64_t> frames, std::span<std::uint8_t> out) override {
    const auto bytes = static_cast<std::size_t>(info_.frame_bytes());
    for (std::size_t k = 0; k < frames.size(); ++k) read_frame(frames[k], out.subspan(k * bytes, bytes));
    if (info_.dtype != DType::f32) return;
    std::vector<float> values(out.size() / sizeof(float));
    std::memcpy(values.data(), out.data(), out.size());
    const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
    SIMCLR_CHECK(bad == values.end(), name_, ": a frame has the value ", *bad, "; give missing values a number");
  }

  void read_frame(std::int64_t frame, std::span<std::uint8_t> out) {
    const NpyHeader& header = array_->header();
    const std::int64_t begin = frame * pixels_.picture_step * header.value_bytes;
    // Where frames lie interleaved, as in Fortran's order, a frame's values end with the array's.
    const std::int64_t whole = header.fortran_order ? header.bytes() - begin : pixels_.values() * header.value_bytes;
    SIMCLR_CHECK(whole <= max_clip_bytes, name_, ": frames of more than ", max_clip_bytes,
                 " bytes of an array in Fortran's order; save np.ascontiguousarray(x)");
    values_.resize(static_cast<std::size_t>(whole));
    array_->read(begin, values_);
    read_pixels(header, pixels_, values_, out, name_);
  }

  std::shared_ptr<const NpyArray> array_;
  ArrayPixels pixels_;
  std::vector<std::uint8_t> values_;
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The run of digits from `at` on, without leading zeros; moves `at` behind it.
std::string_view digits(const std::string& text, std::size_t& at) {
  while (at < text.size() && text[at] == '0') ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return std::string_view(text).substr(begin, at - begin);
}

}  // namespace

bool numbers_before(const std::string& a, const std::string& b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const std::string_view one = digits(a, i), other = digits(b, j);
      if (one.size() != other.size()) return one.size() < other.size();
      if (one != other) return one < other;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
    }
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;  // "1" and "01"
}

std::vector<std::string> frame_files(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.') || !is_picture_name(name)) continue;
    if (ending_of(name) != ".gif") names.push_back(name);  // which is a clip itself
  }
  SIMCLR_CHECK(!error, printable(folder), ": cannot be listed: ", error.message());
  std::sort(names.begin(), names.end(), numbers_before);
  return names;
}

std::unique_ptr<ClipReader> open_frames(const std::string& folder, std::vector<std::string> files) {
  return std::make_unique<FrameFolder>(folder, std::move(files));
}

std::unique_ptr<ClipReader> open_npy_clip(std::shared_ptr<const NpyArray> array) {
  return std::make_unique<NpyClip>(std::move(array));
}

}  // namespace simclr::data
