#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

#include <utility>

/// NT-Xent, the normalised temperature-scaled cross-entropy (SimCLR, arXiv 2002.05709, equation 1), in a
/// rectangular form that also covers gathered negatives, two-tower losses and SupCon:
///   u = z / |z|,  s_ik = u_i.v_k / tau over anchors i [A,D] and candidates k [M,D]
///   loss_i = -(1/|P_i|) sum_{p in P_i} log( e^{s_ip} / sum_{k != self(i)} e^{s_ik} ),  loss = mean of loss_i
/// P_i are the candidates of anchor i's group, itself left out. Anchors without a positive are left out of
/// the mean. |z| = 0 gives u = 0 and a zero gradient. Gradient, with P the row softmax and Y_ip = 1/|P_i|:
///   G = (P - Y)/A,  du = G v / tau,  dv = G^T u / tau,  dz = (du - (du.u)u)/|z|
/// Nothing of size A x M is ever stored: both passes go in tiles and recompute the similarities.
namespace simclr::kernels {

struct NtXentPairs {
  /// Candidate index of anchor 0 itself; anchor i is candidate self_offset + i and is left out of its own
  /// sum. -1: the anchors are not among the candidates, nothing is left out.
  std::int64_t self_offset = 0;
  /// i32 [A] and [M]: candidate k is a positive of anchor i when the groups are equal and k is not i
  /// itself. -1 equals nothing, not even another -1: such a row has no positive and is a negative of all others.
  /// Both undefined: SimCLR's order of two views, a of sample n in row n and b in row n + M/2, so that candidate k
  /// is of anchor i's sample when k and self_offset + i are equal modulo M/2. More views than two need groups.
  Tensor anchor_group = {};
  Tensor candidate_group = {};
};

/// tau: a number, or learned as the log of its inverse, CLIP's logit_scale (arXiv 2103.00020, sections 2.3 and 2.5;
/// docs/decisions/learned-temperature.md): a tensor of one value, f32 (f64 beside f64 embeddings) on their device,
/// where the kernels read it:
///   tau = 1 / min(e^{logit_scale}, 100)
///   d loss/d logit_scale = sum_ik G_ik s_ik, of the anchors as anchors; at the cap or beyond it 0 where it is
///   negative, so that no step leads on, and every step back is taken
/// Sums are then always kept relative to their row's maximum, for the host does not know whether they could overflow.
struct NtXentTemperature {
  double fixed = 0;         // looked at where there is no logit_scale
  Tensor logit_scale = {};  // undefined: fixed

  NtXentTemperature(double temperature) : fixed(temperature) {}
  NtXentTemperature(Tensor log_inverse) : logit_scale(std::move(log_inverse)) {}
};

/// What is made of the sums of an anchor's row: NT-Xent itself, or a loss of its family. With S- the sum of e^{s} over
/// its N negatives, S+ that over its P positives, m the mean of s over these, all of anchor i:
///   NT-Xent    log(S+ + S-) - m
///   decoupled  log S- - w m, DCL (arXiv 2110.06848, equation 6), with w = 1; with a sigma DCLW, where
///              w_i = 2 - A e^{c_i/sigma} / sum_j e^{c_j/sigma}, c the mean cosine of an anchor's positives and A the
///              anchors that are counted; w is a constant to the gradient
///   inside     log(S+ + S-) - log(S+/P), SupCon's L_in (arXiv 2004.11362, equation 3); NT-Xent is L_out (equation 2)
///   class_prior, hardness
///              log(S+ + G) - m,  G = max((L - prior N S+/P) / (1 - prior), N e^{-1/tau}),
///              L = N sum e^{(1 + hardness) s} / sum e^{hardness s} over the negatives, S- without a hardness:
///              debiased (arXiv 2007.00224, equations 7 and 8) and hard-negative reweighting (arXiv 2010.04592)
/// The papers have one positive; more are taken as NT-Xent takes them here. Where the maximum is its second part, the
/// negatives have no gradient. An anchor without negatives is at -infinity if decoupled, else as in NT-Xent.
struct NtXentForm {
  bool decoupled = false;
  bool inside = false;     // alone
  double sigma = 0;        // 0.01 or more, with decoupled alone; 0: w = 1
  double class_prior = 0;  // tau+, the share of negatives that are of the anchor's own class: 0 or more, below 1
  double hardness = 0;     // beta: 0 or more

