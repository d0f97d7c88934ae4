// NCCL on one GPU as a world of one rank: each collective's arguments, in a stream and in a captured step. What several
// ranks give, no machine has shown yet.

#include <simclr/core/context.h>
#include <simclr/core/graph.h>
#include <simclr/core/nccl_world.h>

#include "support/catch.h"
#include "support/device.h"

#include <string>

using namespace simclr;
using simclr::test::device;
using simclr::test::random_tensor;
using simclr::test::same_bits;

namespace {

/// The process's one communicator, which is joined at the first call.
const NcclFunctions& joined() {
  static const NcclFunctions* const functions = [] {
    const NcclFunctions& nccl = load_nccl();
    NcclId id{};
    std::string address;
    const int gpu = device().index;
    CHECK(nccl.address(gpu, address) == "");
    CHECK(address.size() >= 12);
    REQUIRE(nccl.make_id(id) == "");
    REQUIRE(nccl.start(id, 0, 1, gpu) == "");
    return &nccl;
  }();
  return *functions;
}

}  // namespace

DEVICE_TEST_CASE("the collectives of one rank give what it has") {
  const NcclFunctions& nccl = joined();
  Context& gpu = Context::of(device());
  for (const DType dtype : {DType::f32, DType::f64, DType::i32}) {
    const Tensor x = dtype == DType::i32 ? test::classes_of(1003, 1000) : random_tensor({1003}, 1, dtype);
    const Tensor own = x.to(device());
    const auto count = static_cast<std::size_t>(own.numel());
    const Tensor rows = Tensor::zeros({1003}, dtype, device()), all = Tensor::zeros({1003}, dtype, device());
    CHECK(nccl.all_reduce(own.raw_data(), count, dtype, gpu.stream()) == "");
    CHECK(nccl.reduce_scatter(own.raw_data(), rows.raw_data(), count, dtype, gpu.stream()) == "");
    CHECK(nccl.broadcast(own.raw_data(), own.bytes(), 0, gpu.stream()) == "");
    CHECK(nccl.all_gather(own.raw_data(), all.raw_data(), own.bytes(), gpu.stream()) == "");
    for (const Tensor& result : {own, rows, all}) CHECK(same_bits(result.to(Device{}), x));
  }
  CHECK(nccl.problem() == "");
  CHECK(nccl.unfinished() == 0);
}

DEVICE_TEST_CASE("what is started beside the stream finds what was queued before, and is found behind the join") {
  const NcclFunctions& nccl = joined();
  Context& gpu = Context::of(device());
  Tensor x = Tensor::zeros({1 << 20}, DType::f32, device());
  const Tensor y = Tensor::zeros_like(x);
  const auto run = [&](double value) {
    x.fill(value);
    std::string problem = nccl.start_all_reduce(x.raw_data(), 1 << 19, DType::f32, gpu.stream());
    problem += nccl.start_all_reduce(x.data<float>() + (1 << 19), 1 << 19, DType::f32, gpu.stream());
    problem += nccl.join(gpu.stream());
    CHECK(problem == "");
    y.detach().copy_from(x);
  };
  run(2.0);
  CHECK(same_bits(y.to(Device{}), Tensor::full({1 << 20}, 2.0)));
  CapturedStep step(device(), [&] { run(3.0); });
  step.replay();
  CHECK(same_bits(y.to(Device{}), Tensor::full({1 << 20}, 3.0)));
}

DEVICE_TEST_CASE("a captured step holds collectives, which the watchdog does not ask after") {
  const NcclFunctions& nccl = joined();
  Context& gpu = Context::of(device());
  const Tensor x = Tensor::full({1003}, 2.0, DType::f32, device()), all = Tensor::zeros({1003}, DType::f32, device());
  std::string problem;
  {
    CapturedStep step(device(), [&] {
      problem = nccl.all_reduce(x.raw_data(), 1003, DType::f32, gpu.stream());
      problem += nccl.all_gather(x.raw_data(), all.raw_data(), x.bytes(), gpu.stream());
    });
    CHECK(problem == "");
    CHECK(same_bits(all.to(Device{}), Tensor::zeros({1003})));  // not yet
    step.replay();
    CHECK(same_bits(all.to(Device{}), Tensor::full({1003}, 2.0)));
    CHECK(nccl.unfinished() == 0);
  }
  CHECK(nccl.problem() == "");
  CHECK(nccl.finish() == "");  // the process's last: captured steps have gone before
}
