// FFmpeg's demuxer and decoder of one stream of pictures.
#ifdef SIMCLR_HAVE_FFMPEG

#include "video_decoder.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/version.h>
#include <libswscale/swscale.h>
}

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>

namespace simclr::data {
namespace {

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr std::int64_t most_pixels = std::int64_t{1} << 16;  // more would only be slow
#else
constexpr std::int64_t most_pixels = std::int64_t{1} << 26;
#endif

/// Containers whose frames have time stamps, none of which leads to another file: no playlists, no lists of pictures.
constexpr const char* containers =
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,ogg,flv,asf,gif,nut,mxf,dv,h261,apng,ivf,rm,wtv";

/// Whether a demuxer, which has several names, has one of these.
bool is_one_of(const AVInputFormat& format, std::initializer_list<std::string_view> names) {
  const std::string_view all = format.name;
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return all.starts_with(name); });
}

/// What FFmpeg says of an error, in one line.
std::string reason(int error) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(error, text.data(), text.size());
  return printable(text.data());
}

int read_stream(void* opaque, std::uint8_t* to, int count) {
  VideoStream& stream = *static_cast<VideoStream*>(opaque);
  const std::int64_t there = std::min<std::int64_t>(count, stream.bytes.size - stream.at);
  if (there <= 0) return AVERROR_EOF;
  const std::string problem = stream.bytes.read(stream.at, {to, static_cast<std::size_t>(there)});
  if (!problem.empty()) {
    stream.problem = problem;
    return AVERROR(EIO);
  }
  stream.at += there;
  return static_cast<int>(there);
}

std::int64_t seek_stream(void* opaque, std::int64_t offset, int whence) {
  VideoStream& stream = *static_cast<VideoStream*>(opaque);
  if ((whence & AVSEEK_SIZE) != 0) return stream.bytes.size;
  const int from = whence & ~AVSEEK_FORCE;
  const std::int64_t base = from == SEEK_CUR ? stream.at : from == SEEK_END ? stream.bytes.size : 0;
  if (offset < -base || offset > stream.bytes.size - base) return AVERROR(EINVAL);
  return stream.at = base + offset;
}

/// FFmpeg writes to the terminal what we throw, unless somebody has set its level.
void be_quiet() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (av_log_get_level() == AV_LOG_INFO) av_log_set_level(AV_LOG_QUIET);
  });
}

bool is_key(const AVFrame& frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
  return (frame.flags & AV_FRAME_FLAG_KEY) != 0;
#else
  return frame.key_frame != 0;
#endif
}

bool is_whole(const AVFrame& frame) {
  return frame.decode_error_flags == 0 && (frame.flags & AV_FRAME_FLAG_CORRUPT) == 0;
}

/// Ticks of which sums and differences are no overflow.
constexpr std::int64_t most_ticks = std::int64_t{1} << 60;

bool is_possible(std::int64_t time) {
  return time > -most_ticks && time < most_ticks;
}

/// EXIF's orientation of a stream that is to be turned; 1: it is not.
int orientation_of_stream(const AVStream& stream) {
  const std::uint8_t* matrix = nullptr;
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
  const AVCodecParameters& codec = *stream.codecpar;
  const AVPacketSideData* data =
      av_packet_side_data_get(codec.coded_side_data, codec.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  if (data && data->size >= 9 * sizeof(std::int32_t)) matrix = data->data;
#else
  std::size_t size = 0;
  matrix = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (size < 9 * sizeof(std::int32_t)) matrix = nullptr;
#endif
  if (!matrix) return 1;
  std::array<std::int32_t, 9> values{};
  std::memcpy(values.data(), matrix, sizeof values);
  const double counter_clockwise = av_display_rotation_get(values.data());
  if (!std::isfinite(counter_clockwise)) return 1;
  const long clockwise = ((-std::lround(counter_clockwise / 90) % 4) + 4) % 4;
  constexpr int orientations[] = {1, 6, 3, 8};
  return orientations[clockwise];
}

}  // namespace

