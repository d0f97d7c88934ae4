// Ranks with a GPU each, without one: what goes to NCCL and what to MPI, with stand-ins for both and the emulated
// device for the GPU; and what is said where ranks share it or a collective fails.

#include <simclr/core/error.h>
#include <simclr/core/nccl_world.h>
#include <simclr/core/runtime.h>
#include <simclr/nn/gradient_buckets.h>
#include <simclr/nn/simclr.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/ranks.h"
#include "support/tensors.h"

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace simclr;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::random_tensor;
using simclr::test::same_bits;

namespace {

std::vector<std::string> calls;  // of the stand-ins, in order
std::string failure;             // of the next collective by NCCL

std::string said(const std::string& call) {
  calls.push_back(call);
  return failure;
}

/// Of three ranks that all have the same; what it adds up is three times x.
template <class T>
void triple(const void* from, void* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) static_cast<T*>(to)[i] = 3 * static_cast<const T*>(from)[i];
}

std::string sum(const std::string& what, const void* from, void* to, std::size_t count, DType dtype) {
  if (dtype == DType::f32) triple<float>(from, to, count);
  if (dtype == DType::i32) triple<std::int32_t>(from, to, count);
  return said(what + " " + std::to_string(count) + " " + name(dtype));
}

const NcclFunctions stand_in = {
    .version = "",
    .nccl_version = [] { return 0; },
    .address = [](int gpu, std::string& text) { return text = "0000:17:00." + std::to_string(gpu), std::string(); },
    .make_id = [](NcclId& id) { return id.fill(7), said("id"); },
    .start =
        [](const NcclId& id, int rank, int size, int gpu) {
          return said("start " + std::to_string(id[127]) + " " + std::to_string(rank) + "/" + std::to_string(size) +
                      " gpu " + std::to_string(gpu));
        },
    .all_reduce = [](void* x, std::size_t count, DType dtype, void*) { return sum("all_reduce", x, x, count, dtype); },
    .all_gather =
        [](const void* x, void* all, std::size_t bytes, void*) {
          for (std::size_t r = 0; r < 3; ++r) std::memcpy(static_cast<char*>(all) + r * bytes, x, bytes);
          return said("all_gather " + std::to_string(bytes));
        },
    .reduce_scatter = [](const void* all, void* x, std::size_t count, DType dtype,
                         void*) { return sum("reduce_scatter", all, x, count, dtype); },
    .broadcast = [](void*, std::size_t bytes, int from,
                    void*) { return said("broadcast " + std::to_string(bytes) + " from " + std::to_string(from)); },
    .start_all_reduce = [](void* x, std::size_t count, DType dtype,
                           void*) { return sum("start_all_reduce", x, x, count, dtype); },
    .join = [](void*) { return said("join"); },
    .problem = [] { return std::string(); },
    .unfinished = [] { return std::uint64_t{0}; },
    .finish = [] { return said("finish"); },
};

/// Rank 0's, whose others have what it has, but that each of their texts of some length begins with another letter.
class OneOfThree final : public Transport {
 public:
  explicit OneOfThree(bool own_gpus = true) : own_gpus_(own_gpus) {}
  void all_to_all(const std::byte*, std::byte*, std::size_t) override { calls.push_back("host all_to_all"); }
  void all_gather(const std::byte* from, std::byte* to, std::size_t bytes) override {
    for (std::size_t r = 0; r < 3; ++r) {
      if (from != to + r * bytes) std::memcpy(to + r * bytes, from, bytes);
      if (own_gpus_ && bytes > 20) to[r * bytes] = static_cast<std::byte>('0' + r);
    }
    if (bytes <= 20 && started_) calls.push_back("host all_gather");
  }
  void broadcast(std::byte* data, std::size_t bytes, int) override {
    CHECK(bytes == 128);
    CHECK(data[127] == std::byte{7});
    started_ = true;
  }
  void set_timeout(std::chrono::milliseconds) override {}
  void fail(const std::string&) override {}

 private:
  bool own_gpus_, started_ = false;
};

const Device emu{DeviceType::emu};

bool no_emulated_device() {
  const std::string problem = device_problem(DeviceType::emu);
  if (!problem.empty()) simclr::test::skip(problem);
  calls.clear();
  failure.clear();
  return !problem.empty();
}

std::unique_ptr<World> rank_of_three(bool own_gpus = true) {
  return std::make_unique<NcclWorld>(Place{0, 3, 0, 3}, std::make_unique<OneOfThree>(own_gpus), stand_in, emu, 60s);
}

}  // namespace

TEST_CASE("ranks find one another by rank 0's id, and leave together") {
  if (no_emulated_device()) return;
  rank_of_three().reset();
  CHECK(calls == std::vector<std::string>{"id", "start 7 0/3 gpu 0", "finish"});
}

TEST_CASE("ranks that share a GPU do not begin") {
  if (no_emulated_device()) return;
  CHECK_THAT(message_of([] { rank_of_three(false); }), Contains("nccl: ranks 0 and 1 share the GPU 0000:17:00.0;"));
  CHECK(calls.empty());
}

