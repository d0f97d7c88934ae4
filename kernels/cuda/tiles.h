#pragma once

// Tiles of products of rows, which nt_xent.cu and similarity.cu are made of. Rows come as unit vectors [rows,depth], or
// in panels (panel.h), padded with zeros to whole tiles both ways: no load needs a bound.

#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/mma.h>
#include <simclr/kernels/cuda/panel.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/shared/unit_row.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr int tile_threads = 128;
inline constexpr int tile_size = 64;     // rows of a tile; columns are rows of the other side
inline constexpr int row_padding = 128;  // the tallest tile

inline std::int64_t padded(std::int64_t n, std::int64_t to) {
  return (n + to - 1) / to * to;
}

/// A number in the GPU's memory, which the host does not know. Kernels that take a `Number` take this or a double.
struct LearnedNumber {
  const double* at;
};

__device__ inline double value_of(double number) {
  return number;
}
__device__ inline double value_of(const LearnedNumber& number) {
  return *number.at;
}

// Rows, a warp each. Norms are f64: a small temperature would turn an f32's rounding of them into errors that show.

inline constexpr int row_threads = 128;

/// a.b of two rows, in every lane.
template <class A, class B>
__device__ double warp_dot(const A* a, const B* b, int width) {
  double sum = 0;
  for (int d = lane_index(); d < width; d += 32) {
    sum += static_cast<double>(widen(a[d])) * static_cast<double>(widen(b[d]));
  }
  return warp_sum(sum);
}

/// How u lies in memory: row by row, or in panels [depth / 64, padded rows, 64] (panel.h).
enum class RowLayout { plain, panels };

/// u [padded rows,depth] = scale z/|z|, 0 beyond z [rows,width] and where |z| = 0; norm f64 [rows].
template <RowLayout layout, class T, class U, class Number>
__global__ void __launch_bounds__(row_threads)
    unit_rows_kernel(const T* z, int rows, int width, int depth, Number scale, U* u, double* norm) {
  const int row = static_cast<int>(blockIdx.x * (row_threads / 32) + threadIdx.x / 32);
  const auto all_rows = static_cast<std::int64_t>(gridDim.x) * (row_threads / 32);
  const T* from = z + static_cast<std::int64_t>(row) * width;
  // 1 |z|, in f64
  const double length = row < rows ? sqrt(warp_dot(from, from, width)) : 0.0;
  const double factor = length == 0 ? 0.0 : value_of(scale) / length;
  // 2 scale z/|z|, and zeros behind it and below
  for (int d = lane_index(); d < depth; d += 32) {
    const double value = row < rows && d < width ? static_cast<double>(widen(from[d])) : 0.0;
    const std::int64_t at = layout == RowLayout::plain ? static_cast<std::int64_t>(row) * depth + d
                                                       : (d / panel_width * all_rows + row / 8 * 8) * panel_width +
                                                             panel_offset(row % 8, d % panel_width);
    u[at] = narrow_to<U>(length == 0 ? 0.0f : static_cast<float>(value * factor));
  }
  // 3 the norm
  if (row < rows && lane_index() == 0) norm[row] = length;
}

/// One row of dz = (du - (du.u)u) scale / |z|, by a warp: du is often nearly parallel to u, hence f64. A lane reads and
/// writes every 32nd value, no other. Returns du.u, in every lane.
template <class Gradient, class T>
__device__ double unit_row_backward(const Gradient* du, const T* z, double norm, double scale, int width, T* dz) {
  double dot = 0;
  for (int d = lane_index(); d < width; d += 32) dot += static_cast<double>(du[d]) * static_cast<double>(widen(z[d]));
  const kernels::NormBackward<double> back(warp_sum(dot), norm, scale);
  for (int d = lane_index(); d < width; d += 32) {
    const double value = back(static_cast<double>(du[d]), static_cast<double>(widen(z[d])));
    dz[d] = narrow_to<T>(norm == 0 ? 0.0f : static_cast<float>(value));
  }
  return back.along * norm;
}

/// Unit rows of z [R,D], padded, times `scale`, and their norms.
template <class U, RowLayout layout = RowLayout::plain, class Number>
Tensor unit_rows(const Tensor& z, std::int64_t depth, Number scale, Tensor& norm) {
  const Device device = z.device();
  const std::int64_t rows = z.dim(0), all = padded(rows, row_padding);
  SIMCLR_CHECK(all < (1 << 30), "rows of similarities are counted in 30 bits, got ", rows);
  const Shape shape = layout == RowLayout::plain ? Shape{all, depth} : Shape{depth / panel_width, all, panel_width};
  const Tensor u = Tensor::empty(shape, dtype_of<U>, device);
  norm = Tensor::empty({rows}, DType::f64, device);
  dispatch_float(z.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch("unit_rows_kernel", device, {blocks_for(all, row_threads / 32), row_threads},
           unit_rows_kernel<layout, T, U, Number>, z.data<T>(), static_cast<int>(rows), static_cast<int>(z.dim(1)),
           static_cast<int>(depth), scale, u.data<U>(), norm.data<double>());
  });
  return u;
}

// f32, on the ordinary cores: 128 threads, thread t holds rows t / 16 + 8 i and columns t % 16 + 16 j of a tile.
// Vectors of four along the depth feed 128 multiply-adds with 12 loads; pitches of 4 more than a multiple of 32 floats
// keep the lanes of a load in different banks.

inline constexpr int simt_depth = 32;  // that a stage holds
inline constexpr int simt_pitch = simt_depth + 4;
inline constexpr int simt_stage = 2 * tile_size * simt_pitch;  // floats: rows of both sides
inline constexpr int simt_square_pitch = tile_size + 4;

