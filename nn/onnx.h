#pragma once

#include <simclr/core/file.h>
#include <simclr/kernels/augment.h>
#include <simclr/nn/module.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

/// Encoders as ONNX files (opset 17, IR version 8), for runtimes that know nothing of this library.
namespace simclr::nn {

struct OnnxOptions {
  /// Batch normalisation becomes part of the convolution or linear layer before it, in double precision; false: nodes
  /// of its own, BatchNormalization.
  bool fold_batchnorm = true;
  /// Encoders of sequences take their lengths as a second input; false: all steps are a sequence's own.
  bool lengths = true;
  /// The graph begins with what evaluation does to pictures: its input is then u8 [N,height,width,C] of any size, of
  /// the policy's channels. The largest centred square is resized with the library's own filter (two products with a
  /// matrix that the graph makes from the size) and normalised; of the policy size, channels, interpolation, mean and
  /// stddev are looked at. All pictures of a batch have one size. For encoders of pictures.
  std::optional<kernels::AugmentPolicy> pictures = {};
  /// The file's metadata_props, in UTF-8; bytes go in as base64, say.
  std::map<std::string, std::string> metadata = {};
  Existing existing = Existing::replace;
};

/// Writes what `module` computes in evaluation, in f32, wherever its parameters live; the module is only read. Known
/// are ResNet, VideoResNet, FrameGru, VisionTransformer, GruEncoder, TransformerEncoder, TokenEncoder, and one of these
/// as "encoder" below a ProjectionHead "head": SimCLR, or a tower (Model::tower()).
///
/// `sample` is the shape of one input, without the batch, in the library's own layout: [H,W,C] of pictures, [T,H,W,C]
/// of clips or [K,T,H,W,C] of several clips of each video, [T,C] of sequences, [T] of token ids. H and W of a ResNet,
/// T, H and W of a VideoResNet and T of sequences may be 0, which stands for any.
///
/// The graph's input is called "input", [N,...] with N of 1 or more, f32 (i32 of token ids; u8 of
/// OnnxOptions::pictures), its second one, of sequences, "lengths", i32 [N] in 0..T, and its output "features", f32
/// [N,F]. T is 1 or more, also where all lengths are 0; what stands behind the lengths may be anything, NaN too.
/// Inside, pictures are [N,C,H,W]: a Transpose comes first, and convolution weights are [out,in,kh,kw]. Initializers
/// have the parameters' dotted names, so that a ResNet's are torchvision's; those of a GRU hold both directions, their
/// gates in ONNX's order, and the bias that batch normalisation leaves is called as the convolution's.
///
/// The file appears when it is whole, as AtomicFile says. Throws Error for a module that is not known, naming it, for a
/// sample that does not fit the module, for parameters that hold NaN or Inf, as they are, in f32 or once batch
/// normalisation is folded into them, for a running_var below 0, for metadata that are not in UTF-8, for a file of 2 GB
/// or more, which protobuf does not have, and as AtomicFile does.
SIMCLR_API void export_onnx(const Module& module, const std::filesystem::path& path, const Shape& sample,
                            const OnnxOptions& options = {});

}  // namespace simclr::nn
