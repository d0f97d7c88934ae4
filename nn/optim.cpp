#include <simclr/core/parameter_memory.h>
#include <simclr/nn/optim.h>

#include <cmath>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace simclr::nn {
namespace {

std::vector<Parameter> trained_once(const std::vector<Parameter>& parameters) {
  std::vector<Parameter> out;
  std::unordered_set<const void*> seen;
  std::unordered_set<std::string> names;
  for (const Parameter& parameter : parameters) {
    SIMCLR_CHECK(parameter.value.defined(), "optimizer: ", parameter.name, " is undefined");
    if (!parameter.value.requires_grad() || !seen.insert(parameter.value.impl().get()).second) continue;
    SIMCLR_CHECK(names.insert(parameter.name).second, "optimizer: two parameters are called ", parameter.name,
                 "; rename one, their states are kept by name");
    out.push_back(parameter);
  }
  SIMCLR_CHECK(!out.empty(), "optimizer: none of ", parameters.size(), " parameters requires a gradient");
  return out;
}

/// The part of an arenas' tensor that belongs to one parameter.
Tensor part(const Tensor& whole, std::int64_t offset, const Tensor& parameter) {
  return whole.narrow(offset, parameter.numel()).reshape(parameter.shape());
}

bool lives_at(const Tensor& tensor, const Tensor& arena, std::int64_t offset) {
  const std::int64_t bytes = offset * size_of(arena.dtype());
  return tensor.defined() && tensor.raw_data() == static_cast<std::byte*>(arena.raw_data()) + bytes;
}

}  // namespace

Optimizer::Optimizer(const std::vector<Parameter>& parameters, Schedule schedule, std::int32_t weight_flags,
                     std::int32_t norm_and_bias_flags)
    : parameters_(trained_once(parameters)), schedule_(std::move(schedule)) {
  SIMCLR_CHECK(!schedule_.rates.empty(), "optimizer: the schedule has no learning rates");
  const ParameterArena memory = make_arena(parameters_);
  SIMCLR_CHECK(memory.values.numel() <= std::numeric_limits<std::int32_t>::max(), "optimizer: ", memory.values.numel(),
               " parameters; at most 2147483647 fit one optimizer");
  offsets_ = memory.offsets;
  std::vector<std::int32_t> segments;
  const auto flags_of = [&](Role role) {
    return role == Role::weight ? weight_flags : role == Role::temperature ? 0 : norm_and_bias_flags;
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto begin = static_cast<std::int32_t>(offsets_[i]);
    const auto end = static_cast<std::int32_t>(offsets_[i] + parameters_[i].value.numel());
    segments.insert(segments.end(), {begin, end, flags_of(parameters_[i].role)});
  }
  const Device device = memory.values.device();
  arena_.values = memory.values;
  arena_.gradients = memory.gradients;
  arena_.segments = Tensor::from(segments, {static_cast<std::int64_t>(parameters_.size()), 3}).to(device);
  arena_.learning_rates = Tensor::from(schedule_.rates, {static_cast<std::int64_t>(schedule_.rates.size())}).to(device);
  arena_.step = Tensor::zeros({1}, DType::i32, device);
  arena_.bad_step = Tensor::full({1}, -1, DType::i32, device);
}

Tensor Optimizer::add_state(std::string name) {
  states_.push_back({std::move(name), Tensor::zeros_like(arena_.values)});
  return states_.back().value;
}

void Optimizer::step(const Tensor& loss) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& value = parameters_[i].value;
    SIMCLR_CHECK(lives_at(value, arena_.values, offsets_[i]) && lives_at(value.grad(), arena_.gradients, offsets_[i]),
                 "optimizer: ", parameters_[i].name, " or its gradient has moved since this optimizer was made ",
                 "(by Module::to, set_grad or another optimizer); make the optimizer after that");
  }
  arena_.shadow = existing_shadow(arena_.values);
  kernels::note_nonfinite(arena_.gradients, arena_.step, arena_.bad_step);
  if (loss.defined()) kernels::note_nonfinite(loss.detach().reshape({loss.numel()}), arena_.step, arena_.bad_step);
  if (most_norm_ > 0) kernels::clip_gradient_norm(arena_.gradients, most_norm_, norm_);
  update();
  mark_changed(arena_.values);
  zero_grad();
}

void Optimizer::clip_gradients(double most) {
  SIMCLR_CHECK(most >= 0 && std::isfinite(most), "optimizer: gradients clipped to a norm of ", most,
               "; it must be finite and above 0, or 0, which leaves them");
  most_norm_ = most;
  if (most > 0 && !norm_.defined()) norm_ = Tensor::zeros({1}, DType::f64, arena_.values.device());
}

