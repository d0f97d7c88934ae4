// Each published recipe beside its source, field by field: what a run's config.json says, what the source has, and
// where it stands there. A key that config.json gains has to be looked up in each source.
#include "modalities/pictures.h"
#include "support/catch.h"
#include "support/recipe_rows.h"
#include "support/temp_dir.h"
#include "support/tensors.h"
#include "train/encoder_file.h"
#include "train/training.h"
#include "train/training_config.h"

#include <cmath>
#include <set>

using namespace simclr;
using simclr::test::compare_recipe;
using simclr::test::Json;
using simclr::test::RecipeRow;

namespace {

/// The recipe's options, and pictures as it says.
struct Recipes {
  TrainingOptions options;
  Pictures pictures;

  Recipes(PictureRecipe recipe, std::int64_t width, std::int64_t head_hidden = 0) {
    recipe.width = width;
    if (head_hidden > 0) recipe.head_hidden = head_hidden;
    options.recipe = recipe;
    pictures = Pictures(recipe);
  }
};

}  // namespace

TEST_CASE("solo-learn's recipe is solo-learn's") {
  const char* yaml = "scripts/pretrain/cifar/simclr.yaml";
  const char* augmentations = "scripts/pretrain/cifar/augmentations/symmetric.yaml";
  const char* crop = "solo/data/pretrain_dataloader.py, RandomResizedCrop; torchvision's default";
  const char* base = "solo/methods/base.py";
  const char* simclr = "solo/methods/simclr.py, projector";
  const char* lars = "solo/utils/lars.py";
  compare_recipe(
      "solo-learn",
      {{"arch", "resnet18", yaml},
       {"width", 64, "torchvision.models.resnet18"},
       {"stem", "cifar", base},
       {"stem_padding", 2, "solo/methods/base.py, conv1 of CIFAR: padding=2"},
       {"stem_init", "uniform", "solo/methods/base.py, conv1 is a bare nn.Conv2d"},
       {"conv_init", "he", "torchvision.models.resnet18: kaiming_normal_, fan_out"},
       {"zero_last_gamma", false, "torchvision.models.resnet18: zero_init_residual"},
       {"head_layers", 2, simclr},
       {"head_hidden", 2048, yaml},
       {"head_out", 256, yaml},
       {"head_batchnorm", false, simclr},
       {"head_last_batchnorm", false, simclr},
       {"head_last_shift", true, "of no effect without the norm"},
       {"head_last_bias", true, "solo/methods/simclr.py, projector: nn.Linear's default"},
       {"views_apart", true, "solo/methods/base.py, training_step: base_training_step(x) for each crop"},
       {"epochs", 1000, yaml},
       {"batch_size", 256, yaml},
       {"temperature", 0.2, yaml},
       {"optimizer", "lars", yaml},
       {"lr", 0.4, "simclr.yaml; solo/args/pretrain.py scales it by batch size / 256"},
       {"momentum", 0.9, "solo/args/pretrain.py, optimizer.kwargs.momentum"},
       {"weight_decay", 1e-4, yaml},
       {"lars_trust", 0.02, "simclr.yaml, eta"},
       {"lars_clip", true, "simclr.yaml, clip_lr"},
       {"lars_rule", "bolts", lars},
       {"warmup_epochs", 10, "solo/methods/base.py, scheduler.warmup_epochs"},
       {"warmup", "from-start", "solo/utils/lr_scheduler.py"},
       {"warmup_start", 3e-5, "solo/methods/base.py, scheduler.warmup_start_lr"},
       {"schedule_by_epoch", false, "solo/methods/base.py, scheduler.interval: step"},
       {"augmentation.crop_area_min", 0.08, augmentations},
       {"augmentation.crop_area_max", 1.0, augmentations},
       {"augmentation.crop_aspect", {0.75, 1.3333334}, crop},
       {"augmentation.interpolation", "bicubic", "solo/data/pretrain_dataloader.py, InterpolationMode.BICUBIC"},
       {"augmentation.flip_probability", 0.5, augmentations},
       {"augmentation.rotation_probability", 0.0, augmentations},
       {"augmentation.jitter_probability", 0.8, augmentations},
       {"augmentation.brightness", 0.8, augmentations},
       {"augmentation.contrast", 0.8, augmentations},
       {"augmentation.saturation", 0.8, augmentations},
       {"augmentation.hue", 0.2, augmentations},
       {"augmentation.grayscale_probability", 0.2, augmentations},
       {"augmentation.blur_probability", 0.5, augmentations},
       {"augmentation.blur_sigma", {0.1, 2.0}, "solo/data/pretrain_dataloader.py, GaussianBlur"},
       {"augmentation.blur_kernel", -1, "solo/data/pretrain_dataloader.py, ImageFilter.GaussianBlur"},
       {"augmentation.mean", {0.4914, 0.4822, 0.4465}, "solo/data/pretrain_dataloader.py, MEANS_N_STD"},
       {"augmentation.stddev", {0.247, 0.2435, 0.2616}, "solo/data/pretrain_dataloader.py, MEANS_N_STD"}});
  CHECK(recipe("solo-learn").published == "linear 90.7");  // README.md, CIFAR-10: SimCLR 90.74
}

