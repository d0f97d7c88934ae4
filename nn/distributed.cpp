#include <simclr/core/autograd.h>
#include <simclr/kernels/shared/nt_xent_row.h>
#include <simclr/nn/distributed.h>
#include <simclr/nn/functional.h>
#include <simclr/nn/nt_xent_record.h>

namespace simclr::nn {
namespace {

/// [A,B n,...] -> [B,A n,...]: blocks of n rows in the other order.
Tensor swapped(const Tensor& x, std::int64_t outer, std::int64_t inner) {
  const std::int64_t rows = x.dim(0) / (outer * inner);
  const Tensor y = Tensor::empty_like(x);
  for (std::int64_t a = 0; a < outer; ++a) {
    for (std::int64_t b = 0; b < inner; ++b) {
      y.narrow((b * outer + a) * rows, rows).copy_from(x.narrow((a * inner + b) * rows, rows));
    }
  }
  return y;
}

/// logit_scale for this rank's share of one loss. The cap is of the sum over the ranks: shares that were capped one by
/// one would add up to something else. Rank 0 gets the gradient, and the others 0, for gradients are added up. The host
/// waits for it, as it does for the sums of batch norm.
Tensor shared_scale(World& world, const Tensor& logit_scale) {
  if (!logit_scale.defined()) return {};
  return record("shared_scale", {logit_scale}, logit_scale.clone(), {logit_scale},
                [&world, value = logit_scale.detach()](Backward& bw) {
                  Tensor gradient = bw.dy().clone();
                  world.all_reduce(gradient);
                  gradient.fill(world.rank() > 0 ? 0 : kernels::capped_gradient(gradient.item(), value.item()));
                  bw.set(0, gradient);
                });
}

}  // namespace

Tensor gather(World& world, const Tensor& x) {
  if (world.size() == 1) return x;
  return record("gather", {x}, world.all_gather(x.detach()),
                [&world](Backward& bw) { bw.set(0, world.reduce_scatter(bw.dy())); });
}

Tensor gather_views(World& world, const Tensor& z, int views) {
  SIMCLR_CHECK(z.defined() && z.rank() == 2 && views >= 1 && z.dim(0) % views == 0, "gather_views: z ",
               z.defined() ? describe(z) : "undefined", " is not ", views, " views of each sample, [views N,D]");
  if (world.size() == 1) return z;
  return record(
      "gather_views", {z}, swapped(world.all_gather(z.detach()), world.size(), views),
      [&world, views](Backward& bw) { bw.set(0, world.reduce_scatter(swapped(bw.dy(), views, world.size()))); });
}

Tensor sum_over_ranks(World& world, const Tensor& x) {
  if (world.size() == 1) return x;
  const Tensor sum = x.clone();
  world.all_reduce(sum);
  return record("sum_over_ranks", {x}, sum, [](Backward& bw) { bw.set(0, bw.dy()); });
}

namespace {

/// DCLW's weights are shares of one sum over all anchors, of which a rank has its own alone.
void check_ranks(const kernels::NtXentForm& form) {
  SIMCLR_CHECK(form.sigma == 0,
               "nt_xent: DCLW weighs the pairs of a batch against each other, which ranks do not share; "
               "use DCL, or one process");
}

/// The loss of this rank's z, whose views are of all ranks' rows' `groups` [V W N]; undefined: SimCLR's order of two.
Tensor loss_of_views(World& world, const Tensor& z, const Tensor& groups, const NtXentOptions& options) {
  check_ranks(options.form);
  const Tensor candidates = gather_views(world, z, options.views);
  const std::int64_t samples = z.dim(0) / options.views;
  NtXentOptions plain = options;
  plain.views = 2;  // the groups say it
  plain.logit_scale = shared_scale(world, options.logit_scale);
  Tensor sum;
  for (int v = 0; v < options.views; ++v) {
    kernels::NtXentPairs pairs = {.self_offset = (v * world.size() + world.rank()) * samples};
    if (groups.defined()) {
      pairs.anchor_group = groups.narrow(pairs.self_offset, samples);
      pairs.candidate_group = groups;
    }
    const Tensor mean = record_nt_xent(z.narrow(v * samples, samples), candidates, pairs, plain, ScaleGradient::raw);
    sum = sum.defined() ? add(sum, mean) : mean;
  }
  return sum_over_ranks(world, scale(sum, 1.0 / (options.views * world.size())));
}

}  // namespace

Tensor nt_xent(World& world, const Tensor& z, const NtXentOptions& options) {
  if (world.size() == 1) return nt_xent(z, options);
  SIMCLR_CHECK(options.views >= 2, "nt_xent: views ", options.views, "; at least 2 of each sample are needed");
  Tensor groups;  // SimCLR's order needs none
  if (options.views > 2) groups = sample_groups(world.size() * z.dim(0), options.views, z.device());
  return loss_of_views(world, z, groups, options);
}

Tensor supcon(World& world, const Tensor& z, const Tensor& groups, const NtXentOptions& options) {
  SIMCLR_CHECK(
      groups.defined() && groups.shape() == Shape{z.dim(0)} && options.views >= 1 && z.dim(0) % options.views == 0,
      "supcon: groups ", groups.defined() ? describe(groups) : "undefined", " of z ", describe(z),
      " are not one of each row of ", options.views, " views");
  if (world.size() > 1) {
    return loss_of_views(world, z, swapped(world.all_gather(groups), world.size(), options.views), options);
  }
  NtXentOptions plain = options;
  plain.views = 2;  // the groups say it
  return nt_xent(z, z, {.anchor_group = groups, .candidate_group = groups}, plain);
}

Tensor nt_xent(World& world, const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
               const NtXentOptions& options) {
  if (world.size() == 1) return nt_xent(anchors, candidates, pairs, options);
  check_ranks(options.form);
  NtXentOptions plain = options;
  plain.logit_scale = shared_scale(world, options.logit_scale);
  const Tensor mean = record_nt_xent(anchors, gather(world, candidates), pairs, plain, ScaleGradient::raw);
  return sum_over_ranks(world, scale(mean, 1.0 / world.size()));
}

}  // namespace simclr::nn
