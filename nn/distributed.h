#pragma once

#include <simclr/core/world.h>
#include <simclr/nn/losses.h>

/// Functions of a batch that the ranks of a run share, N samples a rank: what one process computes of all W N. A step
/// is
///
///   model.set_world(&world);                         // once: for its batch norm and its loss
///   const Tensor loss = model.loss_of(batch.towers);  // of all ranks' samples, the same on each
///   loss.backward();                                  // of it to what this rank's rows have to do with it
///   world.all_reduce(optimizer.gradients());          // the whole
///   optimizer.step(loss);
///
/// Backward passes are collective, too: all ranks run them, from the same gradient. Of one rank all of it is what it is
/// without a world.
namespace simclr::nn {

/// x [n,...] of each rank -> [W n,...], by rank. dx is the sum over the ranks of what flows into this rank's rows: each
/// rank's loss reads them.
SIMCLR_API Tensor gather(World& world, const Tensor& x);

/// z [V N,D] of each rank -> [V W N,D], view by view as data::Batch has them: view v of rank r's sample i in row
/// v W N + r N + i. The gradient is that of gather(). Throws Error where the rows are not so many views.
SIMCLR_API Tensor gather_views(World& world, const Tensor& z, int views = 2);

/// The sum over the ranks of x, which each has a share of: a loss's. dx = dy, for all ranks start from the same
/// gradient of the sum.
SIMCLR_API Tensor sum_over_ranks(World& world, const Tensor& x);

/// nt_xent(gather_views(z), options), where each rank computes the rows of its own anchors: memory grows with W N, not
/// with its square. With options.logit_scale the backward pass has one more collective, an all-reduce, and until all
/// gradients are summed, rank 0 alone has the gradient of logit_scale, which is capped; the others have 0. Throws Error
/// for DCLW (options.form.sigma), whose weights are shares of a sum over all anchors.
SIMCLR_API Tensor nt_xent(World& world, const Tensor& z, const NtXentOptions& options = {});

/// SupCon, L_out or as options.form says: nt_xent(z, z, {.anchor_group = g, .candidate_group = g}) of gather_views(z)
/// and the groups g of its rows. `groups` i32 [V N] are those of the own rows, as data::Batch::label_groups() gives
/// them: 0 and above are alike on all ranks, others but -1 are of one rank's sample alone. Every row must have a
/// positive, as it has where there are several views of each sample.
SIMCLR_API Tensor supcon(World& world, const Tensor& z, const Tensor& groups, const NtXentOptions& options = {});

/// The rectangular form, nt_xent(gather(anchors), gather(candidates), ...): anchors [N,D] and candidates [N,D] of each
/// rank, by rank. `pairs` are those of the own anchors among all candidates: anchor_group [N], candidate_group [W N].
/// Every anchor must have a positive, as in two towers: the mean is taken of the ranks' means. options.logit_scale as
/// above.
SIMCLR_API Tensor nt_xent(World& world, const Tensor& anchors, const Tensor& candidates,
                          const kernels::NtXentPairs& pairs, const NtXentOptions& options = {});

}  // namespace simclr::nn
