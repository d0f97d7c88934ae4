#include <simclr/core/parallel.h>
#include <simclr/core/parameter_memory.h>
#include <simclr/core/random.h>
#include <simclr/nn/inspect.h>
#include <simclr/nn/module.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>

namespace simclr::nn {
namespace {

std::uint32_t fnv1a(const std::string& text) {
  std::uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619u;
  return hash;
}

double uniform(std::uint32_t bits) {
  return static_cast<double>(bits >> 8) * 0x1p-24;
}

/// Four values from one Philox block; normals by Box and Muller, two a pair of words.
void draw_block(const Random& random, std::uint32_t block, const Initializer& initializer, double* out) {
  std::uint32_t bits[4];
  for (std::uint32_t i = 0; i < 4; ++i) bits[i] = random.bits(4 * block + i);
  if (initializer.kind == Initializer::Kind::uniform) {
    for (int i = 0; i < 4; ++i) out[i] = initializer.value * (2.0 * uniform(bits[i]) - 1.0);
    return;
  }
  for (int i = 0; i < 4; i += 2) {
    const double radius = initializer.value * std::sqrt(-2.0 * std::log(1.0 - uniform(bits[i])));
    const double angle = 2.0 * std::numbers::pi * uniform(bits[i + 1]);
    out[i] = radius * std::cos(angle);
    out[i + 1] = radius * std::sin(angle);
  }
}

template <class T>
void draw(const Random& random, const Initializer& initializer, T* values, std::int64_t n) {
  parallel_for((n + 3) / 4, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      double four[4];
      draw_block(random, static_cast<std::uint32_t>(block), initializer, four);
      for (std::int64_t i = 0; i < 4 && 4 * block + i < n; ++i) values[4 * block + i] = static_cast<T>(four[i]);
    }
  });
}

thread_local const ModuleCall* innermost_call = nullptr;

}  // namespace

ModuleCall::ModuleCall(const Module& module, const Input& input)
    : module_(&module), input_(input), outer_(innermost_call) {
  innermost_call = this;
}

ModuleCall::~ModuleCall() {
  innermost_call = outer_;
}

const ModuleCall* ModuleCall::innermost() {
  return innermost_call;
}

/// Looks at a value of each parameter, once: later calls may be part of a captured step, which cannot read any.
void Module::check_initialized(const ModuleCall& call) {
  if (call.outer() != nullptr || initialized_.load(std::memory_order_relaxed)) return;
  for (const Parameter& parameter : parameters()) {
    const Tensor values = parameter.value.detach().reshape({parameter.value.numel()});
    if (values.numel() == 0 || !std::isnan(values.narrow(0, 1).item())) continue;
    SIMCLR_CHECK(statistics_of(values).nonfinite < values.numel(), "module: ", parameter.name, " ",
                 parameter.value.shape(),
                 " is NaN throughout: initialize() was not called; call it once the module is "
                 "complete, or load weights");
  }
  initialized_.store(true, std::memory_order_relaxed);
}

Tensor Module::operator()(const Input& input) {
  const ModuleCall call(*this, input);
  Tensor y = forward(input);
  check_initialized(call);  // afterwards: an input that does not fit is said first
  return y;
}

Tensor Module::add_parameter(std::string name, const Shape& shape, Role role, Initializer initializer) {
  Tensor value = Tensor::full(shape, std::numeric_limits<double>::quiet_NaN());
  value.set_requires_grad();
  parameters_.push_back({std::move(name), value, role, initializer});
  return value;
}

Tensor Module::add_buffer(std::string name, const Shape& shape, double value) {
  buffers_.push_back({std::move(name), Tensor::full(shape, value)});
  return buffers_.back().value;
}

Tensor Module::add_buffer(std::string name, Tensor value) {
  buffers_.push_back({std::move(name), std::move(value)});
  return buffers_.back().value;
}

void Module::collect_parameters(const std::string& prefix, std::vector<Parameter>& out) const {
  for (Parameter parameter : parameters_) {
    parameter.name = prefix + parameter.name;
    out.push_back(std::move(parameter));
  }
  for (const auto& [name, child] : children_) child->collect_parameters(prefix + name + ".", out);
}

void Module::collect_buffers(const std::string& prefix, std::vector<NamedTensor>& out) const {
  for (const NamedTensor& buffer : buffers_) out.push_back({prefix + buffer.name, buffer.value});
  for (const auto& [name, child] : children_) child->collect_buffers(prefix + name + ".", out);
}

std::vector<Parameter> Module::parameters() const {
  std::vector<Parameter> out;
  collect_parameters("", out);
  return out;
}

