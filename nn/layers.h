#pragma once

#include <simclr/nn/functional.h>
#include <simclr/nn/module.h>

#include <memory>

/// The layers that models are built of. Options are filled by name: Conv2d({.in = 3, .out = 64, .kernel = 3}). Inputs
/// are f32 or f64 on the CPU, f32 or bf16 on a GPU, and outputs of the same dtype; parameters are of that dtype too,
/// but f32 beside bf16. A layer's forward() throws Error for an input of another rank, or with other channels than its
/// own.
namespace simclr::nn {

/// How a convolution's weights [out,height,width,in] start, height x width being the kernel's. `he`: normal with
/// variance 2 / (out height width) (He et al., arXiv 1502.01852, fan out), as torchvision's ResNet does. `uniform`: in
/// +-1/sqrt(in height width), as a bare Conv2d of PyTorch does.
enum class ConvInit { he, uniform };

struct Conv2dOptions {
  std::int64_t in = 0;
  std::int64_t out = 0;
  kernels::PerAxis kernel = 3;
  kernels::PerAxis stride = 1;
  kernels::PerAxis padding = 0;
  bool bias = false;
  ConvInit init = ConvInit::he;
};

/// [N,H,W,in] -> [N,H',W',out], H' = (H + 2 padding - kernel) / stride + 1, and W' likewise; each of the three is one
/// number, or one for each axis: {.kernel = {3, 1}, .padding = {1, 0}}.
class SIMCLR_API Conv2d : public Module {
 public:
  /// Throws Error for sizes that are not positive, or a negative padding.
  explicit Conv2d(const Conv2dOptions& options);
  Tensor forward(const Input& input) override;
  const kernels::Conv2dGeometry& geometry() const { return geometry_; }

 private:
  kernels::Conv2dGeometry geometry_;
  Tensor weight_, bias_;
};

struct Conv1dOptions {
  std::int64_t in = 0;
  std::int64_t out = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 0;
  bool bias = false;
  ConvInit init = ConvInit::he;
};

/// [N,T,...,in] -> [N,T',...,out], T' = (T + 2 padding - kernel) / stride + 1: along sequences [N,T,in], and along the
/// time of clips [N,T,H,W,in]. Weights [out,kernel,in]. Lengths are not looked at: behind a sequence's end stands what
/// the padding of its input gives.
class SIMCLR_API Conv1d : public Module {
 public:
  /// Throws Error for sizes that are not positive, or a negative padding.
  explicit Conv1d(const Conv1dOptions& options);
  Tensor forward(const Input& input) override;
  const Conv1dGeometry& geometry() const { return geometry_; }

 private:
  Conv1dGeometry geometry_;
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
  /// Training takes the statistics of all ranks' rows, as many of each; null: of this process's. Model::set_world()
  /// sets it for all layers.
  void set_world(World* world) { world_ = world; }

 private:
  Tensor apply(const Tensor& x, const Tensor& residual, bool relu);

  double momentum_ = 0.1;
  World* world_ = nullptr;
  Tensor weight_, bias_, running_mean_, running_var_;
};

struct LayerNormOptions {
  std::int64_t channels = 0;
  double eps = 1e-5;  // PyTorch's; torchvision's ViT has 1e-6
};

/// Layer normalisation over the channels, the last dimension of [...,C]. Weight and bias [C] start as 1 and 0.
class SIMCLR_API LayerNorm : public Module {
 public:
  /// Throws Error where there are no channels.
  explicit LayerNorm(std::int64_t channels) : LayerNorm(LayerNormOptions{.channels = channels}) {}
  explicit LayerNorm(const LayerNormOptions& options);
  Tensor forward(const Input& input) override;
  /// sum = x + residual, and y = layernorm(sum), in one pass: what follows a residual branch of a pre-norm encoder.
  ResidualNorm add(const Tensor& x, const Tensor& residual);
  double eps() const { return eps_; }

 private:
  void check_channels(const Tensor& x) const;

  double eps_;
  Tensor weight_, bias_;
};

struct EmbeddingOptions {
  std::int64_t entries = 0;  // V
  std::int64_t width = 0;    // C
  DType dtype = DType::f32;  // of what comes out beside an f32 table: f32 or bf16
};

/// ids i32 [N,T] in 0..entries-1 -> [N,T,width], zeros behind each sequence's length where the input has lengths.
/// Weights [entries,width] start normal, as PyTorch's.
class SIMCLR_API Embedding : public Module {
 public:
  /// Throws Error for sizes that are not positive, and for another dtype.
  explicit Embedding(const EmbeddingOptions& options);
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return weight_.dim(1); }

 private:
  DType dtype_;
  Tensor weight_;
};

/// In training drops each element of x [N,...] with probability p and divides what stays by 1 - p, by the keys of the
/// input's views (kernels/dropout.h); in evaluation, and for p 0, it gives x. Give each dropout of a model a layer
/// number of its own.
class SIMCLR_API Dropout : public Module {
 public:
  /// Throws Error for a p outside 0 .. 1 - 2^-16.
  explicit Dropout(const kernels::DropoutOptions& options);
  /// Throws Error in training where the input has no keys.
  Tensor forward(const Input& input) override;

 private:
  kernels::DropoutOptions options_;
};

/// [N,T,C] -> [N,C], the mean over the steps that are a sequence's own.
class SIMCLR_API MeanOverTime : public Module {
 public:
  Tensor forward(const Input& input) override { return mean_over_time(input.x, input.lengths); }
};

/// [N,T,C] -> [N,C], the maximum over the steps that are a sequence's own.
class SIMCLR_API MaxOverTime : public Module {
 public:
  Tensor forward(const Input& input) override { return max_over_time(input.x, input.lengths); }
};

struct Conv2Plus1dOptions {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t middle = 0;  // channels between the two; 0: as many as make the weights of a 3 x 3 x 3 convolution
  int stride = 1;           // of time, height and width
  ConvInit init = ConvInit::he;
};

/// A (2+1)D convolution (Tran et al., arXiv 1711.11248): 3 x 3 over each frame, batch normalisation, ReLU, then 3 over
/// time. Clips [N,T,H,W,in] -> [N,T',H',W',out], each side halved by a stride of 2, rounded up. torchvision's names:
/// "0", "1" and "3".
class SIMCLR_API Conv2Plus1d : public Module {
 public:
  /// Throws Error for sizes that are not positive.
  explicit Conv2Plus1d(const Conv2Plus1dOptions& options);
  Tensor forward(const Input& input) override;

 private:
  std::shared_ptr<Conv2d> over_frames_;
  std::shared_ptr<BatchNorm> norm_;
  std::shared_ptr<Conv1d> over_time_;
};

/// max(x, 0) of any shape.
class SIMCLR_API ReLU : public Module {
 public:
  Tensor forward(const Input& input) override { return relu(input.x); }
};

/// x P(x) of any shape, as kernels/gelu.h has it.
class SIMCLR_API GELU : public Module {
 public:
  Tensor forward(const Input& input) override { return gelu(input.x); }
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
