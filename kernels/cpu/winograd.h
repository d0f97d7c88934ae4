#pragma once

// Private: the loops of the 3x3 convolution by Winograd's F(2x2,3x3) (Lavin & Gray, arXiv 1509.09308). The output is
// cut into tiles of 2x2; with d the 4x4 window of the input that a tile sees, g the 3x3 weights,
//   y = A^T [ sum over channels of (G g G^T) . (B^T d B) ] A,   . taken element by element:
// 16 multiplications for 4 outputs where the direct sum has 36. The sums over channels are 16 matrix products.
//   dg = G^T [ sum over tiles of (A dy A^T) . (B^T d B) ] G
// A and B hold 0 and +-1, G 1/2 besides, so that f32 loses about a bit against the direct sum.
// What an Inf would have given may be NaN; a NaN or Inf does not reach outputs that the direct sum would have kept
// free of it.

#include <cstdint>

namespace simclr::kernels {

/// Sizes of a convolution with stride 1: x [n,h,w,c], weights [o,3,3,c], y [n,p,q,o].
struct WinogradSizes {
  std::int64_t n, h, w, c, p, q, o, padding;

  std::int64_t tile_rows() const { return (p + 1) / 2; }
  std::int64_t tile_columns() const { return (q + 1) / 2; }
  std::int64_t tiles() const { return n * tile_rows() * tile_columns(); }
};

/// A part of the weights' gradient: outputs [o, o + outputs), channels [c, c + channels).
struct WinogradPart {
  std::int64_t o, outputs, c, channels;

  /// Values of the part's sums.
  std::int64_t sums() const { return 16 * padded_outputs() * channels; }
  /// The products want a multiple of 6 rows.
  std::int64_t padded_outputs() const { return (outputs + 5) / 6 * 6; }
};

template <class T>
struct WinogradFunctions {
  /// What c and o must be multiples of.
  int lanes;
  /// Tiles that `convolve` and `add_gradient` work on at a time, and what scratch memory they need for it, in T.
  std::int64_t (*convolve_tiles)(const WinogradSizes& sizes);
  std::int64_t (*convolve_scratch)(const WinogradSizes& sizes);
  std::int64_t (*gradient_scratch)(const WinogradPart& part);

  /// u = G g G^T, in the order that convolve wants, for outputs [first, last) of w [o,3,3,c]; u [16 * o * c].
  void (*transform_weights)(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last, T* u);
  /// The same for the convolution that takes dy to dx: weights turned by 180 degrees, inputs and outputs exchanged.
  void (*transform_weights_turned)(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last,
                                   T* u);
  /// Tiles [first, last) of y. last - first is at most convolve_tiles().
  void (*convolve)(const T* x, const T* u, T* y, const WinogradSizes& sizes, std::int64_t first, std::int64_t last,
                   T* scratch);

  /// sums [16, part.padded_outputs(), part.channels] = what tiles [first, last) give.
  void (*gradient_sums)(const T* x, const T* dy, const WinogradSizes& sizes, const WinogradPart& part,
                        std::int64_t first, std::int64_t last, T* sums, T* scratch);
  /// The part of dw [o,3,3,c] from `count` sums, which lie `step` apart.
  void (*gradient)(const T* sums, std::int64_t count, std::int64_t step, const WinogradSizes& sizes,
                   const WinogradPart& part, T* dw);
};

struct WinogradLoops {
  WinogradFunctions<float> f32;
  WinogradFunctions<double> f64;
};

const WinogradLoops& winograd_loops();

}  // namespace simclr::kernels
