// The recipes for pictures larger than CIFAR's beside their sources (support/recipe_rows.h).
#include "modalities/pictures.h"
#include "support/catch.h"
#include "support/recipe_rows.h"

using namespace simclr;
using simclr::test::compare_recipe;
using simclr::test::RecipeRow;

TEST_CASE("The recipe for STL-10 is the course's but for what it says") {
  const char* course = "docs/tutorial_notebooks/tutorial17/SimCLR.ipynb";
  const char* torchvision = "torchvision's default";
  compare_recipe("stl10", {{"arch", "resnet18", course},
                           {"width", 64, torchvision},
                           {"stem", "imagenet", torchvision},
                           {"stem_padding", -1, "torchvision: 3, half of 7"},
                           {"stem_init", "he", torchvision},
                           {"conv_init", "he", torchvision},
                           {"zero_last_gamma", false, torchvision},
                           {"head_layers", 2, "SimCLR.ipynb, convnet.fc"},
                           {"head_hidden", 4 * 128, "SimCLR.ipynb, 4*hidden_dim"},
                           {"head_out", 128, "SimCLR.ipynb, hidden_dim"},
                           {"head_batchnorm", false, course},
                           {"head_last_batchnorm", false, course},
                           {"head_last_shift", true, "of no effect without the norm"},
                           {"head_last_bias", true, "SimCLR.ipynb, nn.Linear's default"},
                           {"views_apart", false, "SimCLR.ipynb, torch.cat(imgs)"},
                           {"epochs", 500, course},
                           {"batch_size", 256, course},
                           {"temperature", 0.07, course},
                           {"optimizer", "adamw", course},
                           {"lr", 5e-4, course},
                           {"momentum", 0.9, "of no effect"},
                           {"weight_decay", 1e-4, "differs: of weights alone"},
                           {"lars_trust", 0.001, "of no effect"},
                           {"lars_clip", false, "of no effect"},
                           {"lars_rule", "simclr", "of no effect"},
                           {"warmup_epochs", 0, course},
                           {"warmup", "above-zero", "of no effect"},
                           {"warmup_start", 0.0, "of no effect"},
                           {"schedule_by_epoch", true, "differs: CosineAnnealingLR has eta_min lr / 50"},
                           {"augmentation.crop_area_min", 0.08, torchvision},
                           {"augmentation.crop_area_max", 1.0, torchvision},
                           {"augmentation.crop_aspect", {0.75, 1.3333334}, torchvision},
                           {"augmentation.interpolation", "bilinear", torchvision},
                           {"augmentation.flip_probability", 0.5, torchvision},
                           {"augmentation.rotation_probability", 0.0, course},
                           {"augmentation.jitter_probability", 0.8, course},
                           {"augmentation.brightness", 0.5, course},
                           {"augmentation.contrast", 0.5, course},
                           {"augmentation.saturation", 0.5, course},
                           {"augmentation.hue", 0.1, course},
                           {"augmentation.grayscale_probability", 0.2, course},
                           {"augmentation.blur_probability", 1.0, "SimCLR.ipynb, GaussianBlur without RandomApply"},
                           {"augmentation.blur_sigma", {0.1, 2.0}, torchvision},
                           {"augmentation.blur_kernel", 9, course},
                           {"augmentation.mean", {0.5, 0.5, 0.5}, course},
                           {"augmentation.stddev", {0.5, 0.5, 0.5}, course}});
  CHECK(recipe("stl10").size == 96);
}

