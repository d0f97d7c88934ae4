#pragma once

// Private to attention.cu, whose head has the maths: the tiles of the f32 cores, for f32, and for bf16 heads that are
// too wide for the tensor cores. q, k, v and dy come head by head as rows of f32 [N H, padded steps, depth], zeros in
// the padding; a thread holds 8 x 4 of a tile's scores (tiles.h), and a block computes 64 parts columns of its sums.

#include <simclr/kernels/cuda/attention_tiles.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

template <int parts>
constexpr std::size_t attention_f32_shared(int slices) {
  return static_cast<std::size_t>(2 * simt_stage + tile_size * (simt_square_pitch + slices * simt_slice_pitch<parts>)) *
         sizeof(float);
}

/// rows [parts,N H,padded steps,depth] = x [N,T,parts,H,D].
template <class T>
struct PackHeads {
  const T* x;
  float* rows;
  Heads of;
  int parts, depth;
  std::int64_t sequences;

  template <int N>
  __device__ void at(std::int64_t i) const {
    static_assert(N == 1);
    const int d = static_cast<int>(i % depth), all_steps = of.tiles() * tile_size;
    const std::int64_t row = i / depth, step = row % all_steps, head = row / all_steps;  // of all parts
    const std::int64_t h = head % of.heads, n = head / of.heads % sequences, part = head / of.heads / sequences;
    const bool own = d < of.width && step < kernels::length_of(of.lengths, n, of.steps);
    rows[i] = own ? widen(x[((n * of.steps + step) * parts + part) * of.channels() + h * of.width + d]) : 0.0f;
  }
};

/// The packed rows of a side.
struct PackedRows {
  const float* rows;
  int depth;

  __device__ const float* of_step(const Heads& of, const HeadBlock& block, int step) const {
    return rows + (block.head * of.tiles() * tile_size + step) * depth;
  }
};

/// Writes what simt_multiply added up, times factor[i] for rows of steps below the length, and padding behind it.
template <int parts, class T>
__device__ void write_slice(const Heads& of, const HeadBlock& block, int first_depth, const float (&sum)[8][4 * parts],
                            const float (&factor)[8], const HeadSteps<T>& to) {
  const int row = static_cast<int>(threadIdx.x) / 16, column = static_cast<int>(threadIdx.x) % 16 * 4;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int step = block.first + row + 8 * i;
    if (step >= of.steps) continue;
#pragma unroll
    for (int p = 0; p < 4 * parts; ++p) {
      const int d = first_depth + p / 4 * tile_size + column + p % 4;
      if (d >= of.width) continue;
      to.step0[step * to.stride + d] = narrow_to<T>(step < block.length ? sum[i][p] * factor[i] : block.padding);
    }
  }
}

/// y of 64 queries, columns [first_depth, first_depth + 64 parts) of it, which blockIdx.z picks.
template <int parts, class T>
__global__ void __launch_bounds__(tile_threads)
    attention_forward_f32_kernel(Heads of, PackedRows q, PackedRows k, PackedRows v, T* y, float* log_sum) {
  SIMCLR_DYNAMIC_SHARED(float, stage);
  float* const square = stage + 2 * simt_stage;
  float* const slice = square + tile_size * simt_square_pitch;
  const HeadBlock block(of);
  const int row = static_cast<int>(threadIdx.x) / 16, column = static_cast<int>(threadIdx.x) % 16;
  const int first_depth = static_cast<int>(blockIdx.z) * tile_size * parts, tiles = block.tiles(tile_size);
  float sum[8][4 * parts] = {};
  RunningSum<16> sums[8];
  // 1 sweep the keys; dots = q.k of a tile
  const auto use = [&](int tile, const SimtDots& dots) {
    // 2 of their v the slice that meets p
    simt_fetch_slice<parts>(v.of_step(of, block, tile * tile_size), v.depth, first_depth, slice);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      // 3 mask the padding, and raise the row's maximum to the tile's
      float x[4], highest = -INFINITY;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const bool own = tile * tile_size + column + 16 * j < block.length;
        x[j] = own ? dots[i][j] * of.log2_scale : -INFINITY;
        highest = x[j] > highest ? x[j] : highest;
      }
      const float shrunk = sums[i].raise(highest);
      // 4 p, in shared memory; what was added up before shrinks
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float p = fast_exp2(x[j] - sums[i].top);
        sums[i].total += p;
        square[(row + 8 * i) * simt_square_pitch + column + 16 * j] = p;
      }
