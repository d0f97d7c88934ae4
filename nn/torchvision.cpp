#include <simclr/nn/torchvision.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace simclr::nn {
namespace {

/// [out, rows, columns] -> [out, columns, rows], any dtype, as a tensor of `shape`.
Tensor swap_inner(const Tensor& values, std::int64_t rows, std::int64_t columns, const Shape& shape) {
  Tensor result = Tensor::empty(shape, values.dtype());
  const auto element = static_cast<std::size_t>(size_of(values.dtype()));
  const auto* from = static_cast<const std::byte*>(values.raw_data());
  auto* to = static_cast<std::byte*>(result.raw_data());
  const std::int64_t matrix = rows * columns;
  for (std::int64_t begin = 0; begin < values.numel(); begin += matrix) {
    for (std::int64_t c = 0; c < columns; ++c) {
      for (std::int64_t r = 0; r < rows; ++r, to += element) {
        std::memcpy(to, from + static_cast<std::size_t>(begin + r * columns + c) * element, element);
      }
    }
  }
  return result;
}

using Tensors = std::unordered_map<std::string, Tensor>;

Tensors by_name(const std::vector<NamedTensor>& state) {
  Tensors tensors;
  for (const NamedTensor& tensor : state) tensors.emplace(tensor.name, tensor.value);
  return tensors;
}

std::vector<int> depths_of(const Tensors& tensors) {
  std::vector<int> depths;
  for (int stage = 1; stage <= 4; ++stage) {
    int depth = 0;
    const std::string prefix = "layer" + std::to_string(stage) + ".";
    while (tensors.contains(prefix + std::to_string(depth) + ".conv1.weight")) ++depth;
    depths.push_back(depth);
  }
  return depths;
}

}  // namespace

std::vector<NamedTensor> to_torchvision(const std::vector<NamedTensor>& state) {
  std::vector<NamedTensor> result;
  for (const NamedTensor& tensor : state) {
    Tensor value = tensor.value.to(Device{});
    if (value.rank() == 4) {
      const Shape& s = value.shape();
      value = swap_inner(value, s[1] * s[2], s[3], {s[0], s[3], s[1], s[2]});
    }
    result.push_back({tensor.name, value});
  }
  return result;
}

bool only_in_torchvision(const std::string& name) {
  return name.starts_with("fc.") || name.ends_with(".num_batches_tracked");
}

std::vector<NamedTensor> from_torchvision(const std::vector<NamedTensor>& tensors) {
  std::vector<NamedTensor> result;
  for (const NamedTensor& tensor : tensors) {
    if (only_in_torchvision(tensor.name)) continue;
    Tensor value = tensor.value.to(Device{});
    if (value.rank() == 4) {
      const Shape& s = value.shape();
      value = swap_inner(value, s[1], s[2] * s[3], {s[0], s[2], s[3], s[1]});
    }
    result.push_back({tensor.name, value});
  }
  return result;
}

std::vector<std::string> resnet_prefixes(const std::vector<std::string>& names) {
  constexpr std::string_view first = "conv1.weight";
  const std::unordered_set<std::string> all(names.begin(), names.end());
  std::vector<std::string> prefixes;
  for (const std::string& name : names) {
    if (!name.ends_with(first)) continue;
    const std::string prefix = name.substr(0, name.size() - first.size());
    if (!prefix.empty() && !prefix.ends_with('.')) continue;
    if (all.contains(prefix + "bn1.weight") && all.contains(prefix + "layer1.0.conv1.weight")) {
      prefixes.push_back(prefix);
    }
  }
  return prefixes;
}

ResNetKind resnet_kind(const std::vector<NamedTensor>& state) {
  const Tensors tensors = by_name(state);
  const auto first = tensors.find("conv1.weight");
  SIMCLR_CHECK(first != tensors.end(), "resnet_kind: there is no conv1.weight",
               tensors.contains("encoder.conv1.weight") ? "; give the encoder's own state, not the whole model's"
                                                        : ", so these are not the weights of a ResNet");
  const Shape& shape = first->second.shape();
  SIMCLR_CHECK(shape.rank() == 4 && shape[1] == shape[2] && (shape[1] == 3 || shape[1] == 7),
               "resnet_kind: conv1.weight is ", shape,
               "; a ResNet has [width,3,3,channels] (cifar stem) or [width,7,7,channels] (imagenet stem)");
  ResNetKind kind;
  kind.options.stem = shape[1] == 3 ? Stem::cifar : Stem::imagenet;
  kind.options.width = shape[0];
  kind.options.channels = shape[3];

  const std::vector<int> depths = depths_of(tensors);
  const bool bottleneck = tensors.contains("layer1.0.conv3.weight");
  const bool shallow = depths == std::vector<int>{2, 2, 2, 2}, deep = depths == std::vector<int>{3, 4, 6, 3};
  SIMCLR_CHECK(deep || (shallow && !bottleneck), "resnet_kind: stages of ", depths[0], ", ", depths[1], ", ", depths[2],
               " and ", depths[3], bottleneck ? " bottleneck" : " basic",
               " blocks; resnet18 has 2, 2, 2 and 2 basic ones, resnet34 3, 4, 6 and 3, resnet50 as many bottlenecks");
  kind.name = shallow ? "resnet18" : bottleneck ? "resnet50" : "resnet34";
  return kind;
}

}  // namespace simclr::nn
