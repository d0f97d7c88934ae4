// Ranks of a run, here threads of one process: what the collectives give, and how a run ends where a rank fails.

#include <simclr/core/autograd.h>
#include <simclr/core/error.h>
#include <simclr/core/host_world.h>
#include <simclr/core/parameter_memory.h>
#include <simclr/core/runtime.h>
#include <simclr/core/world.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/ranks.h"
#include "support/tensors.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace simclr;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::of_each;
using simclr::test::random_tensor;
using simclr::test::same_bits;

namespace {

const std::vector<int> sizes = {1, 2, 3, 4, 5};

/// Of rank r: values that only the order of the ranks rounds as expected.
Tensor share(int rank, const Shape& shape, DType dtype) {
  if (dtype == DType::i32) return test::classes_of(shape.numel(), 1000, 7 * rank).reshape(shape);
  return random_tensor(shape, static_cast<std::uint64_t>(100 + rank), DType::f64, -1, rank % 2 == 0 ? 1 : 1e4)
      .to(dtype);
}

/// ((x_0 + x_1) + x_2) + ..., in f32 for bf16.
template <class T>
std::vector<T> in_rank_order(int ranks, const Shape& shape, DType dtype) {
  std::vector<T> sum;
  for (int r = 0; r < ranks; ++r) {
    const auto part = share(r, shape, dtype).to_vector<T>();
    if (r == 0) sum.assign(part.size(), T{0});
    for (std::size_t i = 0; i < part.size(); ++i) sum[i] += part[i];
  }
  return sum;
}

Tensor expected_sum(int ranks, const Shape& shape, DType dtype) {
  if (dtype == DType::i32) return Tensor::from(in_rank_order<std::int32_t>(ranks, shape, dtype), shape);
  if (dtype == DType::f64) return Tensor::from(in_rank_order<double>(ranks, shape, dtype), shape);
  return Tensor::from(in_rank_order<float>(ranks, shape, dtype), shape).to(dtype);
}

const std::vector<DType> summed = {DType::f32, DType::f64, DType::bf16, DType::i32};

}  // namespace

TEST_CASE("a world that was not asked for stands alone, and its collectives do nothing") {
  World world;
  CHECK(world.rank() == 0);
  CHECK(world.size() == 1);
  CHECK(world.local_rank() == 0);
  CHECK(world.local_size() == 1);
  const Tensor x = random_tensor({3, 2}, 1);
  const Tensor before = x.clone();
  world.all_reduce(x);
  world.broadcast(x);
  world.join();
  world.fail("nobody hears it");
  CHECK(same_bits(x, before));
  CHECK(world.all_gather(x).raw_data() == x.raw_data());
  CHECK(world.reduce_scatter(x).raw_data() == x.raw_data());
  CHECK(gather_texts(world, "one") == std::vector<std::string>{"one"});
  CHECK_NOTHROW(require_same(world, "configuration", "any"));
  CHECK(world.traffic().messages == 0);
}

TEST_CASE("every rank knows its place") {
  for (const int ranks : sizes) {
    const auto places = of_each(ranks, [](World& world) {
      return std::vector<int>{world.rank(), world.size(), world.local_rank(), world.local_size()};
    });
    for (int r = 0; r < ranks; ++r) CHECK(places[static_cast<std::size_t>(r)] == std::vector<int>{r, ranks, r, ranks});
  }
}

TEST_CASE("all_reduce adds up in the order of the ranks, whatever the sizes") {
  for (const int ranks : sizes) {
    for (const DType dtype : summed) {
      for (const std::int64_t count : {1, 3, 4, 1003, 5000, 70001}) {
        const auto sums = of_each(ranks, [&](World& world) {
          const Tensor x = share(world.rank(), {count}, dtype);
          world.all_reduce(x);
          return x;
        });
        const Tensor expected = expected_sum(ranks, {count}, dtype);
        CAPTURE(ranks, dtype, count);
        bool same = true;
        for (const Tensor& sum : sums) same = same && same_bits(sum, expected);
        CHECK(same);
      }
    }
  }
}

