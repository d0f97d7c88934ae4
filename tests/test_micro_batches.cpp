// nn::in_micro_batches beside the parts' forward passes joined by plain autograd: values, gradients, running
// statistics, whole training steps, memory, faults.
#include "support/catch.h"
#include "support/fault.h"
#include "support/micro_batches.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/core/random.h>
#include <simclr/nn/inspect.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/micro_batches.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>

#include <functional>
#include <tuple>

using namespace simclr;
using Catch::Contains;
using Catch::StartsWith;
using test::random_tensor;
using test::same_bits;

namespace {

constexpr std::int64_t batch = 10;
const std::vector<std::int64_t> in_fours = {3, 3, 4};  // parts of at most 4 images

std::unique_ptr<nn::SimCLR> small_model(DType dtype = DType::f32) {
  const auto encoder = std::make_shared<nn::ResNet>(nn::ResNet::Block::basic, std::vector<int>{1, 1},
                                                    nn::ResNetOptions{.width = 4, .channels = 3, .seed = 1});
  auto model = std::make_unique<nn::SimCLR>(nn::SimCLROptions{.encoder = encoder, .head = {.hidden = 8, .out = 8}});
  model->to(dtype);
  return model;
}

Tensor some_views(std::uint64_t seed, DType dtype = DType::f32, std::int64_t images = batch) {
  return random_tensor({2 * images, 6, 6, 3}, seed, dtype);
}

/// z for a model and views.
using Forward = std::function<Tensor(nn::Module&, const Tensor&)>;
const Forward plain = [](nn::Module& model, const Tensor& views) { return model(views); };
Forward in_parts_of(std::int64_t images) {
  return [images](nn::Module& model, const Tensor& views) { return nn::in_micro_batches(model, views, images); };
}
const Forward joined_fours = [](nn::Module& model, const Tensor& views) {
  return test::joined(model, views, in_fours);
};

/// A step's z and loss, then every gradient, then parameters and buffers.
std::vector<Tensor> one_step(const Forward& forward, DType dtype) {
  const auto model = small_model(dtype);
  const Tensor z = forward(*model, some_views(1, dtype));
  const Tensor loss = nn::nt_xent(z);
  loss.backward();
  std::vector<Tensor> out = {z.detach(), loss.detach()};
  for (const nn::Parameter& p : model->parameters()) out.push_back(p.value.grad().clone());
  for (const NamedTensor& tensor : model->state()) out.push_back(tensor.value);
  return out;
}

}  // namespace

TEST_CASE("micro-batches give the bits of their forward passes joined: z, loss, gradients, statistics") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const int threads : {1, 2}) {
      set_threads(threads);
      const auto found = one_step(in_parts_of(4), dtype), expected = one_step(joined_fours, dtype);
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CAPTURE(dtype, threads, i);
        CHECK(same_bits(found[i], expected[i]));
      }
      CHECK(test::relative_error(found[0], one_step(plain, dtype)[0]) > 1e-3);  // batch norm sees the parts
    }
  }
}

TEST_CASE("a part as large as the batch gives the plain step's bits") {
  const auto expected = one_step(plain, DType::f32);
  CHECK(same_bits(one_step(in_parts_of(batch), DType::f32), expected));
  CHECK(same_bits(one_step(in_parts_of(1000), DType::f32), expected));
}

TEST_CASE("parts cost one more forward pass, the whole batch none") {
  struct Counted : nn::Module {
    std::vector<std::int64_t> rows;
    Tensor weight = add_parameter("weight", {4, 2}, nn::Role::weight, {});
    Counted() { initialize(1); }
    Tensor forward(const Input& input) override {
      const Tensor& x = input.x;
      rows.push_back(x.dim(0));
      return nn::linear(x, weight);
    }
  };
  const auto rows = [](std::int64_t images) {
    Counted model;
    nn::sum(nn::in_micro_batches(model, random_tensor({2 * batch, 2}, 1, DType::f32), images)).backward();
    return model.rows;
  };
  CHECK(rows(batch) == std::vector<std::int64_t>{20});
  CHECK(rows(batch - 1) == std::vector<std::int64_t>{10, 10, 10, 10});
  CHECK(rows(4) == std::vector<std::int64_t>{6, 6, 8, 6, 6, 8});
}

