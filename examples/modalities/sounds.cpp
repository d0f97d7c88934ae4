#include "modalities/sounds.h"

#include "modalities/field_parts.h"
#include "modalities/pair_sides.h"
#include "modalities/shown_sound.h"
#include "modalities/sound_check.h"
#include "modalities/sound_rows.h"
#include "modalities/sound_sets.h"
#include "run/host.h"
#include "run/progress.h"
#include "train/data_files.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_list.h>
#include <simclr/nn/recurrent.h>
#include <simclr/nn/resnet.h>

#include <algorithm>
#include <utility>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

/// By which a run that goes on notices that its noise is another one.
std::string digest_of(const data::Noises& noises) {
  simclr::Crc64 digest;
  for (const std::vector<float>& noise : noises) digest.update(noise.data(), noise.size() * sizeof(float));
  return simclr::hex(digest.value());
}

}  // namespace

void Sounds::options(OptionTable& table, TrainingOptions& options) {
  add_sound_rows(table, options, own_);
}

std::vector<Recipe> Sounds::recipes() const {
  return {sound_recipes().begin(), sound_recipes().end()};
}

void Sounds::use_recipe(const std::string& name) {
  own_ = sound_recipe(name);
}

Datasets Sounds::open(TrainingOptions& o) {
  towers(false);  // throws for mels that do not fit the rate, before anything is read
  const OptionTable table = training_table(o, *this);
  const bool list = is_listed(o.data_path());
  const ListedKind kind = sound_files_at(own_.sound.rate);
  std::string note;
  if (list && !own_.pattern.empty() && !table.given(own_.pattern)) own_.pattern.clear();  // a preset's
  ListedSource source{.data = o.data_path(), .pattern = own_.pattern, .test = own_.test};
  if (!own_.test.empty() && !table.given(own_.test) && !can_test(source, kind)) {  // a preset's
    note = "the preset's --test " + own_.test + " does not part these recordings, and is left out";
    source.test = own_.test = "";
  }
  Datasets sets = open_listed(source, kind);
  sets.add_note(note);
  take_noise(sets);
  return sets;
}

void Sounds::view_rows(OptionTable& table) {
  add_sound_view_rows(table, own_);
}

void Sounds::take(Datasets& sets) {
  towers(false);  // throws for mels that do not fit the rate, before anything is read
  take_noise(sets);
}

void Sounds::take_noise(Datasets& sets) {
  noises_.reset();
  sets.within["the noise"] = "none";
  sets.within_training.insert("the noise");
  if (own_.noise.empty()) return;
  try {
    const auto noise = data::sound_folder(data::list_sounds(noise_found_.empty() ? own_.noise : noise_found_, any_name),
                                          own_.sound.rate);
    noises_ = std::make_shared<const data::Noises>(data::read_noises(*noise, sets.warnings));
    sets.add_note("noise: " + noise->describe());
  } catch (const simclr::Error& error) {
    simclr::fail("--noise: ", error.what());
  }
  sets.within["the noise"] = digest_of(*noises_);
}

std::string Sounds::folders(const std::string&, const std::string& place) const {
  return folders_of_listed(place, sound_files_at(own_.sound.rate));
}

void Sounds::refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string&,
                       const std::string& place) const {
  refuse_in_listed(option, outputs, place, sound_files_at(own_.sound.rate));
}

nlohmann::ordered_json Sounds::data_files(const TrainingOptions& options) const {
  const ListedFiles files = listed_files(options.data_path(), own_.pattern, sound_files_at(own_.sound.rate));
  return list_data_files(files.dir, files.files);
}

