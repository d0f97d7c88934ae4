#pragma once

#include <simclr/kernels/optimizer_step.h>
#include <simclr/nn/module.h>
#include <simclr/nn/schedule.h>

#include <string>
#include <vector>

/// Optimizers. Equations are in kernels/optimizer_step.h.
namespace simclr::nn {

/// Takes parameters over: their values and gradients move into flat arenas (handles stay valid), and step() updates
/// them all in one call. Convert a model (Module::to) and load its weights' dtype before making one. Parameters that
/// do not require a gradient are left alone, one that is listed twice is taken once, and one that no gradient
/// reached counts as having gradient 0.
class SIMCLR_API Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Updates the parameters at the schedule's learning rate, advances the schedule and zeroes the gradients. Where a
  /// gradient, or `loss` if it is given (one element of the parameters' dtype), is NaN or Inf, nothing is updated, now
  /// and in every later step: parameters and state stay as they were before the fault. bad_step() tells; nothing waits.
  /// Throws Error where a parameter or its gradient no longer lives in this optimizer's arenas.
  void step(const Tensor& loss = {});
  void zero_grad();
  /// From now on step() clips the gradients, of all parameters together, to a norm of at most `most`
  /// (kernels::clip_gradient_norm), before weight decay and adaptation; 0: it leaves them, as it does at first. Throws
  /// Error for a negative norm and one that is not finite.
  void clip_gradients(double most);
  /// The gradients of all parameters, one after the other, [n]: what the ranks of a run add up before step().
  const Tensor& gradients() const { return arena_.gradients; }
  /// Those that are trained, and where the gradient of each begins in gradients(), in elements.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<std::int64_t>& offsets() const { return offsets_; }

  /// The update, from 0, that was refused since a gradient, the loss, a parameter or the optimizer's state is NaN or
  /// Inf; -1: all is well. nn::inspect() names the layer. Looks at parameters and state now, and reads device memory.
  /// load_state() starts afresh.
  std::int64_t bad_step() const;

  /// Updates made so far. Reads device memory.
  std::int64_t steps() const;
  /// Of the next step. Reads device memory.
  float learning_rate() const { return schedule_.at(steps()); }

  /// What a checkpoint needs besides the weights: "step" i32 [1], and each state by parameter ("momentum.fc.weight").
  /// The tensors share the optimizer's memory. Throws Error where bad_step() is not -1: nothing worth keeping.
  std::vector<NamedTensor> state() const;
  /// Copies a state by name. Throws Error, with nothing changed, naming what is missing, unknown or of another shape.
  void load_state(const std::vector<NamedTensor>& state);

 protected:
  /// The flags of kernels::Segment for weights, and for the parameters of norm layers and biases. A temperature has
  /// none.
  Optimizer(const std::vector<Parameter>& parameters, Schedule schedule, std::int32_t weight_flags,
            std::int32_t norm_and_bias_flags);

  /// One update of arena(), which advances arena().step; none while arena().bad_step is not -1.
  virtual void update() = 0;

  kernels::OptimizerArena& arena() { return arena_; }
  /// A zeroed arena of the optimizer's own, which state() and load_state() carry under `name`.
  Tensor add_state(std::string name);

 private:
  std::vector<NamedTensor> named_state() const;

  std::vector<Parameter> parameters_;
  std::vector<std::int64_t> offsets_;  // of the parameters, in elements
  Schedule schedule_;
  kernels::OptimizerArena arena_;
  double most_norm_ = 0;  // of the gradients; 0: any
  Tensor norm_;           // f64 [1]: of the last step's, where they are clipped
  std::vector<NamedTensor> states_;
};

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 0.0;
  bool nesterov = false;
  bool decay_norm_and_bias = true;  // as PyTorch does; false: weights only
};
/// SGD with momentum, PyTorch's rule (without dampening).
class SIMCLR_API Sgd : public Optimizer {
 public:
  Sgd(const std::vector<Parameter>& parameters, const SgdOptions& options, Schedule schedule);

 private:
  void update() override;
  kernels::SgdOptions options_;
  Tensor momentum_;
};

using LarsOptions = kernels::LarsOptions;
/// LARS as SimCLR uses it: biases and the parameters of norm layers take neither weight decay nor adaptation.
class SIMCLR_API Lars : public Optimizer {
 public:
  Lars(const std::vector<Parameter>& parameters, const LarsOptions& options, Schedule schedule);

 private:
  void update() override;
  LarsOptions options_;
  Tensor momentum_;
};

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  bool decay_norm_and_bias = true;  // as PyTorch does, and as Sgd here; false: weights only
};
/// AdamW, PyTorch's rule.
class SIMCLR_API AdamW : public Optimizer {
 public:
  AdamW(const std::vector<Parameter>& parameters, const AdamWOptions& options, Schedule schedule);

 private:
  void update() override;
  kernels::AdamwOptions options_;
  Tensor m_, v_;
};

}  // namespace simclr::nn
