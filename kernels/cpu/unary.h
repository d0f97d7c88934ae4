#pragma once

// Private: the loops of unary.h on the CPU in f32 that the C library takes many instructions for, compiled once for
// each instruction set (isa.h).

#include <cstdint>

namespace simclr::kernels {

struct UnaryLoops {
  /// y[i] = f(x[i]), i in [0, n); y may be x.
  using Loop = void(std::int64_t n, const float* x, float* y);
  Loop *exp, *log, *sigmoid, *tanh;
};

const UnaryLoops& unary_loops();

}  // namespace simclr::kernels