TEST_CASE("all_reduce of more than goes in one call") {
  const Shape shape = {(std::int64_t{20} << 20) + 5};
  const auto sums = of_each(3, [&](World& world) {
    const Tensor x = Tensor::full(shape, world.rank() + 1, DType::f32);
    world.all_reduce(x);
    return x;
  });
  for (const Tensor& sum : sums) CHECK(same_bits(sum, Tensor::full(shape, 6.0)));
}

TEST_CASE("all_gather stands by rank, and reduce_scatter sums each rank's rows") {
  for (const int ranks : sizes) {
    for (const DType dtype : summed) {
      const auto gathered = of_each(ranks, [&](World& world) {
        return world.all_gather(share(world.rank(), {3, 5}, dtype));
      });
      const auto scattered = of_each(ranks, [&](World& world) {
        return world.reduce_scatter(share(world.rank(), {3 * ranks, 7}, dtype));
      });
      const Tensor sum = expected_sum(ranks, {3 * ranks, 7}, dtype);
      CAPTURE(ranks, dtype);
      for (int r = 0; r < ranks; ++r) {
        const auto k = static_cast<std::size_t>(r);
        REQUIRE(gathered[k].shape() == Shape{3 * ranks, 5});
        for (int other = 0; other < ranks; ++other) {
          CHECK(same_bits(gathered[k].narrow(3 * other, 3), share(other, {3, 5}, dtype)));
        }
        CHECK(same_bits(scattered[k], sum.narrow(3 * r, 3)));
      }
    }
  }
}

TEST_CASE("broadcast gives one rank's values, of any dtype") {
  for (const DType dtype : {DType::u8, DType::u16, DType::f32}) {
    const auto given = of_each(3, [&](World& world) {
      Tensor x = Tensor::empty({4}, dtype);
      std::memset(x.raw_data(), world.rank() + 1, x.bytes());
      world.broadcast(x, 2);
      return x;
    });
    for (const Tensor& x : given) CHECK(same_bits(x, given[2]));
    CHECK(*static_cast<const unsigned char*>(given[0].raw_data()) == 3);
  }
}

TEST_CASE("no elements are exchanged without a word") {
  const auto messages = of_each(2, [](World& world) {
    world.all_reduce(Tensor::zeros({0}));
    world.broadcast(Tensor::zeros({0}));
    const bool right = world.all_gather(Tensor::zeros({0, 4})).shape() == Shape{0, 4} &&
                       world.reduce_scatter(Tensor::zeros({2, 0})).shape() == Shape{1, 0};
    return right ? world.traffic().messages : -1;
  });
  CHECK(messages == std::vector<std::int64_t>{0, 0});
}

TEST_CASE("what is added up was changed: a gradient that needs the old values is refused") {
  const auto messages = of_each(2, [](World& world) {
    Tensor x = random_tensor({2, 2}, 3).set_requires_grad();
    const Tensor y = record("own", {x}, x.clone(), {x}, [](Backward& bw) { bw.set(0, bw.dy()); });
    world.all_reduce(x.detach());
    return message_of([&] { y.backward(Tensor::zeros({2, 2}, DType::f64)); });
  });
  CHECK_THAT(messages[0], Contains("was changed after the forward pass"));
}

TEST_CASE("a parameter's bf16 copy follows what the ranks write to it") {
  const auto same = of_each(2, [](World& world) {
    const Tensor x = Tensor::full({4}, 1.5 * (world.rank() + 1)), half = shadow(x);
    world.broadcast(x, 1);
    const bool given = same_bits(half, x.to(DType::bf16));
    world.all_reduce(x.narrow(0, 2));
    return std::vector{given, same_bits(half, x.to(DType::bf16))};
  });
  CHECK(same == std::vector(2, std::vector{true, true}));
}

TEST_CASE("a sum that was started is there behind the join") {
  const auto sums = of_each(3, [](World& world) {
    const Tensor x = share(world.rank(), {5}, DType::f32), y = share(world.rank(), {3}, DType::f32);
    world.start_all_reduce(x);
    world.start_all_reduce(y);
    world.join();
    return std::vector{x, y};
  });
  for (const auto& sum : sums) {
    CHECK(same_bits(sum, std::vector{expected_sum(3, {5}, DType::f32), expected_sum(3, {3}, DType::f32)}));
  }
  CHECK_THAT(message_of([] { World().start_all_reduce(Tensor::zeros({2}, DType::u8)); }),
             Contains("start_all_reduce: u8 [2] on cpu is not added up"));
}