  bool plain() const { return !decoupled && !inside && class_prior == 0 && hardness == 0; }
};

/// The largest 1/tau that is learned.
inline constexpr double nt_xent_most_scale = 100;

/// What the backward pass needs: O(A + M) numbers besides the embeddings, on a GPU O((A + M) D). Norms and sums are
/// f64: a small temperature would turn an f32's rounding of them into errors that show.
struct NtXentSaved {
  Tensor anchors, anchor_u, anchor_norm;           // z itself [A,D], u as a GPU's kernels want it, |z| f64 [A]
  Tensor candidates, candidate_u, candidate_norm;  // the same of M rows; the anchors' own in the square case
  Tensor log_sum;            // f64 [A]: log sum_{k != self} e^{s_ik}; of other forms log(S+ + G), inside log S+
  Tensor pull;               // f64 [A]: of a single positive -d loss_i/ds; shared/nt_xent_row.h
  Tensor positives;          // i32 [A]: |P_i|
  std::int64_t counted = 0;  // anchors that have a positive; 0 on a GPU, whose host cannot know
  Tensor device_counted;     // f64 []: the same in a GPU's memory
  Tensor device_terms;       // f32: what a GPU's tiles need of each anchor
  Tensor log_divisors;       // f64 [1 or 2,A]: the same on the CPU, of other forms than NT-Xent
  double temperature = 1.0;  // a learned one on a GPU: NaN, the host does not know it
  Tensor logit_scale;        // as nt_xent_forward was given it
  Tensor device_scales;      // f64 [2]: a learned tau in a GPU's memory, and what the tiles' u is multiplied by
  bool shifted = false;      // whether sums are kept relative to their row's maximum
  bool wgmma = false;        // as nt_xent_forward was told
  NtXentForm form;           // the same
  NtXentPairs pairs;         // on the CPU both groups are defined, SimCLR's order written out
  bool square = false;       // anchors and candidates are one tensor, with one grouping and self_offset 0
};

/// 1e-5, for f64 1e-13: 1/tau multiplies the rounding of the similarities (6e-8 and 1e-16), and below this the result
/// is of the rounding alone, then overflows.
constexpr double nt_xent_least_temperature(DType dtype) {
  return dtype == DType::f64 ? 1e-13 : 1e-5;
}

struct NtXentResult {
  Tensor loss;  // scalar [] of z's dtype; f32 beside bf16
  NtXentSaved saved;
};

/// `anchors` and `candidates` may be one tensor (Tensor::same_as): the square case, which uses symmetry. It
/// needs self_offset 0 and no groups or one tensor for both. f32 or f64; on a GPU f32 or bf16. The arithmetic holds
/// from nt_xent_least_temperature() on: sums that could overflow are kept relative to their row's maximum. Throws Error
/// for a temperature below that or not finite, a logit_scale that is not one value beside the embeddings, mismatched
/// shapes, pairs that do not fit, and where no anchor has a positive; a GPU does not wait to find that out, there the
/// loss is NaN.
/// `wgmma` asks for the tiles that are made for Hopper's tensor cores (docs/decisions/hopper-warpgroups.md): bf16 rows
/// of up to 256 values on a GPU of sm_90, elsewhere an Error. They have run on no GPU yet.
/// `form`: which loss of the family. Throws Error for a prior or a hardness out of range, for a sigma, a prior, a
/// hardness or `inside` beside what it does not go with, for a prior or a hardness beside a logit_scale, for a hardness
/// beside wgmma, and for a temperature over 1 + hardness below the least. L's two sums are kept in one pass.
SIMCLR_API NtXentResult nt_xent_forward(const Tensor& anchors, const Tensor& candidates,
                                        const NtXentTemperature& temperature, const NtXentPairs& pairs = {},
                                        bool wgmma = false, const NtXentForm& form = {});

struct NtXentGradient {
  Tensor danchors;           // [A,D]; the whole gradient of z in the square case
  Tensor dcandidates;        // [M,D]; undefined in the square case
  Tensor dlogit_scale = {};  // one value, as logit_scale; undefined for a fixed temperature
};
/// Gradients times `dloss`, d(anything)/d(loss), a scalar tensor of the loss's dtype. They have z's.
SIMCLR_API NtXentGradient nt_xent_backward(const NtXentSaved& saved, const Tensor& dloss);

struct NtXentKernels {
  Kernel<"nt_xent forward", void(NtXentSaved& saved, const Tensor& anchors, const Tensor& candidates, Tensor& loss)>
      forward;
  Kernel<"nt_xent backward", void(const NtXentSaved& saved, const Tensor& dloss, NtXentGradient& gradient)> backward;
};

SIMCLR_API extern const Slot<NtXentKernels> nt_xent_slot;

}  // namespace simclr::kernels
