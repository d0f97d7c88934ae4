// Cosine similarity on a GPU. With unit rows u = a/|a|, v = b/|b|:
//   s_ij = u_i.v_j / tau
//   du = ds v / tau, dv = ds^T u / tau
//   da = (du - (du.u)u)/|a|, db alike
// Shapes: a [A,D], b [M,D], s and ds [A,M] f32; u and v are padded to whole tiles. Backward needs a and b alone.
// Launch: unit rows and the way back through them by a warp a row; a block of 128 threads for each tile of s, 128 x 64
// of bf16 on the tensor cores, 64 x 64 of f32 on the f32 cores, in chunks of the depth; and for 64 rows and 64 or 128
// columns of du, in f32.
// Test: tests/device/test_similarity.cpp, against the CPU in f64, for which tests/test_similarity.cpp has the plain
// loops.
#include <simclr/kernels/cuda/fragments.h>
#include <simclr/kernels/cuda/tiles.h>
#include <simclr/kernels/similarity.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr std::size_t f32_shared = 2 * simt_stage * sizeof(float);

__global__ void __launch_bounds__(tile_threads)
    similarity_f32_kernel(const float* a, const float* b, int depth, int rows, int columns, float scale, float* s) {
  SIMCLR_DYNAMIC_SHARED(float, stage);
  const int first_row = static_cast<int>(blockIdx.y) * tile_size,
            first_column = static_cast<int>(blockIdx.x) * tile_size;
  // 1 this thread's rows and columns of the tile
  const int row = first_row + static_cast<int>(threadIdx.x) / 16;
  const int column = first_column + static_cast<int>(threadIdx.x) % 16;
  // 2 sweep the depth, and 3 write over the temperature into s
  simt_sweep(a + static_cast<std::int64_t>(first_row) * depth, b + static_cast<std::int64_t>(first_column) * depth,
             depth, 1, stage, [&](int, const SimtDots& dots) {
#pragma unroll
               for (int i = 0; i < 8; ++i) {
#pragma unroll
                 for (int j = 0; j < 4; ++j) {
                   if (row + 8 * i >= rows || column + 16 * j >= columns) continue;
                   s[static_cast<std::int64_t>(row + 8 * i) * columns + column + 16 * j] = dots[i][j] * scale;
                 }
               }
             });
}

constexpr int mma_rows = 128, mma_columns = tile_size;
constexpr int mma_depth = 64,
              mma_pitch = mma_depth + 8;  // of a chunk; the pitch keeps a matrix's rows in different banks
constexpr int mma_stage = (mma_rows + mma_columns) * mma_pitch;
constexpr std::size_t mma_shared = 2 * mma_stage * sizeof(BFloat16);

/// Starts copying columns [start, start + 64) of the tile's rows, which lie behind each other in `to`.
__device__ void fetch_chunk(const BFloat16* a, const BFloat16* b, int depth, int start, BFloat16* to) {
  constexpr int vectors = mma_depth / 8, rows_at_once = tile_threads / vectors;
  const int row = static_cast<int>(threadIdx.x) / vectors, column = static_cast<int>(threadIdx.x) % vectors * 8;
  const std::int64_t from = static_cast<std::int64_t>(row) * depth + start + column;
  to += row * mma_pitch + column;
#pragma unroll
  for (int r = 0; r < mma_rows; r += rows_at_once) copy_async16(to + r * mma_pitch, a + from + std::int64_t{r} * depth);
#pragma unroll
  for (int r = 0; r < mma_columns; r += rows_at_once) {
    copy_async16(to + (mma_rows + r) * mma_pitch, b + from + std::int64_t{r} * depth);
  }
  copy_async_commit();
}

/// Writes what of a row lies within s [rows,columns]; the values start at `column`.
template <int count>
__device__ void store_within(const float (&values)[count], float* to, int column, int columns) {
#pragma unroll
  for (int c = 0; c < count; c += 2) {
    const int at = column + column_offset(c);
    if (columns % 2 == 0 && at < columns) {
      store<2>(to + at, Pack<2>{{values[c], values[c + 1]}});
    } else {
      if (at < columns) to[at] = values[c];
      if (at + 1 < columns) to[at + 1] = values[c + 1];
    }
  }
}

