// Attention on a GPU. For each head, with x_ij = q_i.k_j log2(e) / sqrt(D) over own steps i, j < length:
//   y_i = sum_j 2^{x_ij - top_i} v_j / sum_j 2^{x_ij - top_i};  log_sum_i = top_i + log2 of the latter sum
//   p_ij = 2^{x_ij - log_sum_i};  delta_i = dy_i.y_i;  ds_ij = p_ij (dy_i.v_j - delta_i)
//   dq_i = sum_j ds_ij k_j / sqrt(D);  dk_j = sum_i ds_ij q_i / sqrt(D);  dv_j = sum_i p_ij dy_i
// qkv [N,T,3,H,D], y [N,T,H,D], log_sum and delta [N,H,T]; nothing of T x T is stored. Backward needs qkv, y and
// log_sum, and takes x anew, once for dq and once for dk with dv: each sum is one block's, in the order of the steps.
// Launch: a block of 128 threads for 64 steps of a head, which sweeps its other steps in tiles; delta takes a warp a
// row. Test: tests/device/test_attention.cpp, against the CPU in f64, which tests/test_attention.cpp compares with the
// plain loops (Reference).
//
// bf16 heads of up to 128 values go through the tensor cores (cuda/attention_tiles.h); p and ds are rounded to bf16 in
// registers and are the next product's left side. Others go through the f32 cores (cuda/attention_f32.h).
#include <simclr/kernels/attention.h>
#include <simclr/kernels/cuda/attention_f32.h>
#include <simclr/kernels/cuda/attention_tiles.h>
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/shared/data_or_null.h>

#include <cmath>
#include <numbers>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int forward_rows = 64, backward_rows = 32;  // of a tile of the other side

template <int depth>
__global__ void __launch_bounds__(tile_threads, 2)
    attention_forward_kernel(Heads of, const BFloat16* qkv, BFloat16* y, float* log_sum) {
  using Tile = AttentionTile<depth>;
  SIMCLR_DYNAMIC_SHARED(BFloat16, own);
  const HeadBlock block(of);
  // 1 own queries, into shared memory
  Tile::template fetch<tile_size>(of, block.length, block.part(of, qkv, 0), block.first, own);
  FragmentC sum[1][depth / 8] = {};
  RunningSum<4> sums[2];
  // 2 sweep the keys, with their values
  Tile::template sweep<forward_rows>(
      of, block, block.part(of, qkv, 1), block.part(of, qkv, 2), own + tile_size * Tile::pitch,
      [&](int first, const BFloat16* keys, const BFloat16* values) {
        // 3 products of 64 keys; mask the padding
        FragmentC x[1][forward_rows / 8];
        Tile::products(own, keys, x);
        mask_padding(block, first, x);
        // 4 raise each row's maximum to the tile's
        float highest[2] = {-INFINITY, -INFINITY}, shrunk[2];
        for_each_value(x, [&](float& value, int r, int) { highest[r] = value > highest[r] ? value : highest[r]; });
#pragma unroll
        for (int r = 0; r < 2; ++r) shrunk[r] = sums[r].raise(highest[r] * of.log2_scale);
        // 5 p; what was added up before shrinks
        for_each_value(x, [&](float& value, int r, int) {
          value = fast_exp2(fmaf(value, of.log2_scale, -sums[r].top));
          sums[r].total += value;
        });
        for_each_value(sum, [&](float& value, int r, int) { value *= shrunk[r]; });
        // 6 y += p v
        Tile::add_weighted(sum, x, values);
      });
  // 7 divide, and write this block's y
  float factor[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int step = block.first + fragment_row<1>() + row_offset(r);
    factor[r] = sums[r].finish(of, block, step, lane_index() % 4 == 0, log_sum);
  }
  Tile::write(of, block, sum, factor, block.steps(of, y));
}

