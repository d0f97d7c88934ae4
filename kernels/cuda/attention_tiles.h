#pragma once

// Private to attention.cu, whose head has the maths: where a block's steps lie, and for bf16 their tiles on the tensor
// cores: 64 own steps of a block stay in shared memory, 16 a warp; tiles of the other side pass through it, one being
// copied while the other is used.

#include <simclr/kernels/cuda/fragments.h>
#include <simclr/kernels/cuda/tiles.h>
#include <simclr/kernels/shared/lengths.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

/// All heads of all sequences.
struct Heads {
  const std::int32_t* lengths;  // may be null
  int steps, heads, width;      // T, H, D
  float root, log2_scale;       // 1 / sqrt(D), and log2(e) times that
  bool vectors;                 // whether each step of a head lies as bf16's vectors want it

  __host__ __device__ std::int64_t channels() const { return static_cast<std::int64_t>(heads) * width; }
  __host__ __device__ int tiles() const { return (steps + tile_size - 1) / tile_size; }
};

/// Some values of the steps of one head, `stride` apart.
template <class T>
struct HeadSteps {
  T* step0;
  std::int64_t stride;
};

/// A block of 64 steps of one head: block number = (n H + h) tiles + tile.
struct HeadBlock {
  std::int64_t n, head;  // head: n H + h
  int h, first, length;
  float padding;  // what stands behind the length: NaN where that is impossible

  __device__ explicit HeadBlock(const Heads& of) {
    const int block = static_cast<int>(blockIdx.x);
    head = block / of.tiles();
    first = block % of.tiles() * tile_size;
    n = head / of.heads;
    h = static_cast<int>(head % of.heads);
    const std::int64_t own = kernels::length_of(of.lengths, n, of.steps);
    length = own < 0 ? 0 : static_cast<int>(own);
    padding = own < 0 ? NAN : 0.0f;
  }

  /// Tiles of `size` steps of the other side that meet this block's: none where its own are all padding.
  __device__ int tiles(int size) const { return first < length ? (length + size - 1) / size : 0; }

  /// Part 0, 1 or 2 of qkv [N,T,3C]: q, k or v.
  template <class T>
  __device__ HeadSteps<T> part(const Heads& of, T* qkv, int which) const {
    const std::int64_t stride = 3 * of.channels();
    return {qkv + n * of.steps * stride + which * of.channels() + h * of.width, stride};
  }
  /// Of [N,T,C].
  template <class T>
  __device__ HeadSteps<T> steps(const Heads& of, T* y) const {
    return {y + n * of.steps * of.channels() + h * of.width, of.channels()};
  }
};

/// What a query contributes to the gradient of its scores.
struct QueryTerm {
  float log_sum, delta;
};

/// Of the queries of one head.
struct QueryTerms {
  const float *log_sum, *delta;  // [T]

  __device__ QueryTerms(const Heads& of, const HeadBlock& block, const float* log_sums, const float* deltas)
      : log_sum(log_sums + block.head * of.steps), delta(deltas + block.head * of.steps) {}
  /// Those of padding are 0.
  __device__ QueryTerm at(int step, int length) const {
    return step < length ? QueryTerm{log_sum[step], delta[step]} : QueryTerm{};
  }
};

/// A query's sum of powers of two, relative to the largest. `lanes` neighbouring lanes share the row: they know one
/// maximum, and have a part of the sum each.
template <int lanes>
struct RunningSum {
  float top = -INFINITY, total = 0;

  /// Raises the maximum to the largest of all lanes' `highest`. What was added up before is to be multiplied with the
  /// result.
  __device__ float raise(float highest) {
#pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(all_lanes, highest, step);
      highest = other > highest ? other : highest;
    }
    const float higher = highest > top ? highest : top, shrunk = fast_exp2(top - higher);
    top = higher;
    total *= shrunk;
    return shrunk;
  }

  /// Adds the lanes' parts up, writes the row's log-sum by the first lane, and returns 1 / total.
  __device__ float finish(const Heads& of, const HeadBlock& block, int step, bool first_lane, float* log_sum) {
#pragma unroll
    for (int apart = lanes / 2; apart > 0; apart /= 2) total += __shfl_xor_sync(all_lanes, total, apart);
    if (first_lane && step < of.steps) {
      log_sum[block.head * of.steps + step] = step < block.length ? top + log2f(total) : block.padding;
    }
    return 1.0f / total;
  }
};

// bf16, on the tensor cores.

template <int depth>
struct AttentionTile {
  static constexpr int pitch = depth + 8;  // keeps the rows of a matrix in different banks

  /// Memory for own steps of `own` kinds and two stages of two tiles of `rows` steps.
  static constexpr std::size_t shared(int own, int rows) {
    return static_cast<std::size_t>((own * tile_size + 4 * rows) * pitch) * sizeof(BFloat16);
  }

