#pragma once

// Private: the loops of the 3x3 convolution by Winograd's F(2x2,3x3) and F(4x4,3x3) (Lavin & Gray, arXiv 1509.09308).
// The output is cut into tiles of 2x2 or 4x4; with d the window of the input that a tile sees, 4x4 or 6x6, and g the
// 3x3 weights,
//   y = A^T [ sum over channels of (G g G^T) . (B^T d B) ] A,   . taken element by element:
// 16 multiplications for 4 outputs, or 36 for 16, where the direct sum has 36 and 144. The sums over channels are 16 or
// 36 matrix products.
//   dg = G^T [ sum over tiles of (A dy A^T) . (B^T d B) ] G
// F(2x2,3x3) interpolates at 0, +-1: f32 loses about a bit against the direct sum. F(4x4,3x3) interpolates at 0, +-5/8,
// +-13/8, which loses half of what the usual 0, +-1, +-2 do: about two bits.
// What an Inf would have given may be NaN. A NaN or Inf reaches all that the direct sum gives it to; F(2x2,3x3) keeps
// the rest free of it, F(4x4,3x3) gives it to whole tiles of y.

#include <cstdint>

namespace simclr::kernels {

/// Sizes of a convolution with stride 1: x [n,h,w,c], weights [o,3,3,c], y [n,p,q,o]; and the side of y's tiles.
struct WinogradSizes {
  std::int64_t n, h, w, c, p, q, o, padding_h, padding_w, side;

  /// Of a tile's window; sums over channels are that many times as many matrix products.
  std::int64_t coefficients() const { return (side + 2) * (side + 2); }
  std::int64_t tile_rows() const { return (p + side - 1) / side; }
  std::int64_t tile_columns() const { return (q + side - 1) / side; }
  std::int64_t tiles() const { return n * tile_rows() * tile_columns(); }
};

/// A part of the weights' gradient: outputs [o, o + outputs), channels [c, c + channels).
struct WinogradPart {
  std::int64_t o, outputs, c, channels;

  /// Values of the part's sums for one coefficient.
  std::int64_t sums() const { return padded_outputs() * channels; }
  /// The products want a multiple of 6 rows.
  std::int64_t padded_outputs() const { return (outputs + 5) / 6 * 6; }
};

/// For tiles of one side.
template <class T>
struct WinogradFunctions {
  /// What c and o must be multiples of.
  int lanes;
  /// Values of u, the transformed weights.
  std::int64_t (*transformed_weights)(const WinogradSizes& sizes);
  /// Tiles that `convolve` works on at a time, and the scratch memory that it and `gradient_sums` need, in T.
  std::int64_t (*convolve_tiles)(const WinogradSizes& sizes);
  std::int64_t (*convolve_scratch)(const WinogradSizes& sizes);
  std::int64_t (*gradient_scratch)(const WinogradPart& part);

  /// u = G g G^T, in the order that convolve wants, for outputs [first, last) of w [o,3,3,c], multiples of `lanes`.
  void (*transform_weights)(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last, T* u);
  /// The same for the convolution that takes dy to dx: weights turned by 180 degrees, inputs and outputs exchanged.
  void (*transform_weights_turned)(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last,
                                   T* u);
  /// Tiles [first, last) of y. last - first is at most convolve_tiles().
  void (*convolve)(const T* x, const T* u, T* y, const WinogradSizes& sizes, std::int64_t first, std::int64_t last,
                   T* scratch);

  /// sums [coefficients, part.padded_outputs(), part.channels] = what tiles [first, last) give.
  void (*gradient_sums)(const T* x, const T* dy, const WinogradSizes& sizes, const WinogradPart& part,
                        std::int64_t first, std::int64_t last, T* sums, T* scratch);
  /// The part of dw [o,3,3,c] from `count` sums, which lie `step` apart.
  void (*gradient)(const T* sums, std::int64_t count, std::int64_t step, const WinogradSizes& sizes,
                   const WinogradPart& part, T* dw);
};

/// Of tiles 2x2 and 4x4.
struct WinogradLoops {
  WinogradFunctions<float> f32[2];
  WinogradFunctions<double> f64[2];
};

const WinogradLoops& winograd_loops();

}  // namespace simclr::kernels
