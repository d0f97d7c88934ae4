#include "modalities/clip_kind.h"

#include "modalities/clip_baseline.h"
#include "modalities/clip_look.h"
#include "modalities/clip_sets.h"
#include "modalities/clips.h"
#include "modalities/picture_sheet.h"
#include "train/training_config.h"

#include <simclr/core/error.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_io.h>
#include <simclr/data/video/clip_list.h>

#include <algorithm>
#include <array>
#include <utility>

namespace data = simclr::data;

namespace {

constexpr const char* moving = "moving-fashion-mnist";

/// The frame in the middle of a clip.
data::Raster middle_of(const std::string& path) {
  const auto clip = data::open_clip(path);
  const data::ClipInfo& info = clip->info();
  data::Raster frame{
      .height = info.height, .width = info.width, .channels = info.channels, .dtype = info.dtype, .bytes = {}};
  frame.bytes.resize(static_cast<std::size_t>(info.frame_bytes()));
  clip->read(std::array{info.frames / 2}, frame.bytes);
  return frame;
}

class ClipKind final : public Kind {
 public:
  Modality& modality() override { return clips_; }
  const Modality& modality() const override { return clips_; }
  const char* sample() const override { return "clip"; }

  NamedSamples open_named(const std::string& dataset, const std::string& place, const EncoderFile&,
                          const std::function<void(const std::string&)>& on_warning) const override {
    check_place(dataset, {"auto", "folder", "list"});
    check_clips(dataset, place);
    NamedSamples found = named_list(place, clip_files(), on_warning);
    const std::string line = beyond_white(look_at_clips(*found.samples), place);
    if (!line.empty()) on_warning(line);
    return found;
  }
  data::Sample read(const std::string& path, const EncoderFile&) const override {
    return data::clip_folder({.files = std::vector<std::string>{path}})->sample(0);
  }
  void check_sheet(const std::string&) const override {}
  void write_sheet(const std::string& sheet, const std::string& path, const NamedSamples& samples,
                   const std::vector<std::int64_t>& found, simclr::Existing existing) const override {
    const auto frame = [&](int n) {
      return middle_of(n == 0 ? path : samples.samples->file(found[static_cast<std::size_t>(n - 1)]));
    };
    write_contact_sheet(sheet, static_cast<int>(found.size()) + 1, frame, existing);
  }

  void fill_in(LabelledPlace& place, const EncoderFile& file, const std::string& run) const override {
    Clips clips;
    const TrainingOptions trained = options_from_json(file.config, file.path, clips);
    const bool of_moving = trained.dataset == moving || (trained.dataset == "auto" && trained.data_dir.empty());
    if (place.data_dir.empty() && place.dataset == "auto") {
      place.dataset = trained.dataset;
    } else if (place.data_dir.empty() && (place.dataset == moving) != of_moving) {
      return;  // other data, of which the run says nothing
    }
    fill_in_parts(place, trained, clips.own().pattern, clips.own().test, run);
  }
  Datasets open_labelled(const LabelledPlace& place, const EncoderFile& file) const override {
    check_place(place.dataset, clip_set_kinds(), place.classes_at);
    Datasets sets = open_clips(place.dataset, {.data = place.data_dir, .pattern = place.pattern, .test = place.test},
                               cache_bytes(-1, file.cache_dir));
    compare_with_run(sets, place, files_of_clips(place.dataset, place.data_dir, place.pattern));
    const std::string line = beyond_white(look_at_clips(*sets.train), place.data_dir);
    if (!line.empty()) sets.warnings.push_back(line);
    return learned_from(std::move(sets), place);
  }
  std::shared_ptr<const data::ViewMaker> light_views(double crop_min) const override {
    return clips_.light_views(crop_min);
  }
  std::optional<Baseline> baseline(const Datasets& sets, const EvaluationOptions& options) const override {
    return motion_statistics(sets, options);
  }

 private:
  Clips clips_;
};

}  // namespace

std::unique_ptr<Kind> clip_kind() {
  return std::make_unique<ClipKind>();
}
