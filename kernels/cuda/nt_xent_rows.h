#pragma once

// Private to nt_xent.cu: who is a pair, and the kernels that take a warp for each row, in f64.

#include <simclr/kernels/cuda/tiles.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr int no_self = -(1 << 30);

/// Which columns are a row's positives or itself. Row i is the column that has its place: first_row + i = first_column
/// + k. Without groups the places of SimCLR's order decide: the two views of an image are `images` apart.
struct Pairs {
  const std::int32_t *row_group, *column_group;
  int rows, columns;
  int first_row, first_column;
  int images;

  /// Whether column k is no negative of row i, or no column at all.
  __device__ bool exclude(int i, int k) const {
    if (k >= columns) return true;
    const int apart = first_row + i - first_column - k;
    if (row_group == nullptr) return apart == 0 || apart == images || apart == -images;
    return apart == 0 || (i < rows && row_group[i] == column_group[k]);
  }

  /// Whether a tile may hold such a pair; most tiles of SimCLR's order do not.
  __device__ bool touch(int row, int height, int column, int width) const {
    if (row_group != nullptr || column + width > columns) return true;
    const int low = first_row + row - first_column - (column + width - 1), high = low + height + width - 2;
    const auto within = [&](int apart) { return low <= apart && apart <= high; };
    return within(0) || within(images) || within(-images);
  }

  /// Calls f(k) in all lanes for each positive k of row i, in order.
  template <class F>
  __device__ void each_positive(int i, F&& f) const {
    if (row_group == nullptr) {
      const int k = (first_row + i + images) % (2 * images) - first_column;
      if (k >= 0 && k < columns) f(k);
      return;
    }
    const int self = first_row + i - first_column, group = row_group[i];
    for (int begin = 0; begin < columns; begin += 32) {
      const int k = begin + lane_index();
      unsigned found = __ballot_sync(all_lanes, k < columns && k != self && column_group[k] == group);
      for (; found != 0; found &= found - 1) f(begin + __ffs(static_cast<int>(found)) - 1);
    }
  }
};

/// What a tile needs of a row as an anchor: 2^{x - shift} share = e / sum of its row.
struct AnchorTerm {
  float shift, share;
};

/// Of all rows of a side; null where they are no anchors.
struct AnchorTerms {
  const AnchorTerm* term;

  __device__ AnchorTerm at(int row) const {
    return term == nullptr ? AnchorTerm{std::numeric_limits<float>::max(), 0.0f} : term[row];
  }
};

/// What a pair of rows contributes to the gradient, each as an anchor of the other. Where no shift is needed all are 0,
/// or the share is.
template <bool shifted>
__device__ float weight(float x, const AnchorTerm& a, const AnchorTerm& b) {
  if constexpr (shifted) return fast_exp2(x - a.shift) * a.share + fast_exp2(x - b.shift) * b.share;
  return fast_exp2(x) * (a.share + b.share);
}

/// A sum of powers of two, relative to 2^top where they could overflow.
template <bool shifted>
struct RowSum {
  double sum = 0;
  float top = shifted ? -1e30f : 0.0f;

  /// Makes room for 2^x.
  template <int count>
  __device__ void rise(const float (&x)[count]) {
    if constexpr (shifted) {
      float highest = top;
#pragma unroll
      for (int i = 0; i < count; ++i) highest = x[i] > highest ? x[i] : highest;
      rise_to(ceilf(highest));
    }
  }

  __device__ void rise_to(float higher) {
    if (!(higher > top)) return;
    sum *= static_cast<double>(fast_exp2(top - higher));
    top = higher;
  }

  /// Adds up neighbouring lanes' sums.
  template <int lanes>
  __device__ void merge_lanes() {
#pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2) {
      if constexpr (shifted) rise_to(__shfl_xor_sync(all_lanes, top, step));
      sum += __shfl_xor_sync(all_lanes, sum, step);
    }
  }
};

/// The sums of each split's columns, [splits, padded rows].
struct PartialSums {
  double* sum;
  float* top;
  int splits, all_rows;

  template <bool shifted>
  __device__ void write(unsigned split, int row, const RowSum<shifted>& value) const {
    const std::int64_t at = static_cast<std::int64_t>(split) * all_rows + row;
    sum[at] = value.sum;
    if constexpr (shifted) top[at] = value.top;
  }

  /// The log of a row's whole sum, in every lane.
  __device__ double log_of(int row) const {
    float highest = top == nullptr ? 0.0f : -std::numeric_limits<float>::max();
    for (int s = lane_index(); top != nullptr && s < splits; s += 32) {
      highest = fmaxf(highest, top[static_cast<std::int64_t>(s) * all_rows + row]);
    }
    highest = warp_max(highest);
    double total = 0;
    for (int s = lane_index(); s < splits; s += 32) {
      const std::int64_t at = static_cast<std::int64_t>(s) * all_rows + row;
      total += top == nullptr ? sum[at] : sum[at] * exp2(static_cast<double>(top[at] - highest));
    }
    return log(warp_sum(total)) + static_cast<double>(highest) * std::numbers::ln2;
  }
};

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
  const double dot = warp_dot(a.row(i), b.row(k), a.width), norms = a.norm[i] * b.norm[k];
  return norms == 0 ? 0.0 : dot / (norms * temperature);
}

