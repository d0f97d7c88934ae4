#pragma once

// Private to nt_xent.cu, whose head has the maths: the kernels that take a warp for each row, in f64. The maths of a
// row is in shared/nt_xent_row.h, that of the family's other losses in shared/nt_xent_form.h.

#include <simclr/kernels/cuda/nt_xent_terms.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

/// z [count,width] of one side.
template <class T>
struct Embeddings {
  const T* z;
  const double* norm;
  int width;

  __device__ const T* row(int i) const { return z + static_cast<std::int64_t>(i) * width; }
};

/// s of two rows, in every lane.
template <class T>
__device__ double pair_similarity(const Embeddings<T>& a, int i, const Embeddings<T>& b, int k, double temperature) {
  return kernels::scaled_cosine(warp_dot(a.row(i), b.row(k), a.width), a.norm[i], b.norm[k], temperature);
}

/// Saved values of the anchors; null for rows that are none.
struct AnchorValues {
  double *log_sum, *pull;
  std::int32_t* positives;
  kernels::PullRule rule;

  /// Of anchor i and a positive at similarity s; 0 where the rows are no anchors.
  __device__ double positive_weight_of(int i, double s) const {
    return positives == nullptr ? 0.0 : kernels::positive_weight(s, log_sum[i], pull[i], positives[i], rule);
  }
};

/// NT-Xent itself, which knows nothing of its family.
struct PlainForm {};

/// A row's loss, and what `term` its tiles need.
__device__ inline kernels::RowLoss<double> row_of(PlainForm, const PartialSums& partial, const Pairs&, int i, double,
                                                  const kernels::PositiveSum<double>& positives, bool shifted,
                                                  TileTerm& term) {
  const kernels::RowLoss<double> row = kernels::row_loss(partial.log_of(i), positives);
  if (positives.count != 0) term = kernels::anchor_term<float>(row.log_sum, shifted);
  return row;
}
/// DCLW: its loss is log S- and its pull the mean similarity of its positives, for nt_xent_weighted_mean_kernel.
template <class Term>
__device__ kernels::RowLoss<double> row_of(const kernels::NtXentForm& form, const PartialSums& partial,
                                           const Pairs& pairs, int i, double temperature,
                                           const kernels::PositiveSum<double>& positives, bool shifted, Term& term) {
  constexpr bool hard = std::is_same_v<Term, HardTerm>;
  const int among = pairs.first_row >= 0 ? 1 : 0;  // the row itself
  const kernels::NegativeSums<double> negatives = {partial.log_of(i), hard ? partial.log_of(i, 1) : 0.0,
                                                   pairs.columns - positives.count - among};
  kernels::FormRow<double> row = kernels::form_row(form, temperature, negatives, positives);
  if (positives.count == 0) return row;
  const TileTerm first = kernels::divided_term<float>(row.log_divisor, shifted);
  if constexpr (hard) {
    term = {first, kernels::negated(kernels::divided_term<float>(row.log_second, shifted))};
  } else {
    term = first;
  }
  if (form.sigma > 0) {
    row.loss = negatives.log_sum;
    row.pull = positives.total / positives.count;
  }
  return row;
}

/// Losses of the anchors from their sums over negatives, and terms for all padded rows.
template <class T, class Number, class Form, class Term>
__global__ void __launch_bounds__(row_threads)
    nt_xent_loss_kernel(PartialSums partial, Embeddings<T> anchors, Embeddings<T> candidates, Pairs pairs,
                        Number temperature, Form form, bool shifted, AnchorValues values, Term* terms, double* loss) {
  const int i = static_cast<int>(blockIdx.x * (row_threads / 32) + threadIdx.x / 32);
  Term term = no_term<Term>();
  if (i < pairs.rows) {
    // 1 the positives' similarities, from z in f64
    const double tau = value_of(temperature);
    kernels::PositiveSum<double> positives;
    pairs.each_positive(i, [&](int k) { positives.add(pair_similarity(anchors, i, candidates, k, tau)); });
    // 2 the splits' sums over the negatives
    const kernels::RowLoss<double> row = row_of(form, partial, pairs, i, tau, positives, shifted, term);
    // 3 what backward needs, and the loss
    if (lane_index() == 0) {
      values.positives[i] = positives.count;
      values.pull[i] = row.pull;
      values.log_sum[i] = row.log_sum;
      loss[i] = row.loss;
    }
  }
  if (lane_index() == 0) terms[i] = term;
}

inline constexpr int mean_threads = 1024;

/// The mean over the anchors that have a positive, by one block.
__global__ void __launch_bounds__(mean_threads) nt_xent_mean_kernel(const double* losses, const std::int32_t* positives,
                                                                    int anchors, float* loss, double* counted) {
  // 1 each thread every 1024th anchor
  double sum = 0, count = 0;
  for (int i = static_cast<int>(threadIdx.x); i < anchors; i += mean_threads) {
    sum += losses[i];
    count += positives[i] != 0 ? 1.0 : 0.0;
  }
  // 2 the block, in a fixed order
  sum = block_sum<mean_threads>(sum);
  count = block_sum<mean_threads>(count);
  if (threadIdx.x == 0) {
    *loss = static_cast<float>(sum / count);
    *counted = count;
  }
}

