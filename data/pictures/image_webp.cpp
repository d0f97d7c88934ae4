#ifdef SIMCLR_HAVE_WEBP

#include "image_codecs.h"

#include <simclr/core/error.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

namespace simclr::data {
namespace {

const char* reason_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return "no memory for it";
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return "the file is truncated";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "a feature that libwebp does not know";
    default: return "its data are no WebP's";
  }
}

}  // namespace

Picture decode_webp(std::span<const std::uint8_t> bytes, const std::string& name) {
  constexpr const char* damaged = ": damaged or unsupported WebP: ";
  const WebPData data{bytes.data(), bytes.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  // The first picture is enough, so a file may end behind it: then libwebp has its header and a frame.
  const std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)> demuxer(WebPDemuxPartial(&data, &state),
                                                                         &WebPDemuxDelete);
  SIMCLR_CHECK(demuxer && state >= WEBP_DEMUX_PARSED_HEADER, name, damaged,
               state == WEBP_DEMUX_PARSE_ERROR ? "its chunks are no WebP's" : "the file is truncated");
  const std::int64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const std::int64_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  check_size(height, width, name);
  WebPIterator frame{};
  SIMCLR_CHECK(WebPDemuxGetFrame(demuxer.get(), 1, &frame), name, damaged, "the file is truncated");
  const std::unique_ptr<WebPIterator, decltype(&WebPDemuxReleaseIterator)> release(&frame, &WebPDemuxReleaseIterator);
  SIMCLR_CHECK(frame.complete, name, damaged, "the file is truncated");
  WebPDecoderConfig config;
  SIMCLR_CHECK(WebPInitDecoderConfig(&config), name, ": another version of libwebp than this build's");
  const VP8StatusCode header = WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &config.input);
  SIMCLR_CHECK(header == VP8_STATUS_OK, name, damaged, reason_of(header));
  const std::int64_t left = frame.x_offset, top = frame.y_offset;
  SIMCLR_CHECK(left + config.input.width <= width && top + config.input.height <= height, name, damaged,
               "a frame outside of its picture");
  // An animation's first frame may fill a part: around it the picture is transparent.
  const bool part = config.input.width < width || config.input.height < height;
  Picture picture;
  allocate(picture, height, width, config.input.has_alpha || part ? 4 : 3, name);
  const std::int64_t stride = width * picture.channels;
  config.output.colorspace = picture.channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = &picture.pixels[static_cast<std::size_t>(top * stride + left * picture.channels)];
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = picture.pixels.size() - static_cast<std::size_t>(top * stride + left * picture.channels);
  const VP8StatusCode status = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
  SIMCLR_CHECK(status == VP8_STATUS_OK, name, damaged, reason_of(status));
  return picture;
}

}  // namespace simclr::data

#endif  // SIMCLR_HAVE_WEBP
