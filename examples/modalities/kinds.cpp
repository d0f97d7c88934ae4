#include "modalities/kinds.h"

#include "modalities/clip_kind.h"
#include "modalities/clip_sets.h"
#include "modalities/clips.h"
#include "modalities/field_parts.h"
#include "modalities/named_texts.h"
#include "modalities/pair_kind.h"
#include "modalities/pair_sides.h"
#include "modalities/pairs.h"
#include "modalities/picture_data_files.h"
#include "modalities/picture_files.h"
#include "modalities/picture_rows.h"
#include "modalities/picture_sets.h"
#include "modalities/picture_sheet.h"
#include "modalities/pictures.h"
#include "modalities/sound_baseline.h"
#include "modalities/sound_sets.h"
#include "modalities/sounds.h"
#include "modalities/text_baseline.h"
#include "modalities/text_sets.h"
#include "modalities/texts.h"
#include "run/data_places.h"
#include "run/option_file.h"
#include "run/progress.h"
#include "train/data_files.h"
#include "train/run_data.h"
#include "train/test_part.h"
#include "train/training_config.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/picture_channels.h>
#include <simclr/data/pictures/picture_views.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_io.h>

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

class PictureKind final : public Kind {
 public:
  Modality& modality() override { return pictures_; }
  const Modality& modality() const override { return pictures_; }
  const char* sample() const override { return "picture"; }

  NamedSamples open_named(const std::string& dataset, const std::string& place, const EncoderFile& file,
                          const std::function<void(const std::string&)>& on_warning) const override {
    const auto files = open_picture_files(dataset, place, channels(file), on_warning, file.cache_dir);
    return {files, files->left_out()};
  }
  data::Sample read(const std::string& path, const EncoderFile& file) const override {
    std::error_code error;
    SIMCLR_CHECK(!fs::is_directory(path, error), path, ": not a picture file; give a ", data::read_kinds(), " file");
    return data::picture_sample(data::read_raster(path), -1, channels(file), path);
  }
  void check_sheet(const std::string&) const override {}
  void write_sheet(const std::string& sheet, const std::string& path, const NamedSamples& samples,
                   const std::vector<std::int64_t>& found, simclr::Existing existing) const override {
    const auto& files = dynamic_cast<const PictureFiles&>(*samples.samples);
    const auto picture = [&](int n) {
      return n == 0 ? data::read_raster(path) : files.read(found[static_cast<std::size_t>(n - 1)]);
    };
    write_contact_sheet(sheet, static_cast<int>(found.size()) + 1, picture, existing);
  }

  void fill_in(LabelledPlace& place, const EncoderFile& file, const std::string& run) const override {
    const bool other = place.dataset != "auto" || !place.data_dir.empty();
    prefer_data_set_of(file.config, run, place.dataset, place.data_dir, place.classes_at);
    if (!other) place.run_data = data_files_of_run(run);
  }
  Datasets open_labelled(const LabelledPlace& place, const EncoderFile& file) const override {
    refuse_part_rows(place, sample());
    PictureSets sets = ::open_labelled(place.dataset, place.data_dir, place.classes_at, file.cache_dir);
    check_channels(sets, place.data_dir, channels(file));
    if (place.run_data.is_object()) compare_with_run(sets, place, list_picture_files(sets.kind, place.data_dir));
    return sets;
  }
  std::shared_ptr<const data::ViewMaker> light_views(double crop_min) const override {
    data::Augmentation policy = pictures_.policy();
    policy.random_crop = true;
    policy.crop_area_min = static_cast<float>(crop_min);
    policy.flip_probability = 0.5f;
    return std::make_shared<data::PictureViews>(policy);
  }

 private:
  static int channels(const EncoderFile& file) { return static_cast<int>(file.tower.maker->view_shape()[2]); }

  Pictures pictures_;
};

class SoundKind final : public Kind {
 public:
  Modality& modality() override { return sounds_; }
  const Modality& modality() const override { return sounds_; }
  const char* sample() const override { return "recording"; }