TEST_CASE("without batch norm the parts change nothing but the order of sums") {
  const auto gradient = [](const Forward& forward) {
    nn::ProjectionHead model({.in = 6, .hidden = 16, .out = 8, .batchnorm = false, .seed = 3});
    model.to(DType::f64);
    const Tensor loss = nn::nt_xent(forward(model, random_tensor({2 * batch, 6}, 2)));
    loss.backward();
    std::vector<Tensor> out = {loss.detach()};
    for (const nn::Parameter& p : model.parameters()) out.push_back(p.value.grad());
    return out;
  };
  const auto expected = gradient(plain);
  for (const std::int64_t images : {1, 3, 5, 9}) {
    const auto found = gradient(in_parts_of(images));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(images, i);
      CHECK(test::relative_error(found[i], expected[i]) < 1e-13);
    }
  }
}

TEST_CASE("every optimizer trains by micro-batches to the bits of the joined passes") {
  using Make = std::function<std::unique_ptr<nn::Optimizer>(const nn::Module&)>;
  const nn::Schedule schedule = nn::constant(0.05);
  for (const Make& make : {Make([&](const nn::Module& m) -> std::unique_ptr<nn::Optimizer> {
                             return std::make_unique<nn::Sgd>(m.parameters(), nn::SgdOptions{}, schedule);
                           }),
                           Make([&](const nn::Module& m) -> std::unique_ptr<nn::Optimizer> {
                             return std::make_unique<nn::Lars>(m.parameters(), nn::LarsOptions{}, schedule);
                           }),
                           Make([&](const nn::Module& m) -> std::unique_ptr<nn::Optimizer> {
                             return std::make_unique<nn::AdamW>(m.parameters(), nn::AdamWOptions{}, schedule);
                           })}) {
    const auto trained = [&](const Forward& forward) {
      const auto model = small_model();
      const auto optimizer = make(*model);
      for (std::uint64_t step = 0; step < 3; ++step) {
        const Tensor loss = nn::nt_xent(forward(*model, some_views(step)));
        loss.backward();
        optimizer->step(loss);
      }
      CHECK(optimizer->bad_step() == -1);
      std::vector<Tensor> out;
      for (const NamedTensor& tensor : model->state()) out.push_back(tensor.value.clone());
      return out;
    };
    CHECK(same_bits(trained(in_parts_of(4)), trained(joined_fours)));
  }
}

TEST_CASE("a step's memory is that of a micro-batch, not of the batch") {
  set_threads(1);
  Allocator& allocator = Context::of({}).allocator();
  const auto peak = [&](std::int64_t images, std::int64_t part) {
    const auto model = small_model();
    nn::Sgd optimizer(model->parameters(), {}, nn::constant(0.05));
    const Tensor views = random_tensor({2 * images, 16, 16, 3}, 1, DType::f32);
    const auto step = [&] {
      const Tensor loss = nn::nt_xent(nn::in_micro_batches(*model, views, part));
      loss.backward();
      optimizer.step(loss);
    };
    step();  // the second finds every buffer that lasts
    const std::size_t before = allocator.stats().in_use;
    allocator.reset_peak();
    step();
    return static_cast<double>(allocator.stats().peak - before);
  };
  const double small = peak(8, 8), large = peak(128, 128), parts = peak(128, 8);
  CAPTURE(small, large, parts);
  CHECK(large > 6 * small);  // not 16: convolutions have scratch memory that many images do not enlarge
  CHECK(parts < 1.1 * small);
}

TEST_CASE("the loss without a backward pass, or without a gradient, moves the statistics once") {
  const auto buffers = [](const std::function<void(nn::SimCLR&)>& run) {
    const auto model = small_model();
    run(*model);
    std::vector<Tensor> out;
    for (const NamedTensor& tensor : model->state()) out.push_back(tensor.value);
    return out;
  };
  const auto expected = buffers([](nn::SimCLR& model) { joined_fours(model, some_views(1)); });
  CHECK(same_bits(expected, buffers([](nn::SimCLR& model) { in_parts_of(4)(model, some_views(1)); })));
  CHECK(same_bits(expected, buffers([](nn::SimCLR& model) {
                    const NoGrad no_grad;
                    CHECK_FALSE(in_parts_of(4)(model, some_views(1)).requires_grad());
                  })));
  CHECK_FALSE(same_bits(expected, buffers([](nn::SimCLR&) {})));
}