void FreeVideo::operator()(AVFormatContext* all) const {
  avformat_close_input(&all);
}
void FreeVideo::operator()(AVIOContext* io) const {
  av_freep(&io->buffer);
  avio_context_free(&io);
}
void FreeVideo::operator()(AVCodecContext* codec) const {
  avcodec_free_context(&codec);
}
void FreeVideo::operator()(AVFrame* frame) const {
  av_frame_free(&frame);
}
void FreeVideo::operator()(AVPacket* packet) const {
  av_packet_free(&packet);
}
void FreeVideo::operator()(SwsContext* scaler) const {
  sws_freeContext(scaler);
}

int VideoDecoder::orientation() const {
  return orientation_of_stream(*format_->streams[index_]);
}

double VideoDecoder::seconds() const {
  const AVStream& video = *format_->streams[index_];
  // ASF's and Matroska's length is that of all streams.
  const bool of_all = is_one_of(*format_->iformat, {"asf", "matroska"});
  if (counts_ || (of_all && format_->nb_streams > 1)) return 0;
  if (video.duration > 0) {
    // Where the index is missing, FFmpeg's guess is shorter than what AVI's header counts.
    const bool counted = is_one_of(*format_->iformat, {"avi"});
    return static_cast<double>(counted ? std::max(video.duration, video.nb_frames) : video.duration) * tick_;
  }
  if (!of_all || format_->duration <= 0) return 0;
  // Of Matroska, counted from 0, wherever the first frame is.
  return static_cast<double>(format_->duration - std::max<std::int64_t>(format_->start_time, 0)) / AV_TIME_BASE;
}

double VideoDecoder::left_out(std::int64_t first) const {
  const std::int64_t start = format_->streams[index_]->start_time;
  if (!cut_ || start == AV_NOPTS_VALUE) return 0;
  return std::max(0.0, static_cast<double>(first) * tick_ - static_cast<double>(start) * tick_);
}

bool VideoDecoder::next(AVFrame& frame) {
  for (;;) {
    const int got = avcodec_receive_frame(codec_.get(), &frame);
    if (got == 0) {
      if (is_before_key(frame)) continue;
      if (counts_) frame.best_effort_timestamp = next_time();
      check_frame(frame);
      return true;
    }
    if (got == AVERROR_EOF) return false;
    if (got != AVERROR(EAGAIN)) {
      pass_over(reason(got));
      if (drained_) return false;
    }
    feed();
  }
}

std::int64_t VideoDecoder::next_time() {
  if (first_slot_ == AV_NOPTS_VALUE) first_slot_ = slot_;
  const std::int64_t after = seen_ == AV_NOPTS_VALUE ? 0 : seen_ + ticks(1 / rate_);
  // A decoder gives a frame for each packet, so late as its first one was; at the end it gives those that it still has.
  seen_ = drained_ ? after : std::max(slot_ - first_slot_, seen_ + 1);
  return seen_;
}

bool VideoDecoder::is_before_key(const AVFrame& frame) {
  const std::int64_t time = frame.best_effort_timestamp;
  // Frames that were decoded together with the key frame, and are seen behind it, may have been passed over.
  const bool leans = within_ ? !is_key(frame) || !is_whole(frame) || passed_ > time
                             : !is_whole(frame) && time != AV_NOPTS_VALUE && time < key_time_;
  if (leans) {
    passed_ = std::max(passed_, time);
  } else {
    within_ = false;
  }
  return leans;
}

void VideoDecoder::pass_over(const std::string& what) {
  if (!within_ && (sent_ == AV_NOPTS_VALUE || sent_ >= key_time_)) damaged(what);
  passed_ = std::max(passed_, sent_);
}

void VideoDecoder::begin(bool within) {
  drained_ = false;
  first_ = !within;
  within_ = within;
  key_time_ = passed_ = sent_ = AV_NOPTS_VALUE;
}

std::int64_t VideoDecoder::slot_of(const AVPacket& packet, std::int64_t number) const {
  // AVI counts the frames that it leaves out, which no packet comes for.
  if (is_one_of(*format_->iformat, {"avi"}) && is_possible(packet.dts)) return packet.dts;
  return ticks(static_cast<double>(number) / rate_);
}

std::int64_t VideoDecoder::ticks(double seconds) const {
  return std::llround(std::min(seconds / tick_, static_cast<double>(most_ticks)));
}

