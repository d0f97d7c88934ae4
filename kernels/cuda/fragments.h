#pragma once

// A warp's block of a matrix product, x[m][n] of 16 rows and 8 columns each, and all loops over its fragments. By
// mma.h's layouts a lane holds
//   row r < 2 row_parts         8 r below its first row, lane / 4
//   column c < 2 column_parts   column_offset(c) behind its first column, 2 (lane % 4)
// The loops are unrolled: their indices are constants, and what they reach stays in registers.

#include <simclr/kernels/cuda/mma.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

constexpr __host__ __device__ int row_offset(int r) {
  return 8 * r;
}
constexpr __host__ __device__ int column_offset(int c) {
  return c / 2 * 8 + c % 2;
}

/// This lane's first row of a block whose warps have 16 row_parts rows each, and its first column.
template <int row_parts>
__device__ int fragment_row() {
  return static_cast<int>(threadIdx.x) / 32 * 16 * row_parts + lane_index() / 4;
}
__device__ inline int fragment_column() {
  return lane_index() % 4 * 2;
}

/// Calls body(value, r, c) for all values, fragment by fragment and the rows of one behind each other: nvcc keeps
/// fewest registers so.
template <int row_parts, int column_parts, class Body>
__device__ void for_each_value(FragmentC (&x)[row_parts][column_parts], Body&& body) {
#pragma unroll
  for (int v = 0; v < 4 * column_parts; ++v) {
#pragma unroll
    for (int m = 0; m < row_parts; ++m) body(x[m][v / 4].value[v % 4], 2 * m + v % 4 / 2, v / 4 * 2 + v % 2);
  }
}

/// Calls body(values of row r, r) for all rows; values[c] is of column c.
template <int row_parts, int column_parts, class Body>
__device__ void for_each_row(const FragmentC (&x)[row_parts][column_parts], Body&& body) {
#pragma unroll
  for (int r = 0; r < 2 * row_parts; ++r) {
    float values[2 * column_parts];
#pragma unroll
    for (int c = 0; c < 2 * column_parts; ++c) values[c] = x[r / 2][c / 2].value[2 * (r % 2) + c % 2];
    body(values, r);
  }
}

/// Writes a row's values; `to` is where this lane's first column belongs.
template <int count>
__device__ void store_row(const float (&values)[count], float* to) {
#pragma unroll
  for (int c = 0; c < count; c += 2) store<2>(to + column_offset(c), Pack<2>{{values[c], values[c + 1]}});
}

/// a = 16 columns of rows that are `pitch` values apart; `from` is where this lane's first row and column are.
template <int row_parts>
__device__ void read_left(FragmentA (&a)[row_parts], const BFloat16* from, int pitch) {
#pragma unroll
  for (int m = 0; m < row_parts; ++m) {
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      a[m].word[w] = *reinterpret_cast<const std::uint32_t*>(from + (16 * m + w % 2 * 8) * pitch + w / 2 * 8);
    }
  }
}

/// The same from shared memory, whose rows start at `rows`.
template <int row_parts>
__device__ void load_left(FragmentA (&a)[row_parts], const BFloat16* rows, int pitch) {
  const BFloat16* const from = rows + lane_index() % 16 * pitch + lane_index() / 16 * 8;
#pragma unroll
  for (int m = 0; m < row_parts; ++m) load_matrices(a[m].word, from + 16 * m * pitch);
}

/// a = columns [8 n, 8 n + 16) of x, rounded to bf16: the lanes' layouts are the same.
template <int row_parts, int column_parts>
__device__ void round_left(FragmentA (&a)[row_parts], const FragmentC (&x)[row_parts][column_parts], int n) {
#pragma unroll
  for (int m = 0; m < row_parts; ++m) {
    const float *left = x[m][n].value, *right = x[m][n + 1].value;
    a[m] = {{pack_bf16(left[0], left[1]), pack_bf16(left[2], left[3]), pack_bf16(right[0], right[1]),
             pack_bf16(right[2], right[3])}};
  }
}

/// Columns [8 n, 8 n + 16) of x += a b, whose right side is as load_matrices gives it.
template <int row_parts, int column_parts>
__device__ void multiply_pair(FragmentC (&x)[row_parts][column_parts], int n, const FragmentA (&a)[row_parts],
                              const std::uint32_t (&words)[4]) {
#pragma unroll
  for (int m = 0; m < row_parts; ++m) {
    mma(x[m][n], a[m], {words[0], words[1]});
    mma(x[m][n + 1], a[m], {words[2], words[3]});
  }
}

/// x += a b^T: the product's columns are rows of b in shared memory, 16 values from `rows` on.
template <int row_parts, int column_parts>
__device__ void multiply_rows(FragmentC (&x)[row_parts][column_parts], const FragmentA (&a)[row_parts],
                              const BFloat16* rows, int pitch) {
  const int lane = lane_index();
  const BFloat16* const from = rows + (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8;
#pragma unroll
  for (int n = 0; n < column_parts; n += 2) {
    std::uint32_t words[4];
    load_matrices(words, from + 8 * n * pitch);
    multiply_pair(x, n, a, words);
  }
}

/// x += a b: the product's columns are columns of b in shared memory, of 16 rows from `rows` on.
template <int row_parts, int column_parts>
__device__ void multiply_columns(FragmentC (&x)[row_parts][column_parts], const FragmentA (&a)[row_parts],
                                 const BFloat16* rows, int pitch) {
  const BFloat16* const from = rows + lane_index() % 16 * pitch + lane_index() / 16 * 8;
#pragma unroll
  for (int n = 0; n < column_parts; n += 2) {
    std::uint32_t words[4];
    load_matrices_transposed(words, from + 8 * n);
    multiply_pair(x, n, a, words);
  }
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