/// Each of the four warps has 32 rows and all 64 columns of the tile.
__global__ void __launch_bounds__(tile_threads)
    similarity_kernel(const BFloat16* a, const BFloat16* b, int depth, int rows, int columns, float scale, float* s) {
  SIMCLR_DYNAMIC_SHARED(BFloat16, memory);
  const int first_row = static_cast<int>(blockIdx.y) * mma_rows;
  const int first_column = static_cast<int>(blockIdx.x) * mma_columns;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 32;
  a += static_cast<std::int64_t>(first_row) * depth;
  b += static_cast<std::int64_t>(first_column) * depth;
  FragmentC sum[2][mma_columns / 8] = {};
  // 1 sweep the depth: a chunk of 64 is copied while the other one is used
  fetch_chunk(a, b, depth, 0, memory);
  for (int start = 0, buffer = 0; start < depth; start += mma_depth, buffer ^= 1) {
    copy_async_wait<0>();
    __syncthreads();  // the chunk is there, and nobody reads the other one
    if (start + mma_depth < depth) fetch_chunk(a, b, depth, start + mma_depth, memory + (buffer ^ 1) * mma_stage);
    // 2 products of the chunk
    const BFloat16* const chunk = memory + buffer * mma_stage;
#pragma unroll
    for (int k = 0; k < mma_depth; k += 16) {
      FragmentA x[2];
      load_left(x, chunk + warp_row * mma_pitch + k, mma_pitch);
      multiply_rows(sum, x, chunk + mma_rows * mma_pitch + k, mma_pitch);
    }
  }
  // 3 over the temperature, into s
  for_each_value(sum, [&](float& value, int, int) { value *= scale; });
  for_each_row(sum, [&](const float(&values)[mma_columns / 4], int r) {
    const int row = first_row + fragment_row<2>() + row_offset(r);
    if (row >= rows) return;
    store_within(values, s + static_cast<std::int64_t>(row) * columns, first_column + fragment_column(), columns);
  });
}

template <int parts>
constexpr std::size_t gradient_shared = tile_size*(simt_square_pitch + simt_slice_pitch<parts>)*sizeof(float);

/// du [padded rows,depth] = ds v, or ds^T v where `transposed`; ds has `columns` or `rows` to a row. blockIdx.y picks
/// 64 parts columns of du.
template <int parts, bool transposed>
__global__ void __launch_bounds__(tile_threads)
    similarity_gradient_kernel(const float* ds, const float* v, int depth, int rows, int columns, float* du) {
  SIMCLR_DYNAMIC_SHARED(float, square);
  float* const slice = square + tile_size * simt_square_pitch;
  const int first_row = static_cast<int>(blockIdx.x) * tile_size;
  const int first_depth = static_cast<int>(blockIdx.y) * tile_size * parts;
  float sum[8][4 * parts] = {};
  // 1 sweep the columns of ds, 64 at a time
  for (int first_column = 0; first_column < columns; first_column += tile_size) {
    __syncthreads();  // nobody reads the last tile any more
    // 2 a slice of v, and a square of ds
    simt_fetch_slice<parts>(v + static_cast<std::int64_t>(first_column) * depth, depth, first_depth, slice);
#pragma unroll 8
    for (int n = static_cast<int>(threadIdx.x); n < tile_size * tile_size; n += tile_threads) {
      const int r = transposed ? n % tile_size : n / tile_size, c = transposed ? n / tile_size : n % tile_size;
      const int row = first_row + r, column = first_column + c;
      const std::int64_t at = transposed ? static_cast<std::int64_t>(column) * rows + row
                                         : static_cast<std::int64_t>(row) * columns + column;
      square[r * simt_square_pitch + c] = row < rows && column < columns ? ds[at] : 0.0f;
    }
    copy_async_wait<0>();
    __syncthreads();
    // 3 du += ds v
    simt_multiply<parts>(square, slice, sum);
  }
  // 4 du
  simt_store<parts>(sum, du + static_cast<std::int64_t>(first_row) * depth, depth, first_depth);
}

