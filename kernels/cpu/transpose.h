#pragma once

// Private, for files of loops (see isa.h): a square of vectors, transposed in registers.

#include "isa.h"

#include <utility>

namespace simclr::kernels::SIMCLR_ISA {

template <class V, int... i>
[[gnu::always_inline]] inline void interleave(V a, V b, V& low, V& high, std::integer_sequence<int, i...>) {
  constexpr int count = sizeof...(i);
  low = __builtin_shufflevector(a, b, (i / 2 + i % 2 * count)...);
  high = __builtin_shufflevector(a, b, (count / 2 + i / 2 + i % 2 * count)...);
}

template <class T>
[[gnu::always_inline]] inline void transpose(Vector<T> (&v)[lanes<T>]) {
#pragma GCC unroll 4
  for (int step = 1; step < lanes<T>; step *= 2) {
    Vector<T> next[lanes<T>];
#pragma GCC unroll 16
    for (int i = 0; i < lanes<T> / 2; ++i) {
      interleave(v[i], v[i + lanes<T> / 2], next[2 * i], next[2 * i + 1], std::make_integer_sequence<int, lanes<T>>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < lanes<T>; ++i) v[i] = next[i];
  }
}

}  // namespace simclr::kernels::SIMCLR_ISA
