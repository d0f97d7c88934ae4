#include <simclr/nn/recurrent.h>
#include <simclr/nn/token_encoder.h>
#include <simclr/nn/transformer.h>

#include <algorithm>
#include <span>

namespace simclr::nn {

namespace {

constexpr float start_deviation = 0.1f;  // of the embeddings

std::shared_ptr<Module> make_network(const TokenEncoderOptions& o) {
  if (o.network == TokenNetwork::gru) {
    SIMCLR_CHECK(o.width % 2 == 0, "TokenEncoder: width ", o.width, "; a GRU of two directions needs an even one");
    return std::make_shared<Gru>(
        GruOptions{.in = o.width, .width = o.width / 2, .layers = o.layers, .bidirectional = true});
  }
  if (o.network == TokenNetwork::bag) return nullptr;
  kernels::DropoutOptions dropout = o.dropout;
  ++dropout.layer;  // the first is the embeddings'
  return std::make_shared<Transformer>(TransformerOptions{
      .width = o.width, .layers = o.layers, .heads = o.heads, .positions = o.longest, .dropout = dropout});
}

/// The same without the steps that no sequence has, but for some, so that tensors come in few sizes. On a GPU the host
/// does not know the lengths, and a captured step wants one shape.
Input without_common_padding(const Input& input) {
  constexpr std::int64_t step = 8;
  const Tensor &ids = input.x, &lengths = input.lengths;
  if (!lengths.defined() || ids.device() != Device{} || lengths.numel() == 0) return input;
  const std::int32_t* length = lengths.data<const std::int32_t>();
  const std::int64_t longest = std::max<std::int64_t>(*std::max_element(length, length + lengths.numel()), 1);
  const std::int64_t all = ids.dim(1), kept = std::min((longest + step - 1) / step * step, all);
  if (kept == all) return input;
  const Tensor short_ids = Tensor::empty({ids.dim(0), kept}, DType::i32);
  for (std::int64_t n = 0; n < ids.dim(0); ++n) {
    std::copy_n(ids.data<const std::int32_t>() + n * all, kept, short_ids.data<std::int32_t>() + n * kept);
  }
  return {short_ids, lengths, input.keys};
}

}  // namespace

TokenEncoder::TokenEncoder(const TokenEncoderOptions& o) : width_(o.width) {
  SIMCLR_CHECK(o.entries > 0 && o.width > 0 && o.layers > 0 && o.longest > 0, "TokenEncoder: entries ", o.entries,
               ", width ", o.width, ", layers ", o.layers, ", longest ", o.longest, "; all must be positive");
  embedding_ =
      add_module("embedding", std::make_shared<Embedding>(EmbeddingOptions{.entries = o.entries, .width = o.width}));
  if (o.dropout.p > 0) dropout_ = add_module("dropout", std::make_shared<Dropout>(o.dropout));
  if (const auto network = make_network(o)) network_ = add_module("network", network);
  if (o.tokenizer.defined()) {
    SIMCLR_CHECK(o.tokenizer.dtype() == DType::u8 && o.tokenizer.rank() == 1, "TokenEncoder: tokenizer ",
                 describe(o.tokenizer), "; u8 [bytes] is needed");
    add_buffer("tokenizer", o.tokenizer.clone());
  }
  initialize(o.seed);
  // Embeddings start with deviation 1. Smaller ones are moved as far as the other weights by Adam's steps, so that
  // words of few texts do not stay what they were drawn as.
  Tensor table = embedding_->parameters().front().value;
  for (float& value : std::span(table.data<float>(), static_cast<std::size_t>(table.numel()))) value *= start_deviation;
}

Tensor TokenEncoder::embed(const Input& input) {
  SIMCLR_CHECK(input.x.defined() && input.x.rank() == 2 && input.x.dtype() == DType::i32,
               "TokenEncoder: x must be ids i32 [N,T], got ", describe(input.x));
  const Tensor x = (*embedding_)(input);
  return dropout_ ? (*dropout_)({x, input.lengths, input.keys}) : x;
}

Tensor TokenEncoder::of_tokens(const Input& input) {
  const Tensor x = embed(input);
  return network_ ? (*network_)({x, input.lengths, input.keys}) : x;
}

Tensor TokenEncoder::forward(const Input& input) {
  const Input own = without_common_padding(input);
  const Tensor x = of_tokens(own);
  return concatenate({mean_over_time(x, own.lengths), max_over_time(x, own.lengths)});
}

Tensor TokenEncoder::features_of_tokens(const Input& input) {
  const ModuleCall call(*this, input);
  const Tensor x = of_tokens(input);
  const Tensor own =
      input.lengths.defined() ? pad_sequences(pack_sequences(x, input.lengths), input.lengths, x.dim(0), x.dim(1)) : x;
  check_initialized(call);
  return own;
}

}  // namespace simclr::nn
