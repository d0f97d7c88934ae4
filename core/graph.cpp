#include <simclr/core/graph.h>
#include <simclr/core/runtime.h>

#include <utility>

namespace simclr {

CapturedStep::CapturedStep(Device device, std::function<void()> step) : step_(std::move(step)) {
  Context& context = Context::of(device);
  const RuntimeKernels& runtime = runtime_slot.on(device);
  if (runtime.capture != nullptr) graph_ = runtime.capture(context, step_);
}

CapturedStep::~CapturedStep() = default;
CapturedStep::CapturedStep(CapturedStep&&) noexcept = default;
CapturedStep& CapturedStep::operator=(CapturedStep&&) noexcept = default;

void CapturedStep::replay() {
  if (graph_) {
    graph_->replay();
  } else {
    step_();
  }
}

}  // namespace simclr