TEST_CASE("what lies on the GPU is exchanged by NCCL, and host memory by MPI") {
  if (no_emulated_device()) return;
  const auto world = rank_of_three();
  const Tensor x = random_tensor({5, 2}, 1, DType::f32);
  const Traffic before = world->traffic();
  calls.clear();
  const Tensor own = x.to(emu);
  world->all_reduce(own);
  world->broadcast(own, 2);
  const Tensor all = world->all_gather(x.to(emu));
  const Tensor rows = world->reduce_scatter(random_tensor({6, 2}, 2, DType::f32).to(emu));
  CHECK(calls ==
        std::vector<std::string>{"all_reduce 10 f32", "broadcast 40 from 2", "all_gather 40", "reduce_scatter 4 f32"});
  CHECK(own.to(Device{}).to_vector<float>()[3] == 3 * x.to_vector<float>()[3]);
  CHECK(all.shape() == Shape{15, 2});
  CHECK(all.device() == emu);
  CHECK(same_bits(all.narrow(10, 5).to(Device{}), x));
  CHECK(rows.shape() == Shape{2, 2});
  CHECK(world->traffic().messages == before.messages + 4);
  CHECK(world->traffic().bytes == before.bytes + 2 * 2 * 40 / 3 + 40 + 2 * 40 + 2 * 16);  // as a ring sends
  calls.clear();
  world->all_gather(Tensor::zeros({2}));
  CHECK(calls == std::vector<std::string>{"host all_gather"});
}

TEST_CASE("what is started goes beside the stream until it is joined") {
  if (no_emulated_device()) return;
  const auto world = rank_of_three();
  calls.clear();
  const Tensor x = Tensor::full({4}, 2.0, DType::f32, emu);
  world->start_all_reduce(x);
  world->join();
  CHECK(calls == std::vector<std::string>{"start_all_reduce 4 f32", "join"});
  CHECK(same_bits(x.to(Device{}), Tensor::full({4}, 6.0)));
}

TEST_CASE("bf16 is added up in f32 and rounded once") {
  if (no_emulated_device()) return;
  const auto world = rank_of_three();
  const Tensor x = random_tensor({6, 4}, 1, DType::bf16);
  std::vector<float> values = x.to_vector<float>();
  for (float& value : values) value *= 3;
  const Tensor three = Tensor::from(values, x.shape()).to(DType::bf16);
  calls.clear();
  const Tensor own = x.to(emu);
  world->all_reduce(own);
  const Tensor rows = world->reduce_scatter(x.to(emu));
  CHECK(calls == std::vector<std::string>{"all_reduce 24 f32", "reduce_scatter 8 f32"});
  CHECK(same_bits(own.to(Device{}), three));
  CHECK(same_bits(rows.to(Device{}), three.narrow(0, 2)));
}

TEST_CASE("a step of two towers in bf16: what goes when") {
  if (no_emulated_device()) return;
  const auto world = rank_of_three();
  const auto encoder = [] { return std::make_shared<test::SmallEncoder>(); };
  nn::TwoTowers model({.encoders = {encoder(), encoder()},
                       .heads = {{{.hidden = 8, .out = 6}, {.hidden = 8, .out = 6, .seed = 1}}},
                       .learn_temperature = true});
  model.to(emu);
  model.set_world(world.get());
  nn::Sgd optimizer(model.parameters(), {}, {{0.5f}});
  const auto side = [](std::uint64_t seed) {
    return Input(random_tensor({4, 5, 4, 3}, seed, DType::f32).to(DType::bf16).to(emu));
  };
  calls.clear();
  nn::backward(*world, model.loss_of(std::vector{side(1), side(2)}), optimizer, 400);
  // Forward: of each batch norm 3 C doubles (C is 4, 4 and the head's 8, a tower), then each tower's z of 4 rows of 6
  // in bf16 and the loss that it anchors.
  const std::vector<std::string> forward = {"all_gather 96", "all_gather 96",   "all_gather 192", "all_gather 96",
                                            "all_gather 96", "all_gather 192",  "all_gather 48",  "all_reduce 1 f32",
                                            "all_gather 48", "all_reduce 1 f32"};
  // Back: of each loss the temperature's gradient, to be capped, and z's in f32; of each batch norm 2 C sums, and a
  // bucket as soon as its parameters, which follow one another, are complete. The last one holds the temperature.
  const std::vector<std::string> backward = {"all_reduce 1 f32",
                                             "reduce_scatter 24 f32",
                                             "all_reduce 1 f32",
                                             "reduce_scatter 24 f32",
                                             "all_reduce 16 f32",
                                             "all_reduce 8 f32",
                                             "start_all_reduce 144 f32",
                                             "all_reduce 8 f32",
                                             "start_all_reduce 176 f32",
                                             "start_all_reduce 112 f32",
                                             "all_reduce 16 f32",
                                             "all_reduce 8 f32",
                                             "start_all_reduce 144 f32",
                                             "all_reduce 8 f32",
                                             "start_all_reduce 176 f32",
                                             "start_all_reduce 128 f32",
                                             "join"};
  CHECK(std::vector(calls.begin(), calls.begin() + std::min<std::ptrdiff_t>(10, std::ssize(calls))) == forward);
  CHECK(std::vector(calls.begin() + std::min<std::ptrdiff_t>(10, std::ssize(calls)), calls.end()) == backward);
  CHECK(optimizer.gradients().numel() == 2 * (144 + 176) + 112 + 128);
}

TEST_CASE("a collective that cannot be queued says which and why") {
  if (no_emulated_device()) return;
  const auto world = rank_of_three();
  failure = "unhandled system error";
  CHECK(message_of([&] { world->all_reduce(Tensor::zeros({4}, DType::f32, emu)); }) ==
        "nccl: all_reduce: unhandled system error; NCCL_DEBUG=INFO tells more");
}
