// Whole training steps on the device, from u8 pictures to updated weights, beside the same steps on the CPU.
#include "support/device.h"
#include "support/fault.h"
#include "support/micro_batches.h"

#include <simclr/simclr.h>

#include <optional>
#include <span>
#include <utility>

using namespace simclr;

namespace {

constexpr std::int64_t pictures = 160, batch = 32, large_batch = 128;
constexpr int steps = 10;

/// Pictures with some structure: a gradient of a random direction and colour each, and noise.
std::shared_ptr<const data::Dataset> tiny_pictures() {
  data::MemoryData memory;
  std::vector<std::uint8_t> bytes;
  memory.description = "gradients";
  for (std::uint32_t n = 0; n < pictures; ++n) {
    const Random random(7, RandomPurpose::user, n);
    memory.labels.push_back(-1);
    for (std::uint32_t i = 0; i < 20 * 20 * 3; ++i) {
      const std::uint32_t c = i % 3, x = i / 3 % 20, y = i / 60;
      const float slope = random.uniform(c) * static_cast<float>(x) + random.uniform(3 + c) * static_cast<float>(y);
      bytes.push_back(static_cast<std::uint8_t>(5.0f * slope + 40.0f * random.uniform(6 + i)));
    }
  }
  memory.samples = Tensor::from(bytes, {pictures, 20, 20, 3});
  return data::memory_dataset(std::move(memory));
}

data::Augmentation policy() {
  auto policy = data::Augmentation::simclr_cifar();
  policy.size = 12;
  return policy;
}

nn::SimCLR tiny_model() {
  const auto encoder = std::make_shared<nn::ResNet>(nn::ResNet::Block::basic, std::vector<int>{1, 1},
                                                    nn::ResNetOptions{.width = 8, .seed = 1});
  return nn::SimCLR({.encoder = encoder, .head = {.hidden = 32, .out = 32, .seed = 1}});
}

struct Optimizers {
  enum Kind { sgd, lars, adamw, frozen };
  static std::unique_ptr<nn::Optimizer> make(Kind kind, const nn::Module& model) {
    const nn::Schedule schedule = nn::warmup_cosine({.peak = kind == adamw  ? 6e-4
                                                             : kind == lars ? 6e-2
                                                             : kind == sgd  ? 4e-3
                                                                            : 0,
                                                     .steps = 2 * steps,
                                                     .warmup_steps = 3});
    if (kind == lars)
      return std::make_unique<nn::Lars>(model.parameters(), nn::LarsOptions{.weight_decay = 1e-4}, schedule);
    if (kind == adamw) return std::make_unique<nn::AdamW>(model.parameters(), nn::AdamWOptions{}, schedule);
    return std::make_unique<nn::Sgd>(model.parameters(), nn::SgdOptions{.weight_decay = 5e-4}, schedule);
  }
};

double one_step(nn::SimCLR& model, nn::Optimizer& optimizer, const Input& views) {
  const Tensor loss = nn::nt_xent(model(views), {.temperature = 0.5});
  loss.backward();
  optimizer.step();
  return loss.item();
}

std::vector<double> losses_on_cpu(Optimizers::Kind kind) {
  auto model = tiny_model();
  const auto optimizer = Optimizers::make(kind, model);
  const data::Loader loader(tiny_pictures(), std::make_shared<data::PictureViews>(policy()),
                            {.batch_size = large_batch, .seed = 3, .workers = 0});
  std::vector<double> losses;
  for (std::uint32_t epoch = 0; losses.size() < steps; ++epoch) {
    for (const data::Batch& b : loader.epoch(epoch)) losses.push_back(one_step(model, *optimizer, b.towers[0]));
  }
  return losses;
}

std::vector<double> losses_on_device(Optimizers::Kind kind, DType dtype) {
  auto model = tiny_model();
  model.to(test::device());
  const auto optimizer = Optimizers::make(kind, model);
  data::DeviceLoader loader(*tiny_pictures(), policy(), test::device(),
                            {.batch_size = large_batch, .seed = 3, .dtype = dtype});
  std::vector<double> losses;
  for (std::uint32_t epoch = 0; losses.size() < steps; ++epoch) {
    loader.begin(epoch);
    while (loader.next()) losses.push_back(one_step(model, *optimizer, loader.views()));
  }
  return losses;
}

/// Whole steps are many launches: one schedule each is enough, the kernels' own tests run all.
void once() {
#ifdef SIMCLR_EMU_CHECKS
  test::device();
  emu::set_checks(emu::Checks::once);
#endif
}

}  // namespace

