#pragma once

#include <simclr/core/tensor.h>

#include <memory>

namespace simclr {

/// Copies from the host to a device that run beside the device's work: on CUDA from pinned memory, in a stream of their
/// own, into one of two tensors in turn. So the next batch travels while the steps on this one are still queued:
///
///   Upload upload(device);
///   upload.start(first);
///   while (...) {
///     upload.finish(step_input);
///     ... queue a step that reads step_input ...
///     upload.start(next);             // returns at once; `next` may change afterwards
///   }
///
/// The host waits only where it is two batches ahead of the copies. Where a device has no such stream, the values are
/// copied at once.
class SIMCLR_API Upload {
 public:
  explicit Upload(Device device);
  /// Gives up what is under way; the host does not wait for it.
  ~Upload();
  Upload(Upload&&) noexcept;
  Upload& operator=(Upload&&) noexcept;

  /// Starts the copy of `values`, a CPU tensor. Throws Error where two are under way.
  void start(const Tensor& values);
  /// Writes the values that were started first to `to`, a tensor of their shape on the device. Work that is queued from
  /// now on sees them. Throws Error where none are under way.
  void finish(Tensor& to);
  /// How many were started and not finished: 0 to 2.
  int under_way() const;

  class Transfer;  // a device's own

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What a device with a copy stream implements, for one block of its memory (kernels/cuda/streams.h). Its end does not
/// wait; work that is queued afterwards may use the block.
class Upload::Transfer {
 public:
  virtual ~Transfer() = default;
  /// Starts the copy of host memory to the block, which may change when the call returns; it runs after the last
  /// read().
  virtual void start(const void* from) = 0;
  /// Work that is queued from now on runs after the copy.
  virtual void arrive() = 0;
  /// Work that was queued until now has read the block.
  virtual void read() = 0;
};

}  // namespace simclr