/// The similarities of one anchor to its positives, met one by one.
struct PositiveSum {
  double highest = -std::numeric_limits<double>::infinity();
  double sum = 0;  // of e^{s - highest}
  double total = 0;
  int count = 0;

  __device__ void add(double s) {
    if (s > highest) {
      sum *= exp(highest - s);
      highest = s;
    }
    sum += exp(s - highest);
    total += s;
    ++count;
  }
};

/// Saved values of the anchors; null for rows that are none.
struct AnchorValues {
  double *log_sum, *negatives;
  std::int32_t* positives;

  /// p - 1/|P| of anchor i and a positive at similarity s. With one positive that is minus the share of the negatives,
  /// free of cancellation.
  __device__ double positive_weight(int i, double s) const {
    if (positives == nullptr) return 0;
    return positives[i] == 1 ? -negatives[i] : exp(s - log_sum[i]) - 1.0 / positives[i];
  }
};

/// Losses of the anchors from their sums over negatives, and terms for all padded rows.
template <class T>
__global__ void __launch_bounds__(row_threads)
    nt_xent_loss_kernel(PartialSums partial, Embeddings<T> anchors, Embeddings<T> candidates, Pairs pairs,
                        double temperature, bool shifted, AnchorValues values, AnchorTerm* terms, double* loss) {
  const int i = static_cast<int>(blockIdx.x * (row_threads / 32) + threadIdx.x / 32);
  AnchorTerm term = {std::numeric_limits<float>::max(), 0.0f};
  if (i < pairs.rows) {
    PositiveSum positive;
    pairs.each_positive(i, [&](int k) { positive.add(pair_similarity(anchors, i, candidates, k, temperature)); });
    const double log_negative = partial.log_of(i), log_positive = positive.highest + log(positive.sum);
    const double margin = log_negative - log_positive;  // log of negatives over positives
    const double excess = margin > 0 ? margin + log1p(exp(-margin)) : log1p(exp(margin));
    const double log_sum = log_positive + excess;
    if (positive.count != 0) {
      const double log2_sum = log_sum * std::numbers::log2e;
      term.shift = shifted ? static_cast<float>(rint(log2_sum)) : 0.0f;
      term.share = static_cast<float>(exp2(static_cast<double>(term.shift) - log2_sum));
    }
    if (lane_index() == 0) {
      const bool counts = positive.count != 0;
      values.positives[i] = positive.count;
      values.negatives[i] = counts ? 1 / (1 + exp(-margin)) : 0.0;
      values.log_sum[i] = counts ? log_sum : log_negative;
      loss[i] = counts ? excess + (log_positive - positive.total / positive.count) : 0.0;
    }
  }
  if (lane_index() == 0) terms[i] = term;
}

inline constexpr int mean_threads = 1024;

/// The mean over the anchors that have a positive, by one block.
__global__ void __launch_bounds__(mean_threads) nt_xent_mean_kernel(const double* losses, const std::int32_t* positives,
                                                                    int anchors, float* loss, double* counted) {
  double sum = 0, count = 0;
  for (int i = static_cast<int>(threadIdx.x); i < anchors; i += mean_threads) {
    sum += losses[i];
    count += positives[i] != 0 ? 1.0 : 0.0;
  }
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
  double scale;
};

/// dz of one side: the positives, the tiles' sums, then back through the normalisation, a warp a row. du is kept in
/// dynamic shared memory: `width` doubles a warp.
template <class T>
__global__ void __launch_bounds__(row_threads)
    nt_xent_gradient_kernel(PartialGradient partial, Embeddings<T> rows, AnchorValues own, Embeddings<T> columns,
                            AnchorValues others, Pairs pairs, double temperature, const float* dloss,
                            const double* counted, T* dz) {
  SIMCLR_DYNAMIC_SHARED(double, buffer);
  const int i = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32), width = rows.width;
  if (i >= pairs.rows) return;
  double* const du = buffer + threadIdx.x / 32 * width;
  for (int d = lane_index(); d < width; d += 32) du[d] = 0;
  pairs.each_positive(i, [&](int p) {
    const double norm = columns.norm[p];
    const double s = pair_similarity(rows, i, columns, p, temperature);
    const double each = norm == 0 ? 0 : (own.positive_weight(i, s) + others.positive_weight(p, s)) / norm;
    for (int d = lane_index(); d < width; d += 32) du[d] += each * static_cast<double>(widen(columns.row(p)[d]));
  });
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
      if (d + k < width) du[d + k] += sum[k] / partial.scale;
    }
  }
  __syncwarp();
  const double scale = static_cast<double>(*dloss) / (*counted * temperature);
  unit_row_backward(du, rows.row(i), rows.norm[i], scale, width, dz + static_cast<std::int64_t>(i) * width);
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
