#include <simclr/nn/layers.h>
#include <simclr/nn/micro_batches.h>
#include <simclr/nn/model.h>

#include <limits>

namespace simclr::nn {

Tensor Model::loss_of_groups(std::span<const Tensor>, const Tensor&) {
  fail("model: its loss takes no groups; leave them out of the inputs");
}

std::vector<Tensor> Model::project(std::span<const Input> inputs, std::int64_t samples) {
  std::vector<Tensor> z;
  for (int t = 0; t < towers(); ++t) {
    z.push_back(in_micro_batches(tower(t), inputs[static_cast<std::size_t>(t)], samples, views(t)));
  }
  return z;
}

Tensor Model::loss_of(std::span<const Input> inputs, std::int64_t samples) {
  SIMCLR_CHECK(static_cast<int>(inputs.size()) == towers(), "model: ", inputs.size(), " inputs for ", towers(),
               " towers; give one each");
  if (samples == 0) samples = std::numeric_limits<std::int64_t>::max();
  const std::vector<Tensor> z = project(inputs, samples);
  const Tensor& groups = inputs[0].groups;
  return groups.defined() ? loss_of_groups(z, groups) : loss(z);
}

void Model::set_world(World* world) {
  world_ = world;
  const auto visit = [world](Module& module) {
    if (auto* norm = dynamic_cast<BatchNorm*>(&module)) norm->set_world(world);
  };
  for_each(visit);
}

}  // namespace simclr::nn
