#include "modalities/clips.h"

#include "modalities/clip_look.h"
#include "modalities/clip_rows.h"
#include "modalities/clip_sets.h"
#include "modalities/picture_check.h"
#include "modalities/picture_policy.h"
#include "modalities/picture_rows.h"
#include "modalities/shown_clip.h"
#include "run/host.h"
#include "train/data_files.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/video/clip_io.h>
#include <simclr/nn/video_resnet.h>

#include <algorithm>
#include <map>

namespace data = simclr::data;
namespace nn = simclr::nn;

namespace {

/// How many of some clips ask for views of how many channels. Throws simclr::Error where none can be read.
std::map<int, int> channels_of(const data::Dataset& clips, LookedAtClips found) {
  if (found.read.empty()) found = look_at_clips(clips, clips.size());
  SIMCLR_CHECK(!found.read.empty(), clips.describe(), ": none of the clips can be read");
  std::map<int, int> counts;
  for (const data::ClipInfo& clip : found.read) ++counts[clip.channels == 4 ? 3 : clip.channels];
  return counts;
}

/// Those of most clips that are not grey, of which views in colour can be made, too.
int channels_of_views(const std::map<int, int>& counts) {
  int channels = 1;
  for (const auto& [each, count] : counts) {
    if (each != 1 && (channels == 1 || count > counts.at(channels))) channels = each;
  }
  return channels;
}

/// Empty where all clips are alike.
std::string mixed_channels(const std::map<int, int>& counts, int channels) {
  std::string text;
  for (const auto& [each, count] : counts) {
    text += (text.empty() ? "" : ", ") + simclr::counted(count, "clip") + " of " + std::to_string(each);
  }
  if (counts.size() < 2) return {};
  return "views have " + simclr::counted(channels, "channel") + ": looked at were " + text +
         (channels == 3 ? "" : "; those of others are skipped") + " (to choose: --view-channels)";
}

/// Clips of which no frame differs from another; of the V views of each in rows v B + i of [V B,T,...].
void find_still(const simclr::Tensor& views, int views_each, Findings& findings) {
  constexpr std::int64_t some = 10;  // a title that stands still is no harm
  const std::int64_t samples = views.dim(0) / views_each;
  const std::vector<float> values = views.to_vector<float>();
  const std::int64_t view = std::ssize(values) / views.dim(0), frame = view / views.dim(1);
  const auto is_still = [&](std::int64_t row) {
    const auto begin = values.begin() + row * view;
    return std::equal(begin + frame, begin + view, begin);  // each frame the one before it
  };
  std::int64_t still = 0;
  for (std::int64_t i = 0; i < samples; ++i) {
    int of_this = 0;
    for (int v = 0; v < views_each; ++v) of_this += is_still(v * samples + i) ? 1 : 0;
    still += of_this == views_each ? 1 : 0;
  }
  if (still * some <= samples) return;
  findings.push_back({.about = "clips",
                      .problem = std::to_string(still) + " of the " + simclr::counted(samples, "clip") +
                                 " of a batch stand still: all frames of their views are the same",
                      .remedy = "look at these files; single pictures are for train_cifar"});
}

}  // namespace

void Clips::options(OptionTable& table, TrainingOptions& options) {
  add_clip_rows(table, options, own_);
}

std::vector<Recipe> Clips::recipes() const {
  return {clip_recipes().begin(), clip_recipes().end()};
}

void Clips::use_recipe(const std::string& name) {
  own_ = clip_recipe(name);
}

data::Augmentation Clips::policy() const {
  data::Augmentation policy = own_.augmentation;
  policy.size = own_.size;
  return policy;
}

Datasets Clips::open(TrainingOptions& o) {
  const OptionTable table = training_table(o, *this);
  Datasets sets = open_clips(o.dataset, {.data = o.data_path(), .pattern = own_.pattern, .test = own_.test},
                             cache_bytes(o.cache_gb, o.cache_path()));
  data::Augmentation& a = own_.augmentation;
  a.size = own_.size;
  const LookedAtClips found = look_at_clips(*sets.train);
  if (!table.given(a.channels)) {
    const std::map<int, int> counts = channels_of(*sets.train, found);
    a.channels = channels_of_views(counts);
    sets.add_note(mixed_channels(counts, a.channels));
  }
  if (const std::string line = beyond_white(found, o.data_path()); !line.empty()) sets.warnings.push_back(line);
  if (const std::string line = too_short(found, own_.times.span()); !line.empty()) {
    sets.add_note(line + " (a smaller --stride, or fewer --frames)");
  }
  const int said = said_of(a.channels);
  if (own_.means < said && !table.given(a.mean)) own_.means = said;
  if (own_.stddevs < said && !table.given(a.stddev)) own_.stddevs = said;
  SIMCLR_CHECK(own_.means >= a.channels && own_.stddevs >= a.channels, "--mean and --stddev: for views of ", a.channels,
               " channels; give each channel's");
  SIMCLR_CHECK(a.blur_kernel <= a.size, table.said(a.blur_kernel), ": wider than a view of ", a.size, " pixels");
  return sets;
}

std::shared_ptr<const data::ViewMaker> Clips::light_views(double crop_min) const {
  data::Augmentation light = policy().evaluation();
  light.random_crop = true;
  light.crop_area_min = static_cast<float>(crop_min);  // and no flip: directions may matter
  return std::make_shared<data::ClipViews>(light, own_.times);
}

std::string Clips::folders(const std::string&, const std::string& place) const {
  return folders_of_listed(place, clip_files());
}

