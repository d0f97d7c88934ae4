#pragma once

#include <simclr/core/world.h>
#include <simclr/nn/optim.h>

#include <cstdint>

namespace simclr::nn {

/// loss.backward() on every rank, after which optimizer.gradients() hold the sums over the ranks, as
/// world.all_reduce(optimizer.gradients()) would give them, bit for bit where sums are in the order of the ranks. They
/// go in buckets of parameters that follow one another, of at least `bucket_bytes` but for the last, each as soon as
/// all of its gradients are complete: beside the rest of the pass on CUDA. Buckets that the pass does not complete,
/// for it does not reach all of their parameters, follow at its end. All ranks must record the same functions, and
/// gradients must be zero before. `bucket_bytes` 0: all at the end, in one.
SIMCLR_API void backward(World& world, const Tensor& loss, const Optimizer& optimizer, std::int64_t bucket_bytes);

}  // namespace simclr::nn
