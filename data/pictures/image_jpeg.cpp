#ifdef SIMCLR_HAVE_JPEG

#include "image_codecs.h"

#include <simclr/core/error.h>

#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs FILE

#include <jerror.h>
#include <jpeglib.h>

namespace simclr::data {
namespace {

// Each scan of a progressive picture is a pass over all of it; a tiny file can ask for thousands.
constexpr int max_scans = 500;

/// One picture being decoded. libjpeg reports errors by a call that must not return: it jumps to `escape`.
struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape;
  bool whole = false;  // all pixels are decoded
  bool ended = true;   // no: the file ends before its end marker, or goes on with something else
  char message[JMSG_LENGTH_MAX] = {};
  const char* complaint = nullptr;  // ours, where libjpeg itself has none

  ~Decoder() { jpeg_destroy_decompress(&info); }
};

Decoder& decoder_of(j_common_ptr info) {
  return *static_cast<Decoder*>(info->client_data);
}

[[noreturn]] void give_up(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  decoder.errors.format_message(info, decoder.message);
  std::longjmp(decoder.escape, 1);
}

// libjpeg goes on after damage and paints the rest grey. A picture that is half grey is not one to learn from.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace, not a warning
  switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC: give_up(info);
    // The reader looks ahead, so this is no damage yet. Where pixels are missing, JWRN_HIT_MARKER follows.
    case JWRN_JPEG_EOF: decoder_of(info).ended = false; return;
    default: return;
  }
}

void on_progress(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  if (decoder.info.input_scan_number <= max_scans) return;
  decoder.complaint = "too many progressive scans";
  std::longjmp(decoder.escape, 1);
}

/// A row of Adobe's CMYK, which stores what the inks leave of the light, as RGB.
void convert_cmyk(const JSAMPLE* cmyk, JSAMPLE* rgb, JDIMENSION width) {
  for (; width > 0; --width, cmyk += 4, rgb += 3) {
    for (int c = 0; c < 3; ++c) rgb[c] = static_cast<JSAMPLE>((cmyk[c] * cmyk[3] + 127) / 255);
  }
}

/// Of a file without an end marker whose last row was decoded: whether all pixels are its own. libjpeg complains where
/// a scan's Huffman data are too few, but not where a scan is missing.
bool is_whole(const jpeg_decompress_struct& info) {
  if (info.arith_code) return false;  // such data never run out: zeros follow
  for (int c = 0; c < info.num_components; ++c) {
    if (info.comp_info[c].quant_table == nullptr) return false;  // no scan had this component
    for (int k = 0; info.progressive_mode && k < DCTSIZE2; ++k) {
      if (info.coef_bits[c][k] != 0) return false;  // bits of this coefficient were still to come
    }
  }
  return true;
}

/// Without the zeros at the end, which a disk's rescue leaves in the place of lost blocks: they decode as pixels.
std::span<const std::uint8_t> without_zeros(std::span<const std::uint8_t> bytes) {
  std::size_t size = bytes.size();
  while (size > 0 && bytes[size - 1] == 0) --size;
  if (size > 0 && size < bytes.size() && bytes[size - 1] == 0xff) ++size;  // ff 00 is a byte of data
  return bytes.first(size);
}

/// Decodes into `picture`; false after an error. Nothing with a destructor lives in this frame, which longjmp leaves.
bool decode(Decoder& decoder, std::span<const std::uint8_t> bytes, Picture& picture, const std::string& name) {
  jpeg_decompress_struct& info = decoder.info;
  info.err = jpeg_std_error(&decoder.errors);
  info.client_data = &decoder;
  decoder.errors.error_exit = give_up;
  decoder.errors.emit_message = on_message;
  if (setjmp(decoder.escape)) {
    decoder.ended = false;  // what comes behind the last row cannot spoil the picture
    return decoder.whole;
  }
  jpeg_create_decompress(&info);
  decoder.progress.progress_monitor = on_progress;
  info.progress = &decoder.progress;
  jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&info, TRUE);
  const bool grey = info.jpeg_color_space == JCS_GRAYSCALE, cmyk = info.num_components == 4;
  if (cmyk && (!info.saw_Adobe_marker || (info.Adobe_transform != 0 && info.Adobe_transform != 2))) {
    decoder.complaint = unknown_cmyk;
    return false;
  }
  info.out_color_space = grey ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;
  allocate(picture, info.image_height, info.image_width, grey ? 1 : 3, name);
  jpeg_start_decompress(&info);
  JSAMPROW inks =
      cmyk ? info.mem->alloc_sarray(reinterpret_cast<j_common_ptr>(&info), JPOOL_IMAGE, 4 * info.output_width, 1)[0]
           : nullptr;
  while (info.output_scanline < info.output_height) {
    JSAMPROW row =
        picture.pixels.data() + std::size_t{info.output_scanline} * picture.width * std::size_t(picture.channels);
    jpeg_read_scanlines(&info, cmyk ? &inks : &row, 1);
    if (cmyk) convert_cmyk(inks, row, info.output_width);
  }
  decoder.whole = is_whole(info);
  jpeg_finish_decompress(&info);  // frees what is_whole() looks at
  if (!decoder.ended && !decoder.whole) {
    decoder.complaint = "the file is truncated";
    return false;
  }
  return true;
}

}  // namespace

Picture decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name) {
  Decoder decoder;
  Picture picture;
  if (!decode(decoder, without_zeros(bytes), picture, name)) {
    fail(name, ": damaged or unsupported JPEG: ", decoder.complaint ? decoder.complaint : decoder.message);
  }
  if (!decoder.ended) picture.warning = name + no_end_marker;
  return picture;
}

}  // namespace simclr::data

#endif  // SIMCLR_HAVE_JPEG
