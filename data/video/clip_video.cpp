// Video files, through FFmpeg's libraries.
#include "../pictures/orientation.h"
#include "video_decoder.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

#ifdef SIMCLR_HAVE_FFMPEG
extern "C" {
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libavutil/version.h>
#include <libswscale/swscale.h>
}
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <sstream>
#include <utility>

namespace simclr::data {

#ifdef SIMCLR_HAVE_FFMPEG

namespace {

/// How long a frame is seen by what its packet says, in ticks.
std::int64_t duration_of(const AVFrame& frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
  return frame.duration;
#else
  return frame.pkt_duration;
#endif
}

class Video final : public ClipReader {
 public:
  explicit Video(FileBytes bytes) : ClipReader(bytes.name), decoder_(std::move(bytes)) {
    SIMCLR_CHECK(current_ && next_, name_, ": no memory is left to decode it");
    double seconds = decoder_.seconds();
    std::int64_t end = AV_NOPTS_VALUE;
    if (!(seconds > 0)) {
      end = decoder_.find_end();
      decoder_.restart();
    }
    SIMCLR_CHECK(decoder_.next(*next_), name_, ": a video without a frame that can be decoded by itself");
    has_next_ = fresh_ = true;
    start_ = next_->best_effort_timestamp;
    SIMCLR_CHECK(seconds > 0 || end > start_, name_,
                 ": does not say how long it is; write it anew, ffmpeg -i IN OUT.mp4 say");
    seconds -= decoder_.left_out(start_);
    if (end > start_) seconds = static_cast<double>(end - start_) * decoder_.tick();
    orientation_ = decoder_.orientation();
    const bool sideways = orientation_ > 4;
    info_ = {.frames = std::llround(std::clamp(seconds * decoder_.rate(), 1.0, 1e15)),
             .height = sideways ? next_->width : next_->height,
             .width = sideways ? next_->height : next_->width,
             .channels = 3,
             .rate = decoder_.rate()};
    check_clip(info_, name_);
  }

 private:
  /// Of a frame's number, in ticks.
  std::int64_t time_of(std::int64_t frame) const {
    return start_ + decoder_.ticks(static_cast<double>(frame) / info_.rate);
  }

  void read_frames(std::span<const std::int64_t> frames, std::span<std::uint8_t> out) override {
    const auto bytes = static_cast<std::size_t>(info_.frame_bytes());
    // Times are rounded to ticks: what is seen half a frame later is the frame that is meant.
    const auto half =
        static_cast<std::int64_t>(0.5 / info_.rate / decoder_.tick());  // rounded down: a tick may be a frame
    go_before(time_of(frames.front()) + half);
    bool same = false;  // as the frame before
    for (std::size_t k = 0; k < frames.size(); ++k) {
      const std::int64_t time = time_of(frames[k]) + half;
      while (has_next_ && (!has_current_ || next_->best_effort_timestamp <= time)) {
        if (has_current_) check_gap();
        std::swap(current_, next_);
        has_current_ = true;
        has_next_ = decoder_.next(*next_);
        same = false;
      }
      if (!has_next_) {
        check_end(frames[k], time - half);
      } else if (time - current_->best_effort_timestamp > 2 * half) {  // not its own time
        check_gap();
      }
      std::uint8_t* const to = out.data() + k * bytes;
      if (same) {
        std::memcpy(to, to - bytes, bytes);
      } else {
        convert(*current_, to);
      }
      same = true;
    }
  }

  /// So that the next frame is at or before `time`: a key frame, or the first of all.
  void go_before(std::int64_t time) {
    // A demuxer learns of key frames while it reads, and a codec keeps traces of damage: each read begins anew. The
    // mark goes at once, as what throws below leaves the decoder anywhere.
    if (!std::exchange(fresh_, false)) begin();
    has_current_ = false;
    bool moved = false;
    // A container's index may name a key frame that is shown later than it is decoded: then an earlier one is needed.
    for (const double back : {0.0, 1.0, 5.0, 25.0}) {
      const std::int64_t place = time - decoder_.ticks(back);
      if (place <= start_ || !decoder_.seeks()) break;
      moved = true;
      if (!decoder_.seek(place)) break;
      has_next_ = decoder_.next(*next_);
      if (has_next_ && next_->best_effort_timestamp <= time) return;
    }
    if (moved) begin();
  }

  /// So that the next frame is the first of all.
  void begin() {
    decoder_.restart();
    has_next_ = decoder_.next(*next_);
    SIMCLR_CHECK(has_next_, name_, ": a video without a frame that can be decoded by itself");
  }

