#pragma once

#include <simclr/core/autograd.h>
#include <simclr/kernels/nt_xent.h>

/// Losses, each a scalar tensor, f32 (f64 of f64). Formulas, dtypes and errors are in kernels/nt_xent.h and
/// kernels/softmax_xent.h.
namespace simclr::nn {

struct NtXentOptions {
  double temperature = 0.5;
  /// A learned temperature, taken for the other: log(1/tau), one f32 value on z's device (f64 beside f64) that gets its
  /// gradient with z; kernels::NtXentTemperature says how it is capped. TwoTowers can make one.
  Tensor logit_scale = {};
  /// Views of each sample in z, at least 2; for nt_xent(z) alone. Other numbers than 2 upload groups in each call,
  /// which a step that is to be captured (core/graph.h) must make once, by sample_groups(), and pass as pairs.
  int views = 2;
  /// A GPU's tiles for Hopper, off until a GPU has shown them right and faster: kernels::nt_xent_forward says where
  /// they can be had.
  bool wgmma = false;
};

/// NT-Xent over z [V N,D] with V = options.views: view v of sample n in row v N + n, as data::Batch has them, and every
/// other view of a sample is its positive. V = 2 is SimCLR's equation 1, V > 2 the mean over the positives (SupCon's
/// L_out, arXiv 2004.11362, equation 2, by samples). It cannot see how many views z has: three views under the default
/// would pair rows of different samples, so say `.views = batch.views_each()`. Throws Error where the rows are not so
/// many views.
SIMCLR_API Tensor nt_xent(const Tensor& z, const NtXentOptions& options = {});
/// The rectangular form: anchors [A,D] against candidates [M,D]; `pairs` says who is positive and who is left out.
/// SupCon, with groups of data::Batch::label_groups(), is nt_xent(z, z, {.anchor_group = g, .candidate_group = g}).
SIMCLR_API Tensor nt_xent(const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
                          const NtXentOptions& options = {});

/// i32 [V N] on `device`: the sample n of each row v N + n of `rows` = V N rows, V = views. Throws Error where the rows
/// are not so many views.
SIMCLR_API Tensor sample_groups(std::int64_t rows, int views, Device device = {});

/// What an untrained model scores: ln(2N - 1), for N samples a batch.
SIMCLR_API double nt_xent_chance(std::int64_t samples);
/// What no model can go below: both views of a sample equal, the N samples spread as a simplex.
SIMCLR_API double nt_xent_bound(std::int64_t samples, double temperature);

/// Softmax cross-entropy of logits [N,K] with labels i32 [N], mean over the rows.
SIMCLR_API Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

}  // namespace simclr::nn
