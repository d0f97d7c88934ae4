#include "modalities/picture_rows.h"

#include "modalities/picture_sets.h"
#include "run/shared_rows.h"
#include "train/training_rows.h"

#include <simclr/core/error.h>

#include <algorithm>

using simclr::kernels::Interpolation;
using simclr::nn::ConvInit;
using simclr::nn::Stem;

const Names<Stem> stem_names = {{"cifar", Stem::cifar}, {"imagenet", Stem::imagenet}};
const Names<Interpolation> interpolation_names = {{"bilinear", Interpolation::bilinear},
                                                  {"bicubic", Interpolation::bicubic}};

namespace {

const Names<ConvInit> init_names = {{"he", ConvInit::he}, {"uniform", ConvInit::uniform}};
constexpr double most_width = 1024;

void add_size_row(OptionTable& table, PictureOptions& own) {
  table
      .add("size", own.size,
           "Side of a view in pixels; 0: the data set's own (32; MNIST's kin 28, Tiny-ImageNet 64, STL-10 96, ImageNet "
           "224, of arrays the pictures' shorter side)")
      .between(8, 1024)
      .or_else(0, "the data set's own");
}

void add_encoder_rows(OptionTable& table, PictureOptions& r) {
  table.group("Model");
  table.add("arch", r.arch, simclr::nn::resnet_names(), "The encoder");
  table.add("width", r.width, "Channels of the first stage; 64 is the published network").between(1, most_width);
  table.add("stem", r.stem, stem_names,
            "cifar (3x3, no pooling; up to 64 pixels) or imagenet (7x7 stride 2, max-pooling)");
  table.add("stem-padding", r.stem_padding, "Of the first convolution; -1: half its kernel")
      .between(0, 16)
      .or_else(-1, "half the kernel");
  table.add("stem-init", r.stem_init, init_names, "As --conv-init, of the first convolution");
  table.add("conv-init", r.conv_init, init_names,
            "How convolutions start: he (normal, as torchvision's ResNets) or uniform (as a bare one of PyTorch)");
  table.flag("zero-last-gamma", "no-zero-last-gamma", r.zero_last_gamma,
             "The last batch norm of each block starts at scale 0");
}

void add_crop_rows(OptionTable& table, simclr::data::Augmentation& a) {
  add_crop_min_row(table, a.crop_area_min).key("crop_area_min");
  table.add("crop-max", a.crop_area_max, "Largest random crop").between(double{1e-6f}, 1).key("crop_area_max");
  table.add("crop-aspect", {&a.crop_aspect_min, &a.crop_aspect_max}, "Flattest and steepest crop, as width over height")
      .between(double{0.01f}, 100);
  table.add("interpolation", a.interpolation, interpolation_names, "Of resized crops");
}

void add_colour_rows(OptionTable& table, simclr::data::Augmentation& a) {
  table.add("jitter-probability", a.jitter_probability, "Of colour jitter, its four operations in random order")
      .between(0, 1);
  table.add("brightness", a.brightness, "Factors from 1 - x to 1 + x").between(0, 100);
  table.add("contrast", a.contrast, "Likewise").between(0, 100);
  table.add("saturation", a.saturation, "Likewise").between(0, 100);
  table.add("hue", a.hue, "Shifts from -x to x of the colour circle, at most 0.5").between(0, 0.5);
  table.add("grayscale-probability", a.grayscale_probability, "Of a view without colour").between(0, 1);
}

void add_blur_and_rotation_rows(OptionTable& table, simclr::data::Augmentation& a) {
  table.add("blur-probability", a.blur_probability, "Of a Gaussian blur; for large pictures").between(0, 1);
  table.add("blur-sigma", {&a.blur_sigma_min, &a.blur_sigma_max}, "Its least and greatest deviation, in pixels")
      .between(double{1e-3f}, 1000);
  table.add("blur-kernel", a.blur_kernel, "Its taps, odd; 0: a tenth of the view; -1: the whole kernel, as Pillow's")
      .between(0, 1023)
      .or_else(simclr::kernels::whole_kernel, "the whole kernel");
  table.add("rotation-probability", a.rotation_probability, "Of a rotation, which SimCLR does not use").between(0, 1);
  table.add("rotation-degrees", a.rotation_degrees, "Angles from -x to x").between(0, 360);
}

void add_augmentation_rules(OptionTable& rows, const simclr::data::Augmentation& a) {
  rows.rule([&a](const OptionTable& table) {
    SIMCLR_CHECK(a.crop_area_min <= a.crop_area_max, table.said(a.crop_area_min), ": must be at most ",
                 table.said(a.crop_area_max));
    for (const auto& [least, most] :
         {std::pair{&a.crop_aspect_min, &a.crop_aspect_max}, std::pair{&a.blur_sigma_min, &a.blur_sigma_max}}) {
      SIMCLR_CHECK(*least <= *most, table.said(*least), ": the smaller number comes first");
    }
    SIMCLR_CHECK(a.blur_kernel < 1 || a.blur_kernel % 2 == 1, table.said(a.blur_kernel),
                 ": must be odd; 0: a tenth of the view, -1: the whole kernel");
  });
}

}  // namespace

OptionRow& add_dataset_row(OptionTable& table, std::string& dataset, const std::vector<std::string>& kinds,
                           const std::string& help) {
  return table.add("dataset", dataset, kinds, help);
}

void add_dataset_rows(OptionTable& table, std::string& dataset, std::string& dir, int& classes_at,
                      const std::string& without_data, const std::vector<std::string>& further) {
  table.group("Data");
  std::vector<std::string> kinds = dataset_kinds();
  for (const std::string& kind : further) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  }
  add_dataset_row(table, dataset, kinds, "auto takes what is found in --data; without it " + without_data);
  add_data_row(table, dir);
  add_classes_at_row(table, classes_at, "picture");
}

void add_picture_view_rows(OptionTable& table, PictureOptions& own) {
  add_size_row(table, own);
  add_encoder_rows(table, own);
  add_augmentation_rows(table, own.augmentation, own.means, own.stddevs);
}

void add_augmentation_rows(OptionTable& table, simclr::data::Augmentation& a, int& means, int& stddevs) {
  table.group("Augmentation", "augmentation");
  table.add("view-size", a.size, "Side of the views in pixels").between(1, 4096).key("size").file_only();
  table.add("view-channels", a.channels, "Of the views")
      .between(1, simclr::kernels::most_channels)
      .key("channels")
      .file_only();
  add_crop_rows(table, a);
  table.add("flip-probability", a.flip_probability, "Of a horizontal flip").between(0, 1);
  add_colour_rows(table, a);
  add_blur_and_rotation_rows(table, a);
  table.add("mean", a.mean, means, "Taken from each channel of pixels in [0,1]").between(-1000, 1000);
  table.add("stddev", a.stddev, stddevs, "What each channel is then divided by").between(double{1e-3f}, 1000);
  add_augmentation_rules(table, a);
}

void add_picture_rows(OptionTable& table, TrainingOptions& o, PictureOptions& own) {
  add_dataset_rows(table, o.dataset, o.data_dir, o.classes_at);
  add_cache_rows(table, o, "picture", "the index of tar shards");
  add_picture_view_rows(table, own);
}
