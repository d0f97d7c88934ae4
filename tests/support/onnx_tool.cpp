// Exports each encoder of the library with seeded weights, and writes what it makes of some inputs.
//
// usage: onnx_tool FOLDER
//
// Of each case NAME.onnx, where batch normalisation is folded, NAME-plain.onnx, where it is not, and NAME.safetensors
// with input, lengths where there are some, and features.

#include <simclr/core/autograd.h>
#include <simclr/core/serialize.h>
#include <simclr/data/pictures/augmentation.h>
#include <simclr/nn/onnx.h>
#include <simclr/nn/recurrent.h>
#include <simclr/nn/simclr.h>
#include <simclr/nn/token_encoder.h>
#include <simclr/nn/transformer.h>
#include <simclr/nn/video_resnet.h>

#include <cstdio>
#include <filesystem>
#include <random>
#include <span>

namespace fs = std::filesystem;
namespace data = simclr::data;
namespace kernels = simclr::kernels;
namespace nn = simclr::nn;
using simclr::DType;
using simclr::Shape;
using simclr::Tensor;

namespace {

constexpr std::int64_t rows = 3, words = 50;

std::mt19937 source(5);

float draw(float low, float high) {
  return std::uniform_real_distribution<float>(low, high)(source);
}

/// Weights that no initial value hides: norms, biases and statistics as of a network that has learned.
void disturb(nn::Module& module) {
  std::vector<simclr::NamedTensor> state = module.state();
  for (simclr::NamedTensor& tensor : state) {
    if (tensor.value.dtype() != DType::f32) continue;
    tensor.value = tensor.value.clone();
    const std::string name = tensor.name.substr(tensor.name.rfind('.') + 1);
    const bool scale = name == "running_var" || (name == "weight" && tensor.value.rank() == 1);
    const bool shift = name == "running_mean" || name == "positions" || name.find("bias") != std::string::npos;
    for (float& value : std::span(tensor.value.data<float>(), static_cast<std::size_t>(tensor.value.numel()))) {
      if (scale) value = draw(0.6f, 1.2f);
      if (shift) value += draw(-0.2f, 0.2f);
    }
  }
  module.load_state(state);
}

struct Case {
  std::string name;
  std::shared_ptr<nn::Module> module;
  Shape sample;
  Shape exported = sample;  // 0: any
  bool lengths = false;
};

Tensor values(const Case& each) {
  std::vector<std::int64_t> sizes = {rows};
  sizes.insert(sizes.end(), each.sample.begin(), each.sample.end());
  if (each.sample.rank() == 1) {
    Tensor ids = Tensor::zeros(Shape(sizes), DType::i32);
    for (std::int64_t i = 0; i < ids.numel(); ++i) {
      ids.data<std::int32_t>()[i] = std::uniform_int_distribution<std::int32_t>(0, words - 1)(source);
    }
    return ids;
  }
  Tensor x = Tensor::empty(Shape(sizes));
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = draw(-2, 2);
  return x;
}

void write(const fs::path& folder, const Case& each) {
  nn::Module& module = *each.module;
  disturb(module);
  module.eval();
  simclr::Input input(values(each));
  if (each.lengths) {  // a whole sequence, a part of one, and none
    const auto steps = static_cast<std::int32_t>(each.sample[0]);
    input.lengths = Tensor::from(std::vector<std::int32_t>{steps, steps / 2 + 1, 0}, {rows});
  }
  const simclr::NoGrad no_grad;
  std::vector<simclr::NamedTensor> tensors = {{"input", input.x}, {"features", module(input)}};
  if (each.lengths) tensors.push_back({"lengths", input.lengths});
  simclr::save_tensors(folder / (each.name + ".safetensors"), tensors);
  nn::OnnxOptions options{.lengths = each.lengths, .metadata = {{"name", each.name}}};
  nn::export_onnx(module, folder / (each.name + ".onnx"), each.exported, options);
  options.fold_batchnorm = false;
  nn::export_onnx(module, folder / (each.name + "-plain.onnx"), each.exported, options);
}

void write_pictures(const fs::path& folder) {
  const Shape sample = {20, 20, 3}, any = {0, 0, 3};
  for (const std::string& name : nn::resnet_names()) {
    const auto make = [&name](nn::Stem stem) { return nn::make_resnet(name, {.stem = stem, .width = 16, .seed = 1}); };
    write(folder, {name + "-cifar", make(nn::Stem::cifar), sample});
    write(folder, {name + "-imagenet", make(nn::Stem::imagenet), {70, 45, 3}, any});
  }
  write(folder, {"resnet18-wide", nn::resnet18({.seed = 2}), {32, 32, 3}});
  write(folder,
        {"resnet18-spectrogram", nn::resnet18({.stem = nn::Stem::imagenet, .width = 8, .channels = 1}), {31, 16, 1}});
  write(folder, {"vit",
                 std::make_shared<nn::VisionTransformer>(nn::VisionTransformerOptions{.size = 16, .width = 48}),
                 {16, 16, 3}});
  const auto encoder = nn::resnet18({.width = 8});
  write(folder,
        {"simclr", std::make_shared<nn::SimCLR>(nn::SimCLROptions{.encoder = encoder, .head = {.out = 24}}), sample});
  write(folder,
        {"simclr-three",
         std::make_shared<nn::SimCLR>(nn::SimCLROptions{
             .encoder = encoder, .head = {.out = 24, .layers = 3, .last_batchnorm = true, .last_shift = false}}),
         sample});
  write(folder, {"simclr-bare",
                 std::make_shared<nn::SimCLR>(
                     nn::SimCLROptions{.encoder = encoder, .head = {.out = 24, .batchnorm = false, .last_bias = true}}),
                 sample});
}

/// Pictures u8 of this size as evaluation sees them, [rows,S,S,C].
Tensor views_of(const Tensor& pictures, const data::Augmentation& policy) {
  const auto height = static_cast<std::int32_t>(pictures.dim(1)), width = static_cast<std::int32_t>(pictures.dim(2));
  const kernels::ImageRef picture{.height = height, .width = width, .channels = policy.channels};
  Tensor views = Tensor::empty({rows, policy.size, policy.size, policy.channels});
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto parameters = kernels::draw_augment_parameters(policy, height, width, 0, 0, 0, 0);
    kernels::augment_picture(pictures.narrow(i, 1).data<const std::uint8_t>(), picture, policy, parameters,
                             views.narrow(i, 1).data<float>());
  }
  return views;
}

