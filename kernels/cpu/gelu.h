#pragma once

// Private: GELU's loops on the CPU in f32, compiled once for each instruction set (isa.h). The C library's erfc takes
// some 30 ns a value; these take about one.

#include <cstdint>

namespace simclr::kernels {

struct GeluLoops {
  /// y[i] = x[i] P(x[i]), i in [0, n).
  void (*forward)(std::int64_t n, const float* x, float* y);
  /// dx[i] = dy[i] (P(x[i]) + x[i] p(x[i])).
  void (*backward)(std::int64_t n, const float* dy, const float* x, float* dx);
};

const GeluLoops& gelu_loops();

}  // namespace simclr::kernels