TEST_CASE("a rank counts what it sends: a sum costs the ring's volume") {
  for (const int ranks : {2, 3, 4}) {
    const auto traffic = of_each(ranks, [](World& world) {
      world.all_reduce(Tensor::zeros({1200000}));
      return world.traffic();
    });
    CAPTURE(ranks);
    CHECK(traffic[0].messages == 2);
    CHECK(traffic[0].bytes == 2 * (ranks - 1) * 4800000 / ranks);
  }
}

TEST_CASE("a rank counts the time in which it waits for the others") {
  const auto traffic = of_each(2, [](World& world) {
    world.all_gather(Tensor::zeros({1}));  // both have begun
    const Traffic before = world.traffic();
    if (world.rank() == 1) std::this_thread::sleep_for(1s);
    world.all_reduce(Tensor::zeros({1}));
    return world.traffic() - before;
  });
  CHECK(traffic[0].messages == 1);
  CHECK(traffic[0].bytes == 4);
  CHECK(traffic[0].seconds > 0.1);
}

TEST_CASE("ranks that are not started alike are told on all of them what differs") {
  const auto messages = of_each(3, [](World& world) {
    const std::string text = world.rank() == 2 ? "seed 1\nbatch 64\n" : "seed 1\nbatch 128\n";
    require_same(world, "version", "0.1.0");
    return message_of([&] { require_same(world, "configuration", text); });
  });
  for (const std::string& message : messages) {
    CHECK(message == "configuration: rank 2 has \"batch 64\", rank 0 \"batch 128\"; start all ranks alike");
  }
  const auto longer = of_each(2, [](World& world) {
    return message_of([&] { require_same(world, "data", world.rank() == 0 ? "a" : "a\nb"); });
  });
  CHECK_THAT(longer[0], Contains("rank 1 has \"b\", rank 0 \"nothing more\""));
}

TEST_CASE("texts of any length are gathered") {
  const auto texts = of_each(
      3, [](World& world) { return gather_texts(world, std::string(static_cast<std::size_t>(world.rank()), 'x')); });
  CHECK(texts[1] == std::vector<std::string>{"", "x", "xx"});
}

TEST_CASE("an exception on one rank ends the others, and is the run's") {
  struct Own : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  for (int failing = 0; failing < 3; ++failing) {
    std::vector<std::string> heard(3);
    const auto run = [&] {
      of_threads(3, [&](World& world) {
        world.all_reduce(Tensor::zeros({4}));
        if (world.rank() == failing) throw Own("disk full");
        const std::string message = message_of([&] { world.all_gather(Tensor::zeros({4})); });
        heard[static_cast<std::size_t>(world.rank())] = message;
        fail(message);
      });
    };
    CHECK_THROWS_AS(run(), Own);
    for (int r = 0; r < 3; ++r) {
      const std::string expected = r == failing ? "" : "rank " + std::to_string(failing) + ": disk full";
      CHECK(heard[static_cast<std::size_t>(r)] == expected);
    }
  }
}

TEST_CASE("a rank that says that it fails is heard where the others wait") {
  const auto heard = of_each(2, [](World& world) {
    if (world.rank() == 1) {
      world.fail("no memory");
      return std::string();
    }
    return message_of([&] { world.all_reduce(Tensor::zeros({4})); });
  });
  CHECK(heard[0] == "rank 1: no memory");
}

TEST_CASE("a rank that ends before the others hangs nobody") {
  for (const auto delay : {0ms, 50ms}) {
    const std::string message = message_of([&] {
      of_threads(3, [&](World& world) {
        if (world.rank() != 1) return world.all_reduce(Tensor::zeros({4}));
        std::this_thread::sleep_for(delay);
      });
    });
    CHECK_THAT(message, Contains("rank 1: it has ended"));
  }
}