std::vector<NamedTensor> Module::state() const {
  std::vector<NamedTensor> out;
  for (const Parameter& parameter : parameters()) out.push_back({parameter.name, parameter.value.detach()});
  collect_buffers("", out);
  return out;
}

void Module::load_state(const std::vector<NamedTensor>& state) {
  std::unordered_map<std::string, Tensor> given;
  for (const NamedTensor& tensor : state) given.emplace(tensor.name, tensor.value);
  const auto own = this->state();
  std::unordered_set<std::string> names;
  for (const NamedTensor& tensor : own) {  // all is checked before anything is changed
    names.insert(tensor.name);
    const auto found = given.find(tensor.name);
    SIMCLR_CHECK(found != given.end(), "load_state: ", tensor.name, " ", tensor.value.shape(), " is missing");
    SIMCLR_CHECK(found->second.shape() == tensor.value.shape(), "load_state: ", tensor.name, " is ",
                 found->second.shape(), ", this model has ", tensor.value.shape());
  }
  for (const NamedTensor& tensor : state) {
    SIMCLR_CHECK(names.contains(tensor.name), "load_state: this model has no ", tensor.name);
  }
  for (NamedTensor tensor : own) tensor.value.copy_from(given.at(tensor.name));
}

void Module::initialize(std::uint64_t seed) {
  for (Parameter& parameter : parameters()) {
    if (parameter.initializer.kind == Initializer::Kind::constant) {
      parameter.value.fill(parameter.initializer.value);
      continue;
    }
    const Random random(seed, RandomPurpose::initial_weights, fnv1a(parameter.name));
    Tensor values = is_host_memory(parameter.value.device()) && parameter.value.dtype() != DType::bf16
                        ? parameter.value
                        : Tensor::empty(parameter.value.shape());
    if (values.dtype() == DType::f64) {
      draw(random, parameter.initializer, values.data<double>(), values.numel());
    } else {
      draw(random, parameter.initializer, values.data<float>(), values.numel());
    }
    if (!values.same_as(parameter.value)) parameter.value.copy_from(values);
  }
}

template <class Where>
void Module::convert(Where where) {
  for (Parameter& parameter : parameters()) rebind(parameter.value, parameter.value.to(where));
  std::vector<NamedTensor> buffers;
  collect_buffers("", buffers);
  for (NamedTensor& buffer : buffers) {
    if constexpr (std::is_same_v<Where, DType>) {
      if (!is_floating(buffer.value.dtype())) continue;
    }
    rebind(buffer.value, buffer.value.to(where));
  }
}

void Module::to(DType dtype) {
  convert(dtype);
}

void Module::to(Device device) {
  convert(device);
}

Device Module::device() const {
  const auto all = parameters();
  return all.empty() ? Device{} : all.front().value.device();
}

void Module::train(bool training) {
  training_ = training;
  for (auto& [name, child] : children_) child->train(training);
}

void Module::for_each(const std::function<void(Module&)>& visit) {
  visit(*this);
  for (auto& [name, child] : children_) child->for_each(visit);
}

void Module::collect_modules(const std::string& name, std::vector<std::pair<std::string, const Module*>>& out) const {
  out.emplace_back(name, this);
  for (const auto& [child_name, child] : children_) {
    child->collect_modules(name.empty() ? child_name : name + "." + child_name, out);
  }
}

std::vector<std::pair<std::string, const Module*>> Module::named_modules() const {
  std::vector<std::pair<std::string, const Module*>> out;
  collect_modules("", out);
  return out;
}

ParameterArena make_arena(const std::vector<Parameter>& parameters) {
  SIMCLR_CHECK(!parameters.empty(), "optimizer: no parameters");
  const Tensor& first = parameters[0].value;
  const std::int64_t aligned = 64 / size_of(first.dtype());
  ParameterArena arena;
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters) {
    SIMCLR_CHECK(parameter.value.dtype() == first.dtype() && parameter.value.device() == first.device(),
                 "optimizer: ", parameter.name, " is ", describe(parameter.value), ", others are ", describe(first));
    arena.offsets.push_back(total);
    total += (parameter.value.numel() + aligned - 1) / aligned * aligned;
  }
  arena.values = Tensor::zeros({total}, first.dtype(), first.device());
  arena.gradients = Tensor::zeros({total}, first.dtype(), first.device());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Tensor value = parameters[i].value;
    const auto place = [&](const Tensor& whole) {
      return whole.narrow(arena.offsets[i], value.numel()).reshape(value.shape());
    };
    Tensor memory = place(arena.values);
    memory.copy_from(value);
    rebind(value, memory);
    set_grad(value, place(arena.gradients));
    value.zero_grad();
  }
  return arena;
}

}  // namespace simclr::nn