void Sounds::configure(const nlohmann::ordered_json& whole) {
  const nlohmann::ordered_json& config = is_of_pairs(whole) ? whole.at("sound") : whole;
  SoundOptions own;
  own.arch = config.at("arch").get<std::string>();
  const std::vector<std::string> known = sound_encoder_names();
  SIMCLR_CHECK(std::find(known.begin(), known.end(), own.arch) != known.end(), "arch is ", simclr::printable(own.arch));
  own.width = config.at("width").get<std::int64_t>();
  SIMCLR_CHECK(own.width >= 1 && own.width <= most_sound_width, "width is ", own.width);
  own.layers = config.at("layers").get<int>();
  SIMCLR_CHECK(own.layers >= 1 && own.layers <= 8, "layers is ", own.layers);
  own.mels = config.at("mels").get<std::int32_t>();
  own.sound.rate = config.at("rate").get<std::int32_t>();
  own.sound.seconds = config.at("seconds").get<double>();
  own.eval_seconds = config.at("eval_seconds").get<double>();
  check(own.sound);
  own_ = own;
  noise_found_.clear();
  noises_.reset();
  towers(false);  // throws for what is not possible
}

int Sounds::tower_in(const nlohmann::ordered_json& config) const {
  return is_of_pairs(config) ? side_of_pairs(config, "sound") : Modality::tower_in(config);
}

std::string Sounds::encoder_name() const {
  if (!recurrent()) return own_.arch + ", width " + std::to_string(own_.width);
  return "gru in both directions, " + simclr::counted(own_.layers, "layer") + ", width " + std::to_string(own_.width);
}

std::string Sounds::view_name() const {
  const data::SpectrogramViews views(view_options(false));
  return "recordings become " + std::to_string(views.view_shape()[0]) + " frames of " + std::to_string(own_.mels) +
         " mels, " + rounded(views.options().sound.seconds) + " s at " + std::to_string(own_.sound.rate) + " Hz";
}

std::shared_ptr<nn::Module> Sounds::make_encoder(std::uint64_t seed) const {
  if (!recurrent()) {
    return nn::make_resnet(own_.arch, {.stem = nn::Stem::imagenet, .width = own_.width, .channels = 1, .seed = seed});
  }
  auto encoder = std::make_shared<nn::GruEncoder>(
      nn::GruEncoderOptions{.in = own_.mels, .width = own_.width, .layers = own_.layers});
  encoder->initialize(seed);
  return encoder;
}

data::SpectrogramViewOptions Sounds::view_options(bool random) const {
  data::SpectrogramViewOptions views{.sound = own_.sound,
                                     .logmel = data::usual_logmel(own_.sound.rate, own_.mels),
                                     .spectrogram = own_.spectrogram,
                                     .channel = !recurrent()};
  views.sound.keep_short = recurrent();  // which is told lengths
  if (!noises_) views.sound.noise_probability = 0.0f;
  if (random) return views;
  views.sound = views.sound.evaluation();
  if (own_.eval_seconds > 0) views.sound.seconds = own_.eval_seconds;
  views.spectrogram = data::SpectrogramPolicy::evaluation();
  return views;
}

std::vector<data::Tower> Sounds::towers(bool random) const {
  return {{.maker = std::make_shared<data::SpectrogramViews>(view_options(random), random ? noises_ : nullptr)}};
}

std::shared_ptr<const data::ViewMaker> Sounds::light_views() const {
  data::SpectrogramViewOptions views = view_options(false);
  views.sound.random_segment = true;
  views.sound.shift_probability = 0.5f;
  return std::make_shared<data::SpectrogramViews>(views);
}

void Sounds::look(const LookedAt& at, Findings& findings) const {
  constexpr std::int64_t most_looked_at = 300;
  const SoundFigures sounds = look_at_sounds(*at.sets.train, own_.sound.rate, most_looked_at);
  print("recordings: %s\n", text_of(sounds).c_str());
  const simclr::Shape view = at.towers.front().x.shape();
  print("views: %lld frames of %lld mels\n", static_cast<long long>(view[1]), static_cast<long long>(view[2]));
  const Findings found = sound_findings(own_, sounds);
  findings.insert(findings.end(), found.begin(), found.end());
  Modality::look(at, findings);
}

Shown Sounds::shown(const data::Sample& sample, int, int side) const {
  return shown_sound(sample.values<float>(), own_.sound.rate, data::usual_logmel(own_.sound.rate, own_.mels), side);
}

Shown Sounds::shown_view(const simclr::Tensor& view, int, int side) const {
  return shown_spectrogram(view, side);
}
