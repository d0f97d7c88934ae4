// WAV: chunks of a name, a length and bytes. "fmt " says how the samples are coded, "data" holds them.

#include "sound_decoder.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

namespace simclr::data {
namespace {

constexpr std::uint32_t not_counted = 0xffffffff;  // the length of what was written into a pipe

/// How samples are coded.
struct WavFormat {
  std::uint32_t code = 0;  // 1 integers, 3 floating-point numbers
  std::uint32_t channels = 0, rate = 0, frame_bytes = 0, bits = 0;

  bool plain() const {
    const bool integers = code == 1 && (bits == 8 || bits == 16 || bits == 24 || bits == 32);
    return (integers || (code == 3 && (bits == 32 || bits == 64))) && channels > 0 &&
           frame_bytes == channels * (bits / 8);
  }
};

std::uint32_t little_endian(const std::uint8_t* bytes, int count) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) value |= std::uint32_t{bytes[i]} << (8 * i);
  return value;
}

/// A sample of that format, as a share of full scale.
float value_of(const std::uint8_t* bytes, const WavFormat& format) {
  if (format.code == 3 && format.bits == 32) return std::bit_cast<float>(little_endian(bytes, 4));
  if (format.code == 3) {
    const std::uint64_t low = little_endian(bytes, 4), high = little_endian(bytes + 4, 4);
    return static_cast<float>(std::bit_cast<double>(high << 32 | low));
  }
  if (format.bits == 8) return (static_cast<float>(bytes[0]) - 128.0f) / 128.0f;
  // The sample's bytes are the number's highest, so that its sign is the number's.
  const int size = static_cast<int>(format.bits / 8);
  const auto number = static_cast<std::int32_t>(little_endian(bytes, size) << (8 * (4 - size)));
  return static_cast<float>(number) * 0x1p-31f;
}

class PlainWav final : public SoundDecoder {
 public:
  PlainWav(const FileBytes& bytes, const WavFormat& format, std::int64_t begin, std::int64_t size)
      : bytes_(bytes), format_(format), begin_(begin) {
    constexpr std::uint32_t most = std::numeric_limits<std::int32_t>::max();
    info_ = {.frames = size / format.frame_bytes,
             .rate = static_cast<std::int32_t>(std::min(format.rate, most)),
             .channels = static_cast<std::int32_t>(format.channels)};
  }

  void seek(std::int64_t frame) override { at_ = frame; }

  std::int64_t read(std::span<float> out) override {
    const std::int64_t count = std::min<std::int64_t>(std::ssize(out) / info_.channels, info_.frames - at_);
    if (count == 0) return 0;
    buffer_.resize(static_cast<std::size_t>(count * format_.frame_bytes));
    const std::string problem = bytes_.read(begin_ + at_ * format_.frame_bytes, buffer_);
    SIMCLR_CHECK(problem.empty(), "recording: cannot read ", bytes_.name, ": ", problem);
    const std::size_t size = format_.bits / 8;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count * info_.channels); ++i) {
      out[i] = value_of(&buffer_[i * size], format_);
    }
    at_ += count;
    return count;
  }

 private:
  const FileBytes& bytes_;
  const WavFormat format_;
  const std::int64_t begin_;
  std::int64_t at_ = 0;
  std::vector<std::uint8_t> buffer_;
};

class Chunks {
 public:
  explicit Chunks(const FileBytes& bytes) : bytes_(bytes) {}

  /// Null as open_plain_wav() says.
  std::unique_ptr<SoundDecoder> find_samples() {
    constexpr int most_chunks = 1000;
    std::int64_t at = 12;
    for (int i = 0; i < most_chunks && at + 8 <= bytes_.size; ++i) {
      const auto head = read<8>(at);
      const std::string_view name(reinterpret_cast<const char*>(head.data()), 4);
      const std::uint32_t size = little_endian(head.data() + 4, 4);
      at += 8;
      if (name == "fmt ") read_format(at, size);
      if (name == "ds64") long_size_ = read_long_size(at);
      if (name == "data") return samples(at, size);
      at += std::int64_t{size} + size % 2;
    }
    fail(bytes_.name, ": a WAV file without its samples (no chunk \"data\"); a damaged copy?");
  }

