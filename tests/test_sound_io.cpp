// The readers of recordings: every coding against plain loops, segments, rates, damaged files, memory.

#include <simclr/data/sound/sound_io.h>

#include "support/catch.h"
#include "support/decoded_sounds.h"
#include "support/message_of.h"
#include "support/peak_memory.h"
#include "support/sounds.h"
#include "support/temp_dir.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
using Bytes = std::vector<std::uint8_t>;

TEST_CASE("WAV: every coding gives the mean of the channels, as a share of full scale") {
  struct Coding {
    int bits;
    bool floating;
    double scale;
  };
  const Coding codings[] = {{8, false, 128},         {16, false, 32768}, {24, false, 8388608},
                            {32, false, 2147483648}, {32, true, 1},      {64, true, 1}};
  for (const Coding& coding : codings) {
    for (const int channels : {1, 2, 5}) {
      for (const bool extensible : {false, true}) {
        std::vector<double> values;
        for (int i = 0; i < 31 * channels; ++i) {
          const double share = std::sin(0.7 * i);
          values.push_back(coding.floating ? share : std::floor(share * (coding.scale - 1)));
        }
        values[0] = coding.floating ? -1.0 : -coding.scale;
        CAPTURE(coding.bits, coding.floating, channels, extensible);
        const Bytes bytes = wav_of(values, {.rate = 22050,
                                            .channels = channels,
                                            .bits = coding.bits,
                                            .floating = coding.floating,
                                            .extensible = extensible,
                                            .chunks = {{"LIST", "odd"}, {"fact", "even"}}});
        const SoundInfo info = look_at_sound(bytes, "a.wav");
        CHECK((info.frames == 31 && info.rate == 22050 && info.channels == channels));
        CHECK(info.seconds() == Approx(31.0 / 22050));
        const Sound sound = decode_sound(bytes, "a.wav");
        REQUIRE(sound.samples.size() == 31);
        CHECK(sound.rate == 22050);
        CHECK(sound.warning.empty());
        for (std::size_t i = 0; i < 31; ++i) {
          double sum = 0.0;
          for (int c = 0; c < channels; ++c) {
            sum += values[i * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)] / coding.scale;
          }
          CHECK(std::abs(sound.samples[i] - sum / channels) <= 1e-7);
        }
      }
    }
  }
}