// A tiny network with batch norm is chaotic: with few pictures a batch, three stages and a learning rate at which the
// loss falls fast, a difference of 1e-6 grows fourfold a step. Here it stays near 1e-5 in f32 and 3e-3 in bf16, while
// ten steps move the loss by 0.1.
DEVICE_TEST_CASE("ten training steps give the CPU's losses") {
  once();
  const auto untrained = losses_on_cpu(Optimizers::frozen);
  for (const auto kind : {Optimizers::sgd, Optimizers::lars, Optimizers::adamw}) {
    const auto expected = losses_on_cpu(kind);
    REQUIRE(expected.size() == steps);
    CHECK(expected.back() < untrained.back() - 5e-2);  // five times the bf16 tolerance: a lost update shows
    for (const DType dtype : test::device_dtypes) {
      const auto losses = losses_on_device(kind, dtype);
      for (std::size_t i = 0; i < steps; ++i) {
        CAPTURE(kind, dtype, i);
        CHECK(losses[i] == Approx(expected[i]).epsilon(0).margin(dtype == DType::bf16 ? 1e-2 : 1e-4));
      }
    }
  }
}

DEVICE_TEST_CASE("a device loader gives a loader's views, drawn by the same parameters") {
  once();
  const auto dataset = tiny_pictures();
  using Case = std::pair<std::int64_t, data::Shard>;
  for (const auto& [block, shard] : {Case{0, {}}, Case{3, {}}, Case{3, {1, 2}}}) {
    const data::Loader host(dataset, std::make_shared<data::PictureViews>(policy()),
                            {.batch_size = batch, .shard = shard, .shuffle_block = block, .seed = 3, .workers = 0});
    data::DeviceLoader loader(*dataset, policy(), test::device(),
                              {.batch_size = batch, .shard = shard, .shuffle_block = block, .seed = 3});
    CHECK(loader.batches() == host.batches());
    for (const std::uint32_t epoch : {0u, 5u}) {
      loader.begin(epoch);
      for (const data::Batch& b : host.epoch(epoch)) {
        REQUIRE(loader.next());
        const auto indices = loader.indices().to_vector<std::int32_t>();
        CHECK(std::vector<std::int64_t>(indices.begin(), indices.end()) == b.indices);
        const Input views = loader.views();
        CHECK(views.x.shape() == b.towers[0].x.shape());
        CHECK(views.keys.to_vector<std::int32_t>() == b.towers[0].keys.to_vector<std::int32_t>());
        CHECK_FALSE(views.lengths.defined());
        const auto x = views.x.to_vector<float>(), y = b.towers[0].x.to_vector<float>();
        float worst = 0;
        for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
        CHECK(worst < 1e-5f);
      }
      CHECK(!loader.next());
    }
  }
}

DEVICE_TEST_CASE("captured steps, whole or in micro-batches, give the losses of plain steps that run one by one") {
  once();
  enum class Way { whole, in_parts, joined };
  const auto run = [](Way way, DType dtype, bool captured) {
    auto model = tiny_model();
    model.to(test::device());
    const auto optimizer = Optimizers::make(Optimizers::sgd, model);
    data::DeviceLoader loader(*tiny_pictures(), policy(), test::device(),
                              {.batch_size = batch, .seed = 3, .dtype = dtype});
    Tensor loss;
    const auto step = [&] {
      const Input views = loader.views();
      const Tensor z = way == Way::whole      ? model(views)
                       : way == Way::in_parts ? nn::in_micro_batches(model, views, 11)
                                              : test::joined(model, views, {10, 11, 11});
      loss = nn::nt_xent(z, {.temperature = 0.5});
      loss.backward();
      optimizer->step(loss);
    };
    std::optional<CapturedStep> graph;
    std::vector<double> losses;
    for (std::uint32_t epoch = 0; losses.size() < steps; ++epoch) {
      loader.begin(epoch);
      while (loader.next()) {
        if (captured && losses.size() == 3) graph.emplace(test::device(), step);
        graph ? graph->replay() : step();
        losses.push_back(loss.item());
      }
    }
    CHECK(optimizer->steps() == steps);
    for (const NamedTensor& tensor : model.state()) losses.push_back(nn::statistics_of(tensor.value).norm);
    return losses;
  };
  CHECK(run(Way::whole, DType::f32, true) == run(Way::whole, DType::f32, false));
  for (const DType dtype : test::device_dtypes) {
    CHECK(run(Way::in_parts, dtype, true) == run(Way::joined, dtype, false));
  }
}

