#pragma once

// Private to nn: the library's encoders as ONNX graphs.

#include <simclr/kernels/augment.h>
#include <simclr/nn/onnx_layers.h>

#include <string>

namespace simclr::nn::onnx {

/// What an encoder is given: a value in the layout of Layers, and of sequences their lengths, i32 [N]; empty: all
/// steps are a sequence's own.
struct GraphInput {
  std::string x, lengths;
};

/// The name of the module whose parts' names begin with `at`: "encoder" of "encoder.".
inline std::string whole(const std::string& at) {
  return at.substr(0, at.empty() ? 0 : at.size() - 1);
}

/// Each gives the features [N,F] of the encoder whose parts' names begin with `at`, "" or "encoder." say.
/// x [N,C,H,W].
std::string resnet(Layers& layers, const std::string& at, const std::string& x);
/// x [N,C,T,H,W].
std::string video_resnet(Layers& layers, const std::string& at, const std::string& x);
/// x [N,T,C].
std::string gru_encoder(Layers& layers, const std::string& at, const GraphInput& input);
std::string transformer_encoder(Layers& layers, const std::string& at, const GraphInput& input);
/// x [N,C,H,W].
std::string vision_transformer(Layers& layers, const std::string& at, const std::string& x);
/// x i32 [N,T].
std::string token_encoder(Layers& layers, const std::string& at, const GraphInput& input);
/// x [N,F] -> [N,D].
std::string projection_head(Layers& layers, const std::string& at, const std::string& x);

/// Pictures u8 [N,height,width,C] of any size as evaluation sees them by this policy, [N,C,S,S].
std::string prepared_pictures(Layers& layers, const std::string& x, const kernels::AugmentPolicy& policy);

}  // namespace simclr::nn::onnx
