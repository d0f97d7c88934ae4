#pragma once

#include <simclr/nn/functional.h>
#include <simclr/nn/module.h>

#include <memory>

/// The layers that models are built of. Options are filled by name: Conv2d({.in = 3, .out = 64, .kernel = 3}). Inputs
/// are f32 or f64 on the CPU, f32 or bf16 on a GPU, and outputs of the same dtype; parameters are of that dtype too,
/// but f32 beside bf16. A layer's forward() throws Error for an input of another rank, or with other channels than its
/// own.
namespace simclr::nn {

/// How a convolution's weights [out,kernel,kernel,in] start. `he`: normal with variance 2 / (out kernel^2) (He et al.,
/// arXiv 1502.01852, fan out), as torchvision's ResNet does. `uniform`: in +-1/sqrt(in kernel^2), as a bare Conv2d of
/// PyTorch does.
enum class ConvInit { he, uniform };

struct Conv2dOptions {
  std::int64_t in = 0;
  std::int64_t out = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 0;
  bool bias = false;
  ConvInit init = ConvInit::he;
};

/// [N,H,W,in] -> [N,H',W',out], H' = (H + 2 padding - kernel) / stride + 1.
class SIMCLR_API Conv2d : public Module {
 public:
  /// Throws Error for sizes that are not positive, or a negative padding.
  explicit Conv2d(const Conv2dOptions& options);
  Tensor forward(const Input& input) override;

 private:
  kernels::Conv2dGeometry geometry_;
  Tensor weight_, bias_;
};

struct LinearOptions {
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool bias = true;
};

/// [N,in] -> [N,out]. Weights [out,in] and bias start uniform in +-1/sqrt(in), as PyTorch's.
class SIMCLR_API Linear : public Module {
 public:
  /// Throws Error for sizes that are not positive.
  explicit Linear(const LinearOptions& options);
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return weight_.dim(0); }

 private:
  Tensor weight_, bias_;
};

struct BatchNormLayerOptions {
  std::int64_t channels = 0;
  double gamma = 1.0;  // where the scale starts
  bool shift = true;   // false: scale only; the shift stays 0 and is a buffer
};

/// Batch normalisation of each channel, the last dimension of [...,C], over all others, fused with what follows it: in
/// training by the batch's statistics, of at least 2 values a channel, which move the running ones; in evaluation by
/// those.
class SIMCLR_API BatchNorm : public Module {
 public:
  /// Throws Error where there are no channels.
  explicit BatchNorm(std::int64_t channels) : BatchNorm(BatchNormLayerOptions{.channels = channels}) {}
  explicit BatchNorm(const BatchNormLayerOptions& options);
  Tensor forward(const Input& input) override { return apply(input.x, {}, false); }
  /// relu(batchnorm(x))
  Tensor relu(const Tensor& x) { return apply(x, {}, true); }
  /// relu(batchnorm(x) + residual), residual of x's shape and dtype
  Tensor add_relu(const Tensor& x, const Tensor& residual) { return apply(x, residual, true); }

  /// How far each training batch moves the running statistics; 1/k at the k-th batch gives their plain average.
  void set_momentum(double momentum) { momentum_ = momentum; }

 private:
  Tensor apply(const Tensor& x, const Tensor& residual, bool relu);

  double momentum_ = 0.1;
  Tensor weight_, bias_, running_mean_, running_var_;
};

/// max(x, 0) of any shape.
class SIMCLR_API ReLU : public Module {
 public:
  Tensor forward(const Input& input) override { return relu(input.x); }
};

/// [N,H,W,C] -> [N,H',W',C], as kernels/pool.h has it.
class SIMCLR_API MaxPool : public Module {
 public:
  explicit MaxPool(const kernels::MaxPoolGeometry& geometry = {}) : geometry_(geometry) {}
  Tensor forward(const Input& input) override { return max_pool(input.x, geometry_); }

 private:
  kernels::MaxPoolGeometry geometry_;
};

/// [N,H,W,C] -> [N,C].
class SIMCLR_API GlobalAveragePool : public Module {
 public:
  Tensor forward(const Input& input) override { return global_average_pool(input.x); }
};

}  // namespace simclr::nn
