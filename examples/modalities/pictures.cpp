#include "modalities/pictures.h"

#include "modalities/pair_sides.h"
#include "modalities/picture_check.h"
#include "modalities/picture_data_files.h"
#include "modalities/picture_policy.h"
#include "modalities/picture_rows.h"
#include "modalities/picture_sets.h"
#include "modalities/picture_view_sheet.h"
#include "modalities/shown_picture.h"
#include "run/host.h"

#include <simclr/core/error.h>
#include <simclr/data/pictures/device_loader.h>
#include <simclr/data/pictures/picture_views.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

namespace data = simclr::data;
namespace nn = simclr::nn;
using simclr::Device;

namespace {

/// Without an option, channels that are neither grey nor RGB are taken as they are: a recipe's numbers are RGB's.
/// `count`: how many were said. Throws simclr::Error where they are fewer than the channels.
template <std::size_t most>
void take_said(const OptionTable& table, float (&numbers)[most], int& count, int channels, float otherwise) {
  if (!table.given(numbers) && !simclr::kernels::is_colour(channels)) {
    std::fill_n(numbers, most, otherwise);
    count = said_of(channels);
  }
  SIMCLR_CHECK(count >= channels && count <= said_of(channels), table.said(numbers), ": ", count,
               count == 1 ? " number" : " numbers", " for views of ", channels, " channels; give each channel's");
  count = std::max(count, channels);
}

/// Sets a field that follows from other options and the data, and is not an option. A configuration writes it, too:
/// throws simclr::Error where it says otherwise, unless the command line changes (`changed`) what it follows from.
/// `data_changed`: the data alone can have made it another.
void take_what_follows(const OptionTable& table, int& field, int value, const std::string& from, bool changed,
                       bool data_changed) {
  if (field != value && !changed && table.given(field)) {
    SIMCLR_CHECK(!data_changed, "--resume: the data have changed: the run began with ", table.said(field), ", against ",
                 from, " now; give it the data that it began with, or begin another run");
    simclr::fail(table.sources.at(table.row_of(&field).name()), ": ", table.said(field), ": contradicts ", from,
                 "; leave it out");
  }
  field = value;
}

/// Pictures that live on a device.
class DeviceViews final : public ViewSource {
 public:
  DeviceViews(data::DeviceLoader loader, Device device) : loader_(std::move(loader)), device_(device) {}

  std::int64_t batches() const override { return loader_.batches(); }
  void begin(std::uint32_t epoch, std::int64_t first_batch) override { loader_.begin(epoch, first_batch); }
  bool next() override { return loader_.next(); }
  std::vector<simclr::Input> towers() override { return {loader_.views()}; }
  std::vector<std::int64_t> skipped() const override { return loader_.skipped_samples(); }
  std::string where() const override { return "on " + to_string(device_); }

 private:
  data::DeviceLoader loader_;
  Device device_;
};

}  // namespace

Pictures::Pictures(const nn::ResNetKind& kind, const data::Augmentation& policy)
    : own_{.arch = kind.name,
           .width = kind.options.width,
           .stem = kind.options.stem,
           .stem_padding = kind.options.stem_padding,
           .conv_init = kind.options.init,
           .stem_init = kind.options.stem_init,
           .zero_last_gamma = kind.options.zero_last_gamma,
           .augmentation = policy,
           .means = said_of(policy.channels),
           .stddevs = said_of(policy.channels)} {}

nn::ResNetKind Pictures::kind() const {
  return {own_.arch,
          {.stem = own_.stem,
           .width = own_.width,
           .channels = own_.augmentation.channels,
           .stem_padding = own_.stem_padding,
           .init = own_.conv_init,
           .stem_init = own_.stem_init,
           .zero_last_gamma = own_.zero_last_gamma}};
}

void Pictures::options(OptionTable& table, TrainingOptions& options) {
  add_picture_rows(table, options, own_);
}

std::vector<Recipe> Pictures::recipes() const {
  return {::recipes().begin(), ::recipes().end()};
}

void Pictures::use_recipe(const std::string& name) {
  own_ = recipe(name);
}

void Pictures::view_rows(OptionTable& table) {
  add_picture_view_rows(table, own_);
}

Datasets Pictures::open(TrainingOptions& o) {
  const OptionTable table = training_table(o, *this);
  PictureSets sets = open_datasets(o.dataset, o.data_path(), o.classes_at, o.cache_path());
  take(sets, table, !o.resume && (table.typed(o.dataset) || table.typed(o.data_dir)), o.resume);
  return sets;
}

void Pictures::take(const PictureSets& sets, const OptionTable& table, bool other_data, bool resumed) {
  data::Augmentation& a = own_.augmentation;
  const bool own_size = own_.size > 0;
  take_what_follows(table, a.size, own_size ? own_.size : sets.size,
                    own_size ? table.said(own_.size) : "the size " + std::to_string(sets.size) + " of " + sets.kind,
                    table.typed(own_.size) || (!own_size && other_data), resumed && !own_size);
  take_what_follows(table, a.channels, sets.channels,
                    "the " + std::to_string(sets.channels) + " channels of " + sets.kind, other_data, resumed);
  take_said(table, a.mean, own_.means, a.channels, 0);
  take_said(table, a.stddev, own_.stddevs, a.channels, 1);
  SIMCLR_CHECK(a.blur_kernel <= a.size, table.said(a.blur_kernel), ": wider than a view of ", a.size,
               " pixels; 0: a tenth of it");
}