  /// Some demuxers go on behind what they cannot read without a word. What comes next may then lean on lost frames.
  void check_gap() const {
    const std::int64_t from = current_->best_effort_timestamp, to = next_->best_effort_timestamp;
    if (!decoder_.skips() || static_cast<double>(to - from) * decoder_.tick() <= stays()) return;
    const auto seconds = [&](std::int64_t time) {
      std::ostringstream text;
      text << std::fixed << std::setprecision(2) << static_cast<double>(time - start_) * decoder_.tick();
      return text.str();
    };
    decoder_.damaged("no frame from " + seconds(from) + " s to " + seconds(to) + " s" + anew_);
  }

  /// Where the current frame is the last one.
  void check_end(std::int64_t frame, std::int64_t time) const {
    const std::int64_t last = current_->best_effort_timestamp;
    if (static_cast<double>(time - last) * decoder_.tick() <= stays()) return;
    const double number = static_cast<double>(last - start_) * decoder_.tick() * info_.rate;
    decoder_.damaged("frame " + std::to_string(frame) + " of " + std::to_string(info_.frames) +
                     " is not there, the last is " + std::to_string(std::llround(std::min(number, 1e15))) + anew_);
  }

  /// How long the current frame may be seen, in seconds: as its packet says, or for a while, as lengths are rounded.
  double stays() const {
    constexpr double least = 0.5;
    return std::max(least, static_cast<double>(duration_of(*current_)) * decoder_.tick()) + 1.0 / info_.rate;
  }

  void convert(const AVFrame& frame, std::uint8_t* out) {
    const bool sideways = orientation_ > 4;
    const int height = sideways ? info_.width : info_.height, width = sideways ? info_.height : info_.width;
    SIMCLR_CHECK(frame.height == height && frame.width == width, name_, ": its frames change from ", width, "x", height,
                 " to ", frame.width, "x", frame.height, " pixels; write it anew in one size");
    const auto format = static_cast<AVPixelFormat>(frame.format);
    scaler_.reset(sws_getCachedContext(scaler_.release(), width, height, format, width, height, AV_PIX_FMT_RGB24,
                                       SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_BITEXACT, nullptr,
                                       nullptr, nullptr));
    const char* const format_name = av_get_pix_fmt_name(format);
    SIMCLR_CHECK(scaler_, name_, ": its pixels, ", format_name ? format_name : "of an unknown format",
                 ", cannot be made RGB; convert it");
    const int* const matrix = sws_getCoefficients(frame.colorspace);
    sws_setColorspaceDetails(scaler_.get(), matrix, frame.color_range == AVCOL_RANGE_JPEG ? 1 : 0,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    constexpr int alignment = 64;  // the scaler may write up to so much behind a row
    const int row = 3 * width, padded = (row + alignment - 1) / alignment * alignment + alignment;
    rows_.resize(static_cast<std::size_t>(padded) * static_cast<std::size_t>(height) + alignment);
    std::uint8_t* const to[] = {rows_.data(), nullptr, nullptr, nullptr};
    const int strides[] = {padded, 0, 0, 0};
    const int done = sws_scale(scaler_.get(), frame.data, frame.linesize, 0, height, to, strides);
    SIMCLR_CHECK(done == height, name_, ": a frame cannot be made RGB");
    Picture picture{.height = height, .width = width, .channels = 3, .pixels = {}};
    picture.pixels.resize(static_cast<std::size_t>(row) * static_cast<std::size_t>(height));
    for (int y = 0; y < height; ++y) {
      std::copy_n(rows_.data() + std::int64_t{y} * padded, row, picture.pixels.data() + std::int64_t{y} * row);
    }
    turn_upright(picture, orientation_);
    std::copy(picture.pixels.begin(), picture.pixels.end(), out);
  }

  static constexpr const char* anew_ = "; where its rate varies, write it anew, ffmpeg -i IN -r 25 OUT.mp4 say";

  VideoDecoder decoder_;
  Owned<AVFrame> current_{av_frame_alloc()}, next_{av_frame_alloc()};
  bool has_current_ = false, has_next_ = false;
  bool fresh_ = false;      // opened and not read from: `next_` is the first frame of all
  std::int64_t start_ = 0;  // the first frame's time, in ticks
  int orientation_ = 1;
  Owned<SwsContext> scaler_;
  std::vector<std::uint8_t> rows_;
};

}  // namespace

std::unique_ptr<ClipReader> open_video(FileBytes bytes) {
  return std::make_unique<Video>(std::move(bytes));
}

#else

std::unique_ptr<ClipReader> open_video(FileBytes bytes) {
  fail(bytes.name,
       ": this build reads no video files; install libavformat-dev, libavcodec-dev and libswscale-dev and "
       "build again, or give folders of pictures or .npy files");
}

#endif

}  // namespace simclr::data
