// Gradients that are added up over the ranks while the backward pass runs: the same bits as behind it, and in time.

#include <simclr/core/autograd.h>
#include <simclr/core/world.h>
#include <simclr/nn/gradient_buckets.h>
#include <simclr/nn/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/ranks.h"
#include "support/tensors.h"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

using namespace simclr;
using namespace simclr::nn;
using simclr::test::of_each;
using simclr::test::random_tensor;
using simclr::test::same_bits;
using simclr::test::share;

namespace {

const std::vector<std::int64_t> sizes = {1, 200, 1000, 1 << 20};  // bytes; 1: a bucket a parameter

/// The gradients of two steps of a rank, with buckets of so many bytes. `apart`: the network runs once for each view,
/// so that it uses each parameter twice. `micro`: and once more for so many samples, within the backward pass.
std::vector<Tensor> gradients(World& world, std::int64_t bytes, bool apart, std::int64_t micro) {
  SimCLR model(
      {.encoder = std::make_shared<test::SmallEncoder>(), .head = {.hidden = 7, .out = 6}, .views_apart = apart});
  model.set_world(&world);
  Sgd optimizer(model.parameters(), {}, {{0.5f}});
  const Tensor whole = random_tensor({24, 5, 4, 3}, 7, DType::f32);
  std::vector<Tensor> all;
  for (int i = 0; i < 2; ++i) {
    const Tensor loss = model.loss_of(std::vector<Input>{share(world, whole, 2)}, micro);
    backward(world, loss, optimizer, bytes);
    all.push_back(optimizer.gradients().clone());
    optimizer.step(loss);
  }
  return all;
}

Tensor leaf() {
  Tensor x = Tensor::full({4}, 3.0);
  return x.set_requires_grad();
}

Parameter named(const char* name, const Tensor& value) {
  Parameter parameter;
  parameter.name = name;
  parameter.value = value;
  return parameter;
}

/// x + y of both, whose backward pass calls `passed` before it gives the gradients.
Tensor sum(const Tensor& x, const Tensor& y, const std::function<void()>& passed) {
  Tensor z = x.clone();
  return record("own_sum", {x, y}, z, [passed](Backward& bw) {
    passed();
    for (int i : {0, 1}) bw.set(i, bw.dy());
  });
}

}  // namespace

TEST_CASE("gradients of buckets are those of one sum behind the pass, bit for bit") {
  for (const bool apart : {false, true}) {
    for (const std::int64_t micro : {0, 2}) {
      for (const int ranks : {1, 2, 3}) {
        const auto right = of_each(ranks, [&](World& world) { return gradients(world, 0, apart, micro); });
        CHECK_FALSE(same_bits(right[0][0], Tensor::zeros_like(right[0][0])));
        for (const std::int64_t bytes : sizes) {
          CAPTURE(apart, micro, ranks, bytes);
          for (const auto& got : of_each(ranks, [&](World& world) { return gradients(world, bytes, apart, micro); })) {
            CHECK(same_bits(got, right[0]));
          }
        }
      }
    }
  }
}

TEST_CASE("a bucket goes as soon as its last gradient is there, and not before") {
  const auto sent = of_each(2, [](World& world) {
    const Tensor first = leaf(), twice = leaf(), last = leaf(), unused = leaf();
    Sgd optimizer({named("first", first), named("twice", twice), named("last", last), named("unused", unused)}, {},
                  {{0.5f}});
    std::vector<std::int64_t> messages;  // before each function of the pass, and behind it
    const auto note = [&] { messages.push_back(world.traffic().messages); };
    const Tensor y = sum(sum(sum(first, twice, note), twice, note), last, note);
    const Tensor loss =
        record("loss", {y}, Tensor::full({}, 1.0), [](Backward& bw) { bw.set(0, Tensor::full({4}, bw.dy().item())); });
    backward(world, loss, optimizer, 1);
    note();
    for (const auto& [value, right] : {std::pair(first, 2.0), std::pair(twice, 4.0), std::pair(last, 2.0)}) {
      if (!same_bits(value.grad(), Tensor::full({4}, right))) messages.push_back(-1);
    }
    return messages;
  });
  // `last` is complete first; what is used twice only behind the last function; the unused one's zeros go at the end.
  CHECK(sent[0] == std::vector<std::int64_t>{0, 1, 1, 4});
  CHECK(sent[1] == sent[0]);
}

TEST_CASE("buckets of no sense are refused") {
  World world;
  const Tensor x = leaf();
  const Sgd optimizer({named("x", x)}, {}, {{0.5f}});
  CHECK(test::message_of([&] { backward(world, x, optimizer, -1); }) ==
        "backward: buckets of -1 bytes; 0 or more are wanted");
}
