// Captured steps of the emulated device: what a thread queues while it captures is kept instead of being run, so that a
// replay sees what CUDA's would: the host's values of the time of the capture, and the device's own at the replay.
#include <simclr/core/error.h>
#include <simclr/kernels/emu/device.h>
#include <simclr/kernels/emu/memory.h>

#include <atomic>
#include <utility>
#include <vector>

namespace simclr::emu {
namespace {

class Graph final : public CapturedStep::Graph {
 public:
  explicit Graph(const std::function<void()>& step);
  ~Graph() override { end_graph(number_); }

  void replay() override {
    SIMCLR_CHECK(!capturing(), "emu: a captured step must not replay another");
    for (const auto& work : work_) work();
  }

  void add(std::function<void()> work) { work_.push_back(std::move(work)); }
  std::uint64_t number() const { return number_; }

 private:
  static inline std::atomic<std::uint64_t> last_number = 0;

  std::uint64_t number_ = ++last_number;
  std::vector<std::function<void()>> work_;
};

thread_local Graph* captured = nullptr;  // by this thread

Graph::Graph(const std::function<void()>& step) {
  SIMCLR_CHECK(!capturing(), "emu: a captured step must not capture another");
  captured = this;
  try {
    step();
  } catch (...) {
    captured = nullptr;
    end_graph(number_);
    throw;
  }
  captured = nullptr;
}

}  // namespace

bool capturing() {
  return captured != nullptr;
}

std::uint64_t captured_graph() {
  return captured == nullptr ? 0 : captured->number();
}

void queue(std::function<void()> work) {
  if (captured != nullptr) {
    captured->add(std::move(work));
  } else {
    work();
  }
}

std::unique_ptr<CapturedStep::Graph> capture(const std::function<void()>& step) {
  return std::make_unique<Graph>(step);
}

}  // namespace simclr::emu
