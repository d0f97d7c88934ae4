#include <simclr/kernels/shared/check.h>
#include <simclr/kernels/shared/dropout.h>
#include <simclr/nn/layers.h>

#include <algorithm>
#include <cmath>

namespace simclr::nn {

namespace {

/// How weights of `out` channels start, each a sum over `area` places of `in` channels.
Initializer start_of(ConvInit init, std::int64_t in, std::int64_t out, double area) {
  if (init == ConvInit::he) return {Initializer::Kind::normal, std::sqrt(2.0 / (static_cast<double>(out) * area))};
  return {Initializer::Kind::uniform, 1.0 / std::sqrt(static_cast<double>(in) * area)};
}

}  // namespace

Conv2d::Conv2d(const Conv2dOptions& options) : geometry_{options.stride, options.padding} {
  const auto least = [](const kernels::PerAxis& axes) { return std::min(axes.height, axes.width); };
  SIMCLR_CHECK(options.in > 0 && options.out > 0 && least(options.kernel) > 0 && least(options.stride) > 0 &&
                   least(options.padding) >= 0,
               "Conv2d: in ", options.in, ", out ", options.out, ", kernel ", options.kernel, ", stride ",
               options.stride, ", padding ", options.padding, "; all but padding must be positive");
  const double area = static_cast<double>(options.kernel.height) * options.kernel.width;
  weight_ = add_parameter("weight", {options.out, options.kernel.height, options.kernel.width, options.in},
                          Role::weight, start_of(options.init, options.in, options.out, area));
  if (options.bias) bias_ = add_parameter("bias", {options.out}, Role::bias, {});
}

Tensor Conv2d::forward(const Input& input) {
  const Tensor y = conv2d(input.x, weight_, geometry_);
  return bias_.defined() ? add_bias(y, bias_) : y;
}

Conv1d::Conv1d(const Conv1dOptions& options) : geometry_{options.stride, options.padding} {
  SIMCLR_CHECK(options.in > 0 && options.out > 0 && options.kernel > 0 && options.stride > 0 && options.padding >= 0,
               "Conv1d: in ", options.in, ", out ", options.out, ", kernel ", options.kernel, ", stride ",
               options.stride, ", padding ", options.padding, "; all but padding must be positive");
  weight_ = add_parameter("weight", {options.out, options.kernel, options.in}, Role::weight,
                          start_of(options.init, options.in, options.out, options.kernel));
  if (options.bias) bias_ = add_parameter("bias", {options.out}, Role::bias, {});
}

Tensor Conv1d::forward(const Input& input) {
  const Tensor y = conv1d(input.x, weight_, geometry_);
  return bias_.defined() ? add_bias(y, bias_) : y;
}

Linear::Linear(const LinearOptions& options) {
  SIMCLR_CHECK(options.in > 0 && options.out > 0, "Linear: in ", options.in, ", out ", options.out,
               "; both must be positive");
  const Initializer uniform{Initializer::Kind::uniform, 1.0 / std::sqrt(static_cast<double>(options.in))};
  weight_ = add_parameter("weight", {options.out, options.in}, Role::weight, uniform);
  if (options.bias) bias_ = add_parameter("bias", {options.out}, Role::bias, uniform);
}

Tensor Linear::forward(const Input& input) {
  return linear(input.x, weight_, bias_);
}

BatchNorm::BatchNorm(const BatchNormLayerOptions& options) {
  const std::int64_t channels = options.channels;
  SIMCLR_CHECK(channels > 0, "BatchNorm: ", channels, " channels; at least one is needed");
  weight_ = add_parameter("weight", {channels}, Role::norm, {Initializer::Kind::constant, options.gamma});
  bias_ = options.shift ? add_parameter("bias", {channels}, Role::norm, {Initializer::Kind::constant, 0.0})
                        : add_buffer("bias", {channels}, 0.0);
  running_mean_ = add_buffer("running_mean", {channels}, 0.0);
  running_var_ = add_buffer("running_var", {channels}, 1.0);
}

Tensor BatchNorm::apply(const Tensor& x, const Tensor& residual, bool relu) {
  const ModuleCall call(*this, x);
  const std::int64_t channels = weight_.dim(0);
  SIMCLR_CHECK(!x.defined() || x.rank() < 2 || x.dim(-1) == channels, "batchnorm: x ", x.shape(), " has ", x.dim(-1),
               " channels, this layer ", channels, kernels::layout_hint(x.shape(), channels));
  const Tensor y = batchnorm(x, weight_, bias_, running_mean_, running_var_, residual,
                             {.training = training(), .momentum = momentum_, .relu = relu, .world = world_});
  check_initialized(call);
  return y;
}

LayerNorm::LayerNorm(const LayerNormOptions& options) : eps_(options.eps) {
  SIMCLR_CHECK(options.channels > 0, "LayerNorm: ", options.channels, " channels; at least one is needed");
  weight_ = add_parameter("weight", {options.channels}, Role::norm, {Initializer::Kind::constant, 1.0});
  bias_ = add_parameter("bias", {options.channels}, Role::norm, {Initializer::Kind::constant, 0.0});
}

void LayerNorm::check_channels(const Tensor& x) const {
  SIMCLR_CHECK(!x.defined() || x.rank() < 1 || x.dim(-1) == weight_.dim(0), "layernorm: x ", x.shape(), " has ",
               x.dim(-1), " channels, this layer ", weight_.dim(0));
}

Tensor LayerNorm::forward(const Input& input) {
  check_channels(input.x);
  return layernorm(input.x, weight_, bias_, eps_);
}

ResidualNorm LayerNorm::add(const Tensor& x, const Tensor& residual) {
  const ModuleCall call(*this, x);
  check_channels(x);
  const ResidualNorm output = add_layernorm(x, residual, weight_, bias_, eps_);
  check_initialized(call);
  return output;
}

Dropout::Dropout(const kernels::DropoutOptions& options) : options_(options) {
  SIMCLR_CHECK(kernels::dropout_allows(options.p), "Dropout: p ", options.p, " is outside 0 .. 1 - 2^-16");
}

Tensor Dropout::forward(const Input& input) {
  return training() ? dropout(input.x, input.keys, options_) : input.x;
}

Embedding::Embedding(const EmbeddingOptions& options) : dtype_(options.dtype) {
  SIMCLR_CHECK(options.entries > 0 && options.width > 0, "Embedding: entries ", options.entries, ", width ",
               options.width, "; both must be positive");
  SIMCLR_CHECK(dtype_ == DType::f32 || dtype_ == DType::bf16, "Embedding: dtype ", dtype_, "; it is f32 or bf16");
  weight_ = add_parameter("weight", {options.entries, options.width}, Role::weight, {Initializer::Kind::normal, 1.0});
}

Tensor Embedding::forward(const Input& input) {
  const bool master = weight_.dtype() == DType::f32;  // which bf16 activations may stand beside
  return embedding(weight_, input.x, input.lengths, master ? dtype_ : weight_.dtype());
}

Conv2Plus1d::Conv2Plus1d(const Conv2Plus1dOptions& options) {
  const std::int64_t in = options.in, out = options.out, stride = options.stride;
  SIMCLR_CHECK(in > 0 && out > 0 && options.middle >= 0 && stride > 0, "Conv2Plus1d: in ", in, ", out ", out,
               ", middle ", options.middle, ", stride ", stride, "; in, out and stride must be positive");
  // 9 in middle + 3 middle out weights, of 27 in out.
  const std::int64_t middle =
      options.middle > 0 ? options.middle : std::max<std::int64_t>(27 * in * out / (9 * in + 3 * out), 1);
  over_frames_ =
      add_module("0", std::make_shared<Conv2d>(Conv2dOptions{
                          .in = in, .out = middle, .stride = options.stride, .padding = 1, .init = options.init}));
  norm_ = add_module("1", std::make_shared<BatchNorm>(middle));
  over_time_ =
      add_module("3", std::make_shared<Conv1d>(Conv1dOptions{
                          .in = middle, .out = out, .stride = options.stride, .padding = 1, .init = options.init}));
}

Tensor Conv2Plus1d::forward(const Input& input) {
  const Tensor& x = input.x;
  SIMCLR_CHECK(x.defined() && x.rank() == 5, "Conv2Plus1d: x must be clips [N,T,H,W,C], got ", describe(x));
  Tensor y = (*over_frames_)(x.reshape({x.dim(0) * x.dim(1), x.dim(2), x.dim(3), x.dim(4)}));
  y = norm_->relu(y);
  return (*over_time_)(y.reshape({x.dim(0), x.dim(1), y.dim(1), y.dim(2), y.dim(3)}));
}

}  // namespace simclr::nn
