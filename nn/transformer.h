#pragma once

#include <simclr/nn/layers.h>

#include <memory>
#include <vector>

/// Transformers over sequences [N,T,C] (Vaswani et al., arXiv 1706.03762), with layer normalisation in front of each
/// branch (pre-norm, Xiong et al., arXiv 2002.04745). An input's lengths are looked at: what stands behind a sequence's
/// length changes nothing, but must be finite: a GPU, whose host does not know the lengths, computes it too.
namespace simclr::nn {

struct MultiHeadAttentionOptions {
  std::int64_t width = 0;  // C
  std::int64_t heads = 0;
};

/// Self-attention of several heads (kernels/attention.h) between two linear layers: PyTorch's nn.MultiheadAttention
/// with its parameters' names. in_proj_weight [3C,C] starts uniform in +-sqrt(6 / (4C)) (Glorot and Bengio, 2010),
/// in_proj_bias [3C] as 0, out_proj as Linear does.
class SIMCLR_API MultiHeadAttention : public Module {
 public:
  /// Throws Error for sizes that are not positive, a width that heads do not divide, and heads wider than
  /// kernels::attention_widest_head.
  explicit MultiHeadAttention(const MultiHeadAttentionOptions& options);
  /// [N,T,C] -> [N,T,C]; on the CPU 0 behind the lengths. A gradient that flows in there is dropped on the CPU alone;
  /// give zeros.
  Tensor forward(const Input& input) override;
  /// The same of packed rows [R,C] of N sequences of T steps (pack_sequences), as rows.
  Tensor of_rows(const Tensor& rows, const Tensor& lengths, std::int64_t sequences, std::int64_t steps);
  std::int64_t output_features() const override { return out_->output_features(); }
  std::int64_t heads() const { return heads_; }

 private:
  std::int64_t heads_;
  Tensor weight_, bias_;
  std::shared_ptr<Linear> out_;
};

struct TransformerOptions {
  std::int64_t width = 0;  // C
  int layers = 4;
  std::int64_t heads = 4;
  std::int64_t hidden = 0;     // between the two linear layers of a branch; 0: 4 C
  std::int64_t positions = 0;  // steps that have a learned vector of their own, added to x; 0: the order is not seen
  kernels::DropoutOptions dropout = {.p = 0};  // of each branch; the dropouts, two a layer, count up from its `layer`
};

/// For each layer x += attention(norm1(x)), then x += linear2(gelu(linear1(norm2(x)))), and at the end a normalisation:
/// PyTorch's nn.TransformerEncoder with norm_first, its parameters' names ("layers.0.self_attn.in_proj_weight", ...,
/// "norm.weight") and "positions" [positions,C], which start normal with deviation 0.02.
class SIMCLR_API Transformer : public Module {
 public:
  /// Throws Error for sizes that are not positive, and as the layers do.
  explicit Transformer(const TransformerOptions& options);
  /// [N,T,C] -> [N,T,C]: the features of each step; those behind the lengths mean nothing, and are not computed on the
  /// CPU. A gradient that flows in there is dropped on the CPU alone; give zeros. Throws Error for more steps than
  /// positions, and in training with a dropout where the input has no keys.
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return width_; }

 private:
  struct Layer {
    std::shared_ptr<LayerNorm> norm1, norm2;
    std::shared_ptr<MultiHeadAttention> attention;
    std::shared_ptr<Linear> linear1, linear2;
    std::shared_ptr<Dropout> dropout1, dropout2;
  };

  Tensor add_positions(const Tensor& x) const;
  /// Of packed rows of the input's sequences.
  Tensor drop(Dropout& dropout, const Tensor& rows, const Input& input) const;

  std::int64_t width_;
  bool drops_;
  Tensor positions_;
  std::vector<Layer> layers_;
  std::shared_ptr<LayerNorm> norm_;
};

/// An encoder of sequences: a Transformer, "transformer", and the mean over a sequence's own steps. [N,T,C] to features
/// [N,C]; 0 for a sequence of length 0.
class SIMCLR_API TransformerEncoder : public Module {
 public:
  explicit TransformerEncoder(const TransformerOptions& options);
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return transformer_->output_features(); }

 private:
  std::shared_ptr<Transformer> transformer_;
};

struct VisionTransformerOptions {
  std::int64_t size = 32;  // height and width of a picture
  std::int64_t patch = 4;  // of a patch
  std::int64_t channels = 3;
  std::int64_t width = 192;  // C
  int layers = 6;
  std::int64_t heads = 3;
  std::int64_t hidden = 0;  // 0: 4 C
  kernels::DropoutOptions dropout = {.p = 0};
  std::uint64_t seed = 0;  // of the initial weights
};

/// A vision transformer (Dosovitskiy et al., arXiv 2010.11929): a picture's patches, each through one linear layer
/// (a convolution, "conv_proj"), are the steps of a TransformerEncoder, "encoder", with learned positions; features are
/// their mean (Beyer et al., arXiv 2205.01580), for which no class token is needed. [N,size,size,channels] -> [N,C].
class SIMCLR_API VisionTransformer : public Module {
 public:
  /// Throws Error for sizes that are not positive, and a size that patches do not divide.
  explicit VisionTransformer(const VisionTransformerOptions& options);
  /// Throws Error for pictures of another size or other channels.
  Tensor forward(const Input& input) override;
  std::int64_t output_features() const override { return encoder_->output_features(); }

 private:
  std::int64_t size_, channels_;
  std::shared_ptr<Conv2d> patches_;
  std::shared_ptr<TransformerEncoder> encoder_;
};

}  // namespace simclr::nn
