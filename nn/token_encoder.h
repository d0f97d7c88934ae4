#pragma once

#include <simclr/nn/layers.h>

#include <memory>

/// Encoders of sequences of tokens, words say, i32 [N,T]. An input's lengths are looked at: what stands behind a
/// sequence's length changes nothing.
namespace simclr::nn {

/// What follows the embeddings: nothing, a bidirectional GRU (nn/recurrent.h) or a transformer (nn/transformer.h).
enum class TokenNetwork { bag, gru, transformer };

struct TokenEncoderOptions {
  std::int64_t entries = 0;  // ids are 0 .. entries-1
  std::int64_t width = 256;  // C, of the embeddings and of what is made of them; a GRU's directions have half each
  TokenNetwork network = TokenNetwork::bag;
  int layers = 1;                              // of the network
  std::int64_t heads = 4;                      // of the transformer
  std::int64_t longest = 64;                   // the most steps that the transformer takes
  kernels::DropoutOptions dropout = {.p = 0};  // of the embeddings, and of the transformer's branches
  Tensor tokenizer = {};   // u8 [bytes]: from which ids are made; kept in the state as "tokenizer". Undefined: none is
  std::uint64_t seed = 0;  // of the initial weights
};

/// Embeddings of tokens, "embedding", which start normal with deviation 0.1, then the network, "network"; the features
/// [N,2C] of a sequence are the mean of its tokens' features and, beside it, their maximum; 0 for a sequence of length
/// 0.
class SIMCLR_API TokenEncoder : public Module {
 public:
  /// Throws Error for sizes that are not positive, for an odd width with a GRU, for a tokenizer that is not u8 [bytes],
  /// and as the networks do.
  explicit TokenEncoder(const TokenEncoderOptions& options);
  Tensor forward(const Input& input) override;
  /// The features of each token, [N,T,C], with 0 behind the lengths, for what is asked of tokens and not of sequences.
  Tensor features_of_tokens(const Input& input);
  std::int64_t output_features() const override { return 2 * width_; }

 private:
  Tensor embed(const Input& input);
  Tensor of_tokens(const Input& input);

  std::int64_t width_;
  std::shared_ptr<Embedding> embedding_;
  std::shared_ptr<Dropout> dropout_;  // null: there is none
  std::shared_ptr<Module> network_;   // null: of a bag
};

}  // namespace simclr::nn