  NamedSamples open_named(const std::string& dataset, const std::string& place, const EncoderFile&,
                          const std::function<void(const std::string&)>& on_warning) const override {
    check_place(dataset, {"auto", "folder", "list"});
    check_listed(dataset, place);
    return named_list(place, files(), on_warning);
  }
  data::Sample read(const std::string& path, const EncoderFile&) const override {
    std::error_code error;
    SIMCLR_CHECK(!fs::is_directory(path, error), path, ": not a recording; give a ", data::read_sound_kinds(), " file");
    return data::sound_sample(data::read_sound(path, sounds_.own().sound.rate));
  }

  void fill_in(LabelledPlace& place, const EncoderFile& file, const std::string& run) const override {
    Sounds sounds;
    const TrainingOptions trained = options_from_json(file.config, file.path, sounds);
    fill_in_parts(place, trained, sounds.own().pattern, sounds.own().test, run);
  }
  Datasets open_labelled(const LabelledPlace& place, const EncoderFile&) const override {
    check_place(place.dataset, {"auto", "folder", "list"}, place.classes_at);
    check_listed(place.dataset, place.data_dir);
    Datasets sets = open_listed({.data = place.data_dir, .pattern = place.pattern, .test = place.test}, files());
    compare_with_run(sets, place, listed_files(place.data_dir, place.pattern, files()));
    return learned_from(std::move(sets), place);
  }
  std::shared_ptr<const data::ViewMaker> light_views(double crop_min) const override {
    refuse_unless(crop_min == usual_crop_min, "--crop-min " + rounded(crop_min));
    return sounds_.light_views();
  }
  std::optional<Baseline> baseline(const Datasets& sets, const EvaluationOptions& options) const override {
    return mfcc_statistics(sets, sounds_.own().sound.rate, options);
  }

 private:
  ListedKind files() const { return sound_files_at(sounds_.own().sound.rate); }

  Sounds sounds_;
};

class TextKind final : public Kind {
 public:
  Modality& modality() override { return texts_; }
  const Modality& modality() const override { return texts_; }
  const char* sample() const override { return "text"; }

  NamedSamples open_named(const std::string& dataset, const std::string& place, const EncoderFile&,
                          const std::function<void(const std::string&)>& on_warning) const override {
    check_place(dataset, {"auto", "list"});
    return {named_texts(place, on_warning)};
  }
  data::Sample read(const std::string& words_or_file, const EncoderFile& file) const override {
    const data::Sample text = query_text(words_or_file);
    if (!has_known_token(text, *file.tower.maker)) {
      Progress().warn(simclr::printable(words_or_file) +
                      ": no word of it is known to the encoder, to which all such texts are one");
    }
    return text;
  }
  /// Of the run's own data another set may be asked for, or one of several places.
  void fill_in(LabelledPlace& place, const EncoderFile& file, const std::string& run) const override {
    Texts texts;
    const TrainingOptions trained = options_from_json(file.config, file.path, texts);
    bool same = place.data_dir.empty();
    if (same) {
      place.data_dir = data_of_run(trained.data_dir, trained.started_in, run);
      if (place.dataset == "auto") place.dataset = trained.dataset;
    }
    const fs::path tested = whole_path(split_places(place.data_dir).front());
    const std::vector<std::string> places = split_places(trained.data_dir);
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (whole_path(path_of_run(places[i], trained.started_in, run)) != tested) continue;
      same = true;
      if (i == 0 && place.dataset == "auto") place.dataset = trained.dataset;
    }
    if (same) place.run_data = data_files_of_run(run);
  }
  Datasets open_labelled(const LabelledPlace& place, const EncoderFile&) const override {
    check_place(place.dataset, text_kinds(), place.classes_at);
    refuse_part_rows(place, sample());
    TrainingOptions asked;
    asked.dataset = place.dataset;
    asked.data_dir = place.data_dir;
    Texts texts(texts_);  // with its tokenizer
    Datasets sets = texts.open_labelled(asked);
    if (place.run_data.is_object()) compare_test_part(place.run_data, sets);
    return sets;
  }
  std::shared_ptr<const data::ViewMaker> light_views(double crop_min) const override {
    refuse_unless(crop_min == usual_crop_min, "--crop-min " + rounded(crop_min));
    return texts_.light_views();
  }
  std::optional<Baseline> baseline(const Datasets& sets, const EvaluationOptions&) const override {
    return tfidf_features(sets);
  }

 private:
  /// A run trains on no text of its test parts, so that what else changed does not matter.
  static void compare_test_part(const nlohmann::ordered_json& run_data, Datasets& sets) {
    const nlohmann::ordered_json kept = run_data.value("within", nlohmann::ordered_json::object());
    const nlohmann::ordered_json tested = sets.within.at(test_part_within);
    if (kept.empty() || std::find(kept.begin(), kept.end(), tested) != kept.end()) return;
    sets.warnings.push_back(
        "the data differ from those that the run was trained on, which may have been samples that are tested on here: "
        "these texts are no test part that the run kept");
  }

  Texts texts_;
};

}  // namespace