TEST_CASE("what cannot be done in micro-batches is refused") {
  const auto model = small_model();
  CHECK_THROWS_WITH(nn::in_micro_batches(*model, some_views(1), 0), Contains("0 samples at a time"));
  CHECK_THROWS_WITH(nn::in_micro_batches(*model, Tensor::zeros({7, 6, 6, 3}), 2),
                    Contains("wants 2 views of each sample"));
  Tensor wanting = some_views(1);
  wanting.set_requires_grad();
  CHECK_THROWS_WITH(nn::in_micro_batches(*model, wanting, 2), Contains("detach()"));
  struct Mean : nn::Module {
    Tensor forward(const Input& input) override { return nn::mean(input.x); }
  } mean;
  CHECK_THROWS_WITH(nn::in_micro_batches(mean, some_views(1), 2), Contains("a row each is wanted"));

  Tensor views = some_views(1);
  Tensor loss = nn::nt_xent(nn::in_micro_batches(*model, views, 4));
  views.fill(0);
  CHECK_THROWS_WITH(loss.backward(), Contains("in_micro_batches") && Contains("changed after the forward pass"));
  loss = nn::nt_xent(nn::in_micro_batches(*model, some_views(1), 4));
  model->parameters().back().value.fill(0.5);
  CHECK_THROWS_WITH(loss.backward(), Contains("in_micro_batches") && Contains("changed after the forward pass"));
}

TEST_CASE("a fault in any part's layer is caught at its step and named, and a look changes nothing") {
  using In = test::Fault::In;
  set_threads(1);
  const auto model = small_model();
  nn::Sgd optimizer(model->parameters(), {}, nn::constant(0.05));
  const Tensor views = some_views(1);
  Tensor loss;
  const auto compute = [&] { return loss = nn::nt_xent(nn::in_micro_batches(*model, views, 4)); };
  const auto train = [&] {
    compute().backward();
    optimizer.step(loss);
  };
  train();
  std::vector<NamedTensor> kept;
  for (const NamedTensor& tensor : optimizer.state()) kept.push_back({tensor.name, tensor.value.clone()});
  const auto state = [&] {
    std::vector<Tensor> out;
    for (const NamedTensor& tensor : model->state()) out.push_back(tensor.value.clone());
    return out;
  };
  const auto before = state();
  const auto layers = nn::inspect(*model, compute).layers;
  CHECK(same_bits(state(), before));
  REQUIRE(layers.size() == 2 + 3 * 16);  // z, the loss, and three times the model's
  CHECK((layers[0].name() == "in_micro_batches" && layers[1].name() == "nt_xent"));
  const auto parameters = model->parameters();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (const In in : {In::output, In::gradient}) {
      CAPTURE(layers[i].name(), i, int(in));
      if (layers[i].layer == "head.linear2" && in == In::output) continue;  // nothing reads the second pass's z
      std::vector<Tensor> weights;
      for (const nn::Parameter& p : parameters) weights.push_back(p.value.clone());
      {
        test::Fault fault(i, in, NAN);
        train();
        CHECK(optimizer.bad_step() == 1);
        fault.restart();
        CHECK_THAT(nn::inspect(*model, compute).nonfinite, StartsWith(layers[i].name() + ": 1 of "));
      }
      for (std::size_t k = 0; k < parameters.size(); ++k) CHECK(same_bits(parameters[k].value.detach(), weights[k]));
      optimizer.load_state(kept);
    }
  }

  const auto conv = parameters[6].value.detach().clone();
  parameters[6].value.detach().fill(3e38);  // overflows in both passes, so z and the loss are NaN, too
  CHECK(parameters[6].name == "encoder.layer1.0.conv2.weight");
  CHECK_THAT(nn::inspect(*model, compute).nonfinite, StartsWith("encoder.layer1.0.conv2 (conv2d): "));
  parameters[6].value.detach().copy_from(conv);
  Tensor bad_views = views.clone();
  bad_views.data<float>()[bad_views.numel() - 1] = NAN;  // of the last part
  CHECK(nn::inspect(*model, [&] { return nn::nt_xent(nn::in_micro_batches(*model, bad_views, 4)); }).nonfinite ==
        "the model's input: 1 of 864 values are NaN or Inf");
}

TEST_CASE("an inspection of micro-batches holds one at a time") {
  set_threads(1);
  Allocator& allocator = Context::of({}).allocator();
  const auto peak = [&](std::int64_t images, std::int64_t part) {
    const auto model = small_model();
    const Tensor views = random_tensor({2 * images, 16, 16, 3}, 1, DType::f32);
    const auto look = [&] {
      nn::inspect(*model, [&] { return nn::nt_xent(nn::in_micro_batches(*model, views, part)); });
    };
    look();
    const std::size_t before = allocator.stats().in_use;
    allocator.reset_peak();
    look();
    return static_cast<double>(allocator.stats().peak - before);
  };
  const double small = peak(8, 8), parts = peak(64, 8);
  CAPTURE(small, parts);
  CHECK(parts < 1.25 * small);
}

