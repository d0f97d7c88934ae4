#include "recipes/pair_recipes.h"

using simclr::data::Augmentation;

namespace {

/// For two CPU cores and 20 minutes of a few thousand pairs of small pictures. Two renderings of one thing differ in
/// colour and line already, so that views need less: crops that keep most of the picture, little jitter, no flip.
PairRecipe quick() {
  PairRecipe r;
  r.name = "quick-pairs";
  r.description = "small ResNets, 32-pixel views, learned temperature, for two CPU cores and 20 minutes";
  r.epochs = 60;
  r.batch_size = 128;
  r.optimizer = "adamw";
  r.lr = 2e-3;
  r.weight_decay = 0.05;
  r.warmup_epochs = 3;
  r.temperature = 0.1;
  r.pictures.width = 24;
  r.pictures.size = 32;
  r.pictures.augmentation = Augmentation::simclr_cifar();
  r.pictures.augmentation.crop_area_min = 0.6f;
  r.pictures.augmentation.brightness = r.pictures.augmentation.contrast = 0.3f;
  r.pictures.augmentation.saturation = 0.3f;
  r.pictures.augmentation.hue = 0.1f;
  r.pictures.augmentation.grayscale_probability = 0.1f;
  r.pictures.augmentation.flip_probability = 0;  // both sides would be flipped apart
  r.sound.width = 24;
  r.sound.mels = 48;
  r.sound.sound.rate = 8000;
  r.sound.sound.seconds = 1.5;
  r.text.width = 128;  // mean and maximum of embeddings, of whole texts: a few words are left out
  r.text.vocabulary = 8192;
  r.text.views.longest = 32;
  r.text.views.deletion = 0.1f;
  return r;
}

/// CLIP's settings (arXiv 2103.00020, table 18 and section 2.5) as far as they are not its networks': temperature,
/// optimizer, and a batch as large as such data have.
PairRecipe clip() {
  PairRecipe r = quick();
  r.name = "clip";
  r.description = "after CLIP: ResNet-18, temperature from 0.07, weight decay 0.2, mild crops alone";
  r.differs = "its batch of 32,768, its networks and its views of 224 pixels";
  r.epochs = 100;
  r.batch_size = 512;
  r.lr = 5e-4;
  r.weight_decay = 0.2;
  r.warmup_epochs = 5;
  r.temperature = 0.07;
  r.pictures.width = 64;
  r.pictures.size = 64;
  r.sound.width = 64;
  r.text.arch = simclr::nn::TokenNetwork::transformer;
  r.text.layers = 2;
  r.text.views.longest = 76;
  r.text.views.deletion = 0;
  Augmentation& a = r.pictures.augmentation;
  a.crop_area_min = 0.9f;  // "a random square crop from resized images" is all
  a.crop_aspect_min = a.crop_aspect_max = 1;
  a.jitter_probability = a.grayscale_probability = 0;
  return r;
}

}  // namespace

const std::vector<PairRecipe>& pair_recipes() {
  static const std::vector<PairRecipe> all = {quick(), clip()};
  return all;
}

const PairRecipe& pair_recipe(const std::string& name) {
  return named_recipe(pair_recipes(), name);
}
