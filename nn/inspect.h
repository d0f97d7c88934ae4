#pragma once

#include <simclr/nn/module.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// A look at one training step, layer by layer: how large values and gradients are, and where a NaN or Inf starts.
namespace simclr::nn {

/// Of a tensor's elements; mean, deviation, maximum and norm leave NaN and Inf out.
struct ValueStatistics {
  std::int64_t count = 0;
  std::int64_t nonfinite = 0;  // NaN or Inf
  double mean = 0;
  double stddev = 0;
  double max_abs = 0;
  double norm = 0;  // the square root of the sum of squares
};
/// Of a floating tensor of any device; waits for it. No elements: all 0.
SIMCLR_API ValueStatistics statistics_of(const Tensor& values);
/// Throws Error, "WHERE: NAME: 3 of 108 values are NaN or Inf" and `remedy`, for the first floating tensor that holds
/// some: for weights on their way from a file or into one.
SIMCLR_API void check_finite(const std::string& where, const std::vector<NamedTensor>& tensors,
                             const std::string& remedy);
/// Likewise "1 of 64 variances are below 0", for batch norm's running_var.
SIMCLR_API void check_variances(const std::string& where, const std::vector<NamedTensor>& tensors,
                                const std::string& remedy);

/// What one step left at one recorded output.
struct LayerRecord {
  std::string layer;  // the module's dotted name: "encoder.layer2.0.conv1"; empty outside the model, as for a loss
  std::string op;     // what was recorded: "conv2d"
  Shape shape;        // of the output
  ValueStatistics output;
  ValueStatistics gradient;  // of d(loss)/d(output); no elements where none flowed

  /// "encoder.layer2.0.conv1 (conv2d)", or "nt_xent" outside the model.
  std::string name() const;
};

/// A parameter and the gradient that reached it.
struct ParameterRecord {
  std::string name;
  Role role = Role::weight;
  ValueStatistics value;
  ValueStatistics gradient;
};

struct Inspection {
  std::vector<LayerRecord> layers;          // in the order of the forward pass; of in_micro_batches() part after part,
                                            // behind the loss
  std::vector<ParameterRecord> parameters;  // in the model's order
  double loss = 0;
  /// Where the first NaN or Inf is, as one line: in a parameter before the step, in the model's input, else in the
  /// first output, in order of the forward pass, else in the first gradient, in order of the backward pass:
  /// "layer2.0.conv1 (conv2d): 12 of 524288 outputs are NaN or Inf". Empty where all is finite.
  std::string nonfinite;
};

/// Runs `loss`, which runs `model` and returns a scalar, and its backward pass, and looks at every output and gradient
/// on the way. Nothing is updated: buffers, such as batch norm's running statistics, are put back, and the parameters'
/// gradients are zeroed before and after. Far slower than a step, as every value is copied to the host; holds every
/// output until backward() is done. Outputs of functions that no gradient goes through are not seen.
SIMCLR_API Inspection inspect(Module& model, const std::function<Tensor()>& loss);

}  // namespace simclr::nn
