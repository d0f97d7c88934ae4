// What a training step of the reference recipe's model needs of a GPU's memory.
#include "support/device.h"

#include <simclr/simclr.h>

using namespace simclr;
using namespace simclr::test;

namespace {

/// Bytes that the allocator handed out at a time during the second step, weights and all.
double peak_of_step(std::int64_t views) {
  nn::SimCLR model({.encoder = nn::resnet18({.stem = nn::Stem::cifar}), .head = {.hidden = 1024, .out = 128}});
  model.to(device());
  nn::Sgd optimizer(model.parameters(), {}, nn::constant(0.01f));
  const Tensor x = random_both({views, 32, 32, 3}, 1, DType::bf16).on_device;
  Allocator& allocator = Context::of(device()).allocator();
  for (int step = 0; step < 2; ++step) {
    allocator.reset_peak();
    nn::nt_xent(model(x), {.temperature = 0.5f}).backward();
    optimizer.step();
  }
  return static_cast<double>(allocator.stats().peak);
}

}  // namespace

// 8,192 views would be a day on the emulated device: what a view adds is measured. 22 GB leave 2 GB to the driver and
// to cuDNN's and cuBLAS's workspaces.
DEVICE_TEST_CASE("a bf16 step of 8192 views of CIFAR ResNet-18 fits in 24 GB") {
  const bool on_gpu = device().type == DeviceType::cuda;
#ifdef SIMCLR_EMU_CHECKS
  emu::set_checks(emu::Checks::once);  // what the kernels do is for other tests to check
#endif
  const std::int64_t few = on_gpu ? 128 : 4, more = 2 * few;
  const double base = peak_of_step(few), slope = (peak_of_step(more) - base) / static_cast<double>(more - few);
  const double bytes = base + slope * static_cast<double>(8192 - few);
  CAPTURE(base, slope, bytes);
  CHECK(slope > 1e6);  // activations of one view alone are 1.2 MB
  CHECK(bytes < 22e9);
}