  /// Starts copying `rows` steps from `first` on; zeros behind the length and behind the width.
  template <int rows>
  __device__ static void fetch(const Heads& of, int length, const HeadSteps<const BFloat16>& steps, int first,
                               BFloat16* to) {
    constexpr int vectors = depth / 8;
    for (int v = static_cast<int>(threadIdx.x); v < rows * vectors; v += tile_threads) {
      const int row = v / vectors, d = v % vectors * 8;
      const BFloat16* const from = steps.step0 + (first + row) * steps.stride + d;
      BFloat16* const at = to + row * pitch + d;
      const int count = first + row < length ? of.width - d : 0;
      if (count >= 8 && of.vectors) {
        copy_async16(at, from);
      } else {
#pragma unroll
        for (int k = 0; k < 8; ++k) at[k] = k < count ? from[k] : BFloat16{};
      }
    }
  }

  /// Calls use(first step, tile of a, tile of b) for tiles of `rows` steps, with a barrier between two calls. Copies
  /// that were started before are there by the first one.
  template <int rows, class Use>
  __device__ static void sweep(const Heads& of, const HeadBlock& block, const HeadSteps<const BFloat16>& a,
                               const HeadSteps<const BFloat16>& b, BFloat16* memory, Use&& use) {
    constexpr int size = rows * pitch;
    const auto fetch_tile = [&](int tile) {
      BFloat16* const stage = memory + tile % 2 * 2 * size;
      fetch<rows>(of, block.length, a, tile * rows, stage);
      fetch<rows>(of, block.length, b, tile * rows, stage + size);
      copy_async_commit();
    };
    const int tiles = block.tiles(rows);
    if (tiles > 0) fetch_tile(0);
    for (int tile = 0; tile < tiles; ++tile) {
      copy_async_wait<0>();
      __syncthreads();  // the tiles are there, and nobody reads the other ones
      if (tile + 1 < tiles) fetch_tile(tile + 1);
      const BFloat16* const stage = memory + tile % 2 * 2 * size;
      use(tile * rows, stage, stage + size);
    }
  }

  /// x of this warp's 16 own steps and 8 column_parts steps of a tile.
  template <int column_parts>
  __device__ static void products(const BFloat16* own, const BFloat16* tile, FragmentC (&x)[1][column_parts]) {
    for_each_value(x, [](float& value, int, int) { value = 0; });
    const BFloat16* const rows = own + threadIdx.x / 32 * 16 * pitch;
#pragma unroll
    for (int k = 0; k < depth / 16; ++k) {
      FragmentA a[1];
      load_left(a, rows + 16 * k, pitch);
      multiply_rows(x, a, tile + 16 * k, pitch);
    }
  }

  /// sum += w tile, w being rounded to bf16.
  template <int column_parts>
  __device__ static void add_weighted(FragmentC (&sum)[1][depth / 8], const FragmentC (&w)[1][column_parts],
                                      const BFloat16* tile) {
#pragma unroll
    for (int n = 0; n < column_parts; n += 2) {
      FragmentA a[1];
      round_left(a, w, n);
      multiply_columns(sum, a, tile + 8 * n * pitch, pitch);
    }
  }

  /// Writes factor[r] times row r of this warp's own steps, padding behind the length.
  __device__ static void write(const Heads& of, const HeadBlock& block, const FragmentC (&sum)[1][depth / 8],
                               const float (&factor)[2], const HeadSteps<BFloat16>& to) {
    for_each_row(sum, [&](const float(&values)[depth / 4], int r) {
      const int step = block.first + fragment_row<1>() + row_offset(r);
      if (step >= of.steps) return;
      BFloat16* const row = to.step0 + step * to.stride;
#pragma unroll
      for (int c = 0; c < depth / 4; ++c) {
        const int d = fragment_column() + column_offset(c);
        if (d < of.width) row[d] = narrow_to<BFloat16>(step < block.length ? values[c] * factor[r] : block.padding);
      }
    });
  }
};

/// x = -infinity behind the length; the first column is step `first` of the other side.
template <int column_parts>
__device__ void mask_padding(const HeadBlock& block, int first, FragmentC (&x)[1][column_parts]) {
  if (first + 8 * column_parts <= block.length) return;
  for_each_value(x, [&](float& value, int, int c) {
    if (first + fragment_column() + column_offset(c) >= block.length) value = -INFINITY;
  });
}

/// Products x become p, dp becomes ds; term(r, c) is of the value's query.
template <int column_parts, class Term>
__device__ void score_gradients(float log2_scale, FragmentC (&x)[1][column_parts], FragmentC (&dp)[1][column_parts],
                                Term&& term) {
  for_each_value(x, [&](float& value, int r, int c) {
    const QueryTerm query = term(r, c);
    value = fast_exp2(fmaf(value, log2_scale, -query.log_sum));
    float& gradient = dp[0][c / 2].value[2 * r + c % 2];
    gradient = value * (gradient - query.delta);
  });
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
