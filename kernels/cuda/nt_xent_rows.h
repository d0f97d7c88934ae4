#pragma once

// Private to nt_xent.cu, whose head has the maths: the kernels that take a warp for each row, in f64. The maths of a
// row is in shared/nt_xent_row.h.

#include <simclr/kernels/cuda/nt_xent_terms.h>
#include <simclr/kernels/shared/nt_xent_row.h>

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
  double *log_sum, *negatives;
  std::int32_t* positives;

  /// Of anchor i and a positive at similarity s; 0 where the rows are no anchors.
  __device__ double positive_weight_of(int i, double s) const {
    return positives == nullptr ? 0.0 : kernels::positive_weight(s, log_sum[i], negatives[i], positives[i]);
  }
};

/// Losses of the anchors from their sums over negatives, and terms for all padded rows.
template <class T, class Number>
__global__ void __launch_bounds__(row_threads)
    nt_xent_loss_kernel(PartialSums partial, Embeddings<T> anchors, Embeddings<T> candidates, Pairs pairs,
                        Number temperature, bool shifted, AnchorValues values, TileTerm* terms, double* loss) {
  const int i = static_cast<int>(blockIdx.x * (row_threads / 32) + threadIdx.x / 32);
  TileTerm term = kernels::no_anchor<float>();
  if (i < pairs.rows) {
    // 1 the positives' similarities, from z in f64
    const double tau = value_of(temperature);
    kernels::PositiveSum<double> positives;
    pairs.each_positive(i, [&](int k) { positives.add(pair_similarity(anchors, i, candidates, k, tau)); });
    // 2 the splits' sums over the negatives
    const kernels::RowLoss<double> row = kernels::row_loss(partial.log_of(i), positives);
    if (positives.count != 0) term = kernels::anchor_term<float>(row.log_sum, shifted);
    // 3 what backward needs, and the loss
    if (lane_index() == 0) {
      values.positives[i] = positives.count;
      values.negatives[i] = row.negatives;
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
