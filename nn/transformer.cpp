#include <simclr/kernels/attention.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/nn/transformer.h>

#include <cmath>

namespace simclr::nn {

namespace {

void check_sequences(const char* module, const Tensor& x, std::int64_t width) {
  SIMCLR_CHECK(x.defined() && x.rank() == 3 && x.dim(2) == width, module, ": x must be [N,T,", width, "], got ",
               describe(x));
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(const MultiHeadAttentionOptions& options) : heads_(options.heads) {
  const std::int64_t width = options.width;
  SIMCLR_CHECK(width > 0 && heads_ > 0 && width % heads_ == 0, "MultiHeadAttention: width ", width, ", heads ", heads_,
               "; both must be positive, and the width a multiple of the heads");
  SIMCLR_CHECK(width / heads_ <= kernels::attention_widest_head, "MultiHeadAttention: heads of ", width / heads_,
               " values; at most ", kernels::attention_widest_head, " are supported, take more heads");
  const double bound = std::sqrt(6.0 / static_cast<double>(4 * width));
  weight_ = add_parameter("in_proj_weight", {3 * width, width}, Role::weight, {Initializer::Kind::uniform, bound});
  bias_ = add_parameter("in_proj_bias", {3 * width}, Role::bias, {});
  out_ = add_module("out_proj", std::make_shared<Linear>(LinearOptions{.in = width, .out = width}));
}

Tensor MultiHeadAttention::of_rows(const Tensor& rows, const Tensor& lengths, std::int64_t sequences,
                                   std::int64_t steps) {
  const ModuleCall call(*this, rows);
  const Tensor qkv = pad_sequences(linear(rows, weight_, bias_), lengths, sequences, steps);
  const Tensor y = (*out_)(pack_sequences(attention(qkv, heads_, lengths), lengths));
  check_initialized(call);
  return y;
}

Tensor MultiHeadAttention::forward(const Input& input) {
  const Tensor& x = input.x;
  check_sequences("MultiHeadAttention", x, output_features());
  const Tensor rows = of_rows(pack_sequences(x, input.lengths), input.lengths, x.dim(0), x.dim(1));
  return pad_sequences(rows, input.lengths, x.dim(0), x.dim(1));
}

Transformer::Transformer(const TransformerOptions& options) : width_(options.width), drops_(options.dropout.p > 0) {
  const std::int64_t hidden = options.hidden == 0 ? 4 * width_ : options.hidden;
  SIMCLR_CHECK(width_ > 0 && options.layers > 0 && hidden > 0 && options.positions >= 0, "Transformer: width ", width_,
               ", layers ", options.layers, ", hidden ", options.hidden, ", positions ", options.positions,
               "; width and layers must be positive, and none negative");
  if (options.positions > 0) {
    positions_ = add_parameter("positions", {options.positions, width_}, Role::bias, {Initializer::Kind::normal, 0.02});
  }
  kernels::DropoutOptions dropout = options.dropout;
  for (int i = 0; i < options.layers; ++i) {
    const std::string at = "layers." + std::to_string(i) + ".";
    Layer layer;
    layer.attention = add_module(at + "self_attn", std::make_shared<MultiHeadAttention>(MultiHeadAttentionOptions{
                                                       .width = width_, .heads = options.heads}));
    layer.linear1 = add_module(at + "linear1", std::make_shared<Linear>(LinearOptions{.in = width_, .out = hidden}));
    layer.linear2 = add_module(at + "linear2", std::make_shared<Linear>(LinearOptions{.in = hidden, .out = width_}));
    layer.norm1 = add_module(at + "norm1", std::make_shared<LayerNorm>(width_));
    layer.norm2 = add_module(at + "norm2", std::make_shared<LayerNorm>(width_));
    layer.dropout1 = add_module(at + "dropout1", std::make_shared<Dropout>(dropout));
    ++dropout.layer;
    layer.dropout2 = add_module(at + "dropout2", std::make_shared<Dropout>(dropout));
    ++dropout.layer;
    layers_.push_back(layer);
  }
  norm_ = add_module("norm", std::make_shared<LayerNorm>(width_));
}

Tensor Transformer::add_positions(const Tensor& x) const {
  const std::int64_t steps = x.dim(1);
  SIMCLR_CHECK(steps <= positions_.dim(0), "Transformer: x has ", steps, " steps, positions are learned for ",
               positions_.dim(0));
  const Tensor own = positions_.narrow(0, steps).reshape({steps * width_});
  return add_bias(x.reshape({x.dim(0), steps * width_}), own).reshape(x.shape());
}

Tensor Transformer::drop(Dropout& dropout, const Tensor& rows, const Input& input) const {
  if (!drops_ || !training()) return rows;
  // An element's place in its sequence decides.
  const Tensor x = pad_sequences(rows, input.lengths, input.x.dim(0), input.x.dim(1));
  return pack_sequences(dropout({x, {}, input.keys}), input.lengths);
}

Tensor Transformer::forward(const Input& input) {
  check_sequences("Transformer", input.x, width_);
  const std::int64_t sequences = input.x.dim(0), steps = input.x.dim(1);
  const Tensor x = pack_sequences(positions_.defined() ? add_positions(input.x) : input.x, input.lengths);
  ResidualNorm at{(*layers_[0].norm1)(x), x};
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const Tensor attended = layer.attention->of_rows(at.y, input.lengths, sequences, steps);
    at = layer.norm2->add(drop(*layer.dropout1, attended, input), at.sum);
    const Tensor transformed = (*layer.linear2)(gelu((*layer.linear1)(at.y)));
    // The addition takes the next normalisation with it.
    LayerNorm& next = i + 1 < layers_.size() ? *layers_[i + 1].norm1 : *norm_;
    at = next.add(drop(*layer.dropout2, transformed, input), at.sum);
  }
  return pad_sequences(at.y, input.lengths, sequences, steps);
}

TransformerEncoder::TransformerEncoder(const TransformerOptions& options)
    : transformer_(add_module("transformer", std::make_shared<Transformer>(options))) {}

Tensor TransformerEncoder::forward(const Input& input) {
  return mean_over_time((*transformer_)(input), input.lengths);
}

VisionTransformer::VisionTransformer(const VisionTransformerOptions& options)
    : size_(options.size), channels_(options.channels) {
  const std::int64_t patch = options.patch;
  SIMCLR_CHECK(size_ > 0 && patch > 0 && channels_ > 0 && size_ % patch == 0, "VisionTransformer: size ", size_,
               ", patch ", patch, ", channels ", channels_,
               "; all must be positive, and the size a multiple of the patch");
  const auto side = static_cast<int>(patch);
  patches_ = add_module("conv_proj", std::make_shared<Conv2d>(Conv2dOptions{.in = channels_,
                                                                            .out = options.width,
                                                                            .kernel = side,
                                                                            .stride = side,
                                                                            .bias = true,
                                                                            .init = ConvInit::uniform}));
  const std::int64_t along = size_ / patch;
  encoder_ =
      add_module("encoder", std::make_shared<TransformerEncoder>(TransformerOptions{.width = options.width,
                                                                                    .layers = options.layers,
                                                                                    .heads = options.heads,
                                                                                    .hidden = options.hidden,
                                                                                    .positions = along * along,
                                                                                    .dropout = options.dropout}));
  initialize(options.seed);
}

Tensor VisionTransformer::forward(const Input& input) {
  const Tensor& x = input.x;
  SIMCLR_CHECK(x.defined() && x.rank() == 4 && x.dim(1) == size_ && x.dim(2) == size_ && x.dim(3) == channels_,
               "VisionTransformer: x must be [N,", size_, ",", size_, ",", channels_, "], got ", describe(x),
               x.defined() ? kernels::layout_hint(x.shape(), channels_) : "");
  const Tensor patches = (*patches_)(x);
  const std::int64_t steps = patches.dim(1) * patches.dim(2);
  return (*encoder_)({patches.reshape({x.dim(0), steps, patches.dim(3)}), {}, input.keys});
}

}  // namespace simclr::nn
