// What copies wait for: the lines that CUDA's runtime runs (kernels/cuda/streams.h), on streams whose work runs in
// every order that their events leave open. With a wait left out, some order shows it.
#include <simclr/kernels/cuda/streams.h>
#include <simclr/kernels/emu/streams.h>

#include "support/catch.h"

#include <array>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

using namespace simclr;
using cuda::StagedCopy;
using emu::Streams;

namespace {

enum Name { compute_stream, upload_stream, other_stream };
enum class LeftOut { nothing, compute_wait, upload_wait, other_wait, host_wait, pinned_wait };
constexpr std::size_t length = 16;
using Values = std::array<int, length>;
constexpr std::uint64_t seeds = 300;

Values full(int value) {
  Values values;
  values.fill(value);
  return values;
}

struct Machine {
  explicit Machine(std::uint64_t seed, LeftOut left_out_ = LeftOut::nothing) : streams(3, seed), left_out(left_out_) {}

  Streams streams;
  LeftOut left_out;
  int waits_of_host = 0;
  std::vector<std::unique_ptr<Values>> pinned;  // all that there is
  std::vector<void*> free_pinned;
  cuda::BlocksInFlight<Streams::Event> in_flight;
};

/// What kernels/cuda/streams.h asks of a runtime.
struct Api {
  using Stream = int;
  using Event = Streams::Event;

  Machine* machine;

  Event event(Stream) { return {}; }
  void record(Event& event, Stream stream) { machine->streams.record(event, stream); }
  void wait(Stream stream, const Event& event) {
    constexpr LeftOut of[] = {LeftOut::compute_wait, LeftOut::upload_wait, LeftOut::other_wait};
    if (machine->left_out != of[stream]) machine->streams.wait(stream, event);
  }
  void host_wait(const Event& event) {
    if (machine->left_out == LeftOut::host_wait) return;
    machine->waits_of_host += !machine->streams.passed(event);
    machine->streams.host_wait(event);
  }
  void copy(Stream stream, void* to, const void* from, std::size_t bytes) {
    machine->streams.queue(stream, [=] { std::memcpy(to, from, bytes); });
  }
  Stream compute() const { return compute_stream; }
  Stream uploads() const { return upload_stream; }
  void* take_pinned(std::size_t) {
    machine->in_flight.collect(
        [&](const Event& event) { return machine->left_out == LeftOut::pinned_wait || machine->streams.passed(event); },
        [&](void* block, std::size_t) { machine->free_pinned.push_back(block); });
    if (machine->free_pinned.empty()) {
      machine->pinned.push_back(std::make_unique<Values>());
      return machine->pinned.back().get();
    }
    void* block = machine->free_pinned.back();
    machine->free_pinned.pop_back();
    return block;
  }
  void keep_pinned(void* block, std::size_t bytes, Event event) noexcept {
    machine->in_flight.keep(block, bytes, std::move(event));
  }
};

/// Whether some order of the streams' work gives another result than `run` should.
bool some_order_is_wrong(LeftOut left_out, const std::function<bool(Machine&)>& run) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    Machine machine(seed, left_out);
    if (!run(machine)) return true;
  }
  return false;
}

/// Two staging blocks, one batch ahead, a step of some kernels on each batch; true where each step saw its batch.
bool train(Machine& machine) {
  constexpr int steps = 12;
  std::array<Values, 2> staging = {full(-1), full(-1)};
  Values views = full(-1);
  std::vector<int> seen;
  StagedCopy<Api> copies[2] = {{Api{&machine}, &staging[0], sizeof(Values)},
                               {Api{&machine}, &staging[1], sizeof(Values)}};
  const auto start = [&](int batch) {
    Values values = full(batch);
    copies[batch % 2].start(&values);
    values = full(-2);  // it may change when start() has returned
  };
  start(0);
  for (int batch = 0; batch < steps; ++batch) {
    StagedCopy<Api>& copy = copies[batch % 2];
    copy.arrive();
    Api{&machine}.copy(compute_stream, &views, &staging[static_cast<std::size_t>(batch % 2)], sizeof(Values));
    copy.read();
    for (int kernel = 0; kernel < 3; ++kernel) {
      machine.streams.queue(compute_stream, [&] { seen.push_back(std::accumulate(views.begin(), views.end(), 0)); });
    }
    start(batch + 1);
  }
  machine.streams.finish();
  bool right = true;
  for (std::size_t i = 0; i < 3 * steps; ++i) right = right && seen[i] == static_cast<int>(i / 3 * length);
  return right;
}

}  // namespace

TEST_CASE("a step sees the batch that was uploaded for it, in whatever order streams run") {
  CHECK(!some_order_is_wrong(LeftOut::nothing, train));
  CHECK(some_order_is_wrong(LeftOut::compute_wait, train));
  CHECK(some_order_is_wrong(LeftOut::upload_wait, train));
  CHECK(some_order_is_wrong(LeftOut::host_wait, train));
}

