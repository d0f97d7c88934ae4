#pragma once

// Private, for files of loops (see isa.h): n values as vectors, and a rest.

#include "isa.h"

namespace simclr::kernels::SIMCLR_ISA {

/// write(i, count, value(i, count)) for the `count` values from i on: vectors, and a rest.
template <class Value, class Write>
[[gnu::always_inline]] inline void for_vectors(std::int64_t n, Value value, Write write) {
  std::int64_t i = 0;
  for (; i + lanes<float> <= n; i += lanes<float>) write(i, lanes<float>, value(i, lanes<float>));
  if (i < n) write(i, static_cast<int>(n - i), value(i, static_cast<int>(n - i)));
}

[[gnu::always_inline]] inline Vector<float> load_some(const float* from, int count) {
  if (count == lanes<float>) return load(from);
  Vector<float> v{};
  for (int k = 0; k < count; ++k) v[k] = from[k];
  return v;
}

[[gnu::always_inline]] inline void store_some(float* to, int count, Vector<float> v) {
  if (count == lanes<float>) return store(to, v);
  for (int k = 0; k < count; ++k) to[k] = v[k];
}

}  // namespace simclr::kernels::SIMCLR_ISA