bool VideoDecoder::seek(std::int64_t time) {
  if (av_seek_frame(format_.get(), index_, time, AVSEEK_FLAG_BACKWARD) < 0) return false;
  avcodec_flush_buffers(codec_.get());
  begin(true);
  return true;
}

void VideoDecoder::restart() {
  stream_.at = 0;
  stream_.problem.clear();
  open();
}

std::int64_t VideoDecoder::find_end() {
  for (unsigned i = 0; i < format_->nb_streams; ++i) format_->streams[i]->discard = AVDISCARD_DEFAULT;
  const AVStream& video = *format_->streams[index_];
  const double header = std::max(static_cast<double>(format_->duration) / AV_TIME_BASE,  // less than 0: says nothing
                                 static_cast<double>(video.nb_frames) / rate_);
  constexpr double tail = 2;  // seconds; a jump goes to the key frame before it, however early the pictures end
  if (seeks_ && header > tail) seek(ticks(header - tail));
  std::int64_t end = AV_NOPTS_VALUE, count = 0, first = 0, last = 0;
  bool keyed = false;  // frames before the first key frame cannot be decoded
  double all_end = 0;  // of sound as well
  for (; av_read_frame(format_.get(), packet_.get()) >= 0; av_packet_unref(packet_.get())) {
    const bool ours = packet_->stream_index == index_;
    if (ours) {
      last = slot_of(*packet_, count++);
      if (count == 1 || ((packet_->flags & AV_PKT_FLAG_KEY) != 0 && !keyed)) first = last;
      keyed = keyed || (packet_->flags & AV_PKT_FLAG_KEY) != 0;
    }
    const std::int64_t time = std::max(packet_->pts, packet_->dts);  // AV_NOPTS_VALUE is below all
    if (!is_possible(time)) continue;
    const std::int64_t lasts = ours && packet_->duration == 0 ? ticks(1 / rate_) : packet_->duration;
    const std::int64_t behind = time + std::clamp<std::int64_t>(lasts, 0, 1 << 30);
    const double unit = av_q2d(format_->streams[packet_->stream_index]->time_base);
    all_end = std::max(all_end, static_cast<double>(behind) * unit);
    if (ours) end = std::max(end, behind);
  }
  if (counts_ && count > 0) end = last - first + ticks(1 / rate_);
  constexpr double most = 0.5;  // seconds that a header may be wrong by
  return header > all_end + most ? std::max(end, ticks(header)) : end;
}

void VideoDecoder::damaged(const std::string& what) const {
  SIMCLR_CHECK(stream_.problem.empty(), "clip: cannot read ", name(), ": ", stream_.problem);
  fail(name(), ": damaged or cut off: ", what);
}

void VideoDecoder::open() {
  be_quiet();
  codec_.reset();
  format_.reset();
  constexpr int buffer_bytes = 1 << 16;
  auto* const buffer = static_cast<std::uint8_t*>(av_malloc(buffer_bytes));
  SIMCLR_CHECK(buffer, name(), ": no memory is left to read it");
  io_.reset(avio_alloc_context(buffer, buffer_bytes, 0, &stream_, read_stream, nullptr, seek_stream));
  AVFormatContext* format = avformat_alloc_context();
  packet_.reset(av_packet_alloc());
  SIMCLR_CHECK(io_ && format && packet_, name(), ": no memory is left to read it");
  format->pb = io_.get();
  format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_GENPTS;
  format->format_whitelist = av_strdup(containers);
  format->protocol_whitelist = av_strdup("none");
  const int opened = avformat_open_input(&format, nullptr, nullptr, nullptr);  // frees it where it fails
  if (opened < 0) {
    SIMCLR_CHECK(stream_.problem.empty(), "clip: cannot read ", name(), ": ", stream_.problem);
    fail(name(), ": no video that can be read by its content, or damaged at its beginning (", reason(opened), ")");
  }
  format_.reset(format);
  open_codec();
}