TEST_CASE("an upload runs while the steps before it are still queued, and the host waits for none") {
  Machine machine(0);
  std::array<Values, 2> staging = {full(-1), full(-1)};
  StagedCopy<Api> copies[2] = {{Api{&machine}, &staging[0], sizeof(Values)},
                               {Api{&machine}, &staging[1], sizeof(Values)}};
  machine.streams.finish();
  Streams::Event steps_may_run;
  machine.streams.record(steps_may_run, other_stream);
  for (int batch = 0; batch < 3; ++batch) {
    const Values values = full(batch);
    copies[batch % 2].start(&values);
    machine.streams.run(upload_stream);
    CHECK(staging[static_cast<std::size_t>(batch % 2)] == values);
    copies[batch % 2].arrive();
    copies[batch % 2].read();
    machine.streams.wait(compute_stream, steps_may_run);  // the step on this batch
    machine.streams.run(compute_stream);                  // up to the first step
  }
  CHECK(machine.waits_of_host == 0);
  machine.streams.finish();
}

TEST_CASE("an upload that is given up ends in order: the host goes on, and no memory is used too early") {
  const auto give_up = [](Machine& machine) {
    std::array<Values, 2> blocks = {full(-1), full(-1)};
    {
      StagedCopy<Api> first(Api{&machine}, &blocks[0], sizeof(Values));
      const Values values = full(1);
      first.start(&values);
    }
    // The allocator hands its memory to the next kernel of the compute stream, and the pinned block to another upload.
    machine.streams.queue(compute_stream, [&] { blocks[0] = full(2); });
    StagedCopy<Api> second(Api{&machine}, &blocks[1], sizeof(Values));
    const Values values = full(3);
    second.start(&values);
    Values seen = full(-1);
    second.arrive();
    Api{&machine}.copy(compute_stream, &seen, &blocks[1], sizeof(Values));
    const int waits = machine.waits_of_host;
    machine.streams.finish();
    return blocks[0] == full(2) && seen == full(3) && waits == 0;
  };
  CHECK(!some_order_is_wrong(LeftOut::nothing, give_up));
  CHECK(some_order_is_wrong(LeftOut::compute_wait, give_up));

  // Memory that queued work still writes is not written by the upload before.
  const auto reuse = [](Machine& machine) {
    Values block = full(-1), seen = full(-1);
    machine.streams.queue(compute_stream, [&] { block = full(5); });  // of a tensor that is released now
    StagedCopy<Api> copy(Api{&machine}, &block, sizeof(Values));
    const Values values = full(6);
    copy.start(&values);
    copy.arrive();
    Api{&machine}.copy(compute_stream, &seen, &block, sizeof(Values));
    machine.streams.finish();
    return seen == full(6);
  };
  CHECK(!some_order_is_wrong(LeftOut::nothing, reuse));
  CHECK(some_order_is_wrong(LeftOut::upload_wait, reuse));
}

TEST_CASE("a pinned block serves again once its copy has been made, not before") {
  const auto swap = [](Machine& machine) {
    Values blocks[2] = {full(-1), full(-1)};
    for (int i = 0; i < 2; ++i) {
      StagedCopy<Api> copy(Api{&machine}, &blocks[i], sizeof(Values));
      const Values values = full(i);
      copy.start(&values);
    }
    machine.streams.finish();
    return blocks[0] == full(0) && blocks[1] == full(1);
  };
  CHECK(!some_order_is_wrong(LeftOut::nothing, swap));
  CHECK(some_order_is_wrong(LeftOut::pinned_wait, swap));
  Machine machine(0);
  swap(machine);
  CHECK(machine.pinned.size() == 2);
  swap(machine);
  CHECK(machine.pinned.size() == 2);
}

TEST_CASE("a copy between two devices brings what the source's stream wrote before it, and nothing later") {
  const auto run = [](Machine& machine) {
    Values source = full(-1), target = full(-1), seen = full(-1);
    Api api{&machine};
    machine.streams.queue(compute_stream, [&] { source = full(1); });
    cuda::copy_between(api, other_stream, &target, compute_stream, &source, sizeof(Values));
    machine.streams.queue(compute_stream, [&] { source = full(2); });  // its memory serves another tensor
    api.copy(other_stream, &seen, &target, sizeof(Values));
    machine.streams.finish();
    return seen == full(1);
  };
  CHECK(!some_order_is_wrong(LeftOut::nothing, run));
  CHECK(some_order_is_wrong(LeftOut::other_wait, run));
  CHECK(some_order_is_wrong(LeftOut::compute_wait, run));
}
