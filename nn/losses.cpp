#include <simclr/kernels/softmax_xent.h>
#include <simclr/nn/losses.h>

#include <cmath>

namespace simclr::nn {

Tensor nt_xent(const Tensor& z, const NtXentOptions& options) {
  const kernels::NtXentResult forward = kernels::nt_xent_forward(z, z, options.temperature);
  return record("nt_xent", {z}, forward.loss, {z}, [saved = forward.saved](Backward& bw) {
    bw.set(0, kernels::nt_xent_backward(saved, bw.dy()).danchors);
  });
}

Tensor nt_xent(const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
               const NtXentOptions& options) {
  // Apart from the square case above, anchors and candidates are two inputs even where they are one tensor.
  const Tensor other = candidates.same_as(anchors) ? candidates.reshape(candidates.shape()) : candidates;
  const kernels::NtXentResult forward = kernels::nt_xent_forward(anchors, other, options.temperature, pairs);
  const std::vector<Tensor> saved = {anchors, other, pairs.anchor_group, pairs.candidate_group};
  return record("nt_xent", {anchors, other}, forward.loss, saved, [saved = forward.saved](Backward& bw) {
    const kernels::NtXentGradient gradient = kernels::nt_xent_backward(saved, bw.dy());
    bw.set(0, gradient.danchors);
    bw.set(1, gradient.dcandidates);
  });
}

double nt_xent_chance(std::int64_t images) {
  return std::log(2.0 * static_cast<double>(images) - 1.0);
}

double nt_xent_bound(std::int64_t images, double temperature) {
  if (images < 2) return 0.0;
  const double n = static_cast<double>(images);
  // -1/tau + ln(e^{1/tau} + (M-2) e^{-1/(tau(N-1))}) with e^{1/tau} taken out, so that a small tau cannot overflow.
  return std::log1p((2.0 * n - 2.0) * std::exp(-1.0 / (temperature * (n - 1.0)) - 1.0 / temperature));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  const kernels::SoftmaxXentResult forward = kernels::softmax_xent_forward(logits, labels);
  return record("cross_entropy", {logits}, forward.loss, {logits, labels},
                [logits = logits.detach(), labels, log_sum = forward.log_sum](Backward& bw) {
                  bw.set(0, kernels::softmax_xent_backward(logits, labels, log_sum, bw.dy()));
                });
}

}  // namespace simclr::nn