void VideoDecoder::open_codec() {
  const int looked = avformat_find_stream_info(format_.get(), nullptr);
  if (looked < 0) damaged(reason(looked));
  index_ = av_find_best_stream(format_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  SIMCLR_CHECK(index_ >= 0, name(), ": a file without a stream of pictures");
  AVStream& video = *format_->streams[index_];
  SIMCLR_CHECK((video.disposition & AV_DISPOSITION_ATTACHED_PIC) == 0, name(),
               ": a file without a stream of pictures but for its cover");
  const AVCodec* const decoder = avcodec_find_decoder(video.codecpar->codec_id);
  SIMCLR_CHECK(decoder, name(), ": its video is ", printable(avcodec_get_name(video.codecpar->codec_id)),
               ", which this machine's FFmpeg does not decode; convert it");
  const AVRational rate = av_guess_frame_rate(format_.get(), &video, nullptr);
  rate_ = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
  constexpr double least = 1e-3, most = 1e4;
  SIMCLR_CHECK(rate_ >= least && rate_ <= most && video.time_base.num > 0 && video.time_base.den > 0, name(),
               ": does not say how many frames a second it has; write it anew, ffmpeg -i IN OUT.mp4 say");
  tick_ = av_q2d(video.time_base);
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    if (static_cast<int>(i) != index_) format_->streams[i]->discard = AVDISCARD_ALL;
  }
  codec_.reset(avcodec_alloc_context3(decoder));
  SIMCLR_CHECK(codec_, name(), ": no memory is left to decode it");
  codec_->thread_count = 1;  // the loader has threads
  codec_->max_pixels = most_pixels;
  int done = avcodec_parameters_to_context(codec_.get(), video.codecpar);
  codec_->pkt_timebase = video.time_base;
  if (done >= 0) done = avcodec_open2(codec_.get(), decoder, nullptr);
  if (done < 0) damaged(reason(done));
  begin(false);
  // AVI and MPEG's program streams store no time, or not each frame's: FFmpeg guesses it from the order, and otherwise
  // behind a jump. Where frames are decoded in another order than they are shown, only counting them is sure.
  const AVInputFormat& container = *format_->iformat;
  const AVCodecDescriptor* const kind = avcodec_descriptor_get(video.codecpar->codec_id);
  const bool reorders = !kind || (kind->props & AV_CODEC_PROP_REORDER) != 0;
  counts_ = is_one_of(container, {"mpeg", "avi", "mxf"}) && !is_one_of(container, {"mpegts"}) && reorders;
  seeks_ = !counts_ && is_one_of(container, {"mov", "matroska", "mpegts", "flv", "ogg", "asf", "nut", "avi"});
  skips_ = !counts_ && !is_one_of(container, {"mov", "avi"});
  packets_ = 0;
  first_slot_ = seen_ = AV_NOPTS_VALUE;
}

void VideoDecoder::feed() {
  while (!drained_) {
    const int got = av_read_frame(format_.get(), packet_.get());
    if (got == AVERROR_EOF || (got < 0 && within_)) {
      drained_ = true;
      avcodec_send_packet(codec_.get(), nullptr);
      return;
    }
    if (got < 0) damaged(reason(got));
    const bool ours = packet_->stream_index == index_;
    const bool whole = (packet_->flags & AV_PKT_FLAG_CORRUPT) == 0;
    const bool key = (packet_->flags & AV_PKT_FLAG_KEY) != 0;
    if (ours) sent_ = packet_->pts;
    if (ours) slot_ = slot_of(*packet_, packets_++);
    const int sent = ours ? avcodec_send_packet(codec_.get(), packet_.get()) : 0;
    av_packet_unref(packet_.get());
    if (!ours) continue;
    if (std::exchange(first_, false)) {
      within_ = cut_ = !key;
      key_time_ = key ? sent_ : AV_NOPTS_VALUE;
    }
    if (!whole) pass_over("a part of it is missing");
    if (sent < 0 && sent != AVERROR(EAGAIN)) pass_over(reason(sent));
    return;
  }
}

void VideoDecoder::check_frame(const AVFrame& frame) const {
  if (frame.best_effort_timestamp == AV_NOPTS_VALUE) damaged("a frame without a time");
  if (!is_possible(frame.best_effort_timestamp)) damaged("a frame with an impossible time");
  if (!is_whole(frame)) damaged("a frame cannot be decoded whole");
}

}  // namespace simclr::data

#endif
