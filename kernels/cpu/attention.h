#pragma once

// Private: the loops of attention (the maths is in kernels/attention.h) over a block of steps, one head's, against all
// steps of its sequence. The block's own steps lie in the lanes of vectors, those it is held against in rows:
//   forward         x_jo = log2(e) s of key j and own query o; maxima, sums and rescaling are of lanes, never across
//   backward, dq    the same, and dp_jo = v_j.dy_o
//   backward, dk dv x_io of query i and own key o, and dp_io = dy_i.v_o
// A block's own rows are transposed once; those of the other side are read as they lie in qkv.

#include <cstdint>

namespace simclr::kernels {

/// Steps of a block, and of the other side that are taken at a time: two squares of so many lie in a core's cache.
inline constexpr std::int64_t attention_block = 64;

/// A head of a sequence; rows are of its step 0.
template <class T>
struct AttentionHead {
  const T *q, *k, *v;
  std::int64_t stride;         // from one step to the next
  std::int64_t length, width;  // the sequence's own steps, D
  T scale;                     // 1 / sqrt(D)
};

/// What backward has besides, of the same head.
template <class T>
struct AttentionHeadGradient {
  const T* dy;
  std::int64_t dy_stride;
  const T *log_sum, *delta;  // [length]; log2
  T *dq, *dk, *dv;           // as q, k, v
};

template <class T>
struct AttentionFunctions {
  /// The scratch memory of a block, in T.
  std::int64_t (*scratch)(std::int64_t width);
  /// y of own queries [first, first + count), rows so many T apart, with the maximum of x over the keys and the sum of
  /// 2^{x - top}; both have room for attention_block values.
  void (*forward)(const AttentionHead<T>& head, std::int64_t first, std::int64_t count, T* y, std::int64_t y_stride,
                  T* top, T* sum, T* scratch);
  /// dq of own queries.
  void (*queries)(const AttentionHead<T>& head, const AttentionHeadGradient<T>& gradient, std::int64_t first,
                  std::int64_t count, T* scratch);
  /// dk and dv of own keys.
  void (*keys)(const AttentionHead<T>& head, const AttentionHeadGradient<T>& gradient, std::int64_t first,
               std::int64_t count, T* scratch);
};

struct AttentionLoops {
  AttentionFunctions<float> f32;
  AttentionFunctions<double> f64;
};

const AttentionLoops& attention_loops();

}  // namespace simclr::kernels
