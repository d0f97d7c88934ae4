#include "modalities/sound_files.h"

#include "modalities/field_parts.h"
#include "modalities/sound_sets.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/sound/sound_folder.h>

#include <utility>
#include <vector>

namespace data = simclr::data;

namespace {

/// Recordings, each a class of its own.
class NamedSounds final : public data::Dataset {
 public:
  NamedSounds(std::shared_ptr<const data::Dataset> sounds, std::vector<std::string> names)
      : sounds_(std::move(sounds)), names_(std::move(names)) {}

  std::int64_t size() const override { return sounds_->size(); }
  data::Sample sample(std::int64_t i, int part) const override {
    data::Sample sample = sounds_->sample(i, part);
    sample.label = label(i);
    if (const std::string& name = names_[static_cast<std::size_t>(i)]; name.find('\n') != std::string::npos) {
      simclr::fail(simclr::printable(name), ": the name holds a line break; rename the file");  // files.txt has lines
    }
    return sample;
  }
  std::int32_t label(std::int64_t i) const override { return static_cast<std::int32_t>(i); }
  const std::vector<std::string>& classes() const override { return names_; }
  std::string file(std::int64_t i) const override { return sounds_->file(i); }
  std::string place(std::int64_t i) const override { return sounds_->place(i); }
  std::string describe() const override { return sounds_->describe(); }

 private:
  std::shared_ptr<const data::Dataset> sounds_;
  std::vector<std::string> names_;
};

}  // namespace

NamedSamples named_sounds(const std::string& place, std::int32_t rate,
                          const std::function<void(const std::string&)>& on_warning) {
  data::SoundList list = list_of_sounds(place, is_sound_list(place) ? "" : any_name);
  for (const std::string& warning : list.warnings) {
    if (on_warning) on_warning(warning);
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) names.push_back(list.name(i));
  NamedSamples named;
  for (const std::string& part : list.left_out) named.left_out += (named.left_out.empty() ? "" : ", ") + part;
  named.samples = std::make_shared<NamedSounds>(data::sound_folder(std::move(list), rate), std::move(names));
  return named;
}
