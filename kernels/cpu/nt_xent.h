#pragma once

// Private: the loops of NT-Xent (the maths is in kernels/nt_xent.h) over a tile: some anchors against some candidates.
//   e_ij = e^{u_i.v_j / tau}, 0 for positives and for the anchor itself
// forward:   sum_i = sum_j e_ij and, for the square case, sum_j = sum_i e_ij
// backward:  W_ij = e_ij (1/sum_i + 1/sum_j),  du_i += sum_j W_ij v_j,  dv_j += sum_i W_ij u_i
// In the square case a tile serves twice: what it gives its columns is what the tile mirrored would give its rows.
// All three products are of blocks that lie in a core's cache.
// With a hardness (NtXentForm) there are two powers, e^{(1+hardness)s} and e^{hardness s}: two sums, and W of two terms
// each. The tile's products are taken once, and powers of them twice.
//
// e^{x/tau} is 2^n 2^f with x log2(e)/tau = n + f. The product is kept in two parts: rounded to one f32, an argument of
// 20 would cost 1e-6 of the exponential. For small temperatures 2^n would overflow: an integer shift is taken off n,
// for sums the row's maximum, for weights its log sum; so it costs no accuracy.

#include <cstdint>

namespace simclr::kernels {

/// Rows and columns of a tile, at most: du and dv are added up in so many terms at a time, since longer f32 sums round
/// off more.
inline constexpr std::int64_t nt_xent_block = 128;

/// Some anchors or candidates.
template <class T>
struct NtXentRows {
  const T* z;
  const double* norm;
  const std::int32_t* group;
  std::int64_t count;
};

/// What makes an argument of 2^x of a product: the sum of both parts.
template <class T>
struct NtXentScale {
  T high, low;
};

template <class T>
struct NtXentTile {
  NtXentRows<T> rows, columns;
  std::int64_t width;        // D
  std::int64_t stride;       // from one row of du or dv to the next: D or more, with zeros behind it
  std::int64_t self;         // row i itself is column self + i, where there is one
  NtXentScale<T> scales[2];  // log2(e)/tau, with a hardness times 1 + hardness and times hardness
  int powers;                // how many of them are used
  bool shifted;              // whether an exponential could overflow
};

/// Sums over a tile's rows or columns, each times 2^-shift; shift is set where the tile is shifted.
template <class T>
struct NtXentSums {
  T sum[nt_xent_block], shift[nt_xent_block];
};

/// What embeddings contribute to weights as anchors: e 2^-shift share = e / sum of their row.
template <class T>
struct NtXentTerms {
  const T *shift, *share;
};

/// `rows` and `columns` are one for each power.
template <class T>
struct NtXentFunctions {
  int alignment;  // what a stride is a multiple of
  /// The scratch memory of a tile, in T.
  std::int64_t (*scratch)(std::int64_t stride, int powers);
  void (*sums)(const NtXentTile<T>& tile, NtXentSums<T>* rows, NtXentSums<T>* columns, T* scratch);
  /// Adds to du of the rows and, unless it is null, to dv of the columns; both [count,stride].
  void (*gradient)(const NtXentTile<T>& tile, const NtXentTerms<T>* rows, const NtXentTerms<T>* columns, T* du, T* dv,
                   T* scratch);
};

struct NtXentLoops {
  NtXentFunctions<float> f32;
  NtXentFunctions<double> f64;
};

const NtXentLoops& nt_xent_loops();

}  // namespace simclr::kernels
