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
  /// Another loss of the family: DCL {.decoupled = true}, DCLW with .sigma = 0.5 besides, the debiased one
  /// {.class_prior = 0.1}, hard negatives {.class_prior = 0.1, .hardness = 1}; of several positives SupCon's L_in
  /// {.inside = true}. kernels::NtXentForm has the formulas.
  kernels::NtXentForm form = {};
};

/// NT-Xent over z [V N,D] with V = options.views: view v of sample n in row v N + n, as data::Batch has them, and every
/// other view of a sample is its positive. V = 2 is SimCLR's equation 1, V > 2 the mean over the positives (SupCon's
/// L_out, arXiv 2004.11362, equation 2, by samples). It cannot see how many views z has: three views under the default
/// would pair rows of different samples, so say `.views = batch.views_each()`. Throws Error where the rows are not so
/// many views.
SIMCLR_API Tensor nt_xent(const Tensor& z, const NtXentOptions& options = {});
/// The rectangular form: anchors [A,D] against candidates [M,D]; `pairs` says who is positive and who is left out.
/// SupCon, with groups of data::Batch::label_groups(), is nt_xent(z, z, {.anchor_group = g, .candidate_group = g}): its
/// L_out, or with the form {.inside = true} its L_in.
SIMCLR_API Tensor nt_xent(const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
                          const NtXentOptions& options = {});

/// i32 [V N] on `device`: the sample n of each row v N + n of `rows` = V N rows, V = views. Throws Error where the rows
/// are not so many views.
SIMCLR_API Tensor sample_groups(std::int64_t rows, int views, Device device = {});

/// What an untrained model scores: ln(2N - 1), for N samples a batch.
SIMCLR_API double nt_xent_chance(std::int64_t samples);
/// What no model can go below: both views of a sample equal, the N samples spread as a simplex.
SIMCLR_API double nt_xent_bound(std::int64_t samples, double temperature);
/// The same of a loss of the family, for anchors with so many positives and N - 1 other samples of `views` each.
/// Chance: all similarities are equal, ln(P + views (N - 1)), decoupled ln(views (N - 1)). Bound: NT-Xent's with a
/// hardness alone, for harder negatives weigh more; decoupled ln(views (N - 1)) - N / ((N - 1) tau), DCLW's too, whose
/// weights are 1 in the mean and less the nearer a pair is; with a class prior ln(P + views (N - 1) e^{-2/tau}), the
/// sum at its least, which need not be reached.
SIMCLR_API double nt_xent_chance(std::int64_t samples, int views, int positives, const kernels::NtXentForm& form);
SIMCLR_API double nt_xent_bound(std::int64_t samples, int views, int positives, double temperature,
                                const kernels::NtXentForm& form);

/// The same of SupCon, where `views` of each of N samples are in `classes` classes that are equally large, or each in
/// one of its own where there are more classes than samples: P = max(views N / classes, views) - 1. Chance:
/// ln(views N - 1), decoupled ln(views N - 1 - P). Bound: ln(P + (views N - 1 - P) e^{-2/tau}), of classes of other
/// sizes the loss is higher; decoupled, of equal classes alone, ln(views N - 1 - P) - 2/tau. Neither need be reached.
SIMCLR_API double supcon_chance(std::int64_t samples, int views, std::int64_t classes,
                                const kernels::NtXentForm& form = {});
SIMCLR_API double supcon_bound(std::int64_t samples, int views, std::int64_t classes, double temperature,
                               const kernels::NtXentForm& form = {});

/// Softmax cross-entropy of logits [N,K] with labels i32 [N], mean over the rows.
SIMCLR_API Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

}  // namespace simclr::nn
