#include <simclr/nn/onnx_layers.h>

#include <simclr/core/error.h>
#include <simclr/nn/inspect.h>
#include <simclr/nn/layers.h>

#include <cmath>
#include <limits>

namespace simclr::nn::onnx {

namespace {

/// [out, places, in] -> [out, in, places], as a tensor of `shape`.
Tensor channels_first(const Tensor& weight, const Shape& shape) {
  const std::int64_t out = weight.dim(0), in = weight.dim(-1), places = weight.numel() / (out * in);
  const float* from = weight.data<const float>();
  Tensor result = Tensor::empty(shape);
  float* to = result.data<float>();
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t c = 0; c < in; ++c) {
      for (std::int64_t p = 0; p < places; ++p) *to++ = from[(o * places + p) * in + c];
    }
  }
  return result;
}

}  // namespace

Layers::Layers(const Module& root, Graph& graph, bool fold) : graph_(graph), fold_(fold) {
  for (const auto& [name, module] : root.named_modules()) modules_.emplace(name, module);
  for (const NamedTensor& tensor : root.state()) tensors_.emplace(tensor.name, tensor.value);
}

const Module& Layers::module(const std::string& name) const {
  const auto found = modules_.find(name);
  SIMCLR_CHECK(found != modules_.end(), "export_onnx: the module has no part called ", name);
  return *found->second;
}

Tensor Layers::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  SIMCLR_CHECK(found != tensors_.end(), "export_onnx: the module has no parameter called ", name);
  Tensor values = found->second.detach().to(Device{}).to(DType::f32);
  check_finite("export_onnx", {{name, values}}, " in f32; train it again, in f32");  // f64 holds larger ones
  return values;
}

Layers::Weights Layers::weights_of(const std::string& layer, const std::string& norm) const {
  Weights own{tensor(layer + ".weight"), has(layer + ".bias") ? tensor(layer + ".bias") : Tensor{}};
  if (norm.empty() || !fold_) return own;
  own.weight = own.weight.clone();
  const Tensor gamma = tensor(norm + ".weight"), beta = tensor(norm + ".bias");
  const Tensor mean = tensor(norm + ".running_mean"), variance = tensor(norm + ".running_var");
  const std::int64_t out = own.weight.dim(0), each = own.weight.numel() / out;
  Tensor bias = Tensor::empty({out});
  for (std::int64_t o = 0; o < out; ++o) {
    const double factor =
        gamma.data<const float>()[o] / std::sqrt(double{variance.data<const float>()[o]} + BatchNormOptions{}.eps);
    const double before = own.bias.defined() ? own.bias.data<const float>()[o] : 0.0;
    bias.data<float>()[o] =
        static_cast<float>(beta.data<const float>()[o] + factor * (before - mean.data<const float>()[o]));
    float* row = own.weight.data<float>() + o * each;
    for (std::int64_t i = 0; i < each; ++i) row[i] = static_cast<float>(factor * row[i]);
  }
  own.bias = bias;
  check_finite("export_onnx", {{layer + ".weight", own.weight}, {layer + ".bias", own.bias}},
               " with " + norm + " folded into them; set OnnxOptions::fold_batchnorm to false (--no-fold)");
  return own;
}

std::string Layers::normalised(const std::string& x, const std::string& norm) {
  if (norm.empty() || fold_) return x;
  std::vector<std::string> inputs = {x};
  for (const char* name : {".weight", ".bias", ".running_mean", ".running_var"}) {
    inputs.push_back(graph_.initializer(norm + name, tensor(norm + name)));
  }
  return graph_.add(norm, "BatchNormalization", inputs, {{"epsilon", static_cast<float>(BatchNormOptions{}.eps)}});
}

std::string Layers::conv(const std::string& x, const std::string& name, const std::string& norm, const Tensor& weight,
                         const Tensor& bias, const std::vector<std::int64_t>& strides,
                         const std::vector<std::int64_t>& padding) {
  std::vector<std::string> inputs = {x, graph_.initializer(name + ".weight", weight)};
  if (bias.defined()) inputs.push_back(graph_.initializer(name + ".bias", bias));
  std::vector<std::int64_t> pads = padding;  // at the beginning of each axis, then at the end
  pads.insert(pads.end(), padding.begin(), padding.end());
  const std::vector<std::int64_t> kernel(weight.shape().begin() + 2, weight.shape().end());
  const std::string y =
      graph_.add(name, "Conv", inputs, {{"kernel_shape", kernel}, {"pads", pads}, {"strides", strides}});
  return normalised(y, norm);
}

std::string Layers::conv_of_pictures(const std::string& x, const std::string& name, const std::string& norm) {
  const auto& [stride, padding] = dynamic_cast<const Conv2d&>(module(name)).geometry();
  const auto [weight, bias] = weights_of(name, norm);
  const Shape& s = weight.shape();
  return conv(x, name, norm, channels_first(weight, {s[0], s[3], s[1], s[2]}), bias, {stride.height, stride.width},
              {padding.height, padding.width});
}

std::string Layers::conv_of_frames(const std::string& x, const std::string& name, const std::string& norm,
                                   std::int64_t frame_stride) {
  const auto& [stride, padding] = dynamic_cast<const Conv2d&>(module(name)).geometry();
  const auto [weight, bias] = weights_of(name, norm);
  const Shape& s = weight.shape();
  return conv(x, name, norm, channels_first(weight, {s[0], s[3], 1, s[1], s[2]}), bias,
              {frame_stride, stride.height, stride.width}, {0, padding.height, padding.width});
}

