#include "modalities/pair_half.h"

#include "modalities/picture_sets.h"
#include "modalities/pictures.h"
#include "recipes/pair_recipes.h"

#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_channels.h>

#include <utility>

namespace data = simclr::data;

namespace {

class PictureHalf final : public PairHalf {
 public:
  const char* name() const override { return "picture"; }
  Modality& modality() override { return pictures_; }
  const Modality& modality() const override { return pictures_; }
  bool reads(std::string_view value) const override { return data::is_picture_name(std::string(value)); }
  void options(OptionTable& table) override { pictures_.view_rows(table); }
  void use_recipe(const PairOptions& options) override { pictures_ = Pictures(options.pictures); }

  void look(const HalfPlaces& halves, const OptionTable& table, bool resumed, Datasets& notes) override {
    PictureSets sets;
    sets.kind = "pairs";
    std::vector<std::pair<const HalfFiles*, std::int64_t>> all;
    for (const auto* files : {&halves.trained_on, &halves.found_among}) {
      for (const HalfFiles& each : *files) {
        for (std::int64_t i = 0; i < std::ssize(each.names); ++i) all.emplace_back(&each, i);
      }
    }
    const auto name = [&](std::int64_t i) {
      const auto& [of, number] = all[static_cast<std::size_t>(i)];
      return of->names[static_cast<std::size_t>(number)];
    };
    const auto raster = [&](std::int64_t i) {
      const auto& [of, number] = all[static_cast<std::size_t>(i)];
      return of->bytes ? data::decode_raster(of->bytes(number), name(i)) : data::read_raster(name(i));
    };
    sets.take(data::channels_of_pictures(std::ssize(all), name, raster), halves.place);
    pictures_.take(sets, table, !resumed, resumed);
    notes.add_note(sets.note);
    notes.warnings.insert(notes.warnings.end(), sets.warnings.begin(), sets.warnings.end());
  }

  data::Sample read(const std::string& path, std::int32_t label) const override {
    return sample(data::read_raster(path), path, label);
  }
  data::Sample decode(const std::vector<std::uint8_t>& bytes, const std::string& name,
                      std::int32_t label) const override {
    return sample(data::decode_raster(bytes, name), name, label);
  }

 private:
  data::Sample sample(data::Raster picture, const std::string& name, std::int32_t label) const {
    return data::picture_sample(std::move(picture), label, pictures_.policy().channels, name);
  }

  Pictures pictures_;
};

}  // namespace

std::unique_ptr<PairHalf> picture_half() {
  return std::make_unique<PictureHalf>();
}
