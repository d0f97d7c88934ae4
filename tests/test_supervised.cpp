// Models that learn from labels: SupCon, by SimCLR's loss of groups, and supervised pre-training.
#include <simclr/core/world.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/device_loader.h>
#include <simclr/data/pictures/picture_views.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/simclr.h>
#include <simclr/nn/supervised.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/nt_xent_form_reference.h"
#include "support/ranks.h"
#include "support/tensors.h"
#include "support/two_towers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

using namespace simclr;
using test::classes_of;
using test::message_of;
using test::Mlp;
using test::random_tensor;
using test::relative_error;

namespace {

const std::vector<std::pair<const char*, kernels::NtXentForm>> supcon_forms = {
    {"out", {}}, {"in", {.inside = true}}, {"dcl", {.decoupled = true}}};

/// Labels of `views` views of each sample, view by view; `classes` of them.
Tensor labels_of(std::int64_t samples, int views, std::int64_t classes) {
  std::vector<std::int32_t> labels;
  for (std::int64_t row = 0; row < views * samples; ++row) {
    labels.push_back(static_cast<std::int32_t>(row % samples % classes));
  }
  return Tensor::from(labels, {views * samples});
}

std::unique_ptr<nn::SimCLR> supcon_model(const kernels::NtXentForm& form, int views, std::int64_t classes) {
  auto model =
      std::make_unique<nn::SimCLR>(nn::SimCLROptions{.encoder = std::make_shared<Mlp>(),
                                                     .head = {.hidden = 8, .out = 5, .batchnorm = false},
                                                     .loss = {.temperature = 0.3, .views = views, .form = form},
                                                     .classes = classes});
  model->to(DType::f64);
  return model;
}

std::unique_ptr<nn::Supervised> supervised_model(DType dtype = DType::f64) {
  auto model = std::make_unique<nn::Supervised>(
      nn::SupervisedOptions{.encoder = std::make_shared<Mlp>(), .classes = 3, .seed = 2});
  model->to(dtype);
  return model;
}

/// The loss of an input, and the gradient of each parameter.
std::vector<Tensor> loss_and_gradients(nn::Model& model, const Input& input, std::int64_t micro_batch = 0) {
  const Tensor loss = model.loss_of(std::vector<Input>{input}, micro_batch);
  loss.backward();
  std::vector<Tensor> all = {loss.detach()};
  for (const nn::Parameter& parameter : model.parameters()) all.push_back(parameter.value.grad());
  return all;
}

/// Rows of six values around a centre of their class.
Input clusters(std::int64_t samples, std::int64_t classes) {
  Tensor x = random_tensor({samples, 6}, 5, DType::f32, -0.3, 0.3);
  for (std::int64_t i = 0; i < samples; ++i) x.data<float>()[6 * i + i % classes] += 1;
  return {x, {}, {}, labels_of(samples, 1, classes)};
}

/// Pictures of one grey each, in groups of three.
class Greys final : public data::Dataset {
 public:
  Greys() {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::uint8_t>(i / 16 * 15);
    for (std::int32_t i = 0; i < 15; ++i) groups_.push_back(i / 3);
  }
  std::int64_t size() const override { return 15; }
  data::Sample sample(std::int64_t i, int) const override {
    return {.bytes = std::as_bytes(std::span(bytes_)).subspan(static_cast<std::size_t>(i) * 16, 16),
            .shape = {4, 4, 1},
            .label = -1,
            .owner = nullptr};
  }
  std::int32_t label(std::int64_t) const override { return -1; }
  const std::vector<std::int32_t>& groups() const override { return groups_; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe() const override { return "greys"; }

 private:
  std::array<std::uint8_t, 15 * 16> bytes_;
  std::vector<std::int32_t> groups_;
  std::vector<std::string> classes_;
};

}  // namespace

TEST_CASE("SimCLR's loss of groups is SupCon, in both of its forms") {
  for (const auto& [name, form] : supcon_forms) {
    for (const int views : {2, 3}) {
      INFO(name << ", " << views << " views");
      const auto model = supcon_model(form, views, 3);
      const Tensor z = random_tensor({views * 7, 5}, 3), groups = labels_of(7, views, 3);
      const auto wanted = test::form_reference(z, z, 0.3, form, {.anchor_group = groups, .candidate_group = groups});
      Tensor leaf = z.clone();
      leaf.set_requires_grad();
      const Tensor loss = model->loss_of_groups(std::vector{leaf}, groups);
      CHECK(loss.item() == Approx(wanted.loss).epsilon(1e-12));
      loss.backward();
      CHECK(relative_error(leaf.grad(), wanted.dz) < 1e-11);
    }
  }
  const Tensor z = random_tensor({14, 5}, 3), groups = labels_of(7, 2, 3);
  const double out = supcon_model({}, 2, 3)->loss_of_groups(std::vector{z}, groups).item();
  CHECK(supcon_model({.inside = true}, 2, 3)->loss_of_groups(std::vector{z}, groups).item() < out - 0.01);  // Jensen
}

TEST_CASE("SupCon's chance is of equal similarities, and no embedding is below the bound") {
  constexpr std::int64_t samples = 8, classes = 4;
  for (const auto& [name, form] : supcon_forms) {
    INFO(name);
    const auto model = supcon_model(form, 2, classes);
    const Tensor groups = labels_of(samples, 2, classes), equal = Tensor::full({2 * samples, 5}, 1.0, DType::f64);
    CHECK(model->loss_of_groups(std::vector{equal}, groups).item() == Approx(model->chance(samples)).epsilon(1e-12));
    Tensor apart = Tensor::zeros({2 * samples, classes}, DType::f64);
    for (std::int64_t i = 0; i < 2 * samples; ++i) apart.data<double>()[i * classes + i % samples % classes] = 1;
    std::vector<Tensor> all = {apart};
    for (std::uint64_t seed = 0; seed < 20; ++seed) all.push_back(random_tensor({2 * samples, 3}, seed));
    for (const Tensor& z : all) CHECK(model->loss_of_groups(std::vector{z}, groups).item() > model->bound(samples));
    // Two classes can be as far apart as the bound takes them to be.
    Tensor opposite = Tensor::full({2 * samples, 1}, 1.0, DType::f64);
    for (std::int64_t i = 0; i < 2 * samples; ++i) opposite.data<double>()[i] = i % 2 == 0 ? 1 : -1;
    CHECK(supcon_model(form, 2, 2)->loss_of_groups(std::vector{opposite}, labels_of(samples, 2, 2)).item() ==
          Approx(supcon_model(form, 2, 2)->bound(samples)).epsilon(1e-12));
  }
  CHECK(nn::supcon_chance(8, 2, 100) == Approx(std::log(15.0)));  // most samples are alone in their class
  CHECK(nn::supcon_bound(8, 2, 100, 0.5) == Approx(std::log(1 + 14 * std::exp(-4.0))));
  CHECK(message_of([] { nn::supcon_bound(8, 2, 0, 0.5); }).find("at least 1 of each") != std::string::npos);
}

TEST_CASE("supervised: the cross-entropy of a linear classifier with the groups as labels") {
  const auto model = supervised_model();
  const Input input{random_tensor({9, 6}, 4), {}, {}, labels_of(9, 1, 3)};
  const Tensor logits = (*model)(input);
  REQUIRE(logits.shape() == Shape{9, 3});
  double sum = 0;
  for (std::int64_t i = 0; i < 9; ++i) {
    const auto row = logits.narrow(i, 1).to_vector<double>();
    double all = 0;
    for (const double x : row) all += std::exp(x);
    sum += std::log(all) - row[static_cast<std::size_t>(i % 3)];
  }
  CHECK(model->loss_of(std::vector{input}).item() == Approx(sum / 9).epsilon(1e-13));
  CHECK(model->chance(9) == Approx(std::log(3.0)));
  CHECK(model->bound(9) == 0);
  CHECK(&model->tower(0) == model.get());
  CHECK(model->encoder().output_features() == test::features);
  CHECK(model->parameters().back().name == "classifier.bias");
  const auto refused = [](auto body, const char* why) { CHECK_THAT(message_of(body), Catch::Contains(why)); };
  refused([&] { model->loss_of(std::vector{Input(input.x)}); }, "needs labels");
  refused([&] { model->tower(1); }, "tower 1 of 1");
  refused([] { nn::Supervised({.encoder = std::make_shared<Mlp>(), .classes = 1}); }, "at least 2");
  refused([] { nn::Supervised({.encoder = nullptr, .classes = 3}); }, "an encoder is needed");
}

TEST_CASE("supervised training learns the labels") {
  const auto model = supervised_model(DType::f32);
  const Input input = clusters(48, 3);
  nn::Sgd optimizer(model->parameters(), {.momentum = 0.9}, nn::constant(0.1));
  const double first = model->loss_of(std::vector{input}).item();
  for (int step = 0; step < 60; ++step) {
    const Tensor loss = model->loss_of(std::vector{input});
    loss.backward();
    optimizer.step(loss);
  }
  CHECK(first > 0.8);
  CHECK(model->loss_of(std::vector{input}).item() < 0.1);
  const auto logits = (*model)(input).to_vector<float>();
  int right = 0;
  for (std::size_t i = 0; i < 48; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(3 * i);
    right += std::max_element(row, row + 3) - row == static_cast<std::ptrdiff_t>(i % 3);
  }
  CHECK(right == 48);
}

TEST_CASE("micro-batches give the whole batch's loss and gradients of labels") {
  for (const int views : {1, 2}) {
    const Input input{random_tensor({views * 10, 6}, 4), {}, {}, labels_of(10, views, 3)};
    const auto model_of = [&]() -> std::unique_ptr<nn::Model> {
      if (views == 1) return supervised_model();
      return supcon_model({.inside = true}, views, 3);
    };
    const auto whole = loss_and_gradients(*model_of(), input), parts = loss_and_gradients(*model_of(), input, 3);
    REQUIRE(whole.size() == parts.size());
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(relative_error(parts[i], whole[i]) < 1e-12);
  }
}

TEST_CASE("ranks give one process's loss and gradients of labels") {
  for (const int ranks : {2, 3}) {
    for (const int views : {1, 2}) {
      for (const auto& [name, form] : supcon_forms) {
        INFO(name << ", " << views << " views, " << ranks << " ranks");
        const std::int64_t samples = ranks * 4;
        const Tensor x = random_tensor({views * samples, 6}, 8), labels = labels_of(samples, views, 3);
        const auto of = [&, form = form](World& world) {
          std::unique_ptr<nn::Model> model;
          if (views == 1) {
            model = supervised_model();
          } else {
            model = supcon_model(form, views, 3);
          }
          model->set_world(&world);
          auto all =
              loss_and_gradients(*model, {test::share(world, x, views), {}, {}, test::share(world, labels, views)});
          for (std::size_t i = 1; i < all.size(); ++i) world.all_reduce(all[i]);
          return all;
        };
        World alone;
        const auto right = of(alone);
        for (const auto& got : test::of_each(ranks, of)) {
          for (std::size_t i = 0; i < right.size(); ++i) CHECK(relative_error(got[i], right[i]) < 1e-11);
        }
      }
    }
  }
}

TEST_CASE("a device loader's views have their samples' groups, as a loader's have") {
  const auto greys = std::make_shared<Greys>();
  const auto policy = data::Augmentation::evaluation(4, 1);
  for (const data::Shard& shard : {data::Shard{}, data::Shard{1, 2}}) {
    const std::vector<data::Tower> towers = {{.maker = std::make_shared<data::PictureViews>(policy), .views = 3}};
    const data::Loader host(greys, towers, {.batch_size = 4, .shard = shard, .seed = 3});
    data::DeviceLoader device(*greys, policy, Device{}, {.batch_size = 4, .shard = shard, .views = 3, .seed = 3});
    for (const std::uint32_t epoch : {0, 1}) {
      device.begin(epoch, 1);
      for (const data::Batch& batch : host.epoch(epoch, 1)) {
        REQUIRE(device.next());
        CHECK(device.views().groups.to_vector<std::int32_t>() == batch.towers[0].groups.to_vector<std::int32_t>());
      }
      CHECK_FALSE(device.next());
    }
  }
}
