#pragma once

// Small video files, written through FFmpeg's libraries. For builds that have them.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
}

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.h"

namespace simclr::test {

struct VideoOptions {
  std::string codec = "mpeg4";  // a name of FFmpeg's encoders
  int frames = 60, width = 64, height = 48;
  int rate = 25;
  int between_keys = 12, b_frames = 2;
  double first_second = 0;       // when the first frame is seen
  int pause = 0;                 // frames that are not there before the middle one, which comes so much later
  int last_frames = 1;           // how long the last packet says to last, in frames
  int sound_frames = 0;          // length of a second stream, silence, in frames
  std::string x264_params = {};  // of the encoder libx264
};

/// Brightness of the frames' left and right half: frame k is told by it, and by a bar that moves.
inline int level_of(int frame) {
  return 30 + frame * 37 % 190;
}

namespace video_detail {

inline void check(int result) {
  REQUIRE(result >= 0);
}

inline void draw(AVFrame& frame, int number) {
  check(av_frame_make_writable(&frame));
  for (int y = 0; y < frame.height; ++y) {
    for (int x = 0; x < frame.width; ++x) {
      const bool bar = x >= number % frame.width && x < number % frame.width + 8;
      frame.data[0][y * frame.linesize[0] + x] = static_cast<std::uint8_t>(bar ? 235 : level_of(number));
    }
  }
  for (int plane = 1; plane < 3; ++plane) {
    for (int y = 0; y < frame.height / 2; ++y) {
      for (int x = 0; x < frame.width / 2; ++x) {
        frame.data[plane][y * frame.linesize[plane] + x] =
            static_cast<std::uint8_t>(plane == 1 ? 128 : 100 + number % 60);
      }
    }
  }
}

inline constexpr int sound_rate = 8000;

/// Adds a stream of silence. Call before the header is written.
inline AVStream* add_sound(AVFormatContext* out) {
  AVStream* const sound = avformat_new_stream(out, nullptr);
  AVCodecParameters& codec = *sound->codecpar;
  codec.codec_type = AVMEDIA_TYPE_AUDIO;
  codec.codec_id = AV_CODEC_ID_PCM_S16LE;
  codec.sample_rate = sound_rate;
  codec.bits_per_coded_sample = 16;
  codec.block_align = 2;
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(59, 24, 100)
  codec.ch_layout = AV_CHANNEL_LAYOUT_MONO;
#else
  codec.channels = 1;
  codec.channel_layout = AV_CH_LAYOUT_MONO;
#endif
  sound->time_base = {1, sound_rate};
  return sound;
}

inline void write_sound(AVFormatContext* out, const AVStream& sound, AVPacket* packet, const VideoOptions& o) {
  for (int k = 0; k < o.sound_frames; ++k) {
    const int values = sound_rate / o.rate;
    check(av_new_packet(packet, 2 * values));
    std::fill_n(packet->data, packet->size, std::uint8_t{0});
    packet->stream_index = sound.index;
    packet->pts = packet->dts = std::int64_t{k} * values;
    packet->duration = values;
    av_packet_rescale_ts(packet, {1, sound_rate}, sound.time_base);
    check(av_interleaved_write_frame(out, packet));
  }
}

}  // namespace video_detail

/// Writes a file of the kind that its name's ending says.
inline void write_video(const std::string& path, const VideoOptions& o = {}) {
  using video_detail::check;
  av_log_set_level(AV_LOG_QUIET);
  AVFormatContext* out = nullptr;
  check(avformat_alloc_output_context2(&out, nullptr, nullptr, path.c_str()));
  const AVCodec* const encoder = avcodec_find_encoder_by_name(o.codec.c_str());
  REQUIRE(encoder != nullptr);
  AVCodecContext* codec = avcodec_alloc_context3(encoder);
  codec->width = o.width;
  codec->height = o.height;
  codec->time_base = {1, o.rate};
  codec->framerate = {o.rate, 1};
  codec->gop_size = o.between_keys;
  codec->max_b_frames = o.b_frames;
  codec->pix_fmt = o.codec == "mjpeg" ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P;
  codec->bit_rate = 800'000;
  codec->thread_count = 1;
  if (!o.x264_params.empty()) check(av_opt_set(codec->priv_data, "x264-params", o.x264_params.c_str(), 0));
  if ((out->oformat->flags & AVFMT_GLOBALHEADER) != 0) codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  check(avcodec_open2(codec, encoder, nullptr));
  AVStream* const stream = avformat_new_stream(out, nullptr);
  stream->time_base = codec->time_base;
  stream->avg_frame_rate = codec->framerate;
  check(avcodec_parameters_from_context(stream->codecpar, codec));
  AVStream* const sound = o.sound_frames > 0 ? video_detail::add_sound(out) : nullptr;
  check(avio_open(&out->pb, path.c_str(), AVIO_FLAG_WRITE));
  check(avformat_write_header(out, nullptr));

  AVFrame* frame = av_frame_alloc();
  frame->format = codec->pix_fmt;
  frame->width = o.width;
  frame->height = o.height;
  check(av_frame_get_buffer(frame, 0));
  AVPacket* packet = av_packet_alloc();
  int packets = 0;
  const auto write = [&] {
    while (avcodec_receive_packet(codec, packet) == 0) {
      if (++packets == o.frames) packet->duration = o.last_frames;
      av_packet_rescale_ts(packet, codec->time_base, stream->time_base);
      packet->stream_index = stream->index;
      check(av_interleaved_write_frame(out, packet));
    }
  };
  for (int k = 0; k < o.frames; ++k) {
    video_detail::draw(*frame, k);
    frame->pts = k + static_cast<std::int64_t>(o.first_second * o.rate) + (2 * k < o.frames ? 0 : o.pause);
    check(avcodec_send_frame(codec, frame));
    write();
  }
  check(avcodec_send_frame(codec, nullptr));
  write();
  if (sound) video_detail::write_sound(out, *sound, packet, o);
  check(av_write_trailer(out));
  avio_closep(&out->pb);
  av_packet_free(&packet);
  av_frame_free(&frame);
  avcodec_free_context(&codec);
  avformat_free_context(out);
}

}  // namespace simclr::test
