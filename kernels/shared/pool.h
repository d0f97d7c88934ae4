#pragma once

// Private: which pixels a pooling window covers, which of them wins, and who gets the gradient of a maximum over time,
// shared by the CPU and CUDA. Index may be unsigned: no difference below 0 is taken.

#include <simclr/kernels/shared/target.h>

#include <cstdint>
#include <limits>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

template <class Index>
struct PoolRange {
  Index begin, end;
};

/// Input positions under window `out`, of `size` along the axis.
template <class Index>
SIMCLR_HOST_DEVICE inline PoolRange<Index> window(Index out, Index size, Index kernel, Index stride, Index padding) {
  const Index start = out * stride, stop = start + kernel - padding;
  return {start > padding ? start - padding : 0, stop < size ? stop : size};
}

/// Windows over input position `in`, of `windows` along the axis.
template <class Index>
SIMCLR_HOST_DEVICE inline PoolRange<Index> windows_over(Index in, Index windows, Index kernel, Index stride,
                                                        Index padding) {
  const Index last = in + padding, stop = last / stride + 1;  // a window that starts at last - kernel is over
  return {last < kernel ? 0 : (last - kernel) / stride + 1, stop < windows ? stop : windows};
}

/// Makes `value`, of pixel `place`, the best one where it wins: where it is above it, so that the first of equals
/// stays, or NaN, which then stays. -Inf counts as NaN, so that faults stay visible.
template <class T>
SIMCLR_HOST_DEVICE inline void take_maximum(T& best, std::int32_t& winner, T value, std::int32_t place) {
  value = value >= std::numeric_limits<T>::lowest() ? value : std::numeric_limits<T>::quiet_NaN();
  const bool wins = (value > best) | (value != value);
  best = wins ? value : best;
  winner = wins ? place : winner;
}

/// The winners of a sequence without a step, and of one whose length is impossible.
inline constexpr std::int32_t no_winner = -1, impossible_winner = -2;

/// What of a maximum's gradient goes to `place`: all where it won, NaN where the winner is impossible.
template <class T>
SIMCLR_HOST_DEVICE inline T maximum_gradient(T gradient, std::int32_t winner, std::int64_t place) {
  const T other = winner == impossible_winner ? std::numeric_limits<T>::quiet_NaN() : T{0};
  return winner == place ? gradient : other;
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