#pragma unroll
      for (int p = 0; p < 4 * parts; ++p) sum[i][p] *= shrunk;
    }
    copy_async_wait<0>();
    __syncthreads();  // the square and the slice are there; the sweep's barrier follows their use
    // 5 y += p v
    simt_multiply<parts>(square, slice, sum);
  };
  if (tiles > 0) simt_sweep(q.of_step(of, block, block.first), k.of_step(of, block, 0), q.depth, tiles, stage, use);
  // 6 divide, and write this block's y
  float factor[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    factor[i] = sums[i].finish(of, block, block.first + row + 8 * i, column == 0 && blockIdx.z == 0, log_sum);
  }
  write_slice<parts>(of, block, first_depth, sum, factor, block.steps(of, y));
}

/// dq of 64 queries, or dk and dv of 64 keys: columns [first_depth, first_depth + 64) of them, which blockIdx.z picks.
/// The own steps have q and dy, the others k and v, or the other way round.
template <bool own_keys, class T>
__global__ void __launch_bounds__(tile_threads)
    attention_backward_f32_kernel(Heads of, PackedRows q, PackedRows k, PackedRows v, PackedRows dy,
                                  const float* log_sum, const float* delta, T* dqkv) {
  SIMCLR_DYNAMIC_SHARED(float, stage);
  float* const square = stage + 2 * simt_stage;
  float* const slice_a = square + tile_size * simt_square_pitch;
  float* const slice_b = slice_a + tile_size * simt_slice_pitch<1>;
  const HeadBlock block(of);
  const QueryTerms terms(of, block, log_sum, delta);
  const PackedRows &own_a = own_keys ? k : q, &own_b = own_keys ? v : dy;
  const PackedRows &other_a = own_keys ? q : k, &other_b = own_keys ? dy : v;
  const int row = static_cast<int>(threadIdx.x) / 16, column = static_cast<int>(threadIdx.x) % 16;
  const int first_depth = static_cast<int>(blockIdx.z) * tile_size;
  float sum_a[8][4] = {}, sum_b[8][4] = {}, p[8][4];
  for (int tile = 0; tile < block.tiles(tile_size); ++tile) {
    const int first = tile * tile_size;
    const float *a = other_a.of_step(of, block, first), *b = other_b.of_step(of, block, first);
    const auto term = [&](int i, int j) {
      return terms.at(own_keys ? first + column + 16 * j : block.first + row + 8 * i, block.length);
    };
    // 1 p from q.k, and the slices that p and ds meet
    simt_fetch_slice<1>(a, other_a.depth, first_depth, slice_a);
    if (own_keys) simt_fetch_slice<1>(b, other_b.depth, first_depth, slice_b);
    simt_sweep(own_a.of_step(of, block, block.first), a, own_a.depth, 1, stage, [&](int, const SimtDots& dots) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const bool padding = !own_keys && first + column + 16 * j >= block.length;
          p[i][j] = padding ? 0.0f : fast_exp2(dots[i][j] * of.log2_scale - term(i, j).log_sum);
          if (own_keys) square[(row + 8 * i) * simt_square_pitch + column + 16 * j] = p[i][j];
        }
      }
    });
    __syncthreads();  // the square and the slices are there, and nobody reads the stages
    // 2 dv += p dy
    if (own_keys) simt_multiply<1>(square, slice_b, sum_b);
    // 3 ds from dy.v; its sweep's barriers follow the square's use
    simt_sweep(own_b.of_step(of, block, block.first), b, own_b.depth, 1, stage, [&](int, const SimtDots& dots) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          square[(row + 8 * i) * simt_square_pitch + column + 16 * j] = p[i][j] * (dots[i][j] - term(i, j).delta);
        }
      }
    });
    __syncthreads();
    // 4 dq += ds k, or dk += ds q
    simt_multiply<1>(square, slice_a, sum_a);
    __syncthreads();  // all of it may be written again
  }
  // 5 write this block's rows
  float root[8], one[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) root[i] = of.root, one[i] = 1;
  write_slice<1>(of, block, first_depth, sum_a, root, block.part(of, dqkv, own_keys ? 1 : 0));
  if (own_keys) write_slice<1>(of, block, first_depth, sum_b, one, block.part(of, dqkv, 2));
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
