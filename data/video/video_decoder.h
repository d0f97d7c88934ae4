#pragma once

// Private: FFmpeg's demuxer and decoder of one stream of pictures. Its types stay in the sources.

#include "clip_kinds.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

struct AVCodecContext;
struct AVFormatContext;
struct AVFrame;
struct AVIOContext;
struct AVPacket;
struct SwsContext;

namespace simclr::data {

/// What FFmpeg holds by pointers to pointers.
struct FreeVideo {
  void operator()(AVFormatContext* all) const;
  void operator()(AVIOContext* io) const;
  void operator()(AVCodecContext* codec) const;
  void operator()(AVFrame* frame) const;
  void operator()(AVPacket* packet) const;
  void operator()(SwsContext* scaler) const;
};
template <class T>
using Owned = std::unique_ptr<T, FreeVideo>;

/// A file as FFmpeg reads it.
struct VideoStream {
  FileBytes bytes;
  std::int64_t at = 0;
  std::string problem = {};
};

/// An opened file: its demuxer and decoder.
class VideoDecoder {
 public:
  explicit VideoDecoder(FileBytes bytes) : stream_{.bytes = std::move(bytes)} { open(); }

  const std::string& name() const { return stream_.bytes.name; }
  double rate() const { return rate_; }
  double tick() const { return tick_; }  // seconds
  std::int64_t ticks(double seconds) const;
  int orientation() const;  // EXIF's

  /// What the headers say of how long there are pictures, in seconds; 0: nothing that can be relied on.
  double seconds() const;
  /// The next frame in the order of time; false behind the last. Behind a jump, and where the stream begins within a
  /// group, that is the first key frame: what comes before may lean on frames that were not decoded.
  bool next(AVFrame& frame);
  /// How much of seconds() there is before the `first` frame, of that time in ticks, because it could not be decoded.
  double left_out(std::int64_t first) const;
  /// Whether the times of frames behind a jump are those of decoding from the start.
  bool seeks() const { return seeks_; }
  /// Whether frames may be missing without a word: not where a table names them all.
  bool skips() const { return skips_; }
  /// Goes to the last place at or before `time` (in ticks) that can be decoded from; false: there is none, and the
  /// decoder may be anywhere.
  bool seek(std::int64_t time);
  /// As if it had just been opened. Where it throws, it has to be called again before anything else.
  void restart();
  /// The time behind the last packet, in ticks, AV_NOPTS_VALUE where none has one; the header's where the file ends
  /// before it. Reads the file's end, or all of it, and then has to be restarted.
  std::int64_t find_end();

  [[noreturn]] void damaged(const std::string& what) const;

 private:
  void open();
  void open_codec();
  void begin(bool within);
  void feed();
  bool is_before_key(const AVFrame& frame);
  void pass_over(const std::string& what);  // where a packet is damaged; throws, where it is none before the key frame
  void check_frame(const AVFrame& frame) const;
  std::int64_t slot_of(const AVPacket& packet, std::int64_t number) const;
  std::int64_t next_time();

  VideoStream stream_;
  Owned<AVIOContext> io_;  // outlives the demuxer
  Owned<AVFormatContext> format_;
  Owned<AVCodecContext> codec_;
  Owned<AVPacket> packet_;
  int index_ = -1;
  double rate_ = 0, tick_ = 0;
  bool drained_ = false;
  bool counts_ = false;  // frames are told by the order of packets, for want of times
  bool seeks_ = false, skips_ = false;
  bool first_ = true;    // no packet has come
  bool cut_ = false;     // the first packet of the file is no key frame
  bool within_ = false;  // no key frame has come, and the first packet is none
  // Times in ticks, AV_NOPTS_VALUE where there are none: of the first packet, if it is a key frame; the last that was
  // passed over; of the packet that was decoded last.
  std::int64_t key_time_ = 0, passed_ = 0, sent_ = 0;
  // Where frames are counted, in ticks: the place of the packet that was decoded last, of that which gave the first
  // frame, and the last frame's time.
  std::int64_t slot_ = 0, first_slot_ = 0, seen_ = 0;
  std::int64_t packets_ = 0;
};

}  // namespace simclr::data
