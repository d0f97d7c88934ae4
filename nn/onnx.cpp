#include <simclr/nn/onnx.h>

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/nn/inspect.h>
#include <simclr/nn/onnx_encoders.h>
#include <simclr/nn/recurrent.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>
#include <simclr/nn/token_encoder.h>
#include <simclr/nn/transformer.h>
#include <simclr/nn/video_resnet.h>

#include <string_view>

namespace simclr::nn {

namespace {

using onnx::Dimension;
using onnx::ElementType;
using onnx::Graph;
using onnx::Layers;

/// One export.
class Exporter {
 public:
  Exporter(const Module& module, const Shape& sample, const OnnxOptions& options)
      : sample_(sample), options_(options), layers_(module, graph_, options.fold_batchnorm) {}

  std::string file() {
    const bool head = layers_.has("encoder") && layers_.has("head") && layers_.as<ProjectionHead>("head") != nullptr;
    const std::string at = head ? "encoder." : "";
    std::string y = features(at);
    std::int64_t width = layers_.module(onnx::whole(at)).output_features();
    if (head) {
      y = onnx::projection_head(layers_, "head.", y);
      width = layers_.module("head").output_features();
    }
    graph_.output(y, "features", ElementType::f32, {"N", width});
    return graph_.model(options_.metadata);
  }

 private:
  /// Of the encoder `at`.
  std::string features(const std::string& at) {
    const std::string name = onnx::whole(at);
    SIMCLR_CHECK(!options_.pictures || layers_.as<ResNet>(name) || layers_.as<VisionTransformer>(name),
                 "export_onnx: this encoder takes no pictures, so that they cannot be prepared for it");
    if (layers_.as<ResNet>(name)) return onnx::resnet(layers_, at, pictures(at + "conv1", "HW"));
    if (layers_.as<VisionTransformer>(name)) return vision_transformer(at);
    if (layers_.as<VideoResNet>(name) || layers_.as<FrameGru>(name)) return clips(at);
    if (layers_.as<GruEncoder>(name)) {
      return onnx::gru_encoder(layers_, at, sequences(last_size(at + "gru.weight_ih_l0")));
    }
    if (layers_.as<TransformerEncoder>(name)) {
      check_steps(at + "transformer.positions");
      return onnx::transformer_encoder(layers_, at, sequences(last_size(at + "transformer.norm.weight")));
    }
    if (layers_.as<TokenEncoder>(name)) {
      check_steps(at + "network.positions");
      const std::string ids = input(ElementType::i32, "T", "T");
      return onnx::token_encoder(layers_, at, {ids, lengths()});
    }
    fail("export_onnx: ", name.empty() ? "the module" : "its part " + name,
         " is none of what can be exported: ResNet, VideoResNet, FrameGru, VisionTransformer, GruEncoder, "
         "TransformerEncoder, TokenEncoder, or one of these under the name encoder beside a ProjectionHead head");
  }

  std::int64_t last_size(const std::string& tensor) const { return layers_.tensor(tensor).dim(-1); }

  /// Declares the input: its sizes by a letter each, of which those in `any` may be 0.
  std::string input(ElementType type, std::string_view letters, std::string_view any) {
    std::vector<Dimension> sizes = {"N"};
    std::vector<std::string> wanted, free;
    bool fits = sample_.rank() == static_cast<int>(letters.size());
    for (std::size_t i = 0; i < letters.size(); ++i) {
      const std::string letter(letters.substr(i, 1));
      const bool may_vary = any.find(letter) != std::string_view::npos;
      wanted.push_back(letter);
      if (may_vary) free.push_back(letter);
      const std::int64_t size = fits ? sample_[static_cast<int>(i)] : 0;
      fits = fits && (size > 0 || may_vary);
      sizes.push_back(size > 0 ? Dimension(size) : Dimension(letter));
    }
    SIMCLR_CHECK(fits, "export_onnx: samples are ", sample_, "; this encoder takes [", joined(wanted, ","), "]",
                 free.empty() ? "" : "; 0 stands for any " + joined(free, " or "));
    graph_.input("input", type, sizes);
    return "input";
  }

  void check_channels(std::int64_t channels) const {
    SIMCLR_CHECK(sample_[-1] == channels, "export_onnx: samples are ", sample_, "; this encoder takes ",
                 counted(channels, "channel"));
  }

