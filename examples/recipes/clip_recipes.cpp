#include "recipes/clip_recipes.h"

using simclr::data::Augmentation;
using simclr::nn::Stem;

namespace {

/// For clips whose class is the direction of a motion: nothing turns that round, and what moves is no help.
ClipRecipe moving() {
  ClipRecipe r;
  r.name = "moving";
  r.description = "moving Fashion-MNIST, a small (2+1)D ResNet, for two CPU cores and 20 minutes";
  r.width = 8;
  r.stem = Stem::imagenet;  // the frames are large enough for what moves
  r.size = 32;
  r.times = {.frames = 8, .stride = 1};
  r.clips = 2;
  r.head_hidden = 128;
  r.head_out = 64;
  r.epochs = 8;
  r.batch_size = 64;
  r.optimizer = "adamw";
  r.lr = 4e-3;
  r.weight_decay = 1e-4;
  r.temperature = 0.2;
  r.augmentation = Augmentation::simclr_cifar();
  r.augmentation.crop_area_min = 0.5f;
  r.augmentation.flip_probability = 0;
  return r;
}

/// For some hundreds of short clips of people or things on two CPU cores.
ClipRecipe small() {
  ClipRecipe r = moving();
  r.name = "small";
  r.description = "short clips of one's own, a small (2+1)D ResNet of 64 pixels, for a CPU";
  r.width = 16;
  r.size = 64;
  r.clips = 3;
  r.epochs = 40;
  r.batch_size = 64;
  r.augmentation.crop_area_min = 0.3f;
  r.augmentation.flip_probability = 0.5f;
  return r;
}

/// Views after CVRL (arXiv 2008.03800): 16 frames of stride 2, 30 to 100 % of the area, the same for all frames, jitter
/// of strength 1 with 0.8, grayscale with 0.2, blur with 0.5.
ClipRecipe cvrl() {
  ClipRecipe r;
  r.name = "cvrl";
  r.description = "after CVRL, R(2+1)D-18 on 16 frames of 112 pixels, 200 epochs; for a GPU";
  r.differs =
      "its network is a 3D ResNet-50 of 224 pixels, and its views' distance in time is drawn so that near ones are "
      "likelier";
  r.size = 112;
  r.times = {.frames = 16, .stride = 2};
  r.clips = 10;
  r.head_hidden = 2048;
  r.epochs = 200;
  r.batch_size = 512;
  r.lr = 0.16;
  r.weight_decay = 1e-4;
  r.warmup_epochs = 5;
  r.temperature = 0.1;
  r.augmentation = Augmentation::simclr(112);
  r.augmentation.crop_area_min = 0.3f;
  return r;
}

}  // namespace

const std::vector<ClipRecipe>& clip_recipes() {
  static const std::vector<ClipRecipe> all = {moving(), small(), cvrl()};
  return all;
}

const ClipRecipe& clip_recipe(const std::string& name) {
  return named_recipe(clip_recipes(), name);
}