TEST_CASE("lightly's recipe is lightly's") {
  const char* benchmark = "docs/source/getting_started/benchmarks/cifar10_benchmark.py";
  const char* transform = "lightly/transforms/simclr_transform.py";
  const char* crop = "lightly/transforms/simclr_transform.py, RandomResizedCrop; torchvision's default";
  const char* resnet = "lightly/models/resnet.py";
  const char* head = "lightly/models/modules/heads.py, SimCLRProjectionHead(512, 512, 128)";
  const char* cosine = "cifar10_benchmark.py, CosineAnnealingLR alone";
  compare_recipe(
      "lightly",
      {{"arch", "resnet18", benchmark},
       {"width", 64, resnet},
       {"stem", "cifar", resnet},
       {"stem_padding", -1, "lightly/models/resnet.py, conv1: padding=1, half of 3"},
       {"stem_init", "uniform", "lightly/models/resnet.py, a bare nn.Conv2d"},
       {"conv_init", "uniform", "lightly/models/resnet.py, bare nn.Conv2d"},
       {"zero_last_gamma", false, resnet},
       {"head_layers", 2, head},
       {"head_hidden", 512, head},
       {"head_out", 128, head},
       {"head_batchnorm", true, head},
       {"head_last_batchnorm", true, head},
       {"head_last_shift", true, head},
       {"head_last_bias", false, "lightly/models/modules/heads.py, use_bias = not batch_norm"},
       {"views_apart", true, "cifar10_benchmark.py, SimCLRModel.training_step"},
       {"epochs", 200, benchmark},
       {"batch_size", 512, "the table's row"},
       {"temperature", 0.5, "lightly/loss/ntx_ent_loss.py"},
       {"optimizer", "sgd", benchmark},
       {"lr", 0.06 * 512 / 128 * 256 / 512, "cifar10_benchmark.py, 6e-2 * batch_size / 128"},
       {"momentum", 0.9, benchmark},
       {"weight_decay", 5e-4, benchmark},
       {"lars_trust", 0.001, "of no effect"},
       {"lars_clip", false, "of no effect"},
       {"lars_rule", "simclr", "of no effect"},
       {"warmup_epochs", 0, cosine},
       {"warmup", "above-zero", "of no effect"},
       {"warmup_start", 0.0, "of no effect"},
       {"schedule_by_epoch", true, "cifar10_benchmark.py, [scheduler]: PyTorch Lightning steps it once an epoch"},
       {"augmentation.crop_area_min", 0.08, transform},
       {"augmentation.crop_area_max", 1.0, transform},
       {"augmentation.crop_aspect", {0.75, 1.3333334}, crop},
       {"augmentation.interpolation", "bilinear", crop},
       {"augmentation.flip_probability", 0.5, transform},
       {"augmentation.rotation_probability", 0.0, transform},
       {"augmentation.jitter_probability", 0.8, transform},
       {"augmentation.brightness", 0.4, "cifar10_benchmark.py, cj_strength=0.5"},
       {"augmentation.contrast", 0.4, "cifar10_benchmark.py, cj_strength=0.5"},
       {"augmentation.saturation", 0.4, "cifar10_benchmark.py, cj_strength=0.5"},
       {"augmentation.hue", 0.1, "cifar10_benchmark.py, cj_strength=0.5"},
       {"augmentation.grayscale_probability", 0.2, transform},
       {"augmentation.blur_probability", 0.0, "cifar10_benchmark.py, gaussian_blur=0.0"},
       {"augmentation.blur_sigma", {0.1, 2.0}, "of no effect"},
       {"augmentation.blur_kernel", 0, "of no effect"},
       {"augmentation.mean", {0.485, 0.456, 0.406}, "lightly/transforms/utils.py, IMAGENET_NORMALIZE"},
       {"augmentation.stddev", {0.229, 0.224, 0.225}, "lightly/transforms/utils.py, IMAGENET_NORMALIZE"}});
  CHECK(recipe("lightly").published == "kNN 84.8");  // benchmarks.rst, CIFAR-10: SimCLR, 512, 200: 0.848
}

