#pragma once

#include <simclr/nn/resnet.h>

#include <string>
#include <vector>

/// ResNet weights as torchvision (PyTorch) keeps them: the same names, but convolution weights [out,in,kh,kw].
///
///   save_tensors("encoder.safetensors", nn::to_torchvision(encoder->state()), {{"format", "pt"}});
///
///   const auto theirs = load_tensors("resnet18.safetensors", {.skip = nn::only_in_torchvision});
///   const auto state = nn::from_torchvision(theirs.tensors);
///   const nn::ResNetKind kind = nn::resnet_kind(state);
///   const auto encoder = nn::make_resnet(kind.name, kind.options);
///   encoder->load_state(state);
namespace simclr::nn {

/// A ResNet's state() in torchvision's layout, on the CPU. torchvision.models.resnet18, 34 and 50, with `fc` replaced
/// by Identity, load it with strict=True where it has the ImageNet stem, width 64 and 3 channels; for others
/// `torchvision_weights export` prints the lines that make their network.
SIMCLR_API std::vector<NamedTensor> to_torchvision(const std::vector<NamedTensor>& state);

/// Whether our networks have no such tensor: the classifier (fc.*) and the num_batches_tracked counters.
SIMCLR_API bool only_in_torchvision(const std::string& name);

/// The reverse: what ResNet::load_state() takes, without what is only in torchvision.
SIMCLR_API std::vector<NamedTensor> from_torchvision(const std::vector<NamedTensor>& tensors);

/// What stands before a ResNet's names in `names`, in their order: "" for torchvision's own weights,
/// "module.encoder_q." and the like where the network was a part of something. Such a state_dict gives a ResNet's state
/// when the prefix is taken off and everything else left out.
SIMCLR_API std::vector<std::string> resnet_prefixes(const std::vector<std::string>& names);

/// What make_resnet() is told for a network.
struct ResNetKind {
  std::string name;  // resnet18, resnet34 or resnet50
  ResNetOptions options;
};

/// Which ResNet has this state(), told by its first weights and the number of its blocks; whether every tensor fits,
/// load_state() says. Throws Error where it is none that make_resnet() knows.
SIMCLR_API ResNetKind resnet_kind(const std::vector<NamedTensor>& state);

}  // namespace simclr::nn
