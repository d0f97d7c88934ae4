#pragma once

// What nn::in_micro_batches is compared with: the parts' forward passes, joined by plain autograd.

#include <simclr/nn/micro_batches.h>

#include <vector>

namespace simclr::test {

/// z of the whole batch [2N,D] out of its parts' [2n,D], differentiable. A part runs backward when all before it are
/// through; autograd takes up a function's last input first.
inline Tensor join_samples(const std::vector<Tensor>& parts) {
  std::int64_t samples = 0, first = 0;
  for (const Tensor& part : parts) samples += part.dim(0) / 2;
  Tensor z = Tensor::empty(parts[0].shape().with_first(2 * samples), parts[0].dtype(), parts[0].device());
  for (const Tensor& part : parts) {
    const std::int64_t n = part.dim(0) / 2;
    z.narrow(first, n).copy_from(part.detach().narrow(0, n));
    z.narrow(samples + first, n).copy_from(part.detach().narrow(n, n));
    first += n;
  }
  const std::vector<Tensor> inputs(parts.rbegin(), parts.rend());
  return record("join_samples", inputs, z, [samples, inputs](Backward& b) {
    std::int64_t end = samples;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::int64_t n = inputs[i].dim(0) / 2;
      b.set(static_cast<int>(i), nn::rows_of_samples(b.dy(), end -= n, n).x);
    }
  });
}

/// model(part) for parts of `sizes` samples, joined.
inline Tensor joined(nn::Module& model, const Input& views, const std::vector<std::int64_t>& sizes) {
  std::vector<Tensor> parts;
  std::int64_t first = 0;
  for (const std::int64_t n : sizes) {
    parts.push_back(model(nn::rows_of_samples(views, first, n)));
    first += n;
  }
  return join_samples(parts);
}

}  // namespace simclr::test
