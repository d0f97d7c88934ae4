#include "modalities/sound_files.h"

#include "modalities/field_parts.h"
#include "modalities/sound_sets.h"

#include <simclr/data/sound/sound_folder.h>

#include <span>
#include <utility>
#include <vector>

namespace data = simclr::data;

data::Sample recording(data::Sound read, std::int32_t label) {
  const auto sound = std::make_shared<const data::Sound>(std::move(read));
  return {.bytes = std::as_bytes(std::span(sound->samples)),
          .shape = {std::ssize(sound->samples)},
          .dtype = simclr::DType::f32,
          .label = label,
          .owner = sound,
          .warning = sound->warning,
          .finite = true};
}

NamedSamples named_sounds(const std::string& place, std::int32_t rate,
                          const std::function<void(const std::string&)>& on_warning) {
  data::SoundList list = list_of_sounds(place, is_sound_list(place) ? "" : any_name);
  for (const std::string& warning : list.warnings) {
    if (on_warning) on_warning(warning);
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) names.push_back(list.name(i));
  const std::vector<std::string> left_out = list.left_out;
  return with_names(data::sound_folder(std::move(list), rate), std::move(names), left_out);
}