template <class T>
__global__ void __launch_bounds__(row_threads)
    similarity_rows_kernel(const float* du, const T* z, const double* norm, int rows, int width, int depth,
                           double scale, T* dz) {
  const int row = static_cast<int>(blockIdx.x * (row_threads / 32) + threadIdx.x / 32);
  if (row >= rows) return;
  const std::int64_t at = static_cast<std::int64_t>(row) * width;
  unit_row_backward(du + static_cast<std::int64_t>(row) * depth, z + at, norm[row], scale, width, dz + at);
}

// Launchers.

void similarity_forward_gpu(const Tensor& a, const Tensor& b, double temperature, Tensor& s) {
  if (s.numel() == 0) return;
  const auto rows = static_cast<int>(a.dim(0)), columns = static_cast<int>(b.dim(0));
  const auto scale = static_cast<float>(1 / temperature);
  Tensor norm_a, norm_b;
  const bool tensor_cores = a.dtype() == DType::bf16;
  const int height = tensor_cores ? mma_rows : tile_size;
  const dim3 grid(blocks_for(columns, tile_size), blocks_for(rows, height));
  SIMCLR_CHECK(grid.y < 65536, "similarity: ", rows, " rows of a are too many for one launch; give fewer at a time");
  if (tensor_cores) {
    const std::int64_t depth = padded(a.dim(1), mma_depth);
    const Tensor u = unit_rows<BFloat16>(a, depth, 1.0, norm_a), v = unit_rows<BFloat16>(b, depth, 1.0, norm_b);
    launch("similarity_kernel", s.device(), {grid, tile_threads, mma_shared}, similarity_kernel, u.data<BFloat16>(),
           v.data<BFloat16>(), static_cast<int>(depth), rows, columns, scale, s.data<float>());
  } else {
    const std::int64_t depth = padded(a.dim(1), simt_depth);
    const Tensor u = unit_rows<float>(a, depth, 1.0, norm_a), v = unit_rows<float>(b, depth, 1.0, norm_b);
    launch("similarity_f32_kernel", s.device(), {grid, tile_threads, f32_shared}, similarity_f32_kernel,
           u.data<float>(), v.data<float>(), static_cast<int>(depth), rows, columns, scale, s.data<float>());
  }
}

/// dz of one side from ds and the other side's unit rows.
template <bool transposed>
void gradient_of(const Tensor& ds, const Tensor& z, const Tensor& norm, const Tensor& others, std::int64_t other_rows,
                 double temperature, Tensor& dz) {
  const Device device = dz.device();
  const auto rows = static_cast<int>(z.dim(0)), width = static_cast<int>(z.dim(1));
  const auto depth = static_cast<int>(others.dim(1)), columns = static_cast<int>(other_rows);
  const Tensor du = Tensor::empty({padded(rows, tile_size), depth}, DType::f32, device);
  const auto run = [&](auto parts) {
    launch("similarity_gradient_kernel", device,
           {dim3(blocks_for(rows, tile_size), blocks_for(depth, tile_size * parts())), tile_threads,
            gradient_shared<parts()>},
           similarity_gradient_kernel<parts(), transposed>, ds.data<const float>(), others.data<const float>(), depth,
           rows, columns, du.data<float>());
  };
  depth <= tile_size ? run(std::integral_constant<int, 1>{}) : run(std::integral_constant<int, 2>{});
  dispatch_float(z.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("similarity_rows_kernel", device, {blocks_for(rows, row_threads / 32), row_threads},
           similarity_rows_kernel<T>, du.data<float>(), z.data<const T>(), norm.data<const double>(), rows, width,
           depth, 1 / temperature, dz.data<T>());
  });
}

void similarity_backward_gpu(const Tensor& ds, const Tensor& a, const Tensor& b, double temperature, Tensor& da,
                             Tensor& db) {
  const std::int64_t depth = padded(a.dim(1), simt_depth);
  Tensor norm_a, norm_b;
  const Tensor u = unit_rows<float>(a, depth, 1.0, norm_a), v = unit_rows<float>(b, depth, 1.0, norm_b);
  gradient_of<false>(ds, a, norm_a, v, b.dim(0), temperature, da);
  gradient_of<true>(ds, b, norm_b, u, a.dim(0), temperature, db);
}

}  // namespace

extern const SimilarityKernels SIMCLR_KERNELS(similarity);
const SimilarityKernels SIMCLR_KERNELS(similarity) = {similarity_forward_gpu, similarity_backward_gpu};

}  // namespace simclr::kernels