void Kind::refuse_unless(bool fits, const std::string& option, const std::string& of) const {
  SIMCLR_CHECK(fits, option, ": is ", of, ", and these weights are of ", sample(), "s; leave it out");
}

void Kind::check_place(const std::string& dataset, const std::vector<std::string>& known, int classes_at) const {
  refuse_unless(std::find(known.begin(), known.end(), dataset) != known.end(), "--dataset " + dataset);
  refuse_unless(classes_at == 1, "--classes-at " + std::to_string(classes_at), "for folders of pictures");
}

void refuse_part_rows(const LabelledPlace& place, const std::string& sample) {
  for (const auto& [option, text] : {std::pair("--pattern ", place.pattern), std::pair("--test ", place.test)}) {
    SIMCLR_CHECK(text.empty(), option, text, ": is of recordings and clips, and these weights are of ", sample,
                 "s; leave it out");
  }
}

void Kind::check_sheet(const std::string& sheet) const {
  refuse_unless(false, "--sheet " + sheet);
}

void Kind::write_sheet(const std::string& sheet, const std::string&, const NamedSamples&,
                       const std::vector<std::int64_t>&, simclr::Existing) const {
  check_sheet(sheet);
}

NamedSamples named_list(const std::string& place, const ListedKind& kind,
                        const std::function<void(const std::string&)>& on_warning) {
  const data::FieldList list = listed_samples(place, is_listed(place) ? "" : any_name, kind);
  for (const std::string& warning : list.warnings) {
    if (on_warning) on_warning(warning);
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) names.push_back(list.name(i));
  return with_names(kind.open(list, list.size()), std::move(names), list.left_out);
}

Datasets learned_from(Datasets sets, const LabelledPlace& place) {
  SIMCLR_CHECK(sets.test != nullptr, "--data ", place.data_dir, ": ", sets.no_test,
               "; this program needs labels to learn from and to test on",
               sets.kind == "folder" && place.pattern.empty() ? ", which --pattern may read from names" : "");
  sets.add_note(learn_from_labelled(sets));
  sets.train = sets.labelled;
  return sets;
}

void add_place_rows(OptionTable& table, LabelledPlace& place) {
  std::vector<std::string> further = text_kinds();
  further.insert(further.end(), clip_set_kinds().begin(), clip_set_kinds().end());
  add_dataset_rows(table, place.dataset, place.data_dir, place.classes_at, "what the weights were trained on", further);
  add_part_rows(table, place.pattern, place.test, {"recordings and clips", "{label}_{speaker}_{take}.wav", "speaker"},
                "Unset: of the data of the run as it had them");
}

void add_side_row(OptionTable& table, std::string& side) {
  table.add("side", side, either_side(),
            "Of weights of pairs: the side, first or second, whose encoder is taken, without its head. none: the first "
            "that is of pictures, or the first side's where none is");
}

