#pragma once

#include <simclr/core/tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

/// Define-by-run differentiation. Every function of nn/functional records itself here while it runs;
/// Tensor::backward() walks the record in reverse. Your own differentiable function does the same:
///
///   Tensor square(const Tensor& x) {
///     Tensor y = ...;                                             // the values
///     return record("square", {x}, y, {x}, [x = x.detach()](Backward& b) {
///       b.set(0, ... 2 * x * b.dy() ...);                         // d(loss)/dx
///     });
///   }
///
/// Capture detached tensors: an output captured as it is would keep itself alive for ever. What a function captured
/// must not change before backward(): values written in between (fill, copy_from, an optimizer's step) would enter the
/// gradient. So name it, as the second {x} does, and backward() refuses instead.
namespace simclr {

namespace detail {
struct Node;
}

/// What a recorded function sees when the gradient comes back to it.
class SIMCLR_API Backward {
 public:
  /// d(loss)/d(output i). Undefined when nothing flowed into that output; output 0 of a function with
  /// one output is always defined.
  const Tensor& dy(int i = 0) const;
  /// Somewhere to write a tensor of dy(i)'s shape to: dy(i)'s own memory where nobody else holds it, so that each
  /// value must be read before it is written; else a new uninitialised tensor.
  Tensor over_dy(int i = 0);
  /// Whether input i wants a gradient; computing an unwanted one is waste.
  bool needs(int i) const;
  /// Where to write input i's whole gradient: the parameter's own accumulator when it is still zero and no other input
  /// is the same parameter, else a new uninitialised tensor. Optional; pass it to set() afterwards.
  Tensor buffer(int i);
  /// Hands over d(loss)/d(input i), of the input's shape and dtype. The tensor must not change afterwards.
  void set(int i, const Tensor& dx);

 private:
  friend struct detail::Node;
  friend class Tensor;
  static void reach_leaf(Tensor leaf, const Tensor& gradient);
  explicit Backward(detail::Node& node) : node_(&node) {}
  detail::Node* node_;
};

using BackwardFunction = std::function<void(Backward&)>;

/// Records `output` (or `outputs`) as computed from `inputs`; does nothing when no input requires a
/// gradient or recording is off. Returns the output, for brevity. Undefined inputs are allowed.
/// `saved`: what `backward` reads of them and of others; undefined ones are passed over. Where the memory of one has
/// been written since (mark_changed), Tensor::backward() throws Error.
SIMCLR_API Tensor record(const char* name, const std::vector<Tensor>& inputs, Tensor output,
                         const std::vector<Tensor>& saved, BackwardFunction backward);
SIMCLR_API void record(const char* name, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
                       const std::vector<Tensor>& saved, BackwardFunction backward);
/// The same for functions whose gradient depends on no values but dy.
inline Tensor record(const char* name, const std::vector<Tensor>& inputs, Tensor output, BackwardFunction backward) {
  return record(name, inputs, std::move(output), {}, std::move(backward));
}
inline void record(const char* name, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
                   BackwardFunction backward) {
  record(name, inputs, outputs, {}, std::move(backward));
}

/// Whether functions record themselves on this thread.
SIMCLR_API bool grad_enabled();

/// Switches recording on or off on this thread while it lives.
class SIMCLR_API GradMode {
 public:
  explicit GradMode(bool recording);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool previous_;
};

/// Off: for evaluation. backward() runs so, too.
class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};

/// On again: for a function whose backward pass runs a part of the forward pass once more, with a backward() of its own
/// (nn/micro_batches.h).
class WithGrad : public GradMode {
 public:
  WithGrad() : GradMode(true) {}
};

/// While it lives, `see(name, output)` is called on this thread for every output that is recorded, in order: to find
/// where a NaN starts, to look at every intermediate gradient (Tensor::add_grad_hook). Observers nest: the one made
/// first sees first. nn/inspect.h is made of it; nn::ModuleCall tells which layer recorded the output.
class SIMCLR_API RecordObserver {
 public:
  using See = std::function<void(const char* name, Tensor& output)>;
  explicit RecordObserver(See see);
  ~RecordObserver();
  RecordObserver(const RecordObserver&) = delete;
  RecordObserver& operator=(const RecordObserver&) = delete;

 private:
  void tell(const char* name, Tensor& output) const;

  See see_;
  RecordObserver* previous_;
  friend void record(const char*, const std::vector<Tensor>&, std::vector<Tensor>&, const std::vector<Tensor>&,
                     BackwardFunction);
};

/// While it lives, `see(leaf)` is called on this thread when a backward pass has added the last that it has to add to a
/// leaf's gradient: once for each leaf that the record holds, though nothing should flow into it. What runs a backward
/// pass of its own (nn/micro_batches.h) is a part of the outer pass. One at a time.
class SIMCLR_API CompleteGradients {
 public:
  using See = std::function<void(const Tensor& leaf)>;
  explicit CompleteGradients(See see);
  ~CompleteGradients();
  CompleteGradients(const CompleteGradients&) = delete;
  CompleteGradients& operator=(const CompleteGradients&) = delete;

 private:
  See see_;
};

}  // namespace simclr