std::string Pictures::folders(const std::string& dataset, const std::string& place) const {
  return folders_of_pictures(dataset, place);
}

void Pictures::refuse_in(const std::string& option, const std::vector<std::string>& outputs, const std::string& dataset,
                         const std::string& place) const {
  refuse_in_pictures(option, outputs, dataset, place);
}

nlohmann::ordered_json Pictures::data_files(const TrainingOptions& options) const {
  return list_picture_files(options.dataset, options.data_path());
}

void Pictures::configure(const nlohmann::ordered_json& config) {
  constexpr std::int64_t widest = 1024;
  PictureOptions own;
  own.augmentation = preprocessing_of(config.at("augmentation"));
  own.means = own.stddevs = said_of(own.augmentation.channels);
  own.width = config.at("width").get<std::int64_t>();
  SIMCLR_CHECK(own.width >= 1 && own.width <= widest, "width is ", own.width);
  own.arch = config.at("arch").get<std::string>();
  own.stem = named(stem_names, config.at("stem").get<std::string>(), "stem");
  own.stem_padding = config.value("stem_padding", -1);
  own_ = own;
}

int Pictures::tower_in(const nlohmann::ordered_json& config) const {
  return is_of_pairs(config) ? side_of_pairs(config, "picture") : Modality::tower_in(config);
}

std::string Pictures::encoder_name() const {
  return own_.arch + ", width " + std::to_string(own_.width);
}

std::string Pictures::view_name() const {
  const std::string side = std::to_string(policy().size);
  return "pictures become " + side + "x" + side + " pixels" +
         (policy().channels == 1   ? ", grey"
          : policy().channels != 3 ? ", " + std::to_string(policy().channels) + " channels"
                                   : "");
}

std::shared_ptr<nn::Module> Pictures::make_encoder(std::uint64_t seed) const {
  nn::ResNetOptions options = kind().options;
  options.seed = seed;
  return nn::make_resnet(own_.arch, options);
}

std::vector<data::Tower> Pictures::towers(bool random) const {
  return {{.maker = std::make_shared<data::PictureViews>(random ? policy() : policy().evaluation())}};
}

std::unique_ptr<ViewSource> Pictures::on_device(const data::Dataset& samples, const ViewSourceOptions& o) const {
  if (o.if_they_fit && !fit_a_device(samples)) return nullptr;
  return std::make_unique<DeviceViews>(data::DeviceLoader(samples, policy(), o.device,
                                                          {.batch_size = o.batch_size,
                                                           .shard = o.shard,
                                                           .views = o.views > 0 ? o.views : 2,
                                                           .shuffle_block = o.shuffle_block,
                                                           .seed = o.seed,
                                                           .dtype = o.dtype,
                                                           .on_warning = o.on_warning}),
                                       o.device);
}

void Pictures::look(const LookedAt& at, Findings& findings) const {
  constexpr std::int64_t most_files = 300, most_in_memory = 2000;
  const std::string sheet =
      at.no_sheet.empty() ? write_view_sheet(at.sheet + ".png", *at.sets.train, policy(), at.seed) : at.no_sheet;
  const PictureFigures pictures = look_at_pictures(*at.sets.train, at.sets.decoded ? most_files : most_in_memory);
  const ChannelFigures channels = look_at_channels(at.towers.front().x);
  std::string statistics;
  for (std::size_t c = 0; c < channels.mean.size(); ++c) {
    char text[48];
    std::snprintf(text, sizeof text, "%s%.2f +- %.2f", c == 0 ? "" : ", ", channels.mean[c], channels.stddev[c]);
    statistics += text;
  }
  print("views: %d x %d, channels %s; %s\n", policy().size, policy().size, statistics.c_str(), sheet.c_str());
  if (pictures.values.deep || !simclr::kernels::is_colour(policy().channels)) {
    print("  to make each channel's mean 0 and deviation 1: %s\n", normalising(policy(), channels).c_str());
  }
  if (pictures.grey && policy().channels == 3) {
    print("  the pictures are grey, so hue, saturation and grayscale change nothing\n");
  }
  const Findings found = picture_findings(own_.stem, policy(), pictures, channels,
                                          at.difference.value_or(1));  // of one view there is nothing to compare
  findings.insert(findings.end(), found.begin(), found.end());
}

Shown Pictures::shown(const data::Sample& sample, int, int side) const {
  return shown_picture(picture_of(sample, policy().channels), side);
}

Shown Pictures::shown_view(const simclr::Tensor& view, int, int side) const {
  return shown_picture(picture_of_view(view, policy()), side);
}

nlohmann::ordered_json encoder_config(const Pictures& pictures) {
  const nn::ResNetKind kind = pictures.kind();
  const data::Augmentation& policy = pictures.policy();
  return {{"version", SIMCLR_VERSION},
          {"modality", pictures.name()},
          {"arch", kind.name},
          {"width", kind.options.width},
          {"stem", name_of(stem_names, kind.options.stem)},
          {"stem_padding", kind.options.stem_padding},
          {"augmentation",
           {{"size", policy.size},
            {"channels", policy.channels},
            {"interpolation", name_of(interpolation_names, policy.interpolation)},
            {"mean", std::vector<float>(policy.mean, policy.mean + said_of(policy.channels))},
            {"stddev", std::vector<float>(policy.stddev, policy.stddev + said_of(policy.channels))}}}};
}
