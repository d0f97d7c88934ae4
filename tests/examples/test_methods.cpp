// What --method makes of a training.
#include "modalities/pictures.h"
#include "train/method.h"

#include <simclr/data/dataset.h>
#include <simclr/nn/supervised.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

namespace data = simclr::data;
namespace nn = simclr::nn;
using simclr::Tensor;
using simclr::test::message_of;

namespace {

Datasets sets_of(std::vector<std::int32_t> labels) {
  const auto count = static_cast<std::int64_t>(labels.size());
  Datasets sets;
  sets.sample_name = "picture";
  sets.train = data::memory_dataset({.samples = Tensor::zeros({count, 4, 4, 1}, simclr::DType::u8),
                                     .labels = std::move(labels),
                                     .classes = {"a", "b", "c"},
                                     .description = "dots"});
  return sets;
}

TrainingOptions options_of(const std::string& method) {
  TrainingOptions options;
  options.recipe.method = method;
  return options;
}

std::string refusal(std::vector<std::int32_t> labels) {
  TrainingOptions options = options_of("supcon");
  return message_of([&] { trained_samples(sets_of(std::move(labels)), options); });
}

}  // namespace

TEST_CASE("a method that takes labels trains on samples whose groups they are") {
  for (const std::string method : {"simclr", "supcon", "supervised"}) {
    CAPTURE(method);
    TrainingOptions options = options_of(method);
    options.classes = 9;  // of other data
    const Datasets sets = sets_of({0, 2, 0, 2, 2});
    const auto samples = trained_samples(sets, options);
    CHECK(samples->size() == 5);
    CHECK(samples->describe() == "dots");
    if (method == "simclr") {
      CHECK(samples == sets.train);
      CHECK(options.classes == 0);
      continue;
    }
    CHECK(samples->groups() == std::vector<std::int32_t>{0, 2, 0, 2, 2});
    CHECK(options.classes == 3);  // one of them without a sample to train on
    CHECK(samples->classes() == sets.train->classes());
    CHECK(samples->sample(1).label == 2);
  }
  // Without labels nothing is asked of them.
  TrainingOptions plain = options_of("simclr");
  CHECK(trained_samples(sets_of({-1, -1}), plain)->size() == 2);
}

TEST_CASE("samples without a label, and all of one class, are refused with what to do") {
  CHECK(refusal({-1, -1, -1}) ==
        "--method supcon: none of the 3 training pictures has a label; give data with labels, or train with --method "
        "simclr");
  CHECK(
      refusal({0, -1, 1}) ==
      "--method supcon: 1 of the 3 training pictures has no label; leave them out of the data, or train with --method "
      "simclr");
  CHECK(refusal({1, 1, 1}) ==
        "--method supcon: all training pictures are of one class; give data with two or more, or train with --method "
        "simclr");
}

TEST_CASE("each method has its model and its views") {
  const auto encoder = [] { return std::make_shared<nn::Linear>(nn::LinearOptions{.in = 2, .out = 4}); };
  TrainingOptions options = options_of("supervised");
  options.classes = 3;
  const auto supervised = make_own_model(options, encoder(), 2);
  CHECK(dynamic_cast<nn::Supervised*>(supervised.get()) != nullptr);
  CHECK(supervised->chance(8) == Approx(std::log(3.0)));
  options.recipe.method = "supcon";
  options.recipe.loss = "supcon-in";
  options.recipe.temperature = 0.3;
  const auto supcon = make_own_model(options, encoder(), 2);
  CHECK(supcon->views() == 2);
  CHECK(supcon->bound(8) == Approx(nn::supcon_bound(8, 2, 3, 0.3)));
  const Tensor z = simclr::test::random_tensor({12, 4}, 1);
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 12; ++i) labels.push_back(i % 6 % 3);
  const Tensor groups = Tensor::from(labels, {12});
  CHECK(supcon->loss_of_groups(std::vector{z}, groups).item() ==
        Approx(nn::nt_xent(z, z, {.anchor_group = groups, .candidate_group = groups},
                           {.temperature = 0.3, .form = {.inside = true}})
                   .item()));
  options.classes = 0;
  options.recipe = {};
  CHECK(make_own_model(options, encoder(), 2)->bound(8) == Approx(nn::nt_xent_bound(8, 0.5)));

  const Pictures pictures(recipe("quick"));
  CHECK(trained_towers(pictures, trained_views(options.recipe)).front().views == 2);
  options.recipe.method = "supervised";
  CHECK(trained_towers(pictures, trained_views(options.recipe)).front().views == 1);
}

TEST_CASE("features that labels gather in few directions have not collapsed, those of one point have") {
  Recipe plain, supervised;
  supervised.method = "supervised";
  Tensor gathered = Tensor::zeros({64, 32});  // four classes: three directions
  for (int i = 0; i < 64; ++i) gathered.data<float>()[32 * i + i % 4] = 1;
  const nn::CollapseReport found = nn::check_collapse(gathered);
  REQUIRE(found.collapsed);
  CHECK(judged(found, plain).message == found.message);
  CHECK_FALSE(judged(found, supervised).collapsed);
  CHECK(judged(found, supervised).message.find("collapsed") == std::string::npos);
  CHECK(judged(nn::check_collapse(Tensor::full({64, 32}, 1.0)), supervised).collapsed);
  CHECK(judged(nn::check_collapse(Tensor::full({64, 32}, std::nan(""))), supervised).collapsed);
}
