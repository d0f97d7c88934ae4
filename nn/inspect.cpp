#include <simclr/core/autograd.h>
#include <simclr/nn/inspect.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace simclr::nn {
namespace {

template <class T>
ValueStatistics statistics_of(const T* values, std::int64_t count) {
  ValueStatistics s;
  s.count = count;
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<double>(values[i]);
    if (!std::isfinite(value)) {
      ++s.nonfinite;
      continue;
    }
    sum += value;
    squares += value * value;
    s.max_abs = std::max(s.max_abs, std::abs(value));
  }
  const auto finite = static_cast<double>(count - s.nonfinite);
  if (finite > 0) {
    s.mean = sum / finite;
    s.stddev = std::sqrt(std::max(squares / finite - s.mean * s.mean, 0.0));
    s.norm = std::sqrt(squares);
  }
  return s;
}

std::string amount(const ValueStatistics& s) {
  return std::to_string(s.nonfinite) + " of " + std::to_string(s.count);
}

/// The dotted name of the innermost running module that belongs to the model.
std::string running_layer(const std::unordered_map<const Module*, std::string>& names) {
  for (const ModuleCall* call = ModuleCall::innermost(); call != nullptr; call = call->outer()) {
    const auto found = names.find(&call->module());
    if (found != names.end()) return found->second;
  }
  return "";
}

/// The model's buffers, and a copy of each.
std::vector<std::pair<Tensor, Tensor>> kept_buffers(const Module& model) {
  std::vector<std::pair<Tensor, Tensor>> buffers;
  const auto state = model.state();  // parameters first
  for (std::size_t i = model.parameters().size(); i < state.size(); ++i) {
    buffers.emplace_back(state[i].value, state[i].value.clone());
  }
  return buffers;
}

/// One inspected step.
struct Walk {
  Inspection result;
  ValueStatistics input;
  bool input_seen = false;
  std::vector<Tensor> outputs;              // their hooks run while they live
  std::vector<std::size_t> backward_order;  // of result.layers

  void see(const char* op, Tensor& output, const std::unordered_map<const Module*, std::string>& names) {
    const ModuleCall* call = ModuleCall::innermost();
    if (call != nullptr && !input_seen) {
      while (call->outer() != nullptr) call = call->outer();
      if (call->input().defined() && is_floating(call->input().dtype())) input = nn::statistics_of(call->input());
      input_seen = true;
    }
    const std::size_t index = result.layers.size();
    result.layers.push_back({running_layer(names), op, output.shape(), nn::statistics_of(output), {}});
    output.add_grad_hook([this, index](Tensor& reached) {
      result.layers[index].gradient = nn::statistics_of(reached.grad());
      backward_order.push_back(index);
    });
    outputs.push_back(output);
  }

  std::string first_nonfinite() const {
    for (const ParameterRecord& p : result.parameters) {
      if (p.value.nonfinite > 0)
        return "parameter " + p.name + ": " + amount(p.value) + " values are NaN or Inf before the step";
    }
    if (input.nonfinite > 0) return "the model's input: " + amount(input) + " values are NaN or Inf";
    for (const LayerRecord& layer : result.layers) {
      if (layer.output.nonfinite > 0) return layer.name() + ": " + amount(layer.output) + " outputs are NaN or Inf";
    }
    for (const std::size_t index : backward_order) {
      const LayerRecord& layer = result.layers[index];
      if (layer.gradient.nonfinite > 0)
        return layer.name() + ": " + amount(layer.gradient) + " values of its output's gradient are NaN or Inf";
      // A layer's own gradients are complete when backward() is through with the first that it recorded.
      if (layer.layer.empty() || recorded_before(index)) continue;
      for (const ParameterRecord& p : result.parameters) {
        const bool own = p.name.size() > layer.layer.size() && p.name.starts_with(layer.layer + ".") &&
                         p.name.find('.', layer.layer.size() + 1) == std::string::npos;
        if (own && p.gradient.nonfinite > 0) return of_gradient(p);
      }
    }
    for (const ParameterRecord& p : result.parameters) {  // of functions outside every layer
      if (p.gradient.nonfinite > 0) return of_gradient(p);
    }
    return "";
  }

  static std::string of_gradient(const ParameterRecord& p) {
    return p.name + ": " + amount(p.gradient) + " values of its gradient are NaN or Inf";
  }

  bool recorded_before(std::size_t index) const {
    const auto end = result.layers.begin() + static_cast<std::ptrdiff_t>(index);
    return std::any_of(result.layers.begin(), end,
                       [&](const LayerRecord& layer) { return layer.layer == result.layers[index].layer; });
  }
};

}  // namespace

ValueStatistics statistics_of(const Tensor& values) {
  SIMCLR_CHECK(values.defined() && is_floating(values.dtype()), "statistics_of: wants a floating tensor, got ",
               values.defined() ? describe(values) : "none");
  const Tensor on_host = values.detach().to(Device{});
  if (on_host.dtype() == DType::f64) return statistics_of(on_host.data<const double>(), on_host.numel());
  return statistics_of(on_host.to(DType::f32).data<const float>(), on_host.numel());
}

std::string LayerRecord::name() const {
  return layer.empty() ? op : layer + " (" + op + ")";
}

Inspection inspect(Module& model, const std::function<Tensor()>& loss) {
  std::unordered_map<const Module*, std::string> names;
  for (auto& [name, module] : model.named_modules()) names.emplace(module, name);
  std::vector<Parameter> parameters = model.parameters();
  auto buffers = kept_buffers(model);
  const auto zero_gradients = [&] {
    for (Parameter& p : parameters) p.value.zero_grad();
  };
  zero_gradients();

  Walk walk;
  for (const Parameter& p : parameters) {
    walk.result.parameters.push_back({p.name, p.role, statistics_of(p.value), {}});
  }
  Tensor value;
  {
    const RecordObserver observer([&](const char* op, Tensor& output) { walk.see(op, output, names); });
    value = loss();
  }
  walk.result.loss = value.item();
  value.backward();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& gradient = parameters[i].value.grad();
    if (gradient.defined()) walk.result.parameters[i].gradient = statistics_of(gradient);
  }
  zero_gradients();
  for (auto& [buffer, before] : buffers) buffer.copy_from(before);
  walk.result.nonfinite = walk.first_nonfinite();
  return std::move(walk.result);
}

}  // namespace simclr::nn
