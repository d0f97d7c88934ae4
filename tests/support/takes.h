#pragma once

#include "support/sounds.h"
#include "support/temp_dir.h"

#include <cstdint>
#include <string>
#include <vector>

/// Three words by three speakers, for tests of recordings.
namespace simclr::test {

inline constexpr int rate = 8000;
inline const std::vector<std::string> classes = {"high", "low", "wide"};
inline const std::vector<std::string> speakers = {"ann", "bob", "eve"};

/// A tone or two of its class, of the speaker's pitch, each take a little longer.
inline std::vector<std::uint8_t> said(int label, int speaker, int take, double level = 0.4) {
  const std::int64_t count = 2400 + 160 * take;
  const double hertz = (label == 1 ? 300 : 1500) * (1 + 0.06 * speaker + 0.01 * take);
  std::vector<float> samples = tone(count, hertz, rate, level);
  const std::vector<float> second = tone(count, 2900, rate, label == 2 ? level / 2 : 0.01);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] += second[i];
  return wav_of_samples(samples, rate);
}

inline std::string file_name(int label, int speaker, int take) {
  return classes[static_cast<std::size_t>(label)] + "_" + speakers[static_cast<std::size_t>(speaker)] + "_" +
         std::to_string(take) + ".wav";
}

/// {label}_{speaker}_{take}.wav: 3 x 3 x `takes`.
inline void write_takes(const TempDir& dir, int takes, const std::string& folder = "takes") {
  for (int label = 0; label < 3; ++label) {
    for (int speaker = 0; speaker < 3; ++speaker) {
      for (int take = 0; take < takes; ++take) {
        dir.write(folder + "/" + file_name(label, speaker, take), said(label, speaker, take));
      }
    }
  }
}

inline constexpr const char* pattern = "{label}_{speaker}_{take}.wav";

/// Ten recordings of each two labels, cut into four.
inline std::string write_segments(const TempDir& dir, bool mixed = false) {
  std::string table = "file,label,start,end\n";
  for (int take = 0; take < 20; ++take) {
    dir.write("long/" + std::to_string(take) + ".wav", said(take % 2, 0, take));
    for (int part = 0; part < 4; ++part) {
      table += "long/" + std::to_string(take) + ".wav," +
               classes[static_cast<std::size_t>(mixed ? part % 2 : take % 2)] + "," + std::to_string(0.05 * part) +
               "," + std::to_string(0.05 * part + 0.05) + "\n";
    }
  }
  return dir.write(mixed ? "mixed.csv" : "segments.csv", table);
}

}  // namespace simclr::test