void Optimizer::zero_grad() {
  arena_.gradients.fill(0.0);  // all at once
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& value = parameters_[i].value;
    if (lives_at(value.grad(), arena_.gradients, offsets_[i])) {
      assume_zero_grad(value);
    } else {
      value.zero_grad();
    }
  }
}

std::int64_t Optimizer::steps() const {
  return static_cast<std::int64_t>(arena_.step.item());
}

std::int64_t Optimizer::bad_step() const {
  kernels::note_nonfinite(arena_.values, arena_.step, arena_.bad_step);
  for (const NamedTensor& state : states_) kernels::note_nonfinite(state.value, arena_.step, arena_.bad_step);
  return static_cast<std::int64_t>(arena_.bad_step.item());
}

std::vector<NamedTensor> Optimizer::state() const {
  const std::int64_t bad = bad_step();
  SIMCLR_CHECK(bad < 0, "optimizer: NaN or Inf at update ", bad, ", in a gradient, the loss, a parameter or this ",
               "optimizer's state; go back to an earlier checkpoint, and lower the learning rate");
  return named_state();
}

std::vector<NamedTensor> Optimizer::named_state() const {
  std::vector<NamedTensor> out = {{"step", arena_.step}};
  for (const NamedTensor& state : states_) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      out.push_back({state.name + "." + parameters_[i].name, part(state.value, offsets_[i], parameters_[i].value)});
    }
  }
  return out;
}

void Optimizer::load_state(const std::vector<NamedTensor>& state) {
  std::unordered_map<std::string, Tensor> given;
  for (const NamedTensor& tensor : state) {
    SIMCLR_CHECK(tensor.value.defined(), "optimizer: load_state: ", tensor.name, " is undefined");
    given.emplace(tensor.name, tensor.value);
  }
  const auto own = named_state();
  std::unordered_set<std::string> names;
  for (const NamedTensor& tensor : own) {  // all is checked before anything is changed
    names.insert(tensor.name);
    const auto found = given.find(tensor.name);
    SIMCLR_CHECK(found != given.end(), "optimizer: load_state: ", tensor.name, " ", tensor.value.shape(),
                 " is missing");
    SIMCLR_CHECK(found->second.shape() == tensor.value.shape(), "optimizer: load_state: ", tensor.name, " is ",
                 found->second.shape(), ", this optimizer has ", tensor.value.shape());
  }
  for (const NamedTensor& tensor : state) {
    SIMCLR_CHECK(names.contains(tensor.name), "optimizer: load_state: this optimizer has no ", tensor.name);
  }
  const Tensor& step = given.at("step");
  SIMCLR_CHECK(step.dtype() == DType::i32 && step.item() >= 0, "optimizer: load_state: step is ", step.item(), " (",
               step.dtype(), "), it must be an i32 of at least 0");
  for (NamedTensor tensor : own) tensor.value.copy_from(given.at(tensor.name));
  arena_.bad_step.fill(-1);
}

Sgd::Sgd(const std::vector<Parameter>& parameters, const SgdOptions& options, Schedule schedule)
    : Optimizer(parameters, std::move(schedule), kernels::segment_decay,
                options.decay_norm_and_bias ? kernels::segment_decay : 0),
      options_{options.momentum, options.weight_decay, options.nesterov},
      momentum_(add_state("momentum")) {
  kernels::check_options(options_);
}

void Sgd::update() {
  kernels::sgd_step(arena(), momentum_, options_);
}

Lars::Lars(const std::vector<Parameter>& parameters, const LarsOptions& options, Schedule schedule)
    : Optimizer(parameters, std::move(schedule), kernels::segment_decay | kernels::segment_adapt, 0),
      options_(options),
      momentum_(add_state("momentum")) {
  kernels::check_options(options_);
}

void Lars::update() {
  kernels::lars_step(arena(), momentum_, options_);
}

AdamW::AdamW(const std::vector<Parameter>& parameters, const AdamWOptions& options, Schedule schedule)
    : Optimizer(parameters, std::move(schedule), kernels::segment_decay,
                options.decay_norm_and_bias ? kernels::segment_decay : 0),
      options_{options.beta1, options.beta2, options.eps, options.weight_decay},
      m_(add_state("m")),
      v_(add_state("v")) {
  kernels::check_options(options_);
}

void AdamW::update() {
  kernels::adamw_step(arena(), m_, v_, options_);
}

}  // namespace simclr::nn
