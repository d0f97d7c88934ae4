#pragma once

#include <simclr/core/autograd.h>
#include <simclr/kernels/nt_xent.h>

/// Losses, each a scalar tensor. Formulas and errors are in kernels/nt_xent.h and kernels/softmax_xent.h.
namespace simclr::nn {

struct NtXentOptions {
  double temperature = 0.5;
};

/// NT-Xent over z [2N,D], view a of image n in row n and view b in row n + N (SimCLR, equation 1).
SIMCLR_API Tensor nt_xent(const Tensor& z, const NtXentOptions& options = {});
/// The rectangular form: anchors [A,D] against candidates [M,D]; `pairs` says who is positive and who is left out.
SIMCLR_API Tensor nt_xent(const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
                          const NtXentOptions& options = {});

/// What an untrained model scores: ln(2N - 1), for N images a batch.
SIMCLR_API double nt_xent_chance(std::int64_t images);
/// What no model can go below: both views of an image equal, the N images spread as a simplex.
SIMCLR_API double nt_xent_bound(std::int64_t images, double temperature);

/// Softmax cross-entropy of logits [N,K] with labels i32 [N], mean over the rows.
SIMCLR_API Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

}  // namespace simclr::nn
