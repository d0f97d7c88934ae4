#include <simclr/kernels/shared/check.h>
#include <simclr/nn/layers.h>

#include <cmath>

namespace simclr::nn {

Conv2d::Conv2d(const Conv2dOptions& options) : geometry_{options.stride, options.padding} {
  SIMCLR_CHECK(options.in > 0 && options.out > 0 && options.kernel > 0 && options.stride > 0 && options.padding >= 0,
               "Conv2d: in ", options.in, ", out ", options.out, ", kernel ", options.kernel, ", stride ",
               options.stride, ", padding ", options.padding, "; all but padding must be positive");
  const double area = static_cast<double>(options.kernel * options.kernel);
  const bool he = options.init == ConvInit::he;
  weight_ = add_parameter(
      "weight", {options.out, options.kernel, options.kernel, options.in}, Role::weight,
      he ? Initializer{Initializer::Kind::normal, std::sqrt(2.0 / (static_cast<double>(options.out) * area))}
         : Initializer{Initializer::Kind::uniform, 1.0 / std::sqrt(static_cast<double>(options.in) * area)});
  if (options.bias) bias_ = add_parameter("bias", {options.out}, Role::bias, {});
}

Tensor Conv2d::forward(const Input& input) {
  const Tensor y = conv2d(input.x, weight_, geometry_);
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
  return batchnorm(x, weight_, bias_, running_mean_, running_var_, residual,
                   {.training = training(), .momentum = momentum_, .relu = relu});
}

}  // namespace simclr::nn