using SimtDots = float[8][4];

/// use(t, dots) for the dots of 64 rows of `a` with rows 64 t .. of `b`, t < tiles. `stage` holds two stages; depth is
/// a multiple of simt_depth. Between two calls of `use` lies a barrier.
template <class Use>
__device__ void simt_sweep(const float* a, const float* b, int depth, int tiles, float* stage, Use&& use) {
  const int thread = static_cast<int>(threadIdx.x), row = thread / 16, column = thread % 16;
  const auto fetch = [&](int tile, int start, int buffer) {
#pragma unroll
    for (int v = thread; v < 2 * tile_size * (simt_depth / 4); v += tile_threads) {
      const int r = v / (simt_depth / 4), part = v % (simt_depth / 4) * 4;
      const float* from = r < tile_size ? a + static_cast<std::int64_t>(r) * depth
                                        : b + (static_cast<std::int64_t>(tile) * tile_size + r - tile_size) * depth;
      copy_async16(stage + buffer * simt_stage + r * simt_pitch + part, from + start + part);
    }
    copy_async_commit();
  };
  SimtDots dots = {};
  int buffer = 0;
  fetch(0, 0, buffer);
  for (int tile = 0; tile < tiles; ++tile) {
    for (int start = 0; start < depth; start += simt_depth) {
      copy_async_wait<0>();
      __syncthreads();  // the stage is there, and nobody reads the other one
      const float* from = stage + buffer * simt_stage;
      buffer ^= 1;
      if (start + simt_depth < depth) {
        fetch(tile, start + simt_depth, buffer);
      } else if (tile + 1 < tiles) {
        fetch(tile + 1, 0, buffer);
      }
#pragma unroll 2
      for (int k = 0; k < simt_depth; k += 4) {
        Pack<4> x[8], y[4];
#pragma unroll
        for (int i = 0; i < 8; ++i) x[i] = load<4>(from + (row + 8 * i) * simt_pitch + k);
#pragma unroll
        for (int j = 0; j < 4; ++j) y[j] = load<4>(from + (tile_size + column + 16 * j) * simt_pitch + k);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
#pragma unroll
          for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int n = 0; n < 4; ++n) dots[i][j] += x[i][n] * y[j][n];
          }
        }
      }
    }
    use(tile, dots);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) dots[i][j] = 0;
    }
  }
}

template <int parts>
inline constexpr int simt_slice_pitch = tile_size* parts + 4;

/// Starts copying columns [first, first + 64 parts) of 64 rows into `slice`; those beyond the depth are left alone.
template <int parts>
__device__ void simt_fetch_slice(const float* rows, int depth, int first, float* slice) {
  for (int v = static_cast<int>(threadIdx.x); v < tile_size * (tile_size * parts / 4); v += tile_threads) {
    const int r = v / (tile_size * parts / 4), d = v % (tile_size * parts / 4) * 4;
    if (first + d >= depth) continue;
    copy_async16(slice + r * simt_slice_pitch<parts> + d, rows + static_cast<std::int64_t>(r) * depth + first + d);
  }
  copy_async_commit();
}

/// sum += square [64,64] slice [64,64 parts], both in shared memory; thread t holds rows t / 16 + 8 i and columns
/// 4 (t % 16) .. and the same of every further 64.
template <int parts>
__device__ void simt_multiply(const float* square, const float* slice, float (&sum)[8][4 * parts]) {
  const int row = static_cast<int>(threadIdx.x) / 16, column = static_cast<int>(threadIdx.x) % 16 * 4;
#pragma unroll 2
  for (int j = 0; j < tile_size; j += 4) {
    Pack<4> x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = load<4>(square + (row + 8 * i) * simt_square_pitch + j);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
      for (int p = 0; p < parts; ++p) {
        const Pack<4> y = load<4>(slice + (j + n) * simt_slice_pitch<parts> + tile_size * p + column);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
#pragma unroll
          for (int d = 0; d < 4; ++d) sum[i][4 * p + d] += x[i][n] * y[d];
        }
      }
    }
  }
}

/// Writes what simt_multiply added up, rows of `depth`.
template <int parts>
__device__ void simt_store(const float (&sum)[8][4 * parts], float* rows, int depth, int first) {
  const int row = static_cast<int>(threadIdx.x) / 16, column = static_cast<int>(threadIdx.x) % 16 * 4;
#pragma unroll
  for (int p = 0; p < parts; ++p) {
    const int d = first + tile_size * p + column;
    if (d >= depth) continue;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const Pack<4> values = {{sum[i][4 * p], sum[i][4 * p + 1], sum[i][4 * p + 2], sum[i][4 * p + 3]}};
      store<4>(rows + static_cast<std::int64_t>(row + 8 * i) * depth + d, values);
    }
  }
}

/// How blocks share out the columns of a row of tiles.
struct Split {
  int tiles_each, splits;
};

/// The split whose last wave of blocks is fullest; two tiles' time a block is lost in starting and ending.
inline Split split_columns(int row_tiles, int column_tiles, int blocks_at_once) {
  Split best = {};
  std::int64_t best_cost = 0;
  for (int splits = 1; splits <= column_tiles && splits <= 64; ++splits) {
    const int each = (column_tiles + splits - 1) / splits;
    const std::int64_t waves = (std::int64_t{row_tiles} * splits + blocks_at_once - 1) / blocks_at_once;
    const std::int64_t cost = waves * (each + 2);
    if (best.splits != 0 && cost >= best_cost) continue;
    best = {each, (column_tiles + each - 1) / each};
    best_cost = cost;
  }
  return best;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