/// dq of 64 queries.
template <int depth>
__global__ void __launch_bounds__(tile_threads, 2)
    attention_queries_kernel(Heads of, const BFloat16* qkv, const BFloat16* dy, const float* log_sum,
                             const float* delta, BFloat16* dqkv) {
  using Tile = AttentionTile<depth>;
  SIMCLR_DYNAMIC_SHARED(BFloat16, own);
  constexpr int size = tile_size * Tile::pitch;
  const HeadBlock block(of);
  // 1 own q and dy, into shared memory; own terms, into registers
  Tile::template fetch<tile_size>(of, block.length, block.part(of, qkv, 0), block.first, own);
  Tile::template fetch<tile_size>(of, block.length, block.steps(of, dy), block.first, own + size);
  const QueryTerms terms(of, block, log_sum, delta);
  QueryTerm own_terms[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    own_terms[r] = terms.at(block.first + fragment_row<1>() + row_offset(r), block.length);
  }
  FragmentC sum[1][depth / 8] = {};
  // 2 sweep the keys, with their values
  Tile::template sweep<backward_rows>(of, block, block.part(of, qkv, 1), block.part(of, qkv, 2), own + 2 * size,
                                      [&](int first, const BFloat16* keys, const BFloat16* values) {
                                        // 3 q.k and dy.v; mask the padding
                                        FragmentC x[1][backward_rows / 8], dp[1][backward_rows / 8];
                                        Tile::products(own, keys, x);
                                        Tile::products(own + size, values, dp);
                                        mask_padding(block, first, x);
                                        // 4 ds, and dq += ds k
                                        score_gradients(of.log2_scale, x, dp, [&](int r, int) { return own_terms[r]; });
                                        Tile::add_weighted(sum, dp, keys);
                                      });
  // 5 write this block's dq
  Tile::write(of, block, sum, {of.root, of.root}, block.part(of, dqkv, 0));
}

/// dk and dv of 64 keys.
template <int depth>
__global__ void __launch_bounds__(tile_threads, 2)
    attention_keys_kernel(Heads of, const BFloat16* qkv, const BFloat16* dy, const float* log_sum, const float* delta,
                          BFloat16* dqkv) {
  using Tile = AttentionTile<depth>;
  SIMCLR_DYNAMIC_SHARED(BFloat16, own);
  constexpr int size = tile_size * Tile::pitch;
  const HeadBlock block(of);
  // 1 own k and v, into shared memory
  Tile::template fetch<tile_size>(of, block.length, block.part(of, qkv, 1), block.first, own);
  Tile::template fetch<tile_size>(of, block.length, block.part(of, qkv, 2), block.first, own + size);
  const QueryTerms terms(of, block, log_sum, delta);
  FragmentC sum_k[1][depth / 8] = {}, sum_v[1][depth / 8] = {};
  // 2 sweep the queries, with their dy. Those in the padding are zeros, and add nothing
  Tile::template sweep<backward_rows>(of, block, block.part(of, qkv, 0), block.steps(of, dy), own + 2 * size,
                                      [&](int first, const BFloat16* queries, const BFloat16* gradients) {
                                        // 3 q.k and dy.v, transposed: rows are keys
                                        FragmentC x[1][backward_rows / 8], dp[1][backward_rows / 8];
                                        Tile::products(own, queries, x);
                                        Tile::products(own + size, gradients, dp);
                                        // 4 p and ds; dv += p dy, and dk += ds q
                                        score_gradients(of.log2_scale, x, dp, [&](int, int c) {
                                          return terms.at(first + fragment_column() + column_offset(c), block.length);
                                        });
                                        Tile::add_weighted(sum_v, x, gradients);
                                        Tile::add_weighted(sum_k, dp, queries);
                                      });
  // 5 write this block's dk and dv
  Tile::write(of, block, sum_k, {of.root, of.root}, block.part(of, dqkv, 1));
  Tile::write(of, block, sum_v, {1.0f, 1.0f}, block.part(of, dqkv, 2));
}

