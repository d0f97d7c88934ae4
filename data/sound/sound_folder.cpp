#include "../field_folder.h"

#include <simclr/core/error.h>
#include <simclr/data/sound/sound_folder.h>

#include <span>
#include <utility>

namespace simclr::data {
namespace {

class SoundFolder final : public ListedSamples {
 public:
  SoundFolder(FieldList list, std::int32_t rate)
      : ListedSamples(std::move(list), ", at " + std::to_string(rate) + " Hz"), rate_(rate) {}

  Sample sample(std::int64_t i, int) const override {
    const std::int32_t sample_label = label(i);
    const auto at = static_cast<std::size_t>(i);
    const TimeRange part = list().times.empty() ? TimeRange() : list().times[at];
    return sound_sample(read_sound(list().path(at), rate_, part), sample_label);
  }

 private:
  std::int32_t rate_;
};

}  // namespace

Sample sound_sample(Sound read, std::int32_t label) {
  const auto sound = std::make_shared<const Sound>(std::move(read));
  return {.bytes = std::as_bytes(std::span(sound->samples)),
          .shape = {std::ssize(sound->samples)},
          .dtype = DType::f32,
          .label = label,
          .owner = sound,
          .warning = sound->warning,
          .finite = true};
}

std::unique_ptr<Dataset> sound_folder(FieldList list, std::int32_t rate) {
  SIMCLR_CHECK(rate >= min_sound_rate && rate <= max_sound_rate, "sound_folder: ", rate, " samples a second, ",
               min_sound_rate, " to ", max_sound_rate, " are possible");
  return std::make_unique<SoundFolder>(std::move(list), rate);
}

}  // namespace simclr::data
