#include <simclr/core/autograd.h>
#include <simclr/nn/inspect.h>
#include <simclr/nn/kept_buffers.h>

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

/// One inspected step.
struct Walk {
  Inspection result;
  Tensor input;                 // the model's, or of its run on a micro-batch
  ValueStatistics bad_input;    // of the first that is not finite
  std::vector<Tensor> outputs;  // by layer; held until their hooks have run, which they do only for held tensors
  std::vector<std::size_t> backward_order;  // of result.layers

  void see(const char* op, Tensor& output, const std::unordered_map<const Module*, std::string>& names) {
    const ModuleCall* call = ModuleCall::innermost();
    if (call != nullptr) {
      while (call->outer() != nullptr) call = call->outer();
      see_input(call->input().x);
    }
    const std::size_t index = result.layers.size();
    result.layers.push_back({running_layer(names), op, output.shape(), nn::statistics_of(output), {}});
    output.add_grad_hook([this, index](Tensor& reached) {
      result.layers[index].gradient = nn::statistics_of(reached.grad());
      backward_order.push_back(index);
      outputs[index] = {};
    });
    outputs.push_back(output);
  }

  void see_input(const Tensor& x) {
    if (!x.defined() || x.requires_grad() || x.same_as(input) || bad_input.nonfinite > 0) return;
    input = x;
    if (is_floating(x.dtype())) bad_input = nn::statistics_of(x);
  }

  std::string first_nonfinite() const {
    for (const ParameterRecord& p : result.parameters) {
      if (p.value.nonfinite > 0)
        return "parameter " + p.name + ": " + amount(p.value) + " values are NaN or Inf before the step";
    }
    if (bad_input.nonfinite > 0) return "the model's input: " + amount(bad_input) + " values are NaN or Inf";
    // The model's layers come first, though in_micro_batches() records them behind the loss.
    for (const bool in_model : {true, false}) {
      for (const LayerRecord& layer : result.layers) {
        if (layer.layer.empty() == in_model || layer.output.nonfinite == 0) continue;
        return layer.name() + ": " + amount(layer.output) + " outputs are NaN or Inf";
      }
    }
    for (std::size_t i = 0; i < backward_order.size(); ++i) {
      const LayerRecord& layer = result.layers[backward_order[i]];
      if (layer.gradient.nonfinite > 0)
        return layer.name() + ": " + amount(layer.gradient) + " values of its output's gradient are NaN or Inf";
      // A layer's own gradients are complete when backward() is through with the last of its outputs.
      if (layer.layer.empty() || comes_again(i)) continue;
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

  bool comes_again(std::size_t place) const {
    const std::string& layer = result.layers[backward_order[place]].layer;
    return std::any_of(backward_order.begin() + static_cast<std::ptrdiff_t>(place) + 1, backward_order.end(),
                       [&](std::size_t index) { return result.layers[index].layer == layer; });
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

void check_finite(const std::string& where, const std::vector<NamedTensor>& tensors, const std::string& remedy) {
  for (const NamedTensor& tensor : tensors) {
    if (!is_floating(tensor.value.dtype())) continue;
    const ValueStatistics found = statistics_of(tensor.value);
    SIMCLR_CHECK(found.nonfinite == 0, where, ": ", tensor.name, ": ", amount(found), " values are NaN or Inf", remedy);
  }
}

void check_variances(const std::string& where, const std::vector<NamedTensor>& tensors, const std::string& remedy) {
  for (const NamedTensor& tensor : tensors) {
    if (!tensor.name.ends_with("running_var") || !is_floating(tensor.value.dtype())) continue;
    const auto values = tensor.value.detach().to(Device{}).to(DType::f32).to_vector<float>();
    const auto below = std::count_if(values.begin(), values.end(), [](float value) { return value < 0; });
    SIMCLR_CHECK(below == 0, where, ": ", tensor.name, ": ", below, " of ", values.size(), " variances are below 0",
                 remedy);
  }
}

std::string LayerRecord::name() const {
  return layer.empty() ? op : layer + " (" + op + ")";
}

Inspection inspect(Module& model, const std::function<Tensor()>& loss) {
  std::unordered_map<const Module*, std::string> names;
  for (auto& [name, module] : model.named_modules()) names.emplace(module, name);
  std::vector<Parameter> parameters = model.parameters();
  KeptBuffers buffers(model);
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
    value.backward();  // which runs micro-batches again
  }
  walk.result.loss = value.item();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& gradient = parameters[i].value.grad();
    if (gradient.defined()) walk.result.parameters[i].gradient = statistics_of(gradient);
  }
  zero_gradients();
  buffers.put_back();
  walk.result.nonfinite = walk.first_nonfinite();
  return std::move(walk.result);
}

}  // namespace simclr::nn
