#pragma once

#include <simclr/core/tensor.h>

#include <memory>

namespace simclr {

/// A copy from the host to a device that runs beside the device's work: on CUDA through pinned memory, in a stream of
/// its own. Start the next batch's before the current batch's step is queued:
///
///   Upload next(values, device);      // returns at once; `values` may change afterwards
///   ... queue a step ...
///   step_input.copy_from(next.wait());
///
/// Where a device has no such stream, the values are copied at once.
class SIMCLR_API Upload {
 public:
  /// Starts the copy of `values`, a CPU tensor.
  Upload(const Tensor& values, Device device);
  ~Upload();
  Upload(Upload&&) noexcept;
  Upload& operator=(Upload&&) noexcept;

  /// The values on the device: work that is queued from now on runs after their arrival. The host does not wait.
  const Tensor& wait();

  class Transfer;  // a device's own

 private:
  Tensor values_;
  std::unique_ptr<Transfer> transfer_;
};

/// What a device with a copy stream implements. Its end waits for the copy.
class Upload::Transfer {
 public:
  virtual ~Transfer() = default;
  virtual void wait() = 0;
};

}  // namespace simclr