TEST_CASE("ranks that call different things, or of different sizes, hang nobody") {
  const std::string kinds = message_of([] {
    of_threads(2, [](World& world) {
      const Tensor x = Tensor::zeros({4});
      if (world.rank() == 0) return world.broadcast(x);
      world.all_gather(x);
    });
  });
  CHECK(kinds == "rank 1: all_gather of 16 bytes meets rank 0's broadcast of 16");
  const std::string shapes =
      message_of([] { of_threads(2, [](World& world) { world.all_gather(Tensor::zeros({4 + world.rank()})); }); });
  CHECK(shapes == "rank 1: all_gather of 20 bytes meets rank 0's all_gather of 16");
}

TEST_CASE("a rank that hangs is waited for as long as was said") {
  const std::string message = message_of([] {
    of_threads(2, [](World& world) {
      world.set_timeout(100ms);
      if (world.rank() == 1) std::this_thread::sleep_for(1s);
      world.all_reduce(Tensor::zeros({4}));
    });
  });
  CHECK_THAT(message, Contains("rank 0: all_gather: the others have not come for 100 ms"));
}

TEST_CASE("each of several processes on GPUs has the one with its local rank's number") {
  struct At : World {
    explicit At(const Place& place) : World(place) {}
  };
  for (const int local_rank : {0, 1, 3}) {
    const At at({.rank = 5 + local_rank, .size = 12, .local_rank = local_rank, .local_size = 4});
    CHECK(gpu_of_rank(at, 4) == local_rank);
    CHECK(gpu_of_rank(at, 1) == 0);  // its own, the one that it sees
  }
}

TEST_CASE("ranks on the CPU keep their device, and without a GPU all say why") {
  const auto devices = of_each(3, [](World& world) {
    return std::vector{device_of_rank(world, {}), device_of_rank(world, {DeviceType::emu})};
  });
  for (const auto& device : devices) CHECK(device == std::vector{Device{}, Device{DeviceType::emu}});
  CHECK(device_of_rank(World(), {DeviceType::cuda, 1}) == Device{DeviceType::cuda, 1});  // of one process as it is
  for (const std::string& message : of_each(2, [](World& world) {
         return message_of([&] { device_of_rank(world, {DeviceType::cuda, 1}); });
       })) {
    CHECK(message ==
          "cuda:1: each of several processes takes a GPU of its own; ask for cuda, and name the GPUs that they "
          "may use in CUDA_VISIBLE_DEVICES");
  }
  const std::string problem = device_problem(DeviceType::cuda);
  if (problem.empty()) return;
  const auto messages =
      of_each(2, [](World& world) { return message_of([&] { device_of_rank(world, {DeviceType::cuda}); }); });
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  const std::string message = message_of([] { make_world({DeviceType::cuda, 0}); });
  unsetenv("OMPI_COMM_WORLD_SIZE");
  CHECK_THAT(message, Contains("cuda:0: " + problem));
  CHECK(messages == std::vector(2, message));
}

TEST_CASE("collectives refuse what does not fit and say why") {
  const auto messages = of_each(2, [](World& world) {
    return std::vector{message_of([&] { world.all_reduce({}); }),
                       message_of([&] { world.all_reduce(Tensor::zeros({4}, DType::u8)); }),
                       message_of([&] { world.all_gather(Tensor::zeros({})); }), message_of([&] {
                         world.reduce_scatter(Tensor::zeros({3, 2}));
                       }),
                       message_of([&] { world.broadcast(Tensor::zeros({3}), 2); })};
  });
  CHECK_THAT(messages[0][0], Contains("all_reduce: the tensor is undefined"));
  CHECK_THAT(messages[0][1], Contains("u8 [4] on cpu is not added up"));
  CHECK_THAT(messages[0][2], Contains("wants [n,...]"));
  CHECK_THAT(messages[0][3], Contains("f32 [3,2] on cpu is not as many rows for each of 2 ranks"));
  CHECK_THAT(messages[0][4], Contains("from rank 2 of 2"));
  World alone;
  CHECK(message_of([&] { gather_texts(alone, std::string_view("", std::size_t{1} << 31)); }) ==
        "gather_texts: a text of 2147483648 bytes; 2 GiB and more cannot be sent");
  CHECK_THROWS_WITH(of_threads(0, [](World&) {}), Contains("at least 1 is needed"));
}
