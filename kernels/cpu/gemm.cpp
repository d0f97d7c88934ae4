// The loops of gemm.h, after Goto & van de Geijn, "Anatomy of high-performance matrix multiplication". A block of b is
// copied to panels that the product reads in order, times alpha; a is read where it lies. Each element of c is summed
// in blocks of depth from the first to the last, wherever it stands, so cutting c changes no bit.
#include "gemm.h"

#include "product.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

constexpr std::int64_t block_depth = 256, block_width = 256, block_rows = 32 * product_rows;

std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

template <class T>
std::int64_t padded(std::int64_t width) {
  return (width + lanes<T> - 1) / lanes<T> * lanes<T>;
}

/// panel [depth, padded(width)] = alpha b, from row d and column j on; the columns behind `width` are 0.
template <class T>
void pack(const Matrix<const T>& b, std::int64_t d, std::int64_t depth, std::int64_t j, std::int64_t width, T alpha,
          T* panel) {
  const std::int64_t row = padded<T>(width);
  for (std::int64_t i = 0; i < depth && width < row; ++i) store(panel + (i + 1) * row - lanes<T>, Vector<T>{});
  if (!b.transposed) {
    for (std::int64_t i = 0; i < depth; ++i) {
      const T* from = b.data + (d + i) * b.stride + j;
      T* to = panel + i * row;
      for (std::int64_t k = 0; k < width; ++k) to[k] = alpha * from[k];
    }
    return;
  }
  for (std::int64_t k = 0; k < width; ++k) {
    const T* from = b.data + (j + k) * b.stride + d;
    T* to = panel + k;
    for (std::int64_t i = 0; i < depth; ++i) to[i * row] = alpha * from[i];
  }
}

/// One block of depth of the product: rows of a and c by a panel of b.
template <class T>
struct Step {
  const Matrix<const T>& a;
  const Matrix<T>& c;
  std::int64_t d, depth;  // of a's columns
  std::int64_t j, width;  // of c's columns
  const T* panel;
  bool add;

  /// Rows [i, i + rows), a multiple of product_rows, where the panel is full.
  void whole(std::int64_t i, std::int64_t rows) const {
    T* to = c.data + i * c.stride + j;
    if (a.transposed) {
      product<true>(a.data + d * a.stride + i, a.stride, panel, width, to, c.stride, rows, width, depth, add);
    } else {
      product<false>(a.data + i * a.stride + d, a.stride, panel, width, to, c.stride, rows, width, depth, add);
    }
  }

  /// At most product_rows rows, by way of a tile that is as large as the product wants it.
  void part(std::int64_t i, std::int64_t rows) const {
    T left[product_rows * block_depth], tile[product_rows * panel_width<T>];
    for (std::int64_t r = 0; r < product_rows; ++r) {
      for (std::int64_t k = 0; k < depth; ++k) {
        left[r * depth + k] =
            r >= rows ? T(0) : a.data[a.transposed ? (d + k) * a.stride + i + r : (i + r) * a.stride + d + k];
      }
    }
    const std::int64_t row = padded<T>(width);
    product<false>(left, depth, panel, row, tile, row, product_rows, row, depth, false);
    for (std::int64_t r = 0; r < rows; ++r) {
      T* to = c.data + (i + r) * c.stride + j;
      for (std::int64_t k = 0; k < width; ++k) to[k] = add ? to[k] + tile[r * row + k] : tile[r * row + k];
    }
  }
};

/// What the sums do not replace: beta c, or 0 where there is nothing to sum.
template <class T>
void scale(const Matrix<T>& c, const GemmPart& part, std::int64_t k, T beta) {
  if (k > 0 && (beta == T(0) || beta == T(1))) return;
  for (std::int64_t i = part.i; i < part.i + part.rows; ++i) {
    T* row = c.data + i * c.stride;
    for (std::int64_t j = part.j; j < part.j + part.columns; ++j) row[j] = beta == T(0) ? T(0) : beta * row[j];
  }
}

/// Rows [i, i + rows) of a step.
template <class T>
void run(const Step<T>& step, std::int64_t i, std::int64_t rows) {
  const std::int64_t whole = step.width % lanes<T> == 0 ? rows / product_rows * product_rows : 0;
  if (whole > 0) step.whole(i, whole);
  for (std::int64_t r = whole; r < rows; r += product_rows) step.part(i + r, least(product_rows, rows - r));
}

/// Calls step(i, rows, d, depth, j, width) for the blocks of a part of c, its depth in order.
template <class T, class Body>
void for_steps(const GemmPart& part, std::int64_t k, const Body& step) {
  const std::int64_t last_row = part.i + part.rows, last_column = part.j + part.columns;
  for (std::int64_t j = part.j; j < last_column; j += block_width) {
    const std::int64_t stop = least(last_column, j + block_width);
    for (std::int64_t d = 0; d < k; d += block_depth) {
      for (std::int64_t i = part.i; i < last_row; i += block_rows) {
        for (std::int64_t p = j; p < stop; p += panel_width<T>) {
          step(i, least(block_rows, last_row - i), d, least(block_depth, k - d), p, least(panel_width<T>, stop - p));
        }
      }
    }
  }
}

template <class T>
std::int64_t packed_size(std::int64_t n, std::int64_t k) {
  return padded<T>(n) * k;
}

template <class T>
void pack_columns(const Matrix<const T>& b, std::int64_t n, std::int64_t k, std::int64_t j, std::int64_t columns,
                  T alpha, T* packed) {
  for (std::int64_t p = j; p < j + columns; p += panel_width<T>) {
    pack(b, 0, k, p, least(panel_width<T>, n - p), alpha, packed + p * k);
  }
}

template <class T>
void multiply_packed(const Matrix<const T>& a, const T* packed, const Matrix<T>& c, const GemmPart& part,
                     std::int64_t k, T beta) {
  scale(c, part, k, beta);
  for_steps<T>(
      part, k,
      [&](std::int64_t i, std::int64_t rows, std::int64_t d, std::int64_t depth, std::int64_t j, std::int64_t width) {
        const T* panel = packed + j * k + d * padded<T>(width);
        run(Step<T>{a, c, d, depth, j, width, panel, d > 0 || beta != T(0)}, i, rows);
      });
}

/// Each block of b is packed when the first rows come to it.
template <class T>
void multiply(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& c, std::int64_t m, std::int64_t n,
              std::int64_t k, T alpha, T beta, T* scratch) {
  const GemmPart part = {0, m, 0, n};
  scale(c, part, k, beta);
  for_steps<T>(
      part, k,
      [&](std::int64_t i, std::int64_t rows, std::int64_t d, std::int64_t depth, std::int64_t j, std::int64_t width) {
        T* panel = scratch + j % block_width * depth;
        if (i == 0) pack(b, d, depth, j, width, alpha, panel);
        run(Step<T>{a, c, d, depth, j, width, panel, d > 0 || beta != T(0)}, i, rows);
      });
}

template <class T>
constexpr GemmFunctions<T> functions = {panel_width<T>, product_rows,    block_depth* block_width,
                                        packed_size<T>, pack_columns<T>, multiply_packed<T>,
                                        multiply<T>};

}  // namespace

extern const GemmLoops gemm_loops;
const GemmLoops gemm_loops = {functions<float>, functions<double>};

}  // namespace simclr::kernels::SIMCLR_ISA
