#include "common/recipes.h"

#include <simclr/core/error.h>

using simclr::data::Augmentation;

namespace {

/// The documented, three-seed CIFAR-10 reproduction of github.com/dkobak/simclr-cifar10.
Recipe reference() {
  Recipe r;
  r.name = "reference";
  r.description = "dkobak/simclr-cifar10, 100 epochs: kNN 83.2, linear 85.6 published";
  r.head_hidden = 1024;
  r.head_batchnorm = false;
  r.lr = 0.06;
  r.augmentation = Augmentation::simclr_cifar();
  r.augmentation.crop_area_min = 0.2f;
  r.augmentation.brightness = r.augmentation.contrast = r.augmentation.saturation = 0.4f;
  r.augmentation.hue = 0.1f;
  r.augmentation.grayscale_probability = 0.1f;
  return r;
}

/// For two CPU cores and a quarter of an hour. Many small views teach more in that time than few large ones: see
/// docs/results.md for what was tried.
Recipe quick() {
  Recipe r = reference();
  r.name = "quick";
  r.description = "small ResNet, 16-pixel views, for two CPU cores and 15 minutes";
  r.width = 16;
  r.size = 16;
  r.epochs = 40;
  r.batch_size = 256;
  r.temperature = 0.2;
  return r;
}

Recipe lightly() {
  Recipe r;
  r.name = "lightly";
  r.description = "lightly's CIFAR-10 benchmark, 200 epochs: kNN 84.7 published";
  r.head_hidden = 512;
  r.epochs = 200;
  r.lr = 0.12;
  r.augmentation = Augmentation::simclr_cifar();
  return r;
}

Recipe google() {
  Recipe r;
  r.name = "google";
  r.description = "google-research/simclr on CIFAR-10, 1000 epochs: linear about 91 published";
  r.epochs = 1000;
  r.optimizer = "lars";
  r.lr = 1.0;
  r.weight_decay = 1e-4;
  r.warmup_epochs = 10;
  r.augmentation = Augmentation::simclr_cifar();
  return r;
}

Recipe solo_learn() {
  Recipe r = google();
  r.name = "solo-learn";
  r.description = "solo-learn on CIFAR-10, 1000 epochs: linear 90.7 published";
  r.head_hidden = 2048;
  r.head_out = 256;
  r.batch_size = 256;
  r.lr = 0.4;
  r.temperature = 0.2;
  r.augmentation.brightness = r.augmentation.contrast = r.augmentation.saturation = 0.8f;
  r.augmentation.hue = 0.2f;
  r.augmentation.blur_probability = 0.5f;
  return r;
}

Recipe paper() {
  Recipe r = google();
  r.name = "paper";
  r.description = "SimCLR paper, appendix B.9, ResNet-50, 1000 epochs: linear 94.0 published";
  r.arch = "resnet50";
  r.batch_size = 1024;
  return r;
}

}  // namespace

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> all = {quick(), reference(), lightly(), google(), solo_learn(), paper()};
  return all;
}

const Recipe& recipe(const std::string& name) {
  std::string known;
  for (const Recipe& r : recipes()) {
    if (r.name == name) return r;
    known += (known.empty() ? "" : ", ") + r.name;
  }
  simclr::fail("preset: \"", name, "\" is not known; use one of ", known);
}
