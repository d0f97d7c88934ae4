// The emulated device as core sees it: one, always there, working in the calling thread.
#include <simclr/core/error.h>
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

void synchronize(const Context&) {
  SIMCLR_CHECK(!emu::capturing(), "synchronize waits for the device, which a captured step must not");
}

std::unique_ptr<CapturedStep::Graph> capture(Context&, const std::function<void()>& step) {
  return emu::capture(step);
}

}  // namespace

extern const RuntimeKernels runtime_emu;
const RuntimeKernels runtime_emu = {problem, count, context, synchronize, capture, nullptr};

}  // namespace simclr