namespace {

/// google-research/simclr, README.md's command for CIFAR-10 and the defaults of run.py.
std::vector<RecipeRow> google_rows() {
  const char* readme = "README.md";
  const char* run = "run.py";
  const char* util = "model_util.py, projection_head";
  const char* data = "data_util.py";
  return {{"arch", "resnet18", readme},
          {"width", 64, "resnet.py"},
          {"stem", "cifar", "resnet.py, cifar_stem"},
          {"stem_padding", -1, "resnet.py, SAME"},
          {"stem_init", "he", "differs: variance_scaling_initializer, fan in"},
          {"conv_init", "he", "differs: variance_scaling_initializer, fan in"},
          {"zero_last_gamma", true, "resnet.py, init_zero=True"},
          {"head_layers", 3, "run.py, num_proj_layers"},
          {"head_hidden", 0, util},
          {"head_out", 128, run},
          {"head_batchnorm", true, util},
          {"head_last_batchnorm", true, util},
          {"head_last_shift", false, "model_util.py, linear_layer: center=use_bias"},
          {"head_last_bias", false, util},
          {"views_apart", false, "model.py: one pass over both"},
          {"epochs", 1000, readme},
          {"batch_size", 512, readme},
          {"temperature", 0.5, readme},
          {"optimizer", "lars", run},
          {"lr", 1.0, readme},
          {"momentum", 0.9, run},
          {"weight_decay", 1e-4, readme},
          {"lars_trust", 0.001, "lars_optimizer.py, EETA_DEFAULT"},
          {"lars_clip", false, "lars_optimizer.py"},
          {"lars_rule", "simclr", "lars_optimizer.py, classic_momentum"},
          {"warmup_epochs", 10, run},
          {"warmup", "from-zero", "model_util.py, learning_rate_schedule"},
          {"warmup_start", 0.0, "of no effect"},
          {"schedule_by_epoch", false, "model_util.py, global_step"},
          {"augmentation.crop_area_min", 0.08, data},
          {"augmentation.crop_area_max", 1.0, data},
          {"augmentation.crop_aspect", {0.75, 1.3333334}, data},
          {"augmentation.interpolation", "bicubic", "differs: TensorFlow's resize_bicubic"},
          {"augmentation.flip_probability", 0.5, data},
          {"augmentation.rotation_probability", 0.0, data},
          {"augmentation.jitter_probability", 0.8, data},
          {"augmentation.brightness", 0.4, "README.md, color_jitter_strength=0.5"},
          {"augmentation.contrast", 0.4, "differs: around each channel's mean"},
          {"augmentation.saturation", 0.4, "differs: in HSV"},
          {"augmentation.hue", 0.1, "README.md, color_jitter_strength=0.5"},
          {"augmentation.grayscale_probability", 0.2, data},
          {"augmentation.blur_probability", 0.0, "README.md, use_blur=False"},
          {"augmentation.blur_sigma", {0.1, 2.0}, "of no effect"},
          {"augmentation.blur_kernel", 0, "of no effect"},
          {"augmentation.mean", {0.0, 0.0, 0.0}, data},
          {"augmentation.stddev", {1.0, 1.0, 1.0}, data}};
}

}  // namespace

TEST_CASE("google's and the paper's recipes are theirs but for what they say") {
  std::vector<RecipeRow> rows = google_rows();
  compare_recipe("google", rows);
  for (RecipeRow& row : rows) {
    if (row.key == std::string("arch")) row = {"arch", "resnet50", "appendix B.9"};
    if (row.key == std::string("batch_size")) row = {"batch_size", 1024, "appendix B.9"};
    if (row.key == std::string("head_layers")) row = {"head_layers", 2, "section 2.1: an MLP with one hidden layer"};
  }
  compare_recipe("paper", rows);
}

