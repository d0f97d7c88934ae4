#pragma once

// Recordings that tests write.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

namespace simclr::test {

/// `count` samples of a tone.
inline std::vector<float> tone(std::int64_t count, double hertz, double rate, double level = 0.5) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < count; ++i) {
    out.push_back(static_cast<float>(level * std::sin(2.0 * std::numbers::pi * hertz * static_cast<double>(i) / rate)));
  }
  return out;
}

struct WavOptions {
  int rate = 8000, channels = 1, bits = 16;
  bool floating = false, extensible = false;
  std::vector<std::pair<std::string, std::string>> chunks = {};  // between the format and the samples
  std::int64_t said = -1;                                        // bytes of samples in the header; -1: those there are
};

/// A WAV file of the values, channels interleaved: of integers these are the numbers themselves.
inline std::vector<std::uint8_t> wav_of(const std::vector<double>& values, const WavOptions& options = {}) {
  std::vector<std::uint8_t> out;
  const auto number = [&](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  const auto text = [&](std::string_view what) { out.insert(out.end(), what.begin(), what.end()); };
  const int bytes = options.bits / 8, code = options.floating ? 3 : 1;
  text("RIFF");
  number(0, 4);  // nobody reads it
  text("WAVEfmt ");
  number(options.extensible ? 40 : 16, 4);
  number(options.extensible ? 0xfffe : static_cast<std::uint64_t>(code), 2);
  number(static_cast<std::uint64_t>(options.channels), 2);
  number(static_cast<std::uint64_t>(options.rate), 4);
  number(static_cast<std::uint64_t>(options.rate) * static_cast<std::uint64_t>(options.channels * bytes), 4);
  number(static_cast<std::uint64_t>(options.channels * bytes), 2);
  number(static_cast<std::uint64_t>(options.bits), 2);
  if (options.extensible) {
    number(22, 2);
    number(static_cast<std::uint64_t>(options.bits), 2);
    number(0, 4);
    number(static_cast<std::uint64_t>(code), 2);
    text(std::string_view("\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71", 14));
  }
  for (const auto& [name, content] : options.chunks) {
    text(name);
    number(content.size(), 4);
    text(content);
    if (content.size() % 2 == 1) number(0, 1);
  }
  text("data");
  number(options.said >= 0 ? static_cast<std::uint64_t>(options.said) : values.size() * static_cast<std::size_t>(bytes),
         4);
  for (const double value : values) {
    std::uint64_t word = 0;
    if (options.floating && options.bits == 32) {
      const auto single = static_cast<float>(value);
      std::memcpy(&word, &single, 4);
    } else if (options.floating) {
      std::memcpy(&word, &value, 8);
    } else {
      word = static_cast<std::uint64_t>(static_cast<std::int64_t>(value) + (options.bits == 8 ? 128 : 0));
    }
    number(word, bytes);
  }
  return out;
}

/// A WAV file of 16 bits of samples, which are rounded.
inline std::vector<std::uint8_t> wav_of_samples(const std::vector<float>& samples, int rate = 8000) {
  std::vector<double> values;
  for (const float sample : samples) values.push_back(std::round(sample * 32767.0));
  return wav_of(values, {.rate = rate});
}

}  // namespace simclr::test