namespace {

/// A bag of embeddings of i32 ids [N,T]: the mean over a row's length, each id left out or not by the row's own random
/// numbers, which its key gives. Notes the keys that it sees.
struct Bag : nn::Module {
  std::vector<std::vector<std::int32_t>> seen;
  Tensor table = add_parameter("table", {50, 4}, nn::Role::weight, {nn::Initializer::Kind::normal, 1.0});
  explicit Bag(DType dtype) {
    initialize(5);
    to(dtype);
  }
  Tensor forward(const Input& input) override {
    const std::int64_t rows = input.rows(), longest = input.x.dim(1);
    const auto ids = input.x.to_vector<std::int32_t>(), keys = input.keys.to_vector<std::int32_t>();
    std::vector<std::int32_t> lengths(static_cast<std::size_t>(rows), static_cast<std::int32_t>(longest));
    if (input.lengths.defined()) lengths = input.lengths.to_vector<std::int32_t>();
    Tensor share = Tensor::zeros({rows, 50}, table.dtype());
    for (std::int64_t i = 0; i < rows; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto word = [&](std::size_t k) { return static_cast<std::uint32_t>(keys[3 * at + k]); };
      const Random random(9, RandomPurpose::user, word(0), word(1), word(2));
      for (std::int32_t k = 0; k < lengths[at]; ++k) {
        if (random.uniform(static_cast<std::uint32_t>(k)) < 0.3f) continue;
        const std::int64_t id = ids[static_cast<std::size_t>(i * longest + k)];
        Tensor one = share.narrow(i, 1).reshape({50}).narrow(id, 1);
        one.fill(one.item() + 1.0 / lengths[at]);
      }
    }
    seen.push_back(keys);
    return nn::matmul(share, table);
  }
};

/// Three views of ten samples, of one to five ids.
Input some_ids() {
  std::vector<std::int32_t> ids, lengths, keys;
  for (std::int32_t v = 0; v < 3; ++v) {
    for (std::int32_t i = 0; i < 10; ++i) {
      const std::int32_t length = 1 + (i + v) % 5;
      for (std::int32_t k = 0; k < 5; ++k) ids.push_back(k < length ? 1 + (7 * i + 3 * v + k) % 49 : 0);
      lengths.push_back(length);
      keys.insert(keys.end(), {100 + i, 2, v});
    }
  }
  return {Tensor::from(ids, {30, 5}), Tensor::from(lengths, {30}), Tensor::from(keys, {30, 3})};
}

}  // namespace

TEST_CASE("micro-batches slice ids, lengths and keys together, for any number of views, and replay the keys") {
  const auto step = [](std::int64_t samples) {
    Bag model(DType::f64);
    const Tensor z = nn::in_micro_batches(model, some_ids(), samples, 3);
    nn::nt_xent(z, {.views = 3}).backward();
    return std::tuple(z.detach(), model.table.grad().clone(), model.seen);
  };
  const auto [z, gradient, seen] = step(10);
  REQUIRE(seen.size() == 1);
  for (const std::int64_t samples : {1, 3, 4, 9}) {
    CAPTURE(samples);
    const auto [parts_z, parts_gradient, parts_seen] = step(samples);
    CHECK(same_bits(parts_z, z));  // each row is its own key's and length's
    CHECK(test::relative_error(parts_gradient, gradient) < 1e-13);
    const std::size_t parts = parts_seen.size() / 2;
    REQUIRE(parts_seen.size() == 2 * static_cast<std::size_t>((10 + samples - 1) / samples));
    for (std::size_t k = 0; k < parts; ++k) CHECK(parts_seen[k] == parts_seen[parts + k]);
  }
}

TEST_CASE("rows of samples are those of all views, with lengths and keys where there are any") {
  const Input part = nn::rows_of_samples(some_ids(), 4, 2, 3);
  CHECK(part.x.shape() == Shape{6, 5});
  CHECK(part.lengths.to_vector<std::int32_t>() == std::vector<std::int32_t>{5, 1, 1, 2, 2, 3});
  CHECK(part.keys.to_vector<std::int32_t>() ==
        std::vector<std::int32_t>{104, 2, 0, 105, 2, 0, 104, 2, 1, 105, 2, 1, 104, 2, 2, 105, 2, 2});
  const Input plain = nn::rows_of_samples(some_views(1), 0, 3);
  CHECK_FALSE(plain.lengths.defined());
  CHECK_FALSE(plain.keys.defined());
}

TEST_CASE("keys and lengths that change before the backward pass are refused") {
  Bag model(DType::f64);
  for (const bool keys : {true, false}) {
    const Input input = some_ids();
    const Tensor loss = nn::nt_xent(nn::in_micro_batches(model, input, 4, 3), {.views = 3});
    Tensor changed = keys ? input.keys : input.lengths;
    changed.fill(1);
    CHECK_THROWS_WITH(loss.backward(), Contains("changed after the forward pass"));
  }
}
