#ifdef SIMCLR_HAVE_TIFF

#include "image_codecs.h"
#include "orientation.h"

#include <simclr/core/error.h>

#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

namespace simclr::data {
namespace {

constexpr tmsize_t most_memory = tmsize_t{1} << 30;  // that libtiff may take at once, and a strip or tile may fill

/// The file in memory, as libtiff reads it, and what it complained of first.
struct Source {
  std::span<const std::uint8_t> bytes;
  std::uint64_t at = 0;
  char message[160] = {};
};

tmsize_t read_source(thandle_t handle, void* out, tmsize_t count) {
  Source& source = *static_cast<Source*>(handle);
  const std::uint64_t rest = source.at < source.bytes.size() ? source.bytes.size() - source.at : 0;
  const std::uint64_t taken = std::min<std::uint64_t>(rest, count > 0 ? static_cast<std::uint64_t>(count) : 0);
  if (taken > 0) std::memcpy(out, source.bytes.data() + source.at, taken);
  source.at += taken;
  return static_cast<tmsize_t>(taken);
}

tmsize_t write_source(thandle_t, void*, tmsize_t) {
  return 0;
}

toff_t seek_source(thandle_t handle, toff_t offset, int whence) {
  Source& source = *static_cast<Source*>(handle);
  source.at = offset + (whence == SEEK_CUR ? source.at : whence == SEEK_END ? source.bytes.size() : 0);
  return source.at;
}

int close_source(thandle_t) {
  return 0;
}

toff_t size_of_source(thandle_t handle) {
  return static_cast<Source*>(handle)->bytes.size();
}

int on_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  Source& source = *static_cast<Source*>(user);
  if (source.message[0] != 0) return 1;
  std::vsnprintf(source.message, sizeof(source.message), format, arguments);
  // What libtiff says where it reads no rows but strips, and no tiles but bytes.
  for (const char* nowhere : {" at scanline 4294967295", " at row 4294967295, col 4294967295"}) {
    if (char* found = std::strstr(source.message, nowhere)) {
      const char* rest = found + std::strlen(nowhere);
      std::memmove(found, rest, std::strlen(rest) + 1);
    }
  }
  return 1;  // said
}

class Reader {
 public:
  /// `deep`: with all that is measured; else as bytes of grey, RGB and alpha.
  Reader(std::span<const std::uint8_t> bytes, const std::string& name, bool deep)
      : source_{bytes}, name_(name), deep_(deep) {
    const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                   &TIFFOpenOptionsFree);
    SIMCLR_CHECK(options, name, ": no memory for libtiff");
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), most_memory);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &source_);
    TIFFOpenOptionsSetWarningHandlerExtR(
        options.get(), [](TIFF*, void*, const char*, const char*, va_list) { return 1; }, nullptr);
    tiff_.reset(TIFFClientOpenExt("picture", "rm", &source_, read_source, write_source, seek_source, close_source,
                                  size_of_source, nullptr, nullptr, options.get()));
    if (!tiff_) damaged("it has no readable directory");
  }

  Picture read() {
    read_header();
    check_size(height_, width_, name_);
    // At best ZSTD packs 32768 bytes into one, LZMA 7000, LZW 2560. One colour takes WebP and LERC no bits a pixel.
    const auto packing = tag<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    const bool unbounded = packing == COMPRESSION_WEBP || packing == COMPRESSION_LERC;
    if (!unbounded || !TIFFIsCODECConfigured(packing))
      check_packing(height_ * width_ * samples_ * bits_ / 8, source_.bytes.size(), 32768, name_);
    Picture picture = by_libtiff_ ? read_by_libtiff() : coloured(read_samples());
    turn_upright(picture, orientation_);
    return picture;
  }

  Raster read_raster() {
    Picture picture = read();
    Raster raster = raster_of(std::move(picture), float_ ? DType::f32 : sample_bytes_ == 2 ? DType::u16 : DType::u8);
    raster.bands = bands_;
    raster.rgb_and_one = rgb_and_one_;
    return raster;
  }

 private:
  struct Close {
    void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  };

  [[noreturn]] void damaged(const char* otherwise) const {
    fail(name_, ": damaged or unsupported TIFF: ", source_.message[0] != 0 ? source_.message : otherwise);
  }

  template <class T>
  T tag(std::uint32_t number, T otherwise) const {
    T value{};
    return TIFFGetFieldDefaulted(tiff_.get(), number, &value) == 1 ? value : otherwise;
  }

  void read_header() {
    height_ = tag<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0);
    width_ = tag<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
    bits_ = tag<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
    samples_ = tag<std::uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
    planar_ = samples_ > 1 && tag<std::uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
    orientation_ = tag<std::uint16_t>(TIFFTAG_ORIENTATION, 1);
    tiled_ = TIFFIsTiled(tiff_.get()) != 0;
    if (TIFFGetField(tiff_.get(), TIFFTAG_PHOTOMETRIC, &meaning_) != 1) {
      meaning_ = samples_ >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    }
    auto format = tag<std::uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    signed_ = format == SAMPLEFORMAT_INT && bits_ == 16;
    // Bytes that are said to have a sign are meant to have none, or so all readers take it.
    if (signed_ || (format == SAMPLEFORMAT_INT && bits_ == 8)) format = SAMPLEFORMAT_UINT;
    float_ = deep_ && format == SAMPLEFORMAT_IEEEFP && bits_ == 32;
    if (float_) {
      sample_bytes_ = 4;
      return read_meaning();
    }
    SIMCLR_CHECK(format == SAMPLEFORMAT_UINT || format == SAMPLEFORMAT_VOID, name_, ": a TIFF of ",
                 format == SAMPLEFORMAT_INT ? "signed" : "floating-point", " samples of ", bits_,
                 " bits; 1 to 16 bits without a sign are read", deep_ ? " and 32 of floating point" : "",
                 ", convert it");
    SIMCLR_CHECK(bits_ >= 1 && bits_ <= 16, name_, ": a TIFF of ", bits_,
                 " bits a sample; 1 to 16 are read, convert it");
    read_meaning();
    if (deep_ && bits_ > 8 && (grey() || meaning_ == PHOTOMETRIC_RGB)) sample_bytes_ = 2;
  }

  bool grey() const { return meaning_ == PHOTOMETRIC_MINISBLACK || meaning_ == PHOTOMETRIC_MINISWHITE; }

  /// What the channels are.
  void read_meaning() {
    const auto compression = tag<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    switch (meaning_) {
      case PHOTOMETRIC_MINISBLACK:
      case PHOTOMETRIC_MINISWHITE: colours_ = 1; break;
      case PHOTOMETRIC_PALETTE:
        colours_ = 1;
        if (bits_ > 8 || TIFFGetField(tiff_.get(), TIFFTAG_COLORMAP, &palette_[0], &palette_[1], &palette_[2]) != 1) {
          damaged("a palette of more than 8 bits, or none");
        }
        for (const std::uint16_t* one : palette_) {  // of 16 bits, but some old writers' are of 8
          if (std::any_of(one, one + (1 << bits_), [](std::uint16_t value) { return value > 255; })) palette_shift_ = 8;
        }
        break;
      case PHOTOMETRIC_RGB: colours_ = 3; break;
      case PHOTOMETRIC_SEPARATED: colours_ = 4; break;
      case PHOTOMETRIC_YCBCR:
        colours_ = 3;
        if (compression == COMPRESSION_JPEG && !planar_) {
          TIFFSetField(tiff_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        } else {
          by_libtiff_ = true;
        }
        break;
      default: fail(name_, ": a TIFF whose colours are of the kind ", meaning_, "; convert it to RGB");
    }
    if (compression == COMPRESSION_OJPEG) by_libtiff_ = true;
    std::uint16_t count = 0, *kinds = nullptr;
    if (samples_ > colours_ && TIFFGetField(tiff_.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds) == 1 && count > 0) {
      alpha_ = kinds[0] != EXTRASAMPLE_UNSPECIFIED;
      multiplied_ = kinds[0] == EXTRASAMPLE_ASSOCALPHA;
    }
    take_bands();
    SIMCLR_CHECK(bands_ || samples_ == colours_ || samples_ == colours_ + 1, name_, ": a TIFF of ", samples_,
                 " channels that is no picture: ", colours_, " of colour and one of transparency are read");
  }

  /// Channels beside grey or RGB that are no alpha, or in floating point, are as good as these.
  void take_bands() {
    const bool coloured = !by_libtiff_ && (grey() || meaning_ == PHOTOMETRIC_RGB);
    SIMCLR_CHECK(!float_ || coloured, name_,
                 ": a TIFF of floating-point samples that is neither grey nor RGB; convert it");
    const bool only_alpha = alpha_ && samples_ == colours_ + 1 && !float_;
    const bool more = deep_ && coloured && samples_ != colours_ && !only_alpha;
    SIMCLR_CHECK(meaning_ != PHOTOMETRIC_MINISWHITE || (!float_ && !more), name_,
                 ": a TIFF of floats or of several channels in which 0 is white; save it with 0 for black");
    if (!more) return;
    SIMCLR_CHECK(samples_ <= most_bands, name_, ": a TIFF of ", samples_, " channels; 1 to ", most_bands, " are read");
    if (samples_ == 3) colours_ = 3;  // three of grey are RGB: programs say so that have no better word
    bands_ = samples_ != 3;
    rgb_and_one_ = meaning_ == PHOTOMETRIC_RGB && samples_ == 4 && !alpha_;
    alpha_ = multiplied_ = false;
  }

  /// The value 0..255 of a sample; a palette's stays as it is.
  std::uint8_t scaled(unsigned value) const {
    if (bits_ >= 8) return static_cast<std::uint8_t>(value >> (bits_ - 8));
    if (meaning_ == PHOTOMETRIC_PALETTE) return static_cast<std::uint8_t>(value);
    const unsigned most = (1u << bits_) - 1;
    return static_cast<std::uint8_t>((255 * value + most / 2) / most);
  }

  /// `count` samples of a row, of which every `step`th of `out` takes one.
  void unpack(const std::uint8_t* in, std::size_t count, std::uint8_t* out, std::size_t step) const {
    if (float_) {
      for (std::size_t i = 0; i < count; ++i) std::memcpy(out + 4 * i * step, in + 4 * i, 4);
      return;
    }
    if (bits_ == 8) {
      for (std::size_t i = 0; i < count; ++i) out[i * step] = in[i];
      return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      unsigned value = 0;
      if (bits_ == 16) {  // of this machine's order
        std::uint16_t word;
        std::memcpy(&word, in + 2 * i, 2);
        value = word;
        if (signed_ && word > 32767) fail(name_, ": a TIFF with ", negative_values);
      } else {
        for (std::size_t bit = i * bits_; bit < (i + 1) * bits_; ++bit)
          value = value << 1 | (in[bit / 8] >> (7 - bit % 8) & 1u);
      }
      if (sample_bytes_ == 2) {
        const std::uint32_t most = (1u << bits_) - 1;
        const auto word = static_cast<std::uint16_t>((65535 * std::uint64_t{value} + most / 2) / most);
        std::memcpy(out + 2 * i * step, &word, 2);
      } else {
        out[i * step] = scaled(value);
      }
    }
  }

  /// All samples as the file has them, [height,width,samples]: the picture's channels are their bytes.
  Picture read_samples() {
    TIFF* tiff = tiff_.get();
    const std::int64_t block_height =
        tiled_ ? tag<std::uint32_t>(TIFFTAG_TILELENGTH, 0)
               : std::min<std::int64_t>(tag<std::uint32_t>(TIFFTAG_ROWSPERSTRIP, 0), height_);
    const std::int64_t block_width = tiled_ ? tag<std::uint32_t>(TIFFTAG_TILEWIDTH, 0) : width_;
    if (block_height < 1 || block_width < 1) damaged("strips or tiles of no size");
    // A small file could ask for a tile far larger than its picture.
    if (block_width > max_picture_side || block_height > max_picture_side ||
        block_height * block_width > std::max(height_ * width_, std::int64_t{1} << 22)) {
      damaged("tiles that are too large");
    }
    const tmsize_t size = tiled_ ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
    if (size < 1 || size > most_memory) damaged("strips or tiles that are too large");
    const int together = planar_ ? 1 : samples_;  // samples of a pixel that lie side by side
    const std::int64_t stride = (block_width * together * bits_ + 7) / 8;
    if (size < stride * block_height) damaged("strips or tiles that are too small");
    Picture all;
    const std::int64_t pixel_bytes = std::int64_t{samples_} * sample_bytes_;
    SIMCLR_CHECK(height_ * width_ * pixel_bytes <= 8 * max_picture_pixels, name_, ": a picture of ", width_, " x ",
                 height_, " pixels with ", samples_, " channels; cut it into tiles");
    allocate(all, height_, width_, static_cast<int>(pixel_bytes), name_);
    std::vector<std::uint8_t> block(static_cast<std::size_t>(size));
    for (int plane = 0; plane < (!planar_ ? 1 : bands_ ? samples_ : colours_ + alpha_); ++plane) {
      for (std::int64_t y = 0; y < height_; y += block_height) {
        const std::int64_t rows = std::min(block_height, height_ - y);
        for (std::int64_t x = 0; x < width_; x += block_width) {
          read_block(x, y, plane, stride * (tiled_ ? block_height : rows), block);
          const std::int64_t columns = std::min(block_width, width_ - x);
          for (std::int64_t row = 0; row < rows; ++row) {
            unpack(
                &block[static_cast<std::size_t>(row * stride)], static_cast<std::size_t>(columns * together),
                &all.pixels[static_cast<std::size_t>(((y + row) * width_ + x) * pixel_bytes + plane * sample_bytes_)],
                planar_ ? static_cast<std::size_t>(samples_) : 1);
          }
        }
      }
    }
    return all;
  }

  void read_block(std::int64_t x, std::int64_t y, int plane, std::int64_t needed, std::vector<std::uint8_t>& block) {
    const auto sample = static_cast<std::uint16_t>(plane);
    const auto size = static_cast<tmsize_t>(block.size());
    const auto column = static_cast<std::uint32_t>(x), row = static_cast<std::uint32_t>(y);
    const tmsize_t got =
        tiled_
            ? TIFFReadEncodedTile(tiff_.get(), TIFFComputeTile(tiff_.get(), column, row, 0, sample), block.data(), size)
            : TIFFReadEncodedStrip(tiff_.get(), TIFFComputeStrip(tiff_.get(), row, sample), block.data(), size);
    if (got < needed || source_.message[0] != 0) damaged("pixels are missing");
  }

  /// The samples as a picture of grey or RGB, with alpha where there is some.
  Picture coloured(Picture all) const {
    if (bands_ || float_) return all;
    const int channels = alpha_ ? 4 : grey() ? 1 : 3;
    if (samples_ == 3 && grey()) return all;  // RGB by another name
    if (meaning_ != PHOTOMETRIC_PALETTE && meaning_ != PHOTOMETRIC_MINISWHITE && channels == samples_ && !multiplied_ &&
        meaning_ != PHOTOMETRIC_SEPARATED) {
      return all;
    }
    Picture picture;
    allocate(picture, height_, width_, channels * sample_bytes_, name_);
    if (sample_bytes_ == 2) {
      convert_all(reinterpret_cast<const std::uint16_t*>(all.pixels.data()),
                  reinterpret_cast<std::uint16_t*>(picture.pixels.data()), channels);
    } else {
      convert_all(all.pixels.data(), picture.pixels.data(), channels);
    }
    return picture;
  }

  template <class T>
  void convert_all(const T* in, T* out, int channels) const {
    for (std::int64_t i = 0; i < height_ * width_; ++i, in += samples_, out += channels) {
      convert(in, out, channels);
    }
  }

  template <class T>
  void convert(const T* in, T* out, int channels) const {
    constexpr int most = std::numeric_limits<T>::max();
    for (int c = 0; c < std::min(channels, 3); ++c) {
      switch (meaning_) {
        case PHOTOMETRIC_PALETTE: out[c] = colour(static_cast<std::uint8_t>(in[0]), c); break;
        case PHOTOMETRIC_SEPARATED: out[c] = light_of_ink(in[c], in[3]); break;
        case PHOTOMETRIC_MINISWHITE: out[c] = static_cast<T>(most - in[0]); break;
        case PHOTOMETRIC_MINISBLACK: out[c] = in[0]; break;
        default: out[c] = in[c];
      }
    }
    if (!alpha_) return;
    const int alpha = in[colours_];
    out[3] = static_cast<T>(alpha);
    for (int c = 0; multiplied_ && alpha > 0 && alpha < most && c < 3; ++c) {
      out[c] = static_cast<T>(std::min<std::int64_t>(std::int64_t{most} * out[c] / alpha, most));
    }
  }

  std::uint8_t colour(std::uint8_t index, int c) const {
    return static_cast<std::uint8_t>(palette_[static_cast<std::size_t>(c)][index] >> palette_shift_);
  }

  /// Brightness apart from colour, often at fewer points: libtiff turns it into RGB.
  Picture read_by_libtiff() {
    TIFFRGBAImage image{};
    char message[1024] = {};
    if (TIFFRGBAImageOK(tiff_.get(), message) != 1) damaged(message);
    if (TIFFRGBAImageBegin(&image, tiff_.get(), 1, message) != 1) damaged(message);
    const std::unique_ptr<TIFFRGBAImage, decltype(&TIFFRGBAImageEnd)> end(&image, &TIFFRGBAImageEnd);
    image.orientation = image.req_orientation = ORIENTATION_TOPLEFT;  // as the file has it
    std::vector<std::uint32_t> pixels(static_cast<std::size_t>(height_ * width_));
    const bool done = TIFFRGBAImageGet(&image, pixels.data(), static_cast<std::uint32_t>(width_),
                                       static_cast<std::uint32_t>(height_)) == 1;
    if (!done || source_.message[0] != 0) damaged("pixels are missing");
    Picture picture;
    allocate(picture, height_, width_, 3, name_);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      for (std::size_t c = 0; c < 3; ++c) picture.pixels[3 * i + c] = static_cast<std::uint8_t>(pixels[i] >> (8 * c));
    }
    return picture;
  }

  Source source_;
  const std::string& name_;
  std::unique_ptr<TIFF, Close> tiff_;
  std::int64_t height_ = 0, width_ = 0;
  int bits_ = 0, samples_ = 0, colours_ = 0, orientation_ = 1;
  std::uint16_t meaning_ = 0;  // TIFF's "photometric interpretation"
  const bool deep_;
  int sample_bytes_ = 1;  // as they are read
  bool float_ = false, bands_ = false, rgb_and_one_ = false;
  bool signed_ = false, planar_ = false, tiled_ = false, by_libtiff_ = false, alpha_ = false, multiplied_ = false;
  std::uint16_t* palette_[3] = {};
  int palette_shift_ = 0;
};

}  // namespace

Picture decode_tiff(std::span<const std::uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name, false).read();
}

Raster decode_tiff_raster(std::span<const std::uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name, true).read_raster();
}

}  // namespace simclr::data

#endif  // SIMCLR_HAVE_TIFF
