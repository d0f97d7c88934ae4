#pragma once

#include <simclr/core/autograd.h>
#include <simclr/core/input.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace simclr::nn {

/// What a parameter is: LARS adapts and decays weights only; Sgd and AdamW can be told to decay weights only. No
/// optimizer decays a temperature, which TwoTowers learns: decay would pull log(1/tau) to 0, a tau of 1.
enum class Role { weight, bias, norm, temperature };

/// How a parameter gets its first value.
struct Initializer {
  enum class Kind { constant, normal, uniform } kind = Kind::constant;
  double value = 0.0;  // the constant, the standard deviation, or the bound of +-bound
};

struct Parameter {
  std::string name;  // dotted, torchvision's where it has one: layer1.0.conv1.weight
  Tensor value;
  Role role = Role::weight;
  Initializer initializer;
};

using simclr::NamedTensor;

class Module;

/// One call of a module, noted on this thread while it runs, so that a RecordObserver can tell which layer recorded an
/// output. Module::operator() makes one; a module with further entry points, as BatchNorm has, makes one in each and
/// ends with check_initialized().
class SIMCLR_API ModuleCall {
 public:
  /// The module must outlive the call.
  ModuleCall(const Module& module, const Input& input);
  ~ModuleCall();
  ModuleCall(const ModuleCall&) = delete;
  ModuleCall& operator=(const ModuleCall&) = delete;

  const Module& module() const { return *module_; }
  const Input& input() const { return input_; }
  /// The call that made this one; null for the outermost.
  const ModuleCall* outer() const { return outer_; }
  /// Null where this thread is inside no module.
  static const ModuleCall* innermost();

 private:
  const Module* module_;
  Input input_;
  const ModuleCall* outer_;
};

/// A part of a model: parameters (trained), buffers (kept, not trained) and child modules, each with a name.
/// Modules are built by shared pointer and hold their children so. Parameters are NaN until initialize(), which the
/// library's models call themselves: a module of your own calls it once it is complete.
class SIMCLR_API Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// What the module computes. Call a module by its parentheses, which note the call for observers; the first call from
  /// outside all modules throws Error where a parameter is still NaN throughout.
  /// A plain tensor converts to an Input. A module hands on to its parts what they need: x alone, or with the lengths
  /// and keys where a part looks at them.
  virtual Tensor forward(const Input& input) = 0;
  Tensor operator()(const Input& input);

  /// Columns of the output, 0 where unknown.
  virtual std::int64_t output_features() const { return 0; }

  /// All parameters, the children's included, in order of registration. The handles are the module's own.
  std::vector<Parameter> parameters() const;
  /// Parameters and buffers: what a weights file holds.
  std::vector<NamedTensor> state() const;
  /// Copies values by name (dtypes converted). Throws Error naming what is missing, unknown or of another shape.
  void load_state(const std::vector<NamedTensor>& state);

  /// Draws every parameter on the CPU from (seed, FNV-1a of its name): independent of the order of registration.
  void initialize(std::uint64_t seed);
  /// Converts all floating parameters and buffers; before an optimizer takes them.
  void to(DType dtype);
  /// Moves all parameters and buffers; before an optimizer takes them.
  void to(Device device);
  /// Where the parameters live; the CPU where there are none.
  Device device() const;

  void train(bool training = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Calls `visit` with this module, then with each child's tree, in order of registration.
  void for_each(const std::function<void(Module&)>& visit);
  /// The same modules with their dotted names; this one's is empty.
  std::vector<std::pair<std::string, const Module*>> named_modules() const;
  /// This module's own parameters, without its children's.
  const std::vector<Parameter>& own_parameters() const { return parameters_; }

 protected:
  Tensor add_parameter(std::string name, const Shape& shape, Role role, Initializer initializer);
  Tensor add_buffer(std::string name, const Shape& shape, double value);
  /// Of these values, of any dtype: integers stay integers where the module is converted.
  Tensor add_buffer(std::string name, Tensor value);
  template <class M>
  std::shared_ptr<M> add_module(std::string name, std::shared_ptr<M> child) {
    children_.emplace_back(std::move(name), child);
    return child;
  }
  /// At the end of a call from outside all modules: throws Error where a parameter is still NaN throughout.
  void check_initialized(const ModuleCall& call);

 private:
  void collect_parameters(const std::string& prefix, std::vector<Parameter>& out) const;
  void collect_buffers(const std::string& prefix, std::vector<NamedTensor>& out) const;
  void collect_modules(const std::string& name, std::vector<std::pair<std::string, const Module*>>& out) const;
  template <class Where>
  void convert(Where where);

  std::vector<Parameter> parameters_;
  std::vector<NamedTensor> buffers_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
  bool training_ = true;
  std::atomic<bool> initialized_ = false;  // found so by a call
};

/// The values and the gradients of some parameters, each moved into one flat tensor, so that one call updates all.
struct ParameterArena {
  Tensor values;                      // [n], 64-byte aligned parameters; gaps are zero
  Tensor gradients;                   // [n]
  std::vector<std::int64_t> offsets;  // of each parameter, in elements
};
/// Moves the parameters (one dtype and device) into new arenas. Their handles stay valid; gradients start at zero.
SIMCLR_API ParameterArena make_arena(const std::vector<Parameter>& parameters);

}  // namespace simclr::nn
