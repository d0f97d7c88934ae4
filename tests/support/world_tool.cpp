// What tests/test_mpi.py runs in several processes, or with --threads N in as many threads.
//
// usage: world_tool [--threads N] WORD..., each word a thing to do, in this order:
//
//   place                prints this rank's place
//   results              prints a checksum of what each collective gives, for all dtypes and sizes that do not divide
//   train DEVICE STEPS   trains a small model, in bf16 on the emulated device; prints losses and a checksum of weights
//
//   same                 compares texts that are the same
//   differ               compares texts that are not
//
//   fail RANK            that rank ends so, while the others wait for it; so do
//                        throw RANK, leave RANK, kill RANK, hang RANK
//
//   timeout MS           for what follows
#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/core/world.h>
#include <simclr/nn/optim.h>
#include <simclr/nn/simclr.h>

#include "support/ranks.h"
#include "support/tensors.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace simclr;

namespace {

/// Whole lines, also of threads and processes that share stdout.
void print(const std::string& line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string whole = line + "\n";
  [[maybe_unused]] const auto written = write(STDOUT_FILENO, whole.data(), whole.size());
}

std::string checksum(const Tensor& x) {
  Crc64 crc;
  crc.update(x.raw_data(), x.bytes());
  return hex(crc.value());
}

void results(World& world) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32}) {
    for (const std::int64_t count : {1, 3, 4, 1003, 70001, 4500001}) {
      const auto own = [&](std::int64_t rows) {
        const auto seed = static_cast<std::uint64_t>(world.rank());
        return dtype == DType::i32 ? test::classes_of(rows * count, 1000, world.rank()).reshape({rows, count})
                                   : test::random_tensor({rows, count}, seed, dtype, -1, 1000);
      };
      if (count > 100000 && dtype != DType::f32) continue;
      const Tensor sum = own(1), given = own(1);
      world.all_reduce(sum);
      world.broadcast(given, world.size() - 1);
      const Tensor all = world.all_gather(own(1));
      const Tensor rows = world.reduce_scatter(count > 100000 ? sum.reshape({count, 1}).narrow(0, world.size() * 1000)
                                                              : own(world.size()));
      print("rank " + std::to_string(world.rank()) + " " + name(dtype) + " " + std::to_string(count) + " " +
            checksum(sum) + " " + checksum(given) + " " + checksum(all) + " " + checksum(rows));
    }
  }
}

void train(World& world, Device device, int steps) {
  nn::SimCLR model({.encoder = std::make_shared<test::SmallEncoder>(), .head = {.hidden = 8, .out = 8}});
  model.to(device);
  model.set_world(&world);
  nn::Sgd optimizer(model.parameters(), {}, nn::constant(0.03));
  const DType dtype = device.type == DeviceType::emu ? DType::bf16 : DType::f32;
  for (int i = 0; i < steps; ++i) {
    const Tensor whole =
        test::aligned(24, 108, 0.3, static_cast<std::uint64_t>(i)).reshape({24, 6, 6, 3}).to(DType::f32);
    const Tensor loss = model.loss_of(std::vector<Input>{test::share(world, whole, 2).to(dtype).to(device)});
    loss.backward();
    world.all_reduce(optimizer.gradients());
    optimizer.step(loss);
    if (world.rank() == 0) print("step " + std::to_string(i) + " loss " + std::to_string(loss.item()));
  }
  Crc64 crc;
  for (const NamedTensor& tensor : model.state()) crc.update(tensor.value.raw_data(), tensor.value.bytes());
  print("rank " + std::to_string(world.rank()) + " weights " + hex(crc.value()));
}

void end(World& world, const std::string& how) {
  if (how == "fail") return world.fail("no memory is left");
  if (how == "throw") fail("the disk is full");
  if (how == "leave") std::_Exit(3);
  if (how == "kill") kill(getpid(), SIGKILL);
  if (how == "hang") std::this_thread::sleep_for(std::chrono::hours(1));
}

void act(World& world, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "place") {
      print("rank " + std::to_string(world.rank()) + " of " + std::to_string(world.size()) + ", here " +
            std::to_string(world.local_rank()) + " of " + std::to_string(world.local_size()));
    } else if (word == "results") {
      results(world);
    } else if (word == "train") {
      train(world, parse_device(words.at(i + 1)), std::stoi(words.at(i + 2)));
      i += 2;
    } else if (word == "same" || word == "differ") {
      require_same(world, "seed", word == "same" ? "1" : std::to_string(world.rank()));
    } else if (word == "timeout") {
      world.set_timeout(std::chrono::milliseconds(std::stoi(words.at(++i))));
    } else {
      if (world.rank() == std::stoi(words.at(++i))) end(world, word);
      world.all_reduce(Tensor::zeros({100000}));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() > 1 && words[0] == "--threads") {
      const int ranks = std::stoi(words[1]);
      words.erase(words.begin(), words.begin() + 2);
      of_threads(ranks, [&](World& world) { act(world, words); });
    } else {
      const auto world = make_world();
      act(*world, words);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "world_tool: %s\n", error.what());
    return 1;
  }
  return 0;
}
