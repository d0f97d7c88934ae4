#pragma once

// Faults in the middle of a training step: a value that is not finite in a layer's output or in its gradient.

#include <simclr/core/autograd.h>

#include <cstddef>

namespace simclr::test {

/// While it lives, puts `value` into one element of output number `target`, in order of recording on this thread, or
/// into that output's gradient. Numbers start again with restart().
class Fault {
 public:
  enum class In { output, gradient };

  Fault(std::size_t target, In in, float value)
      : observer_([this, target, in, value](const char*, Tensor& output) {
          if (next_++ != target) return;
          if (in == In::output) return put(output, value);
          output.add_grad_hook([value](Tensor& reached) { put(reached.grad(), value); });
          held_ = output;  // hooks run for tensors that somebody holds
        }) {}

  void restart() { next_ = 0; }

 private:
  static void put(const Tensor& tensor, float value) {
    const std::int64_t middle = tensor.numel() / 2;
    tensor.detach().reshape({tensor.numel()}).narrow(middle, 1).fill(double{value});
  }

  std::size_t next_ = 0;
  Tensor held_;
  RecordObserver observer_;
};

}  // namespace simclr::test