/// delta [N,H,T] = dy.y, a warp a row; nobody looks at that of padding.
template <class T>
__global__ void __launch_bounds__(row_threads)
    attention_delta_kernel(Heads of, std::int64_t rows, const T* dy, const T* y, float* delta) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (row_threads / 32) + threadIdx.x / 32;
  if (row >= rows) return;
  const std::int64_t step = row % of.steps, head = row / of.steps, n = head / of.heads;
  const std::int64_t from = (n * of.steps + step) * of.channels() + head % of.heads * of.width;
  const double sum = warp_dot(dy + from, y + from, of.width);
  if (lane_index() == 0) delta[row] = static_cast<float>(sum);
}

// Launchers.

constexpr int tensor_core_width = 128;

Heads heads_of(const AttentionSaved& saved) {
  const std::int64_t steps = saved.qkv.dim(1),
                     blocks = saved.qkv.dim(0) * saved.heads * ((steps + tile_size - 1) / tile_size);
  SIMCLR_CHECK(steps < (1 << 30) && blocks < (std::int64_t{1} << 31) && saved.log_sum.numel() <= std::int64_t{1} << 32,
               "attention: a call's steps are counted in 30 bits, its blocks in 31 and all heads' steps in 32, got ",
               describe(saved.qkv), " in ", saved.heads, " heads");
  const auto width = static_cast<int>(saved.qkv.dim(2) / (3 * saved.heads));
  const double root = 1.0 / std::sqrt(static_cast<double>(width));
  return {lengths_or_null(saved.lengths),
          static_cast<int>(steps),
          static_cast<int>(saved.heads),
          width,
          static_cast<float>(root),
          static_cast<float>(root * std::numbers::log2e),
          false};
}

/// A block for each 64 steps of each head.
unsigned blocks_of(const AttentionSaved& saved, const Heads& of) {
  return static_cast<unsigned>(saved.qkv.dim(0) * of.heads * of.tiles());
}

bool on_tensor_cores(const Heads& of, const Tensor& qkv) {
  return qkv.dtype() == DType::bf16 && of.width <= tensor_core_width;
}

/// Calls body(depth), a constant, for the kernels of the tensor cores.
template <class Body>
void dispatch_depth(int width, Body&& body) {
  if (width <= 32) return body(std::integral_constant<int, 32>{});
  if (width <= 64) return body(std::integral_constant<int, 64>{});
  body(std::integral_constant<int, 128>{});
}

/// x [N,T,parts C], head by head as the f32 cores want it: part i from `depth` and N H padded steps on.
struct Packed {
  Tensor rows;
  int depth;

  Packed(const Tensor& x, const Heads& of, int parts) : depth(static_cast<int>(padded(of.width, simt_depth))) {
    const std::int64_t sequences = x.dim(0), steps = std::int64_t{of.tiles()} * tile_size;
    rows = Tensor::empty({parts, sequences * of.heads, steps, depth}, DType::f32, x.device());
    dispatch_float(x.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const PackHeads<T> pack{x.data<T>(), rows.data<float>(), of, parts, depth, sequences};
      map<1>(x.device(), rows.numel(), false, pack);
    });
  }

  PackedRows part(std::int64_t i) const { return {rows.data<float>() + i * (rows.numel() / rows.dim(0)), depth}; }
};

template <class T>
void forward_f32(AttentionSaved& saved, const Heads& of) {
  const Packed qkv(saved.qkv, of, 3);
  const auto run = [&](auto parts, auto kernel) {
    const dim3 grid(blocks_of(saved, of), 1, blocks_for(qkv.depth, tile_size * parts()));
    launch("attention_forward_f32_kernel", saved.qkv.device(), {grid, tile_threads, attention_f32_shared<parts()>(1)},
           kernel, of, qkv.part(0), qkv.part(1), qkv.part(2), saved.y.data<T>(), saved.log_sum.data<float>());
  };
  if (qkv.depth <= tile_size) return run(std::integral_constant<int, 1>{}, attention_forward_f32_kernel<1, T>);
  run(std::integral_constant<int, 2>{}, attention_forward_f32_kernel<2, T>);
}