/// DCLW's mean, and in the place of the mean similarities the positives' weights, by one block.
template <class Number>
__global__ void __launch_bounds__(mean_threads)
    nt_xent_weighted_mean_kernel(const double* losses, AnchorValues values, int anchors, Number temperature,
                                 double sigma, float* loss, double* counted) {
  // 1 what the weights share: each thread every 1024th anchor, then the block, in a fixed order
  const double tau = value_of(temperature);
  double shares = 0, count = 0;
  for (int i = static_cast<int>(threadIdx.x); i < anchors; i += mean_threads) {
    if (values.positives[i] == 0) continue;
    shares += kernels::mises_fisher(sigma, tau, values.pull[i]);
    count += 1.0;
  }
  shares = block_sum<mean_threads>(shares);
  count = block_sum<mean_threads>(count);
  // 2 the weights, and the losses with them
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < anchors; i += mean_threads) {
    if (values.positives[i] == 0) continue;
    const double mean = values.pull[i];
    const double weight = kernels::decoupled_weight(kernels::mises_fisher(sigma, tau, mean), shares, count);
    sum += losses[i] - weight * mean;
    values.pull[i] = weight;
  }
  sum = block_sum<mean_threads>(sum);
  if (threadIdx.x == 0) {
    *loss = static_cast<float>(sum / count);
    *counted = count;
  }
}

/// du of the tiles, one for each split: [splits, padded rows, depth], times u's scale.
struct PartialGradient {
  const float* du;
  int splits, depth;
  std::int64_t split_size;
};

/// dz of one side: the positives, the tiles' sums, then back through the normalisation, a warp a row. du is kept in
/// dynamic shared memory: `width` doubles a warp. The tiles' u was multiplied by u_scale. Writes du.u to `along`,
/// unless it is null.
template <class T, class Number>
__global__ void __launch_bounds__(row_threads)
    nt_xent_gradient_kernel(PartialGradient partial, Embeddings<T> rows, AnchorValues own, Embeddings<T> columns,
                            AnchorValues others, Pairs pairs, Number temperature, Number u_scale, const float* dloss,
                            const double* counted, T* dz, double* along) {
  SIMCLR_DYNAMIC_SHARED(double, buffer);
  const int i = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32), width = rows.width;
  if (i >= pairs.rows) return;
  double* const du = buffer + threadIdx.x / 32 * width;
  const double tau = value_of(temperature);
  // 1 du = the positives, each by its weights as this row's and as its own
  for (int d = lane_index(); d < width; d += 32) du[d] = 0;
  pairs.each_positive(i, [&](int p) {
    const double norm = columns.norm[p];
    const double s = pair_similarity(rows, i, columns, p, tau);
    const double each = norm == 0 ? 0 : (own.positive_weight_of(i, s) + others.positive_weight_of(p, s)) / norm;
    for (int d = lane_index(); d < width; d += 32) du[d] += each * static_cast<double>(widen(columns.row(p)[d]));
  });
  // 2 du += the tiles' sums, split by split
  __syncwarp();  // so far a lane had every 32nd value, now it has four in a row
  const float* const from = partial.du + static_cast<std::int64_t>(i) * partial.depth;
  for (int d = 4 * lane_index(); d < width; d += 128) {  // depth is a multiple of 4, width need not be
    double sum[4] = {};
    for (int s = 0; s < partial.splits; ++s) {
      const Pack<4> part = load<4>(from + s * partial.split_size + d);
#pragma unroll
      for (int k = 0; k < 4; ++k) sum[k] += static_cast<double>(part[k]);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (d + k < width) du[d + k] += sum[k] / value_of(u_scale);
    }
  }
  __syncwarp();
  // 3 back through the norm
  const double scale = static_cast<double>(*dloss) / (*counted * tau);
  const double dot =
      unit_row_backward(du, rows.row(i), rows.norm[i], scale, width, dz + static_cast<std::int64_t>(i) * width);
  if (along != nullptr && lane_index() == 0) along[i] = dot;
}

// A learned temperature, of which the host knows nothing. `scales` are tau, and what the tiles' u is multiplied by.

__global__ void nt_xent_temperature_kernel(const float* logit_scale, bool tensor_cores, double* scales) {
  const double tau = kernels::learned_temperature(static_cast<double>(*logit_scale));
  scales[0] = tau;
  scales[1] = tensor_cores ? kernels::tensor_core_scale(tau) : 1.0;
}

/// d loss/d logit_scale from du.u of the anchors, of which `share` counts, by one block.
__global__ void __launch_bounds__(mean_threads)
    nt_xent_temperature_gradient_kernel(const double* along, int anchors, double share, const float* dloss,
                                        const double* counted, const double* scales, const float* logit_scale,
                                        float* dlogit_scale) {
  // 1 each thread every 1024th anchor
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < anchors; i += mean_threads) sum += along[i];
  // 2 the block, in a fixed order
  sum = block_sum<mean_threads>(sum);
  if (threadIdx.x != 0) return;
  const double gradient = sum * share * static_cast<double>(*dloss) / (*counted * scales[0]);
  *dlogit_scale = static_cast<float>(kernels::capped_gradient(gradient, static_cast<double>(*logit_scale)));
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
