// The CPU as a device: one context, whose work runs in the calling thread.
#include <simclr/core/runtime.h>

namespace simclr {
namespace {

std::string problem() {
  return "";
}

int count() {
  return 1;
}

Context& context(int) {
  static Context cpu(Device{}, make_host_allocator());
  return cpu;
}

void synchronize(const Context&) {}

}  // namespace

extern const RuntimeKernels runtime_cpu;
const RuntimeKernels runtime_cpu = {problem, count, context, synchronize, nullptr, nullptr};

}  // namespace simclr
