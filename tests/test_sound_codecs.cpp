// FLAC, OGG and MP3, which libsndfile reads: whole, in parts, damaged.

#include <simclr/data/sound/sound_io.h>

#include "support/catch.h"
#include "support/decoded_sounds.h"
#include "support/peak_memory.h"
#include "support/sounds.h"
#include "support/temp_dir.h"
#include "support/vorbis_leak.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#ifdef SIMCLR_HAVE_SNDFILE
#include <sndfile.h>
#endif

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Bytes = std::vector<std::uint8_t>;

#ifdef SIMCLR_HAVE_SNDFILE

namespace {

/// A file of 16 kHz as libsndfile writes it, with that comment; of MP3 with that mode of its bitrate.
Bytes encoded(const std::vector<float>& samples, int format, int channels = 1, int mode = -1,
              const std::string& comment = "") {
  const TempDir dir;
  SF_INFO info{};
  info.samplerate = 16000;
  info.channels = channels;
  info.format = format;
  SNDFILE* file = sf_open(dir.path("x").c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  if (mode >= 0) sf_command(file, SFC_SET_BITRATE_MODE, &mode, sizeof(mode));
  if (!comment.empty()) CHECK(sf_set_string(file, SF_STR_COMMENT, comment.c_str()) == 0);
  const auto frames = static_cast<sf_count_t>(samples.size()) / channels;
  CHECK(sf_writef_float(file, samples.data(), frames) == frames);
  sf_close(file);
  return read_bytes(dir.path("x"));
}

/// Three seconds whose parts differ.
std::vector<float> speech_like() {
  std::vector<float> out;
  for (int i = 0; i < 48'000; ++i) {
    out.push_back(static_cast<float>(0.4 * std::sin(0.05 * i + 3e-6 * i * i) * (1 + std::sin(0.001 * i)) / 2));
  }
  return out;
}

constexpr int flac = SF_FORMAT_FLAC | SF_FORMAT_PCM_16, vorbis = SF_FORMAT_OGG | SF_FORMAT_VORBIS,
              opus = SF_FORMAT_OGG | SF_FORMAT_OPUS, mp3 = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III,
              mu_law = SF_FORMAT_WAV | SF_FORMAT_ULAW, rf64 = SF_FORMAT_RF64 | SF_FORMAT_PCM_16;

}  // namespace

TEST_CASE("FLAC, OGG and MP3: the recording, its header, and its parts") {
  struct Coding {
    int format;
    double most_db;  // of the error
    float most;      // by which a segment may differ from the whole's part
  };
  const std::vector<float> samples = speech_like();
  for (const Coding& coding : {Coding{flac, -75, 0.0f}, Coding{vorbis, -25, 0.0f}, Coding{opus, -15, 0.05f},
                               Coding{mp3, -25, 0.0f}, Coding{mu_law, -30, 0.0f}, Coding{rf64, -75, 0.0f}}) {
    CAPTURE(coding.format);
    const Bytes bytes = encoded(samples, coding.format);
    const SoundInfo info = look_at_sound(bytes, "a");
    CHECK((info.frames == 48'000 && info.rate == 16000 && info.channels == 1));
    const Sound whole = decode_sound(bytes, "a");
    REQUIRE(whole.samples.size() == 48'000);
    CHECK(whole.warning.empty());
    CHECK(error_db(whole.samples, samples, 100, 47'000) < coding.most_db);
    for (const double begin : {0.3, 1.7, 2.9}) {
      const std::vector<float> part = decode_sound(bytes, "a", 0, {begin, begin + 0.5}).samples;
      const auto from = static_cast<std::size_t>(std::lround(begin * 16000));
      REQUIRE(part.size() == std::min<std::size_t>(8000, 48'000 - from));
      float far = 0.0f;
      for (std::size_t i = 0; i < part.size(); ++i) far = std::max(far, std::abs(part[i] - whole.samples[from + i]));
      CHECK(far <= coding.most);
    }
  }
}

TEST_CASE("FLAC: channels become their mean") {
  std::vector<float> stereo;
  for (int i = 0; i < 1000; ++i) {
    stereo.push_back(static_cast<float>(i) / 32768);
    stereo.push_back(static_cast<float>(-3 * i) / 32768);
  }
  const Sound sound = decode_sound(encoded(stereo, flac, 2), "a.flac");
  REQUIRE(sound.samples.size() == 1000);
  for (int i = 0; i < 1000; ++i)
    CHECK(std::abs(sound.samples[static_cast<std::size_t>(i)] + static_cast<float>(i) / 32768) < 3e-5);
}

TEST_CASE("Damaged FLAC, OGG and MP3 are named") {
  const std::vector<float> samples = speech_like();
  const auto cut = [&](Bytes bytes, std::size_t parts) {
    bytes.resize(bytes.size() * parts / 3);
    return bytes;
  };
  CHECK_THAT(error_of(cut(encoded(samples, flac), 2)), Contains("damaged or cut off FLAC"));
  CHECK_THAT(error_of(cut(encoded(samples, vorbis), 2)), Contains("cut off"));
  CHECK_THAT(error_of(cut(encoded(samples, opus), 2)), Contains("cut off"));
  CHECK_THAT(error_of(cut(encoded(samples, mu_law), 2)), Contains("the file is cut off: its header says 48000 bytes"));
  CHECK_THAT(error_of(cut(encoded(samples, rf64), 2)), Contains("the file is cut off: its header says 96000 bytes"));
  const Sound damaged = decode_sound(cut(encoded(samples, mp3), 2), "a.mp3");
  CHECK_THAT(damaged.warning, Contains("a.mp3: by its header it has about 48000 samples, but only 29423 can") &&
                                  Contains("a damaged copy?"));
  CHECK(error_db(damaged.samples, samples, 100, 30'000) < -25);
  CHECK_THAT(error_of(cut(encoded(samples, mp3), 2), 0, {2.5, 3.0}), Contains("the recording ends before 2.5 s"));
  for (const int format : {flac, vorbis, opus, mp3}) {
    Bytes head = encoded(samples, format);
    head.resize(60);
    CHECK(error_of(head) != "no error");
    CHECK_THAT(error_of(encoded({}, format)), !Contains("no error"));
  }
  Bytes holes = encoded(samples, flac);
  for (std::size_t i = holes.size() / 2; i < holes.size() / 2 + 50; ++i) holes[i] ^= 0x5a;
  CHECK_THAT(error_of(holes), Contains("a.wav: damaged or cut off FLAC: some of its frames cannot be decoded"));
}

TEST_CASE("What lies behind a FLAC's frames does not count") {
  const std::vector<float> whole = decode_sound(encoded(speech_like(), flac), "a").samples;
  for (const std::string& behind : {"TAG" + std::string(125, ' '), std::string(5000, '\0')}) {
    Bytes bytes = encoded(speech_like(), flac);
    bytes.insert(bytes.end(), behind.begin(), behind.end());
    CHECK(decode_sound(bytes, "a").samples == whole);
    CHECK(decode_sound(bytes, "a", 0, {2.9, 4.0}).samples == std::vector<float>(whole.begin() + 46'400, whole.end()));
  }
}

TEST_CASE("A FLAC's tags hide no damage, and are none") {
  const std::vector<float> samples = speech_like(), whole = decode_sound(encoded(samples, flac), "a").samples;
  for (const std::string& comment : {std::string(4000, 'x'), std::string("ERROR : FLAC")}) {
    Bytes bytes = encoded(samples, flac, 1, -1, comment);
    CHECK(decode_sound(bytes, "a").samples == whole);
    std::fill_n(bytes.end() - std::ssize(bytes) / 3, 50, std::uint8_t{0x5a});
    CHECK_THAT(error_of(bytes), Contains("damaged or cut off FLAC"));
  }
}

TEST_CASE("FLAC without a count, as it is written into a pipe, is read to its end") {
  Bytes bytes = encoded(speech_like(), flac);
  const std::vector<float> whole = decode_sound(bytes, "a").samples;
  bytes[21] &= 0xf0;
  std::fill_n(bytes.begin() + 22, 4, std::uint8_t{0});
  CHECK(look_at_sound(bytes, "a").seconds() == -1.0);
  CHECK(decode_sound(bytes, "a").samples == whole);
  CHECK(decode_sound(bytes, "a", 0, {0.0, 1.0}).samples == std::vector<float>(whole.begin(), whole.begin() + 16'000));
  CHECK(decode_sound(bytes, "a", 0, {1.5, 2.0}).samples ==
        std::vector<float>(whole.begin() + 24'000, whole.begin() + 32'000));
  CHECK_THAT(error_of(bytes, 0, {5.0, 6.0}), Contains("a damaged copy?"));
}

TEST_CASE("MP3 whose frames are not counted names what is not read") {
  // Loud, then quiet, so that the first frames, from which the length is estimated, are longer than the others. The
  // very first holds the count.
  std::vector<float> samples = tone(96'000, 1.0, 16000, 1e-4);
  for (std::size_t i = 0; i < 48'000; ++i) samples[i] = std::sin(static_cast<float>(i * i % 9973)) / 2;
  const Bytes counted = encoded(samples, mp3, 1, SF_BITRATE_MODE_VARIABLE);
  Bytes tagged = counted;
  tagged.resize(counted.size() + 200'000);  // room for a picture, behind the frames
  CHECK(decode_sound(tagged, "a").samples.size() == 96'000);
  CHECK(decode_sound(tagged, "a").warning.empty());
  const auto second = std::search(counted.begin() + 3, counted.end(), counted.begin(), counted.begin() + 2);
  const Bytes bytes(second, counted.end());
  const Sound sound = decode_sound(bytes, "a.mp3");
  CHECK(sound.samples.size() < 48'000);
  CHECK_THAT(sound.warning, Contains("a.mp3: by its header it has about ") &&
                                Contains("bytes behind them are not read") &&
                                Contains("ffmpeg -i a.mp3 -c copy NEW.mp3"));
  CHECK(decode_sound(bytes, "a.mp3", 0, {0.0, 1.0}).warning.empty());
}

TEST_CASE("FLAC that promises hours takes memory for what is there") {
  Bytes bytes = encoded(speech_like(), flac);
  bytes[8 + 13] |= 0x0f;  // the upper bits of the number of samples
  std::string message;
  CHECK(memory::taken_by([&] { message = error_of(bytes); }) < 2'000'000);
  CHECK_THAT(message, Contains("samples, at most"));
  CHECK(memory::taken_by([&] { message = error_of(bytes, 0, {0.0, 1000.0}); }) < 2'000'000);
  CHECK_THAT(message, Contains("but only 48000 can be read"));
}

TEST_CASE("WAV is read alike by our reader and by libsndfile") {
  const TempDir dir;
  for (const int format :
       {SF_FORMAT_PCM_U8, SF_FORMAT_PCM_16, SF_FORMAT_PCM_24, SF_FORMAT_PCM_32, SF_FORMAT_FLOAT, SF_FORMAT_DOUBLE}) {
    for (const int type : {SF_FORMAT_WAV, SF_FORMAT_WAVEX}) {
      const Bytes bytes = encoded(speech_like(), type | format);
      const std::string path = dir.write("x.wav", bytes);
      SF_INFO info{};
      SNDFILE* file = sf_open(path.c_str(), SFM_READ, &info);
      REQUIRE(file != nullptr);
      std::vector<float> theirs(48'000);
      CHECK(sf_readf_float(file, theirs.data(), 48'000) == 48'000);
      sf_close(file);
      CAPTURE(format, type);
      CHECK(read_sound(path).samples == theirs);
    }
  }
}

#else

TEST_CASE("A build without libsndfile says which package brings it") {
  CHECK(read_sound_kinds() == "WAV");
  CHECK(missing_sound_package(".flac") == "libsndfile1-dev");
  CHECK_THAT(error_of({'f', 'L', 'a', 'C', 0, 0}), Contains("this build reads no .flac; install libsndfile1-dev"));
  CHECK_THAT(error_of(wav_of({1, 2}, {.bits = 40})), Contains("reads no WAV of this coding; install libsndfile1-dev"));
}

#endif
