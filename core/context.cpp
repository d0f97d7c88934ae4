#include <simclr/core/caching_allocator.h>
#include <simclr/core/error.h>
#include <simclr/core/runtime.h>

#include <sys/mman.h>

#include <cstdlib>

namespace simclr {
namespace {

class HostMemory final : public MemorySource {
 public:
  void* take(std::size_t bytes) override {
    const std::size_t align = bytes >= huge_page ? huge_page : 256;
    void* block = std::aligned_alloc(align, (bytes + align - 1) / align * align);
    if (block != nullptr && bytes >= huge_page)
      madvise(block, bytes, MADV_HUGEPAGE);  // a wish: failure costs only speed
    return block;
  }
  void give_back(void* block) noexcept override { std::free(block); }
  std::string describe() const override { return "on cpu"; }

 private:
  static constexpr std::size_t huge_page = std::size_t{2} << 20;
};

bool in_this_build(DeviceType type) {
  return runtime_slot.tables[static_cast<std::size_t>(type)] != nullptr;
}

}  // namespace

std::unique_ptr<Allocator> make_host_allocator() {
  return std::make_unique<CachingAllocator>(std::make_unique<HostMemory>());
}

Context::Context(Device device, std::shared_ptr<Allocator> allocator, void* stream)
    : device_(device), allocator_(std::move(allocator)), stream_(stream) {}

Context& Context::of(Device device) {
  const std::string problem = device_problem(device.type);
  SIMCLR_CHECK(problem.empty(), device, ": ", problem, in_this_build(device.type) ? "" : "; use cpu");
  const RuntimeKernels& runtime = runtime_slot.on(device);
  SIMCLR_CHECK(device.index >= 0 && device.index < runtime.count(), device, ": this machine has ", runtime.count(),
               " such devices, numbered from 0");
  return runtime.context(device.index);
}

void Context::synchronize() const {
  runtime_slot.on(device_).synchronize(*this);
}

std::string device_problem(DeviceType type) {
  if (!in_this_build(type)) return std::string("this build has no ") + name(type) + " support";
  return runtime_slot.on({type}).problem();
}

Device default_device() {
  return device_problem(DeviceType::cuda).empty() ? Device{DeviceType::cuda} : Device{};
}

}  // namespace simclr