void Clips::refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string&,
                      const std::string& place) const {
  refuse_in_listed(option, outputs, place, clip_files());
}

nlohmann::ordered_json Clips::data_files(const TrainingOptions& options) const {
  const ListedFiles files = files_of_clips(options.dataset, options.data_path(), own_.pattern);
  return list_data_files(files.dir, files.files);
}

void Clips::configure(const nlohmann::ordered_json& config) {
  ClipOptions own;
  own.augmentation = preprocessing_of(config.at("augmentation"));
  own.size = own.augmentation.size;
  own.means = own.stddevs = said_of(own.augmentation.channels);
  own.arch = config.at("arch").get<std::string>();
  const std::vector<std::string> known = clip_encoder_names();
  SIMCLR_CHECK(std::find(known.begin(), known.end(), own.arch) != known.end(), "arch is ", simclr::printable(own.arch));
  const auto number = [&config](const char* key, double most) {
    const auto value = config.at(key).get<std::int64_t>();
    SIMCLR_CHECK(value >= 1 && static_cast<double>(value) <= most, key, " is ", value);
    return value;
  };
  own.width = number("width", most_clip_width);
  own.gru_width = number("gru_width", most_clip_width);
  own.stem = named(stem_names, config.at("stem").get<std::string>(), "stem");
  own.times.frames = static_cast<std::int32_t>(number("frames", most_clip_frames));
  own.times.stride = static_cast<std::int32_t>(number("stride", most_clip_frames));
  own.times.differences = config.at("differences").get<bool>();
  own.clips = static_cast<int>(number("clips", most_clip_frames));
  own_ = own;
}

std::string Clips::encoder_name() const {
  const bool gru = own_.arch.ends_with("_gru");
  return own_.arch + ", width " + std::to_string(own_.width) +
         (gru ? " and " + std::to_string(own_.gru_width) + " of the GRU" : "");
}

std::string Clips::view_name() const {
  const std::string side = std::to_string(own_.size);
  return "clips become " + std::to_string(own_.times.frames) + " frames of " + side + "x" + side + " pixels" +
         (own_.augmentation.channels == 1 ? ", grey" : "") + (own_.times.differences ? ", as differences" : "");
}

std::shared_ptr<nn::Module> Clips::make_encoder(std::uint64_t seed) const {
  const std::int64_t channels = own_.augmentation.channels;
  if (own_.arch == "r2plus1d_18") {
    return std::make_shared<nn::VideoResNet>(
        nn::VideoResNetOptions{.stem = own_.stem, .width = own_.width, .channels = channels, .seed = seed});
  }
  return std::make_shared<nn::FrameGru>(
      nn::FrameGruOptions{.frames = own_.arch.substr(0, own_.arch.find('_')),
                          .resnet = {.stem = own_.stem, .width = own_.width, .channels = channels, .seed = seed},
                          .width = own_.gru_width});
}

std::vector<data::Tower> Clips::towers(bool random) const {
  data::ClipTimes times = own_.times;
  times.spread = random ? 0 : own_.clips;
  return {{.maker = std::make_shared<data::ClipViews>(random ? policy() : policy().evaluation(), times)}};
}

void Clips::look(const LookedAt& at, Findings& findings) const {
  constexpr std::int64_t most = 200;
  const LookedAtClips looked_at = look_at_clips(*at.sets.train, most, true);
  const simclr::Tensor& views = at.towers.front().x;
  const ChannelFigures channels =
      look_at_channels(views.reshape({views.dim(0) * views.dim(1), views.dim(2), views.dim(3), views.dim(4)}));
  std::vector<std::int64_t> lengths;
  for (const data::ClipInfo& clip : looked_at.read) lengths.push_back(clip.frames);
  std::sort(lengths.begin(), lengths.end());
  const std::int64_t span = own_.times.span();
  if (!lengths.empty()) {
    print("clips: %lld to %lld frames, half have %lld or more; a view spans %lld\n",
          static_cast<long long>(lengths.front()), static_cast<long long>(lengths.back()),
          static_cast<long long>(lengths[lengths.size() / 2]), static_cast<long long>(span));
  }
  print("views: %d frames of %d x %d, channels", own_.times.frames, own_.size, own_.size);
  for (std::size_t c = 0; c < channels.mean.size(); ++c) {
    print("%s %.2f +- %.2f", c == 0 ? "" : ",", channels.mean[c], channels.stddev[c]);
  }
  print("\n");
  find_unread(looked_at.unread, std::ssize(looked_at.read), "clip", findings);
  find_copies(looked_at.copies, std::ssize(looked_at.read), "clip", findings);
  if (const std::string line = too_short(looked_at, span); !line.empty()) {
    findings.push_back({.about = "clips", .problem = line, .remedy = "a smaller --stride, or fewer --frames"});
  }
  find_range("clip", looked_at.values, policy(), channels, findings);
  if (own_.times.frames > 1) find_still(views, at.difference ? 2 : 1, findings);
  if (own_.stem == nn::Stem::imagenet && own_.size < 32) {
    findings.push_back({.about = "views",
                        .problem = "the stem for large frames halves views of " + std::to_string(own_.size) + " pixels",
                        .remedy = "--stem cifar, or a larger --size"});
  }
  Modality::look(at, findings);
}

Shown Clips::shown(const data::Sample& sample, int, int side) const {
  return shown_clip(sample, own_.augmentation.channels, side);
}

Shown Clips::shown_view(const simclr::Tensor& view, int, int side) const {
  return shown_clip_view(view, policy(), side);
}
