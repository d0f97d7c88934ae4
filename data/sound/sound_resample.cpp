#include <simclr/core/error.h>
#include <simclr/data/sound/sound_io.h>

#ifdef SIMCLR_HAVE_SAMPLERATE
#include <samplerate.h>
#endif

namespace simclr::data {

bool can_resample() {
#ifdef SIMCLR_HAVE_SAMPLERATE
  return true;
#else
  return false;
#endif
}

std::vector<float> resample_sound(std::vector<float> samples, std::int32_t from, std::int32_t to) {
  for (const std::int32_t rate : {from, to}) {
    SIMCLR_CHECK(rate >= min_sound_rate && rate <= max_sound_rate, "resample: ", rate, " samples a second, ",
                 min_sound_rate, " to ", max_sound_rate, " are possible");
  }
  if (from == to || samples.empty()) return samples;
#ifdef SIMCLR_HAVE_SAMPLERATE
  SIMCLR_CHECK(from <= 256 * std::int64_t{to} && to <= 256 * std::int64_t{from}, "resample: from ", from, " to ", to,
               " Hz, they are at most 256 times apart");
  const std::int64_t count = (std::ssize(samples) * to + from - 1) / from;
  SIMCLR_CHECK(count <= max_sound_frames, "resample: ", count, " samples at ", to, " Hz, at most ", max_sound_frames,
               " are possible; ask for a lower rate, or cut the recording");
  std::vector<float> out(static_cast<std::size_t>(count));  // what the filter leaves off at the end is silence
  SRC_DATA data{};
  data.data_in = samples.data();
  data.input_frames = std::ssize(samples);
  data.data_out = out.data();
  data.output_frames = count;
  data.src_ratio = static_cast<double>(to) / from;
  const int error = src_simple(&data, SRC_SINC_MEDIUM_QUALITY, 1);
  SIMCLR_CHECK(error == 0, "resample: libsamplerate: ", src_strerror(error));
  return out;
#else
  fail("recorded at ", from, " Hz, and ", to,
       " Hz are asked for: this build does not resample; install libsamplerate0-dev and build again, or ask for ", from,
       " Hz");
#endif
}

}  // namespace simclr::data