DEVICE_TEST_CASE(
    "a model's loss of three views can be captured: its groups are there since the step before, and stay") {
  nn::SimCLR model({.encoder = std::make_shared<nn::Linear>(nn::LinearOptions{.in = 4, .out = 8}),
                    .head = {.out = 8},
                    .loss = {.views = 3}});
  model.to(test::device());
  const Tensor z = test::random_tensor({12, 8}, 4, DType::f32).to(test::device());
  const double expected = nn::nt_xent(z, {.views = 3}).item();
  Tensor loss = model.loss(std::span(&z, 1));
  CHECK(loss.item() == expected);
  CapturedStep captured(test::device(), [&] { loss = model.loss(std::span(&z, 1)); });
  const Tensor other = z.narrow(0, 6);  // whose groups are others
  model.loss(std::span(&other, 1));
  const Tensor overwritten = Tensor::full({12}, -1, DType::i32, test::device());
  captured.replay();
  CHECK(loss.item() == expected);
}

DEVICE_TEST_CASE("two towers learn their temperature in captured steps as in plain ones, and as on the CPU") {
  once();
  struct Course {
    std::vector<double> losses, scales;
    bool operator==(const Course&) const = default;
  };
  const auto run = [](Device device, DType dtype, bool captured) {
    const auto linear = [] { return std::make_shared<nn::Linear>(nn::LinearOptions{.in = 12, .out = 24}); };
    nn::TwoTowers model({.encoders = {linear(), linear()},
                         .heads = {{{.hidden = 16, .out = 16}, {.hidden = 16, .out = 16, .seed = 1}}},
                         .loss = {.temperature = 0.2},
                         .learn_temperature = true});
    model.initialize(5);
    model.to(device);
    nn::Sgd optimizer(model.parameters(), {.weight_decay = 5e-4}, nn::constant(0.02));
    const Tensor scale = model.parameters().front().value;
    Tensor x = Tensor::empty({40, 12}, dtype, device), loss;
    const auto step = [&] {
      loss = model.loss_of(std::vector<Input>{x, x}, 16);
      loss.backward();
      optimizer.step(loss);
    };
    std::optional<CapturedStep> graph;
    Course course;
    for (std::uint64_t i = 0; i < steps; ++i) {
      x.copy_from(test::random_tensor({40, 12}, i, DType::f32).to(dtype));
      if (captured && i == 3) graph.emplace(device, step);
      graph ? graph->replay() : step();
      course.losses.push_back(loss.item());
      course.scales.push_back(scale.item());
    }
    CHECK(optimizer.steps() == steps);
    return course;
  };
  const Course expected = run(Device{}, DType::f32, false);
  CHECK(std::abs(expected.scales.back() - std::log(1 / 0.2)) > 0.1);  // five times bf16's tolerance
  for (const DType dtype : test::device_dtypes) {
    CAPTURE(dtype);
    const Course plain = run(test::device(), dtype, false);
    CHECK(run(test::device(), dtype, true) == plain);
    const double margin = dtype == DType::bf16 ? 2e-2 : 1e-5;
    for (std::size_t i = 0; i < steps; ++i) {
      CAPTURE(i);
      CHECK(plain.losses[i] == Approx(expected.losses[i]).epsilon(0).margin(margin));
      CHECK(plain.scales[i] == Approx(expected.scales[i]).epsilon(0).margin(margin));
    }
  }
}