void fill_in_parts(LabelledPlace& place, const TrainingOptions& trained, const std::string& pattern,
                   const std::string& test, const std::string& run) {
  if (place.data_dir.empty()) {
    place.data_dir = data_of_run(trained.data_dir, trained.started_in, run);
  } else if (whole_path(place.data_dir) != whole_path(path_of_run(trained.data_dir, trained.started_in, run))) {
    return;  // other data, of which the run says nothing
  }
  std::string had;  // where it is not what is asked for
  for (const auto& [option, asked, of_run] :
       {std::tuple("--pattern", &place.pattern, &pattern), std::tuple("--test", &place.test, &test)}) {
    if (asked->empty()) *asked = *of_run;
    if (*asked == *of_run) continue;
    had += (had.empty() ? "" : " and ") + (of_run->empty() ? "no " + std::string(option) : option + (" " + *of_run));
  }
  if (had.empty()) {
    place.run_data = data_files_of_run(run);
  } else {
    place.parted_otherwise = "the run was trained with " + had + ", so it may have been trained on ";
  }
}

void compare_with_run(Datasets& sets, const LabelledPlace& place, const nlohmann::ordered_json& now) {
  const std::string tested = "samples that are tested on here";
  if (!place.parted_otherwise.empty()) sets.warnings.push_back(place.parted_otherwise + tested);
  if (!place.run_data.is_object()) return;
  nlohmann::ordered_json before = place.run_data;
  for (const char* key : {"labels", "within"}) {
    if (!now.contains(key)) before.erase(key);
  }
  if (before.contains("within")) before["within"].erase("the noise");  // which is for training alone
  const std::string differs =
      data_differ(before, now, sets.sample_name, is_listed(place.data_dir) ? "what --data names" : "the folder itself");
  if (differs.empty()) return;
  const bool others = sets.within_training.empty() || !before.contains("within") ||
                      test_part_differs(before, now, sets.within_training);
  sets.warnings.push_back("the data differ from those that the run was trained on" +
                          (others ? ", which may have been " + tested : "") + ": " + differs);
}

void compare_with_run(Datasets& sets, const LabelledPlace& place, const ListedFiles& files) {
  nlohmann::ordered_json now = list_data_files(files.dir, files.files);
  now["labels"] = digest_labels(sets);
  now["within"] = sets.within;
  compare_with_run(sets, place, now);
}

namespace {

std::unique_ptr<Kind> kind_called(const std::string& modality) {
  if (modality == Texts().name()) return std::make_unique<TextKind>();
  if (modality == Sounds().name()) return std::make_unique<SoundKind>();
  if (modality == Clips().name()) return clip_kind();
  return std::make_unique<PictureKind>();
}

}  // namespace

std::unique_ptr<Kind> kind_of_weights(const std::string& run_or_file, const std::string& side) {
  const nlohmann::ordered_json config = config_of_weights(run_or_file);
  SIMCLR_CHECK(side == "none" || is_of_pairs(config), run_or_file, ": has no ", side,
               " side: these are no weights of pairs; leave the side out");
  if (!is_of_pairs(config)) return kind_called(text_at(config, "modality"));
  const int asked = side_asked(config, side);
  const std::string kind = kind_of_side(config, asked);
  const std::string of = kind == "text" ? Texts().name() : kind == "sound" ? Sounds().name() : Pictures().name();
  return pair_kind(kind_called(of), config, asked, run_or_file);
}

EncoderFile open_side_encoder(const std::string& run_or_file, Kind& kind, const std::string& side) {
  const nlohmann::ordered_json config = config_of_weights(run_or_file);
  return open_encoder(run_or_file, kind.modality(), is_of_pairs(config) ? side_asked(config, side) : -1);
}

EncoderFile open_side(const std::string& run_or_file, Kind& kind, const std::string& side) {
  if (side == "none") return open_side_encoder(run_or_file, kind, side);
  Pairs pairs;
  pairs.name_side(number_of_side(side));
  EncoderFile file = open_tower(run_or_file, pairs, number_of_side(side));
  file.tower.part = 0;  // its samples are no pairs
  kind.modality().configure(file.config);
  return file;
}