TEST_CASE("A segment is the whole's part, and ends with it") {
  std::vector<double> values;
  for (int i = 0; i < 40'000; ++i) values.push_back(i - 20'000);
  const Bytes bytes = wav_of(values, {.rate = 8000});
  const Sound whole = decode_sound(bytes, "a.wav");
  REQUIRE(whole.samples.size() == 40'000);  // more than a block
  const auto part = [&](double begin, double end) { return decode_sound(bytes, "a.wav", 0, {begin, end}).samples; };
  const auto slice = [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    return std::vector<float>(whole.samples.begin() + begin, whole.samples.begin() + end);
  };
  CHECK(part(1.0, 1.5) == slice(8000, 12000));
  CHECK(part(2.007, 4.3) == slice(16056, 34400));  // 2.007 is no exact number
  CHECK(part(0.0, 0.00001) == slice(0, 1));
  CHECK(part(0.0001, 0.0004) == slice(1, 4));  // what begins in it: 0.8 samples in, to 3.2
  CHECK(part(4.9, 90.0) == slice(39200, 40000));
  CHECK(part(4.9, std::numeric_limits<double>::infinity()) == slice(39200, 40000));
  CHECK_THAT(error_of(bytes, 0, {5.0, 6.0}), Contains("a segment from 5 s on, but the recording ends at 5 s"));
  CHECK_THAT(error_of(bytes, 0, {2.0, 2.0}), Contains("a segment from 2 to 2 s"));
  CHECK_THAT(error_of(bytes, 0, {-1.0, 2.0}), Contains("begins at 0 or later"));
  CHECK_THAT(error_of(bytes, 0, {std::nan(""), 2.0}), Contains("begins at 0 or later"));
}

TEST_CASE("Recordings of other rates are resampled") {
  const Bytes bytes = wav_of_samples(tone(44100, 1000, 44100), 44100);
  if (!can_resample()) {
    CHECK_THAT(error_of(bytes, 16000), Contains("a.wav: recorded at 44100 Hz, and 16000 Hz are asked for") &&
                                           Contains("install libsamplerate0-dev"));
    CHECK(decode_sound(bytes, "a.wav", 44100).samples.size() == 44100);
    return;
  }
  const Sound sound = decode_sound(bytes, "a.wav", 16000);
  CHECK(sound.rate == 16000);
  REQUIRE(sound.samples.size() == 16000);
  CHECK(error_db(sound.samples, tone(16000, 1000, 16000), 1000, 15000) < -85);  // 16 bits' rounding
  CHECK(decode_sound(bytes, "a.wav", 16000).samples == sound.samples);
  CHECK(decode_sound(bytes, "a.wav", 44100).samples.size() == 44100);
  // What the lower rate cannot hold is gone, and what is below 80 % of it is not touched.
  for (const auto& [from, to] : {std::pair(48000, 16000), std::pair(16000, 8000), std::pair(22050, 16000)}) {
    const std::vector<float> high = resample_sound(tone(from, 0.55 * to, from), from, to);
    CHECK(error_db(high, tone(to, 1000, to), static_cast<std::size_t>(to / 4), static_cast<std::size_t>(to * 3 / 4)) ==
          Approx(0).margin(0.01));
    const std::vector<float> low = resample_sound(tone(from, 0.4 * to, from), from, to);
    CHECK(error_db(low, tone(to, 0.4 * to, to), static_cast<std::size_t>(to / 4),
                   static_cast<std::size_t>(to * 3 / 4)) < -100);
  }
  CHECK(resample_sound(std::vector<float>(1001), 16000, 8000).size() == 501);
  CHECK(resample_sound(std::vector<float>(3), 8000, 16000).size() == 6);
  CHECK(resample_sound({}, 8000, 16000).empty());
  CHECK_THAT(message_of([] { resample_sound({1.0f}, 1000, 999'000); }), Contains("256 times apart"));
}

TEST_CASE("Broken WAV files end with one clear line") {
  const std::vector<double> values = {1, 2, 3, 4};
  CHECK_THAT(error_of({}), Contains("a.wav: the file is empty"));
  CHECK_THAT(error_of({'R', 'I', 'F', 'F'}), Contains("a.wav: no " + read_sound_kinds() + " recording by its content"));
  CHECK_THAT(error_of(Bytes(40, 'x')), Contains("recording by its content; convert it"));
  Bytes m4a(40, 0);
  std::copy_n("ftyp", 4, m4a.begin() + 4);
  CHECK_THAT(error_of(m4a), Contains("by its content but .m4a; convert it"));
  CHECK_THAT(error_of(wav_of({})), Contains("a recording without a sample"));
  CHECK_THAT(error_of(wav_of(values, {.said = 9})),
             Contains("the file is cut off: its header says 9 bytes of samples, 8 are there"));
  CHECK_THAT(error_of(wav_of(values, {.said = 0xfffffffe})), Contains("4294967294 bytes of samples, 8 are there"));
  CHECK(decode_sound(wav_of(values, {.said = 0xffffffff}), "a.wav").samples.size() == 4);  // written into a pipe
  CHECK(decode_sound(wav_of(values, {.said = 7}), "a.wav").samples.size() == 3);
  // RF64 says its length in a chunk of its own: whose, samples', and more, 8 bytes each.
  const auto long_wav = [&](char size) {
    std::string lengths(28, '\0');
    lengths[8] = size;
    Bytes bytes = wav_of(values, {.chunks = {{"ds64", lengths}}, .said = 0xffffffff});
    std::copy_n("RF64", 4, bytes.begin());
    return bytes;
  };
  CHECK(decode_sound(long_wav(6), "a.wav").samples.size() == 3);
  CHECK(decode_sound(long_wav(0), "a.wav").samples.size() == 4);  // written into a pipe
  CHECK_THAT(error_of(long_wav(9)), Contains("the file is cut off: its header says 9 bytes of samples, 8 are there"));
  for (const int rate : {0, 999, 1'000'001, -1}) {
    CHECK_THAT(error_of(wav_of(values, {.rate = rate})), Contains("samples a second, 1000 to 1000000 are possible"));
    if (rate != 0) CHECK_THAT(error_of(wav_of(values), rate), Contains("samples a second, 1000 to 1000000"));
  }
  CHECK_THAT(error_of(wav_of(std::vector<double>(600), {.channels = 300})), Contains("300 channels, 1 to 256"));
  Bytes chunks = wav_of(values);
  chunks.resize(12);
  CHECK_THAT(error_of(chunks), Contains("without its samples (no chunk \"data\")"));
  for (int i = 0; i < 40'000; ++i) chunks.push_back(0);
  CHECK_THAT(error_of(chunks), Contains("without its samples"));
  Bytes no_format = wav_of(values);
  no_format[12] = 'F';
  CHECK_THAT(error_of(no_format), Contains("no chunk \"fmt \" before its samples"));
  const Bytes whole = wav_of(values, {.extensible = true, .chunks = {{"LIST", "some text"}}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(error_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))) != "no error");
  }
}

TEST_CASE("Values that are no sound are refused") {
  const auto error = [](double value, int bits) {
    std::vector<double> values(20'000, 0.25);
    values[17'000] = value;
    return error_of(wav_of(values, {.bits = bits, .floating = true}));
  };
  CHECK_THAT(error(std::nan(""), 32), Contains("a.wav: sample 17000 is nan; write the recording again"));
  CHECK_THAT(error(std::numeric_limits<double>::infinity(), 64), Contains("sample 17000 is inf"));
  CHECK_THAT(error(-1e300, 64), Contains("sample 17000 is -inf"));
  CHECK_THAT(error(20000, 32), Contains("sample 17000 is 20000, and 1 is full scale; divide"));
  CHECK(error(1.5, 32) == "no error");
}

TEST_CASE("Memory is taken for what a file holds, not for what it promises") {
  const Bytes small = wav_of({1, 2, 3, 4}, {.rate = 8000, .said = 0xfffffff0});
  CHECK(memory::taken_by([&] { error_of(small); }) < 100'000);
  std::vector<double> values(2'000'000);
  const Bytes large = wav_of(values, {.rate = 8000, .channels = 100, .bits = 8});
  CHECK(memory::taken_by([&] { look_at_sound(large, "a.wav"); }) < 10'000);
  const Bytes bytes = wav_of(values, {.rate = 8000});
  CHECK(memory::taken_by([&] { decode_sound(bytes, "a.wav", 0, {200.0, 201.0}); }) < 250'000);
}

TEST_CASE("Files: what is none, and odd names") {
  const TempDir dir;
  const std::string good = dir.write("a.wav", wav_of({1, 2, 3}));
  CHECK(read_sound(good).samples.size() == 3);
  CHECK(look_at_sound(good).frames == 3);
  CHECK_THAT(message_of([&] { read_sound(dir.path("none.wav")); }),
             Contains("recording: cannot open " + dir.path("none.wav")));
  CHECK_THAT(message_of([&] { read_sound(dir.path()); }), Contains("is not a regular file"));
  REQUIRE(::mkfifo(dir.path("pipe.wav").c_str(), 0600) == 0);  // must not hang
  CHECK_THAT(message_of([&] { read_sound(dir.path("pipe.wav")); }), Contains("is not a regular file"));
  const std::string odd = dir.write("od\xe9\n.wav", std::string("text"));
  CHECK_THAT(message_of([&] { read_sound(odd); }), Contains("od\xe9?.wav: no "));
}

TEST_CASE("Kinds are told by bytes, and files by their names") {
  const auto kind = [](std::string_view text) {
    return sound_kind({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  };
  CHECK(kind("RIFF....WAVE") == ".wav");
  CHECK(kind("RIFF....AVI ").empty());
  CHECK(kind("fLaC") == ".flac");
  CHECK(kind("OggS") == ".ogg");
  CHECK(kind("ID3\x03") == ".mp3");
  CHECK(kind("\xff\xfb\x90\x64") == ".mp3");
  CHECK(kind("\xff\xff\xff\xff").empty());
  CHECK(kind("").empty());
  CHECK(is_sound_name("a/b.WAV"));
  CHECK(!is_sound_name("a/b.wav.txt"));
  CHECK(!is_sound_name("wav"));
  CHECK(is_sound_name("b.mp3") == missing_sound_package(".mp3").empty());
  CHECK(missing_sound_package(".txt").empty());
}

TEST_CASE("What is written is read again, to half a step of 16 bits") {
  const std::vector<float> samples = {0.0f, 0.5f, -0.25f, 0.99996f, 1.0f, 7.0f, -1.0f, -9.0f, std::nanf("")};
  const Sound sound = decode_sound(wav_bytes(samples, 11025), "a.wav");
  CHECK(sound.rate == 11025);
  REQUIRE(sound.samples.size() == samples.size());
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(sound.samples[i] - samples[i]) <= 0x1p-16f);
  CHECK((sound.samples[4] == 32767.0f / 32768 && sound.samples[5] == sound.samples[4]));
  CHECK((sound.samples[6] == -1.0f && sound.samples[7] == -1.0f && sound.samples[8] == 0.0f));
  CHECK_THAT(message_of([] { wav_bytes({}, 0); }), Contains("wav_bytes: 0 samples a second"));
}
