#include "recipes/picture_recipes.h"

#include <algorithm>
#include <initializer_list>

using simclr::data::Augmentation;
using simclr::kernels::Interpolation;
using simclr::kernels::LarsRule;
using simclr::nn::ConvInit;
using simclr::nn::Stem;
using simclr::nn::Warmup;

namespace {

void set(float* to, std::initializer_list<float> values) {
  std::copy(values.begin(), values.end(), to);
}

/// The documented, three-seed CIFAR-10 reproduction of github.com/dkobak/simclr-cifar10, but for what its loop leaves
/// to PyTorch. It reached kNN 83.2 and linear 85.6 in 100 epochs.
PictureRecipe reference() {
  PictureRecipe r;
  r.name = "reference";
  r.description = "after dkobak/simclr-cifar10, 100 epochs";
  r.differs =
      "it sees the two views apart, has a last bias, starts its stem uniformly, trains on the last, smaller batch too "
      "and moves its learning rate once an epoch";
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
PictureRecipe quick() {
  PictureRecipe r = reference();
  r.name = "quick";
  r.description = "small ResNet, 16-pixel views, for two CPU cores and 15 minutes";
  r.differs = "";
  r.width = 16;
  r.size = 16;
  r.epochs = 40;
  r.batch_size = 256;
  r.temperature = 0.2;
  return r;
}

/// github.com/lightly-ai/lightly, docs/source/getting_started/benchmarks/cifar10_benchmark.py; its table's row of batch
/// size 512 and 200 epochs. tests/examples/test_recipes.cpp says where each value stands.
PictureRecipe lightly() {
  PictureRecipe r;
  r.name = "lightly";
  r.description = "lightly's CIFAR-10 benchmark, batch size 512, 200 epochs";
  r.published = "kNN 84.8";
  r.conv_init = r.stem_init = ConvInit::uniform;
  r.head_hidden = 512;
  r.head_last_batchnorm = true;
  r.views_apart = true;
  r.epochs = 200;
  r.lr = 0.12;
  r.schedule_by_epoch = true;
  r.augmentation = Augmentation::simclr_cifar();
  set(r.augmentation.mean, {0.485f, 0.456f, 0.406f});
  set(r.augmentation.stddev, {0.229f, 0.224f, 0.225f});
  return r;
}

/// github.com/google-research/simclr, its README's command for CIFAR-10, which reaches "around 91%". Views are
/// torchvision's here and TensorFlow's there: bicubic there takes Keys' a = -0.75 and starts from pixels' corners,
/// where ours, Pillow's and torchvision's, takes -0.5 and their centres, and widens the filter where it shrinks.
PictureRecipe google() {
  PictureRecipe r;
  r.name = "google";
  r.description = "after google-research/simclr on CIFAR-10, 1000 epochs";
  r.differs =
      "contrast, saturation, crops and bicubic are TensorFlow's there, its weights start otherwise, and its "
      "epochs run on without a break (97,657 steps, here 97,000)";
  r.zero_last_gamma = true;
  r.head_layers = 3;
  r.head_last_batchnorm = true;
  r.head_last_shift = false;
  r.epochs = 1000;
  r.optimizer = "lars";
  r.lr = 1.0;
  r.weight_decay = 1e-4;
  r.warmup_epochs = 10;
  r.warmup = Warmup::from_zero;
  r.augmentation = Augmentation::simclr_cifar();
  r.augmentation.interpolation = Interpolation::bicubic;
  return r;
}

/// github.com/vturrisi/solo-learn, scripts/pretrain/cifar/simclr.yaml. tests/examples/test_recipes.cpp says where each
/// value stands. Its views are flipped last and ours behind the crop, which are the same views.
PictureRecipe solo_learn() {
  PictureRecipe r;
  r.name = "solo-learn";
  r.description = "solo-learn on CIFAR-10, 1000 epochs";
  r.published = "linear 90.7";
  r.stem_padding = 2;
  r.stem_init = ConvInit::uniform;
  r.head_hidden = 2048;
  r.head_out = 256;
  r.head_batchnorm = false;
  r.head_last_bias = true;
  r.views_apart = true;
  r.epochs = 1000;
  r.batch_size = 256;
  r.optimizer = "lars";
  r.lr = 0.4;
  r.weight_decay = 1e-4;
  r.lars_trust = 0.02;
  r.lars_clip = true;
  r.lars_rule = LarsRule::bolts;
  r.warmup_epochs = 10;
  r.warmup = Warmup::from_start;
  r.warmup_start = 3e-5;
  r.temperature = 0.2;
  r.augmentation = Augmentation::simclr_cifar();
  r.augmentation.interpolation = Interpolation::bicubic;
  r.augmentation.brightness = r.augmentation.contrast = r.augmentation.saturation = 0.8f;
  r.augmentation.hue = 0.2f;
  r.augmentation.blur_probability = 0.5f;
  r.augmentation.blur_kernel = simclr::kernels::whole_kernel;
  set(r.augmentation.mean, {0.4914f, 0.4822f, 0.4465f});
  set(r.augmentation.stddev, {0.2470f, 0.2435f, 0.2616f});
  return r;
}

/// arXiv 2002.05709, appendix B.9: linear 94.0.
PictureRecipe paper() {
  PictureRecipe r = google();
  r.name = "paper";
  r.description = "after the SimCLR paper's appendix B.9, ResNet-50, 1000 epochs";
  r.differs =
      "views are TensorFlow's there, its weights start otherwise, and it does not say which of several learning "
      "rates was taken";
  r.arch = "resnet50";
  r.head_layers = 2;
  r.batch_size = 1024;
  return r;
}

/// Chapter 17 of the deep learning course of Amsterdam's university, github.com/phlippe/uvadlc_notebooks, on STL-10:
/// its 100,000 unlabelled pictures. Its logistic regression on all labels reached 81 %.
PictureRecipe stl10() {
  PictureRecipe r;
  r.name = "stl10";
  r.description = "after the UvA deep learning course on STL-10, 96 pixels, 500 epochs";
  r.differs =
      "its learning rate ends at a fiftieth of the first, its weight decay is on biases and norms too, and the "
      "checkpoint is chosen by labelled pictures without their labels";
  r.stem = Stem::imagenet;
  r.size = 96;
  r.head_hidden = 512;
  r.head_batchnorm = false;
  r.head_last_bias = true;
  r.epochs = 500;
  r.batch_size = 256;
  r.optimizer = "adamw";
  r.lr = 5e-4;
  r.weight_decay = 1e-4;
  r.schedule_by_epoch = true;
  r.temperature = 0.07;
  r.augmentation = Augmentation::simclr_cifar();
  r.augmentation.brightness = r.augmentation.contrast = r.augmentation.saturation = 0.5f;
  r.augmentation.hue = 0.1f;
  r.augmentation.blur_probability = 1.0f;
  r.augmentation.blur_kernel = 9;
  set(r.augmentation.mean, {0.5f, 0.5f, 0.5f});
  set(r.augmentation.stddev, {0.5f, 0.5f, 0.5f});
  return r;
}

/// What the recipes for ImageNet have in common: its stem, SimCLR's whole colour jitter and blur.
PictureRecipe of_imagenet() {
  PictureRecipe r;
  r.stem = Stem::imagenet;
  r.size = 224;
  r.batch_size = 256;
  r.optimizer = "lars";
  r.lars_rule = LarsRule::bolts;
  r.warmup_epochs = 10;
  r.augmentation = Augmentation::simclr_cifar();
  r.augmentation.brightness = r.augmentation.contrast = r.augmentation.saturation = 0.8f;
  r.augmentation.hue = 0.2f;
  r.augmentation.blur_probability = 0.5f;
  r.augmentation.blur_kernel = simclr::kernels::whole_kernel;
  set(r.augmentation.mean, {0.485f, 0.456f, 0.406f});
  set(r.augmentation.stddev, {0.229f, 0.224f, 0.225f});
  return r;
}

/// github.com/vturrisi/solo-learn, scripts/pretrain/imagenet-100/simclr.yaml, on two GPUs with half of the batch each.
/// It reached linear 77.6.
PictureRecipe imagenet100() {
  PictureRecipe r = of_imagenet();
  r.name = "imagenet100";
  r.description = "after solo-learn on ImageNet-100, ResNet-18, 224 pixels, 400 epochs";
  r.differs = "its views are DALI's, where colours change in a fixed order, all in one operation";
  r.head_hidden = 4096;
  r.head_out = 512;
  r.head_batchnorm = false;
  r.head_last_bias = true;
  r.views_apart = true;
  r.epochs = 400;
  r.lr = 0.3;
  r.weight_decay = 1e-4;
  r.lars_trust = 0.02;
  r.lars_clip = true;
  r.warmup = Warmup::from_start;
  r.warmup_start = 3e-5;
  r.temperature = 0.2;
  r.augmentation.interpolation = Interpolation::bicubic;
  r.augmentation.blur_kernel = 23;
  return r;
}

/// github.com/lightly-ai/lightly, benchmarks/imagenet/resnet50/simclr.py, on two GPUs with half of the batch each,
/// their batch norm and negatives in common. It reached linear 63.2 and kNN 44.8. google-research/simclr's own recipe
/// for ImageNet is that of 4096 pictures a batch, on 32 accelerators: --batch-size 4096 --lr 0.3 --weight-decay 1e-4.
PictureRecipe imagenet() {
  PictureRecipe r = of_imagenet();
  r.name = "imagenet";
  r.description = "after lightly's ImageNet benchmark, ResNet-50, 224 pixels, 100 epochs";
  r.differs = "its learning rate ends at a thousandth of the peak";
  r.arch = "resnet50";
  r.head_last_batchnorm = true;
  r.lr = 1.2;
  r.weight_decay = 1e-6;
  r.temperature = 0.1;
  return r;
}

}  // namespace

const std::vector<PictureRecipe>& recipes() {
  static const std::vector<PictureRecipe> all = {quick(), reference(), lightly(),     google(),  solo_learn(),
                                                 paper(), stl10(),     imagenet100(), imagenet()};
  return all;
}

const PictureRecipe& recipe(const std::string& name) {
  return named_recipe(recipes(), name);
}