namespace {

/// What solo-learn's recipe for ImageNet-100 and lightly's for ImageNet have in common.
std::vector<RecipeRow> imagenet_rows() {
  const char* both = "both";
  const char* torchvision = "torchvision's default";
  return {{"width", 64, torchvision},
          {"stem", "imagenet", torchvision},
          {"stem_padding", -1, "torchvision: 3, half of 7"},
          {"stem_init", "he", torchvision},
          {"conv_init", "he", torchvision},
          {"zero_last_gamma", false, torchvision},
          {"head_layers", 2, both},
          {"batch_size", 2 * 128, "128 on each of two GPUs"},
          {"optimizer", "lars", both},
          {"momentum", 0.9, both},
          {"lars_rule", "bolts", "solo/utils/lars.py; lightly/utils/lars.py"},
          {"warmup_epochs", 10, "solo/methods/base.py; lightly: benchmarks/imagenet/resnet50/simclr.py"},
          {"schedule_by_epoch", false, "interval: step"},
          {"head_last_shift", true, "solo-learn: of no effect; lightly/models/modules/heads.py"},
          {"augmentation.crop_area_min", 0.08, both},
          {"augmentation.crop_area_max", 1.0, both},
          {"augmentation.crop_aspect", {0.75, 1.3333334}, both},
          {"augmentation.flip_probability", 0.5, both},
          {"augmentation.rotation_probability", 0.0, both},
          {"augmentation.jitter_probability", 0.8, both},
          {"augmentation.brightness", 0.8, both},
          {"augmentation.contrast", 0.8, both},
          {"augmentation.saturation", 0.8, both},
          {"augmentation.hue", 0.2, both},
          {"augmentation.grayscale_probability", 0.2, both},
          {"augmentation.blur_probability", 0.5, both},
          {"augmentation.blur_sigma", {0.1, 2.0}, both},
          {"augmentation.mean", {0.485, 0.456, 0.406}, "both: ImageNet's"},
          {"augmentation.stddev", {0.229, 0.224, 0.225}, "both: ImageNet's"}};
}

}  // namespace

TEST_CASE("The recipes for ImageNet and ImageNet-100 are theirs but for what they say") {
  const char* yaml = "scripts/pretrain/imagenet-100/simclr.yaml";
  const char* projector = "solo/methods/simclr.py, projector";
  const char* dali = "solo/data/dali_dataloader.py";
  std::vector<RecipeRow> solo = imagenet_rows(), lightly = solo;
  solo.insert(solo.end(), {{"arch", "resnet18", yaml},
                           {"head_hidden", 4096, yaml},
                           {"head_out", 512, yaml},
                           {"head_batchnorm", false, projector},
                           {"head_last_batchnorm", false, projector},
                           {"head_last_bias", true, projector},
                           {"views_apart", true, "solo/methods/base.py, training_step; sync_batchnorm: True"},
                           {"epochs", 400, yaml},
                           {"temperature", 0.2, yaml},
                           {"lr", 0.3, "simclr.yaml; solo/args/pretrain.py scales it by batch size x GPUs / 256"},
                           {"weight_decay", 1e-4, yaml},
                           {"lars_trust", 0.02, yaml},
                           {"lars_clip", true, yaml},
                           {"warmup", "from-start", "solo/utils/lr_scheduler.py"},
                           {"warmup_start", 3e-5, "solo/methods/base.py"},
                           {"augmentation.interpolation", "bicubic", dali},
                           {"augmentation.blur_kernel", 23, dali}});
  compare_recipe("imagenet100", solo);
  const char* benchmark = "benchmarks/imagenet/resnet50/simclr.py";
  const char* head = "lightly/models/modules/heads.py, SimCLRProjectionHead()";
  const char* lars = "lightly/utils/lars.py";
  lightly.insert(lightly.end(), {{"arch", "resnet50", benchmark},
                                 {"head_hidden", 0, "heads.py, 2048: as wide as the features"},
                                 {"head_out", 128, head},
                                 {"head_batchnorm", true, head},
                                 {"head_last_batchnorm", true, head},
                                 {"head_last_bias", false, head},
                                 {"views_apart", false, "simclr.py, torch.cat(views); main.py, sync_batchnorm"},
                                 {"epochs", 100, "benchmarks/imagenet/resnet50/main.py"},
                                 {"temperature", 0.1, benchmark},
                                 {"lr", 0.075 * 16, "simclr.py, 0.075 * sqrt(batch size)"},
                                 {"weight_decay", 1e-6, benchmark},
                                 {"lars_trust", 0.001, lars},
                                 {"lars_clip", false, lars},
                                 {"warmup", "above-zero", "lightly/utils/scheduler.py, step + 1"},
                                 {"warmup_start", 0.0, "of no effect"},
                                 {"augmentation.interpolation", "bilinear", "torchvision's default"},
                                 {"augmentation.blur_kernel", -1, "lightly/transforms/gaussian_blur.py, Pillow's"}});
  compare_recipe("imagenet", lightly);
  CHECK(recipe("imagenet100").size == 224);
  CHECK(recipe("imagenet").size == 224);
}