TEST_CASE("the reference recipe is dkobak's but for what it says") {
  const char* program = "simclr-cifar10.py";
  const char* torchvision = "torchvision's default";
  compare_recipe("reference", {{"arch", "resnet18", program},
                               {"width", 64, torchvision},
                               {"stem", "cifar", program},
                               {"stem_padding", -1, "simclr-cifar10.py, padding=1"},
                               {"stem_init", "he", "differs: a bare nn.Conv2d"},
                               {"conv_init", "he", torchvision},
                               {"zero_last_gamma", false, torchvision},
                               {"head_layers", 2, program},
                               {"head_hidden", 1024, program},
                               {"head_out", 128, program},
                               {"head_batchnorm", false, program},
                               {"head_last_batchnorm", false, program},
                               {"head_last_shift", true, "of no effect without the norm"},
                               {"head_last_bias", false, "differs: nn.Linear's default is true"},
                               {"views_apart", false, "differs: the model is called for each view"},
                               {"epochs", 100, "README.md, training for 100 epochs"},
                               {"batch_size", 512, program},
                               {"temperature", 0.5, program},
                               {"optimizer", "sgd", program},
                               {"lr", 0.06, "README.md, training for 100 epochs"},
                               {"momentum", 0.9, program},
                               {"weight_decay", 5e-4, program},
                               {"lars_trust", 0.001, "of no effect"},
                               {"lars_clip", false, "of no effect"},
                               {"lars_rule", "simclr", "of no effect"},
                               {"warmup_epochs", 0, program},
                               {"warmup", "above-zero", "of no effect"},
                               {"warmup_start", 0.0, "of no effect"},
                               {"schedule_by_epoch", false, "differs: scheduler.step() once an epoch"},
                               {"augmentation.crop_area_min", 0.2, program},
                               {"augmentation.crop_area_max", 1.0, program},
                               {"augmentation.crop_aspect", {0.75, 1.3333334}, torchvision},
                               {"augmentation.interpolation", "bilinear", torchvision},
                               {"augmentation.flip_probability", 0.5, torchvision},
                               {"augmentation.rotation_probability", 0.0, program},
                               {"augmentation.jitter_probability", 0.8, program},
                               {"augmentation.brightness", 0.4, program},
                               {"augmentation.contrast", 0.4, program},
                               {"augmentation.saturation", 0.4, program},
                               {"augmentation.hue", 0.1, program},
                               {"augmentation.grayscale_probability", 0.1, program},
                               {"augmentation.blur_probability", 0.0, program},
                               {"augmentation.blur_sigma", {0.1, 2.0}, "of no effect"},
                               {"augmentation.blur_kernel", 0, "of no effect"},
                               {"augmentation.mean", {0.0, 0.0, 0.0}, program},
                               {"augmentation.stddev", {1.0, 1.0, 1.0}, program}});
}

TEST_CASE("a recipe that differs from its source promises no figure") {
  for (const PictureRecipe& r : recipes()) {
    INFO(r.name);
    CHECK((r.published.empty() || r.differs.empty()));
    CHECK(r.description.find("published") == std::string::npos);
    if (r.name == "quick") continue;
    CHECK(r.published.empty() == !r.differs.empty());
    CHECK((r.differs.empty() || r.description.starts_with("after ")));
  }
}

