#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/sound/sound_io.h>
#include <simclr/data/sound/sound_views.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace simclr::data {

SoundViews::SoundViews(const SoundPolicy& policy, std::shared_ptr<const Noises> noises)
    : policy_(policy), noises_(noises ? std::move(noises) : std::make_shared<const Noises>()) {
  check(policy_);
  SIMCLR_CHECK(policy_.noise_probability == 0.0f || !noises_->empty(), "sound policy: noise_probability is ",
               policy_.noise_probability, ", but there are no noises to mix in; give some, or set it to 0");
  SIMCLR_CHECK(std::none_of(noises_->begin(), noises_->end(), [](const auto& noise) { return noise.empty(); }),
               "sound views: a noise without a sample");
}

Shape SoundViews::view_shape() const {
  return {policy_.view_samples()};
}

std::int32_t SoundViews::make_view(const Sample& sample, const ViewKey& key, std::byte* out) const {
  SIMCLR_CHECK(sample.shape.rank() == 1 && sample.shape[0] >= 1, "sound views: a sample of shape ", sample.shape,
               ", [samples] is needed");
  const std::span<const float> samples = sample.values<float>();
  if (!sample.finite) {
    const auto bad = std::find_if(samples.begin(), samples.end(), [](float value) { return !std::isfinite(value); });
    SIMCLR_CHECK(bad == samples.end(), "sound views: sample ", bad - samples.begin(), " is ", *bad);
  }
  const SoundParameters parameters = draw_sound_parameters(policy_, std::ssize(samples), *noises_, key);
  augment_sound(samples, parameters, *noises_,
                {reinterpret_cast<float*>(out), static_cast<std::size_t>(policy_.view_samples())});
  return static_cast<std::int32_t>(parameters.length);
}

Noises read_noises(const Dataset& recordings, std::vector<std::string>& warnings) {
  Noises noises;
  std::int64_t total = 0;
  const std::size_t before = warnings.size();
  for (std::int64_t i = 0; i < recordings.size(); ++i) {
    try {
      const Sample sample = recordings.sample(i);
      const auto values = sample.values<float>();
      if (!sample.warning.empty()) warnings.emplace_back(sample.warning);
      total += std::ssize(values);
      SIMCLR_CHECK(total <= max_sound_frames, "the noises have more than ", max_sound_frames,
                   " samples, which are kept in memory; give fewer");
      if (std::all_of(values.begin(), values.end(), [](float value) { return value == 0.0f; })) {
        const std::string place = recordings.place(i);
        warnings.push_back((place.empty() ? "noise " + std::to_string(i) : printable(place)) +
                           ": the noise is silent (left out)");
      } else {
        noises.emplace_back(values.begin(), values.end());
      }
    } catch (const Error& error) {
      if (total > max_sound_frames) throw;
      warnings.push_back(std::string(error.what()) + " (noise left out)");
    }
  }
  SIMCLR_CHECK(!noises.empty(), recordings.describe(), ": none of them can be mixed in as noise",
               warnings.size() == before ? "" : ": " + warnings[before]);
  return noises;
}

}  // namespace simclr::data
