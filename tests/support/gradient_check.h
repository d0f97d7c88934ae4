#pragma once

// Central differences in double against what backward() gives.

#include <simclr/core/autograd.h>

#include "support/tensors.h"

#include <functional>
#include <string>
#include <vector>

namespace simclr::test {

/// The worst error of d(sum(w * f(inputs)))/d(inputs), w fixed random weights, against central differences, relative
/// to the gradient's scale. Inputs must be f64 and are restored. At most `probes` elements of each input are checked,
/// spread over it. `step` suits smooth functions with values near 1.
inline double gradient_error(const std::function<Tensor(const std::vector<Tensor>&)>& f, std::vector<Tensor> inputs,
                             std::int64_t probes = 40, double step = 1e-5) {
  for (Tensor& input : inputs) {
    if (input.dtype() == DType::f64) input.set_requires_grad();
  }
  const Tensor y = f(inputs);
  const Tensor weights = random_tensor(y.shape(), 99);
  y.backward(weights);

  const auto objective = [&] {
    const NoGrad no_grad;
    const auto values = f(inputs).to_vector<double>();
    const auto w = weights.to_vector<double>();
    double total = 0;
    for (std::size_t i = 0; i < values.size(); ++i) total += values[i] * w[i];
    return total;
  };

  double worst = 0;
  for (Tensor& input : inputs) {
    if (!input.requires_grad()) continue;
    const std::int64_t n = input.numel();
    const auto gradient = input.grad().defined() ? input.grad().to_vector<double>()
                                                 : std::vector<double>(static_cast<std::size_t>(n), 0.0);
    double error = 0, scale = 1e-3;  // a gradient that is zero everywhere has no scale of its own
    for (const double g : gradient) scale = std::max(scale, std::abs(g));
    const std::int64_t count = std::min(n, probes);
    double* values = input.data<double>();
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t i = count == n ? k : (k * 7919 + 13) % n;
      const double original = values[i];
      values[i] = original + step;
      const double above = objective();
      values[i] = original - step;
      const double below = objective();
      values[i] = original;
      error = std::max(error, std::abs((above - below) / (2 * step) - gradient[static_cast<std::size_t>(i)]));
    }
    worst = std::max(worst, error / scale);
  }
  return worst;
}

}  // namespace simclr::test