TEST_CASE("solo-learn's first step is a fiftieth of each weight, and no more than the learning rate") {
  const Recipes o(recipe("solo-learn"), 8, 32);
  const auto model = o.pictures.make_model(o.options);
  auto optimizer = make_optimizer(o.options.recipe, *model, nn::constant(0.4));
  std::vector<Tensor> before;
  const auto parameters = model->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    before.push_back(parameters[i].value.clone());
    Tensor gradient = parameters[i].value.grad();
    gradient.copy_from(test::random_tensor(gradient.shape(), i + 1, DType::f32, 0.0, i == 3 ? 1e-6 : 1.0));
  }
  std::vector<Tensor> gradients;
  for (const auto& p : parameters) gradients.push_back(p.value.grad().clone());
  optimizer->step();
  const auto norm = [](const Tensor& x) {
    double sum = 0;
    for (const double each : x.to_vector<double>()) sum += each * each;
    return std::sqrt(sum);
  };
  int adapted = 0, clipped = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    INFO(parameters[i].name);
    auto moved = parameters[i].value.to_vector<double>(), old = before[i].to_vector<double>();
    for (std::size_t k = 0; k < moved.size(); ++k) moved[k] -= old[k];
    const double step = norm(Tensor::from(moved, {static_cast<std::int64_t>(moved.size())}));
    const double w = norm(before[i]), g = norm(gradients[i]);
    if (parameters[i].role != nn::Role::weight) {
      CHECK(step == Approx(0.4 * g).epsilon(1e-5));  // plain, without decay
    } else if (0.02 * w / (g + 1e-4 * w) < 0.4) {
      CHECK(step / w == Approx(0.02).epsilon(1e-3));
      ++adapted;
    } else {
      CHECK(step <= 0.4 * (g + 1e-4 * w) * (1 + 1e-5));
      ++clipped;
    }
  }
  CHECK(adapted > 15);
  CHECK(clipped == 1);
}

TEST_CASE("the recipes' networks and learning rates are their sources'") {
  const auto names = [](const char* name) {
    const Recipes o(recipe(name), 4);
    std::string head;
    for (const auto& p : o.pictures.make_model(o.options)->parameters()) {
      if (p.name.starts_with("head.")) head += p.name.substr(5) + " ";
    }
    return head;
  };
  CHECK(names("solo-learn") == "linear1.weight linear1.bias linear2.weight linear2.bias ");
  CHECK(names("lightly") == "linear1.weight bn1.weight bn1.bias linear2.weight bn2.weight bn2.bias ");
  CHECK(names("google") ==
        "linear1.weight bn1.weight bn1.bias linear2.weight bn2.weight bn2.bias linear3.weight bn3.weight ");
  CHECK(names("paper") == "linear1.weight bn1.weight bn1.bias linear2.weight bn2.weight ");

  const Recipes o(recipe("google"), 4);
  int zero = 0;
  for (const auto& p : o.pictures.make_model(o.options)->parameters()) {
    if (p.name.ends_with("bn2.weight") && p.name.starts_with("encoder.layer")) {
      zero += p.value.to_vector<float>() == std::vector<float>(static_cast<std::size_t>(p.value.numel()), 0.0f) ? 1 : 0;
    }
  }
  CHECK(zero == 8);

  const auto solo = make_schedule(recipe("solo-learn"), 195);
  CHECK(solo.at(0) == 3e-5f);
  CHECK(solo.at(1949) == 0.4f);
  CHECK(solo.at(1950) == 0.4f);
  const auto google = make_schedule(recipe("google"), 97);
  CHECK(google.at(0) == 0.0f);
  CHECK(google.at(970) == 2.0f);
  const auto lightly = make_schedule(recipe("lightly"), 97);
  CHECK(lightly.at(0) == 0.24f);
  CHECK(lightly.at(96) == 0.24f);
  CHECK(lightly.at(97 * 100) == Approx(0.12));
}

TEST_CASE("a weights file tells the padding of its stem and the mean of its pictures") {
  Recipes o(recipe("solo-learn"), 4);
  const auto model = o.pictures.make_model(o.options);
  const test::TempDir folder;
  const std::string path = folder.path("model.safetensors");
  save_tensors(path, model->state(), {{"format", "simclr"}, {"config", to_json(o.options, o.pictures).dump()}});
  Pictures pictures;
  const EncoderFile file = open_encoder(path, pictures);
  CHECK(pictures.policy().mean[0] == 0.4914f);
  CHECK(pictures.policy().stddev[2] == 0.2616f);
  CHECK(pictures.policy().interpolation == kernels::Interpolation::bicubic);
  file.encoder->eval();
  model->eval();
  const Tensor x = test::random_tensor({2, 16, 16, 3}, 1, DType::f32);
  CHECK(test::same_bits((*file.encoder)(x), model->encoder()(x)));

  // What finetune and torchvision_weights write says it, too.
  CHECK(encoder_config(pictures)["stem_padding"] == 2);
}
