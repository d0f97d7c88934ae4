#pragma once

#include <simclr/core/context.h>
#include <simclr/core/graph.h>
#include <simclr/core/slot.h>
#include <simclr/core/upload.h>

#include <string>

namespace simclr {

/// What core asks of a kind of device; kernels/ fills it, as it does the primitives.
struct RuntimeKernels {
  /// Empty where a device can be used; else one line that says why not and what to do.
  std::string (*problem)();
  /// How many devices there are; 0 where there is a problem.
  int (*count)();
  /// The device's one context, made at the first call. `index` is below count().
  Context& (*context)(int index);
  /// Waits for the context's stream.
  void (*synchronize)(const Context& context);
  /// Captures what `step` queues. Null: this device has no graphs.
  std::unique_ptr<CapturedStep::Graph> (*capture)(Context& context, const std::function<void()>& step);
  /// What copies host memory to a block of the device's. Null: this device has no stream for it.
  std::unique_ptr<Upload::Transfer> (*upload)(Context& context, void* to, std::size_t bytes);
};

SIMCLR_API extern const Slot<RuntimeKernels> runtime_slot;

/// Empty where devices of this type can be used, else one line: no such support in this build, no driver, a driver that
/// is too old, no device.
SIMCLR_API std::string device_problem(DeviceType type);
/// CUDA's first device where there is one, else the CPU.
SIMCLR_API Device default_device();

}  // namespace simclr