 private:
  template <std::size_t n>
  std::array<std::uint8_t, n> read(std::int64_t at) const {
    SIMCLR_CHECK(at + std::int64_t{n} <= bytes_.size, bytes_.name, ": the file is cut off in its header");
    std::array<std::uint8_t, n> out;
    const std::string problem = bytes_.read(at, out);
    SIMCLR_CHECK(problem.empty(), "recording: cannot read ", bytes_.name, ": ", problem);
    return out;
  }

  void read_format(std::int64_t at, std::uint32_t size) {
    const auto bytes = read<16>(at);
    const auto number = [&](int from, int count) { return little_endian(bytes.data() + from, count); };
    format_ = {.code = number(0, 2),
               .channels = number(2, 2),
               .rate = number(4, 4),
               .frame_bytes = number(12, 2),
               .bits = number(14, 2)};
    constexpr std::uint32_t extensible = 0xfffe;  // the code follows
    if (format_.code == extensible && size >= 26) format_.code = little_endian(read<2>(at + 24).data(), 2);
  }

  /// Of RF64, whose samples may be longer than a chunk's length can say.
  std::int64_t read_long_size(std::int64_t at) const {
    const auto bytes = read<16>(at);
    const std::uint64_t low = little_endian(bytes.data() + 8, 4), high = little_endian(bytes.data() + 12, 4);
    return static_cast<std::int64_t>(high << 32 | low);
  }

  std::unique_ptr<SoundDecoder> samples(std::int64_t at, std::uint32_t size) const {
    SIMCLR_CHECK(format_.code != 0, bytes_.name,
                 ": a WAV file that does not say how it is coded (no chunk \"fmt \" before its samples)");
    const std::int64_t there = bytes_.size - at, counted = long_size_ > 0 ? long_size_ : there;
    const std::int64_t said = size == not_counted ? counted : std::int64_t{size};
    SIMCLR_CHECK(said <= there, bytes_.name, ": the file is cut off: its header says ", said, " bytes of samples, ",
                 there, " are there");
    if (!format_.plain()) return nullptr;
    return std::make_unique<PlainWav>(bytes_, format_, at, said);
  }

  const FileBytes& bytes_;
  WavFormat format_;
  std::int64_t long_size_ = 0;  // bytes of samples; 0 or less: it says nothing
};

}  // namespace

std::unique_ptr<SoundDecoder> open_plain_wav(const FileBytes& bytes) {
  SIMCLR_CHECK(bytes.size >= 12, bytes.name, ": the file is cut off in its header");
  return Chunks(bytes).find_samples();
}

std::vector<std::uint8_t> wav_bytes(std::span<const float> samples, std::int32_t rate) {
  SIMCLR_CHECK(rate >= min_sound_rate && rate <= max_sound_rate, "wav_bytes: ", rate, " samples a second, ",
               min_sound_rate, " to ", max_sound_rate, " are possible");
  SIMCLR_CHECK(samples.size() <= (not_counted - 64) / 2, "wav_bytes: ", samples.size(),
               " samples are more than a WAV file can hold");
  std::vector<std::uint8_t> out;
  const auto text = [&](std::string_view four) { out.insert(out.end(), four.begin(), four.end()); };
  const auto number = [&](std::size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  out.reserve(44 + 2 * samples.size());
  text("RIFF");
  number(36 + 2 * samples.size(), 4);
  text("WAVEfmt ");
  number(16, 4);
  number(1, 2);  // integers
  number(1, 2);  // channel
  number(static_cast<std::size_t>(rate), 4);
  number(static_cast<std::size_t>(rate) * 2, 4);
  number(2, 2);
  number(16, 2);
  text("data");
  number(2 * samples.size(), 4);
  for (const float sample : samples) {
    const float level = std::isfinite(sample) ? std::clamp(std::round(sample * 32768.0f), -32768.0f, 32767.0f) : 0.0f;
    number(static_cast<std::size_t>(static_cast<std::int64_t>(level)), 2);
  }
  return out;
}

}  // namespace simclr::data