void forward_gpu(AttentionSaved& saved) {
  Heads of = heads_of(saved);
  if (!on_tensor_cores(of, saved.qkv)) {
    return dispatch_float(saved.qkv.dtype(), [&](auto zero) { forward_f32<decltype(zero)>(saved, of); });
  }
  const auto* qkv = saved.qkv.data<const BFloat16>();
  of.vectors = of.width % 8 == 0 && aligned16(qkv);
  dispatch_depth(of.width, [&](auto depth) {
    launch("attention_forward_kernel", saved.qkv.device(),
           {blocks_of(saved, of), tile_threads, AttentionTile<depth()>::shared(1, forward_rows)},
           attention_forward_kernel<depth()>, of, qkv, saved.y.data<BFloat16>(), saved.log_sum.data<float>());
  });
}

template <class T>
void backward_f32(const Tensor& dy, const AttentionSaved& saved, const Heads& of, const Tensor& delta, Tensor& dqkv) {
  const Packed qkv(saved.qkv, of, 3), gradient(dy, of, 1);
  const dim3 grid(blocks_of(saved, of), 1, blocks_for(qkv.depth, tile_size));
  const auto run = [&](int slices, auto kernel) {
    launch("attention_backward_f32_kernel", dy.device(), {grid, tile_threads, attention_f32_shared<1>(slices)}, kernel,
           of, qkv.part(0), qkv.part(1), qkv.part(2), gradient.part(0), saved.log_sum.data<const float>(),
           delta.data<const float>(), dqkv.data<T>());
  };
  run(1, attention_backward_f32_kernel<false, T>);
  run(2, attention_backward_f32_kernel<true, T>);
}

void backward_gpu(const Tensor& dy, const AttentionSaved& saved, Tensor& dqkv) {
  Heads of = heads_of(saved);
  // 1 delta
  const Tensor delta = Tensor::empty_like(saved.log_sum);
  dispatch_float(dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("attention_delta_kernel", dy.device(), {blocks_for(delta.numel(), row_threads / 32), row_threads},
           attention_delta_kernel<T>, of, delta.numel(), dy.data<T>(), saved.y.data<T>(), delta.data<float>());
  });
  // 2 dq; 3 dk and dv
  if (!on_tensor_cores(of, dy)) {
    return dispatch_float(dy.dtype(), [&](auto zero) { backward_f32<decltype(zero)>(dy, saved, of, delta, dqkv); });
  }
  const BFloat16 *qkv = saved.qkv.data<const BFloat16>(), *dy_data = dy.data<const BFloat16>();
  const float *log_sum = saved.log_sum.data<const float>(), *deltas = delta.data<const float>();
  of.vectors = of.width % 8 == 0 && aligned16(qkv, dy_data);
  dispatch_depth(of.width, [&](auto depth) {
    const LaunchShape shape = {blocks_of(saved, of), tile_threads, AttentionTile<depth()>::shared(2, backward_rows)};
    launch("attention_queries_kernel", dy.device(), shape, attention_queries_kernel<depth()>, of, qkv, dy_data, log_sum,
           deltas, dqkv.data<BFloat16>());
    launch("attention_keys_kernel", dy.device(), shape, attention_keys_kernel<depth()>, of, qkv, dy_data, log_sum,
           deltas, dqkv.data<BFloat16>());
  });
}

}  // namespace

extern const AttentionKernels SIMCLR_KERNELS(attention);
const AttentionKernels SIMCLR_KERNELS(attention) = {forward_gpu, backward_gpu};

}  // namespace simclr::kernels
