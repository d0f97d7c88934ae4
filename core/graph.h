#pragma once

#include <simclr/core/context.h>

#include <functional>
#include <memory>

namespace simclr {

/// A step's work, captured once and queued again with one call: on CUDA one graph of all its kernels, where launching
/// them one by one would take longer than they run. `step` may read and write tensors that were there before, and must
/// do the same work each time: shapes, options and host values are frozen, so what changes from step to step (views,
/// learning rate, epoch) lives in device memory. Run it twice before, so that buffers and library plans exist. It must
/// not wait for the device: no item(), no copy to the host; nor read host memory, which may hold other values at a
/// replay: no copy from the host.
///
/// On devices without graphs, the CPU, replay() calls `step`.
class SIMCLR_API CapturedStep {
 public:
  /// Captures `step`, which does not run yet. Throws Error where it does something that cannot be captured.
  CapturedStep(Device device, std::function<void()> step);
  ~CapturedStep();
  CapturedStep(CapturedStep&&) noexcept;
  CapturedStep& operator=(CapturedStep&&) noexcept;

  /// Queues the captured work. Tensors that `step` made hold the new values afterwards.
  void replay();

  class Graph;  // a device's own

 private:
  std::function<void()> step_;
  std::unique_ptr<Graph> graph_;
};

/// What a device with graphs implements.
class CapturedStep::Graph {
 public:
  virtual ~Graph() = default;
  virtual void replay() = 0;
};

}  // namespace simclr