DEVICE_TEST_CASE("a fault in a layer's output or gradient is caught, named, and updates nothing") {
  once();
  using In = test::Fault::In;
  struct Case {
    std::size_t output;
    In in;
    float value;
    const char* layer;
  };
  for (const DType dtype : test::device_dtypes) {
    const auto encoder = std::make_shared<nn::ResNet>(nn::ResNet::Block::basic, std::vector<int>{1},
                                                      nn::ResNetOptions{.stem = nn::Stem::imagenet, .width = 8});
    nn::SimCLR model({.encoder = encoder, .head = {.hidden = 16, .out = 16, .batchnorm = false}});
    model.to(test::device());
    nn::Sgd optimizer(model.parameters(), {}, nn::constant(0.01));
    const Tensor views = test::random_tensor({8, 8, 8, 3}, 1, dtype).to(test::device());
    const auto compute = [&] { return nn::nt_xent(model(views)); };
    const auto train = [&] {
      const Tensor loss = compute();
      loss.backward();
      optimizer.step(loss);
    };
    train();
    CHECK(optimizer.bad_step() == -1);
    std::vector<NamedTensor> kept;
    for (const NamedTensor& tensor : optimizer.state()) kept.push_back({tensor.name, tensor.value.clone()});
    const auto weights = [&] {
      std::vector<std::vector<float>> values;
      for (const nn::Parameter& p : model.parameters()) values.push_back(p.value.to_vector<float>());
      return values;
    };
    const auto before = weights();
    for (const Case& c :
         {Case{0, In::output, NAN, "encoder.conv1 (conv2d)"}, Case{1, In::output, -INFINITY, "encoder.bn1 (batchnorm)"},
          Case{2, In::output, INFINITY, "encoder (max_pool)"},
          Case{5, In::gradient, NAN, "encoder.layer1.0.conv2 (conv2d)"},
          Case{6, In::gradient, INFINITY, "encoder.layer1.0.bn2 (batchnorm)"},
          Case{8, In::output, -INFINITY, "head.linear1 (linear)"}, Case{10, In::gradient, -INFINITY, "head (relu)"},
          Case{11, In::output, INFINITY, "head.linear2 (linear)"}, Case{12, In::output, NAN, "nt_xent"}}) {
      CAPTURE(dtype, c.layer);
      {
        test::Fault fault(c.output, c.in, c.value);
        train();
        fault.restart();
        CHECK_THAT(nn::inspect(model, compute).nonfinite, Catch::StartsWith(std::string(c.layer) + ": 1 of "));
      }
      train();
      CHECK(optimizer.bad_step() == 1);
      CHECK(weights() == before);
      CHECK_THROWS_WITH(optimizer.state(), Catch::Contains("NaN or Inf at update 1"));
      optimizer.load_state(kept);
    }
    CHECK(nn::inspect(model, compute).nonfinite == "");
  }
}

DEVICE_TEST_CASE("weights keep their bf16 shadow equal, and training updates both") {
  once();
  auto model = tiny_model();
  model.to(test::device());
  const auto optimizer = Optimizers::make(Optimizers::sgd, model);
  data::DeviceLoader loader(*tiny_pictures(), policy(), test::device(),
                            {.batch_size = batch, .seed = 3, .dtype = DType::bf16});
  loader.begin(0);
  REQUIRE(loader.next());
  const auto equal = [&] {
    for (const nn::Parameter& p : model.parameters()) {
      const Tensor value = p.value.detach();
      CHECK(test::same_bits(shadow(value).to(Device{}), value.to(Device{}).to(DType::bf16)));
    }
  };
  const Tensor first = model.parameters().front().value.detach().to(Device{}).clone();
  one_step(model, *optimizer, loader.views());
  equal();
  CHECK(!test::same_bits(first, model.parameters().front().value.to(Device{})));
  model.load_state(tiny_model().state());
  equal();
  CHECK(test::same_bits(first, model.parameters().front().value.to(Device{})));
}