/// What goes in is u8: a picture of the views' size, larger ones and smaller ones.
void write_prepared(const fs::path& folder) {
  using kernels::Interpolation;
  for (const auto& [name, channels, interpolation] :
       {std::tuple("linear", 3, Interpolation::bilinear), std::tuple("cubic", 3, Interpolation::bicubic),
        std::tuple("grey", 1, Interpolation::bilinear), std::tuple("five", 5, Interpolation::bicubic)}) {
    data::Augmentation policy = data::Augmentation::evaluation(24, channels);
    policy.interpolation = interpolation;
    for (int c = 0; c < channels; ++c) policy.mean[c] = draw(0.3f, 0.6f), policy.stddev[c] = draw(0.2f, 0.4f);
    const auto encoder = nn::resnet18({.width = 8, .channels = channels});
    disturb(*encoder);
    encoder->eval();
    nn::OnnxOptions options{.pictures = policy};
    for (const auto& [height, width] : {std::pair(24, 24), std::pair(61, 90), std::pair(150, 37), std::pair(7, 11)}) {
      Tensor pictures = Tensor::zeros({rows, height, width, channels}, DType::u8);
      for (std::int64_t i = 0; i < pictures.numel(); ++i) {  // hard edges, where the cubic overshoots
        pictures.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(draw(0, 1) < 0.4f ? 255 : draw(0, 255));
      }
      const simclr::NoGrad no_grad;
      const fs::path path = folder / ("u8-" + std::string(name) + "-" + std::to_string(height));
      simclr::save_tensors(path.string() + ".safetensors",
                           {{"input", pictures}, {"features", (*encoder)(views_of(pictures, policy))}});
      for (const char* end : {".onnx", "-plain.onnx"}) {
        options.fold_batchnorm = end[0] == '.';
        nn::export_onnx(*encoder, path.string() + end, {24, 24, channels}, options);
      }
    }
  }
}

void write_clips(const fs::path& folder) {
  const Shape clip = {5, 18, 20, 3}, several = {2, 5, 18, 20, 3};
  const auto video = std::make_shared<nn::VideoResNet>(nn::VideoResNetOptions{.width = 8, .seed = 3});
  write(folder, {"video", video, clip, {0, 0, 0, 3}});
  write(folder, {"video-several", video, several});
  write(folder, {"video-cifar",
                 std::make_shared<nn::VideoResNet>(nn::VideoResNetOptions{.stem = nn::Stem::cifar, .width = 8}), clip});
  const auto frames = std::make_shared<nn::FrameGru>(nn::FrameGruOptions{.resnet = {.width = 8}, .width = 12});
  write(folder, {"frame-gru", frames, clip});
  write(folder, {"frame-gru-several", frames, several});
}

std::shared_ptr<nn::Module> started(std::shared_ptr<nn::Module> module) {
  module->initialize(4);
  return module;
}

void write_sequences(const fs::path& folder) {
  const Shape sample = {13, 20}, any = {0, 20};
  const auto gru = [](int layers, bool bidirectional, nn::Readout readout) {
    return started(std::make_shared<nn::GruEncoder>(nn::GruEncoderOptions{
        .in = 20, .width = 24, .layers = layers, .bidirectional = bidirectional, .readout = readout}));
  };
  write(folder, {"gru", gru(2, true, nn::Readout::mean), sample, any, true});
  write(folder, {"gru-whole", gru(1, true, nn::Readout::mean), sample});
  write(folder, {"gru-last", gru(2, true, nn::Readout::last), sample, sample, true});
  write(folder, {"gru-forward", gru(1, false, nn::Readout::last), sample, any, true});
  const auto transformer = [](std::int64_t positions) {
    return started(std::make_shared<nn::TransformerEncoder>(
        nn::TransformerOptions{.width = 20, .layers = 2, .heads = 5, .positions = positions}));
  };
  write(folder, {"transformer", transformer(16), sample, any, true});
  write(folder, {"transformer-whole", transformer(13), sample});
  write(folder, {"transformer-unordered", transformer(0), sample, sample, true});
  using Network = nn::TokenNetwork;
  for (const auto& [name, network] : {std::pair("bag", Network::bag), std::pair("gru", Network::gru),
                                      std::pair("transformer", Network::transformer)}) {
    const auto encoder = std::make_shared<nn::TokenEncoder>(nn::TokenEncoderOptions{
        .entries = words, .width = 24, .network = network, .layers = 2, .longest = 20, .dropout = {.p = 0.1}});
    write(folder, {std::string("tokens-") + name, encoder, {13}, {0}, true});
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) simclr::fail("usage: onnx_tool FOLDER");
    write_pictures(argv[1]);
    write_prepared(argv[1]);
    write_clips(argv[1]);
    write_sequences(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "onnx_tool: %s\n", error.what());
    return 1;
  }
}