  void check_steps(const std::string& positions) const {
    if (!layers_.has(positions) || sample_.rank() == 0) return;
    const std::int64_t most = layers_.tensor(positions).dim(0);
    SIMCLR_CHECK(sample_[0] <= most, "export_onnx: samples are ", sample_, "; this encoder takes at most ",
                 counted(most, "step"));
  }

  std::string lengths() {
    if (!options_.lengths) return "";
    graph_.input("lengths", ElementType::i32, {"N"});
    return "lengths";
  }

  onnx::GraphInput sequences(std::int64_t channels) {
    const std::string x = input(ElementType::f32, "TC", "T");
    check_channels(channels);
    return {x, lengths()};
  }

  /// [N,C,H,W] for the first convolution.
  std::string pictures(const std::string& first, std::string_view any) {
    if (options_.pictures) {
      const kernels::AugmentPolicy& policy = *options_.pictures;
      check(policy);
      SIMCLR_CHECK(sample_ == Shape({policy.size, policy.size, policy.channels}), "export_onnx: samples are ", sample_,
                   ", and pictures are to become [", policy.size, ",", policy.size, ",", policy.channels, "]");
      graph_.input("input", ElementType::u8, {"N", "height", "width", std::int64_t{policy.channels}});
      check_channels(last_size(first + ".weight"));
      return onnx::prepared_pictures(layers_, "input", policy);
    }
    const std::string x = input(ElementType::f32, "HWC", any);
    check_channels(last_size(first + ".weight"));
    return layers_.transposed(x, "input", {0, 3, 1, 2});
  }

  std::string vision_transformer(const std::string& at) {
    const std::string x = pictures(at + "conv_proj", "");
    const std::int64_t patch = layers_.tensor(at + "conv_proj.weight").dim(1);
    const std::int64_t patches = layers_.tensor(at + "encoder.transformer.positions").dim(0);
    const std::int64_t side = sample_[0] / patch;
    SIMCLR_CHECK(sample_[0] == sample_[1] && sample_[0] % patch == 0 && side * side == patches,
                 "export_onnx: samples are ", sample_, "; this encoder takes ", patches, " patches of ", patch, " x ",
                 patch, " pixels");
    return onnx::vision_transformer(layers_, at, x);
  }

  /// Of clips, or of several of each video.
  std::string clips(const std::string& at) {
    const bool several = sample_.rank() == 5, by_frames = layers_.as<FrameGru>(onnx::whole(at)) != nullptr;
    std::string x = input(ElementType::f32, several ? "KTHWC" : "THWC", several || by_frames ? "" : "THW");
    check_channels(last_size(at + (by_frames ? "frames.conv1.weight" : "stem.0.weight")));
    const Shape clip = several ? Shape({sample_[1], sample_[2], sample_[3], sample_[4]}) : sample_;
    if (several) x = layers_.reshaped(x, "input", {-1, clip[0], clip[1], clip[2], clip[3]});
    const std::string y = by_frames ? frame_gru(at, layers_.transposed(x, "input", {0, 1, 4, 2, 3}), clip)
                                    : onnx::video_resnet(layers_, at, layers_.transposed(x, "input", {0, 4, 1, 2, 3}));
    if (!several) return y;
    const std::int64_t width = layers_.module(onnx::whole(at)).output_features();
    return layers_.mean_over_time(layers_.reshaped(y, "features", {-1, sample_[0], width}), "", "");
  }

  /// x [N,T,C,H,W].
  std::string frame_gru(const std::string& at, const std::string& x, const Shape& clip) {
    const std::string frames = layers_.reshaped(x, at + "frames", {-1, clip[3], clip[1], clip[2]});
    const std::int64_t width = layers_.module(at + "frames").output_features();
    const std::string each = onnx::resnet(layers_, at + "frames.", frames);
    return onnx::gru_encoder(layers_, at + "time.", {layers_.reshaped(each, at + "frames", {-1, clip[0], width}), ""});
  }

  Shape sample_;
  const OnnxOptions& options_;
  Graph graph_;
  Layers layers_;
};

}  // namespace

void export_onnx(const Module& module, const std::filesystem::path& path, const Shape& sample,
                 const OnnxOptions& options) {
  constexpr const char* remedy = "; load other weights, or train it again";
  check_finite("export_onnx", module.state(), remedy);
  check_variances("export_onnx", module.state(), remedy);
  write_file_atomically(path, Exporter(module, sample, options).file(), options.existing);
}

}  // namespace simclr::nn
