#include "modalities/pair_half.h"

#include "modalities/sounds.h"
#include "recipes/pair_recipes.h"

#include <simclr/data/sound/sound_folder.h>

namespace data = simclr::data;

namespace {

class SoundHalf final : public PairHalf {
 public:
  const char* name() const override { return "sound"; }
  Modality& modality() override { return sounds_; }
  const Modality& modality() const override { return sounds_; }
  bool reads(std::string_view value) const override { return data::is_sound_name(std::string(value)); }
  void options(OptionTable& table) override {
    table.of(name());
    sounds_.view_rows(table);
    table.of("");
  }
  void use_recipe(const PairOptions& options) override { sounds_ = Sounds(options.sound); }
  std::vector<OptionPath> paths() override {
    std::vector<OptionPath> all = sounds_.paths();
    for (OptionPath& each : all) each.option = "sound-noise";  // the one that there is
    return all;
  }
  void look(const HalfPlaces&, const OptionTable&, bool, Datasets& sets) override { sounds_.take(sets); }
  data::Sample read(const std::string& path, std::int32_t label) const override {
    return data::sound_sample(data::read_sound(path, sounds_.own().sound.rate), label);
  }
  data::Sample decode(const std::vector<std::uint8_t>& bytes, const std::string& name,
                      std::int32_t label) const override {
    return data::sound_sample(data::decode_sound(bytes, name, sounds_.own().sound.rate), label);
  }

 private:
  Sounds sounds_;
};

}  // namespace

std::unique_ptr<PairHalf> sound_half() {
  return std::make_unique<SoundHalf>();
}
