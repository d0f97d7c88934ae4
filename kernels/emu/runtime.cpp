// The emulated device as core sees it: one, always there, working in the calling thread.
#include <simclr/core/runtime.h>
#include <simclr/kernels/emu/device.h>

namespace simclr {
namespace {

std::string problem() {
  return "";
}

int count() {
  return 1;
}

Context& context(int) {
  static Context emulated(Device{DeviceType::emu, 0}, emu::make_allocator());
  return emulated;
}

void synchronize(const Context&) {}

}  // namespace

extern const RuntimeKernels runtime_emu;
const RuntimeKernels runtime_emu = {problem, count, context, synchronize, nullptr, nullptr};

}  // namespace simclr