std::string Layers::conv_over_time(const std::string& x, const std::string& name, const std::string& norm) {
  const Conv1dGeometry& geometry = dynamic_cast<const Conv1d&>(module(name)).geometry();
  const auto [weight, bias] = weights_of(name, norm);
  const Shape& s = weight.shape();
  return conv(x, name, norm, channels_first(weight, {s[0], s[2], s[1], 1, 1}), bias, {geometry.stride, 1, 1},
              {geometry.padding, 0, 0});
}

std::string Layers::linear_of_rows(const std::string& x, const std::string& name, const std::string& norm) {
  const auto [weight, bias] = weights_of(name, norm);
  std::vector<std::string> inputs = {x, graph_.initializer(name + ".weight", weight)};
  if (bias.defined()) inputs.push_back(graph_.initializer(name + ".bias", bias));
  return normalised(graph_.add(name, "Gemm", inputs, {{"transB", std::int64_t{1}}}), norm);
}

std::string Layers::linear_of_steps(const std::string& x, const std::string& weight, const std::string& bias) {
  const std::string w = graph_.initializer(weight, tensor(weight)), b = graph_.initializer(bias, tensor(bias));
  const std::string product = graph_.add(weight, "MatMul", {x, transposed(w, weight, {1, 0})});
  return graph_.add(weight, "Add", {product, b});
}

std::string Layers::layer_norm(const std::string& x, const std::string& name) {
  const auto eps = static_cast<float>(dynamic_cast<const LayerNorm&>(module(name)).eps());
  return graph_.add(name, "LayerNormalization",
                    {x, graph_.initializer(name + ".weight", tensor(name + ".weight")),
                     graph_.initializer(name + ".bias", tensor(name + ".bias"))},
                    {{"axis", std::int64_t{-1}}, {"epsilon", eps}});
}

std::string Layers::gelu(const std::string& x, const std::string& scope) {
  const std::string erf = graph_.add(scope, "Erf", {graph_.add(scope, "Div", {x, graph_.real(std::sqrt(2.0f))})});
  const std::string product = graph_.add(scope, "Mul", {x, graph_.add(scope, "Add", {erf, graph_.real(1.0f)})});
  return graph_.add(scope, "Mul", {product, graph_.real(0.5f)});
}

std::string Layers::own_steps(const std::string& x, const std::string& lengths) {
  if (lengths.empty()) return "";
  const std::string scope = "own_steps";
  const std::string all = graph_.add(scope, "Range", {graph_.integer(0), steps_of(x, scope), graph_.integer(1)});
  const std::string counts =
      graph_.add(scope, "Cast", {lengths}, {{"to", static_cast<std::int64_t>(ElementType::i64)}});
  return graph_.add(scope, "Less", {all, with_axis(counts, scope, 1)});
}

std::string Layers::mean_over_time(const std::string& x, const std::string& own, const std::string& lengths) {
  const std::string scope = "mean_over_time";
  if (own.empty()) {
    return graph_.add(scope, "ReduceMean", {x},
                      {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{0}}});
  }
  const std::string kept = graph_.add(scope, "Where", {with_axis(own, scope, 2), x, graph_.real(0.0f)});
  const std::string sum = graph_.add(scope, "ReduceSum", {kept, graph_.integers({1})}, {{"keepdims", std::int64_t{0}}});
  const std::string counts =
      graph_.add(scope, "Cast", {lengths}, {{"to", static_cast<std::int64_t>(ElementType::f32)}});
  const std::string divisor = graph_.add(scope, "Max", {counts, graph_.real(1.0f)});
  return graph_.add(scope, "Div", {sum, with_axis(divisor, scope, 1)});
}

std::string Layers::max_over_time(const std::string& x, const std::string& own, const std::string& lengths) {
  const std::string scope = "max_over_time";
  const std::vector<Attribute> over_steps = {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{0}}};
  if (own.empty()) return graph_.add(scope, "ReduceMax", {x}, over_steps);
  const std::string least = graph_.real(std::numeric_limits<float>::lowest());
  const std::string kept = graph_.add(scope, "Where", {with_axis(own, scope, 2), x, least});
  const std::string largest = graph_.add(scope, "ReduceMax", {kept}, over_steps);
  const std::string counts =
      graph_.add(scope, "Cast", {lengths}, {{"to", static_cast<std::int64_t>(ElementType::i64)}});
  const std::string any = graph_.add(scope, "Greater", {with_axis(counts, scope, 1), graph_.integer(0)});
  return graph_.add(scope, "Where", {any, largest, graph_.real(0.0f)});
}

std::string Layers::steps_of(const std::string& x, const std::string& scope) {
  return graph_.add(scope, "Gather", {graph_.add(scope, "Shape", {x}), graph_.integer(1)});
}

std::string Layers::without_axis(const std::string& x, const std::string& scope, std::int64_t axis) {
  return graph_.add(scope, "Squeeze", {x, graph_.integers({axis})});
}

std::string Layers::with_axis(const std::string& x, const std::string& scope, std::int64_t axis) {
  return graph_.add(scope, "Unsqueeze", {x, graph_.integers({axis})});
}

std::string Layers::transposed(const std::string& x, const std::string& scope, const std::vector<std::int64_t>& order) {
  return graph_.add(scope, "Transpose", {x}, {{"perm", order}});
}

std::string Layers::reshaped(const std::string& x, const std::string& scope, const std::vector<std::int64_t>& shape) {
  return graph_.add(scope, "Reshape", {x, graph_.integers(shape)});
}

}  // namespace simclr::nn::onnx
