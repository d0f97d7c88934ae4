// The emulated device as core sees it: one, always there, working in the calling thread.
#include <simclr/core/error.h>
#include <simclr/core/runtime.h>
#include <simclr/kernels/cuda/staged_transfer.h>
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/streams.h>

#include <cstring>
#include <new>
#include <utility>

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

/// What kernels/cuda/streams.h asks of a runtime. Kernels run in the calling thread, at once; copies from the host run
/// when something waits for them, no earlier.
struct Streams {
  using Stream = int;
  using Event = emu::Streams::Event;

  static emu::Streams& all() {
    static auto* const streams = new emu::Streams(2);
    return *streams;
  }
  static cuda::BlocksInFlight<Event>& pinned() {
    static auto* const blocks = new cuda::BlocksInFlight<Event>;
    return *blocks;
  }

  bool capturing() const { return emu::capturing(); }
  Stream compute() const { return 0; }
  Stream uploads() const { return 1; }
  Event event(Stream) { return {}; }
  void record(Event& event, Stream stream) {
    all().record(event, stream);
    if (stream == compute()) all().run(stream);
  }
  void wait(Stream stream, const Event& event) {
    if (stream == compute()) {
      all().host_wait(event);
    } else {
      all().wait(stream, event);
    }
  }
  void host_wait(const Event& event) { all().host_wait(event); }
  void copy(Stream stream, void* to, const void* from, std::size_t bytes) {
    all().queue(stream, [to, from, bytes] { std::memcpy(to, from, bytes); });
  }
  void* take_pinned(std::size_t bytes) {
    pinned().collect([](const Event& event) { return all().passed(event); },
                     [](void* block, std::size_t) { ::operator delete(block); });
    return ::operator new(bytes);
  }
  void keep_pinned(void* block, std::size_t bytes, Event event) noexcept {
    pinned().keep(block, bytes, std::move(event));
  }
};

std::unique_ptr<Upload::Transfer> upload(Context&, void* to, std::size_t bytes) {
  return std::make_unique<cuda::StagedTransfer<Streams>>(Streams{}, to, bytes);
}

}  // namespace

extern const RuntimeKernels runtime_emu;
const RuntimeKernels runtime_emu = {problem, count, context, synchronize, capture, upload};

}  // namespace simclr
