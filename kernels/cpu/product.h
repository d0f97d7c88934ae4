#pragma once

// Private, for files of loops (see isa.h): the matrix product that they are built around. Its operands are blocks that
// lie in the caches; the caller cuts them so.

#include "isa.h"

namespace simclr::kernels::SIMCLR_ISA {

/// Rows of c that a product keeps in registers at a time, twice as many where it has few columns.
inline constexpr int product_rows = 6;
/// Vectors of a row of c that it keeps there, at most; the operands take the registers that are left.
inline constexpr int product_vectors = vector_registers == 32 ? 4 : 2;
/// Columns of b that are read together: b is fastest where it is kept in panels of so many.
template <class T>
inline constexpr int panel_width = product_vectors* lanes<T>;

/// A function of its own: inlined, the pointers of all its variants would compete for the registers.
template <int rows, int vectors, bool transposed, class T>
[[gnu::noinline]] void product_block(const T* a, std::int64_t a_row, const T* b, std::int64_t b_row, T* c,
                                     std::int64_t c_row, std::int64_t depth, bool add) {
  Vector<T> sum[rows][vectors] = {};
  for (std::int64_t d = 0; d < depth; ++d) {
    Vector<T> right[vectors];
#pragma GCC unroll 12
    for (int j = 0; j < vectors; ++j) right[j] = load(b + d * b_row + j * lanes<T>);
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const Vector<T> left = broadcast(transposed ? a[d * a_row + i] : a[i * a_row + d]);
#pragma GCC unroll 12
      for (int j = 0; j < vectors; ++j) sum[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < vectors; ++j) {
      T* to = c + i * c_row + j * lanes<T>;
      store(to, add ? load(to) + sum[i][j] : sum[i][j]);
    }
  }
}

/// c = a b, or c += a b where `add`, the sum over `depth` taken by itself first. c [rows,width], a [rows,depth], or
/// [depth,rows] where `transposed`, b [depth,width], each row-major with rows so many elements apart. width is a
/// multiple of lanes<T>.
template <bool transposed, class T>
void product(const T* a, std::int64_t a_row, const T* b, std::int64_t b_row, T* c, std::int64_t c_row,
             std::int64_t rows, std::int64_t width, std::int64_t depth, bool add) {
  std::int64_t j = 0;
  const auto columns = [&]<int vectors>() __attribute__((always_inline)) {
    std::int64_t i = 0;
    const auto block = [&]<int height>() __attribute__((always_inline)) {
      product_block<height, vectors, transposed>(a + (transposed ? i : i * a_row), a_row, b + j, b_row,
                                                 c + i * c_row + j, c_row, depth, add);
      i += height;
    };
    if constexpr (2 * vectors <= product_vectors) {  // fewer columns leave registers for more rows
      while (rows - i >= 2 * product_rows) block.template operator()<2 * product_rows>();
    }
    while (rows - i >= product_rows) block.template operator()<product_rows>();
    while (rows - i >= 2) block.template operator()<2>();
    if (rows > i) block.template operator()<1>();
    j += vectors * lanes<T>;
  };
  while (width - j >= panel_width<T>) columns.template operator()<product_vectors>();
  if constexpr (product_vectors == 4) {
    if (width - j >= 2 * lanes<T>) columns.template operator()<2>();
  }
  if (width - j >= lanes<T>) columns.template operator()<1>();
}

}  // namespace simclr::kernels::SIMCLR_ISA
