// The loops of unary.h, by the polynomials of exp.h and log.h.
#include "unary.h"

#include "log.h"
#include "vectors.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

using V = Vector<float>;

template <class F>
[[gnu::always_inline]] inline void for_values(std::int64_t n, const float* x, float* y, F f) {
  for_vectors(
      n, [=](std::int64_t i, int count) __attribute__((always_inline)) { return f(load_some(x + i, count)); },
      [=](std::int64_t i, int count, V v) __attribute__((always_inline)) { store_some(y + i, count, v); });
}

void exp_of(std::int64_t n, const float* x, float* y) {
  for_values(
      n, x, y, [](V v) __attribute__((always_inline)) { return exp<float>(v); });
}

/// Of any number: log() takes normal ones, so numbers below them are multiplied first.
void log_of(std::int64_t n, const float* x, float* y) {
  constexpr float least = 1.17549435e-38f, factor = 16777216, log_factor = 16.6355324f;  // 2^-126, 2^24
  const V infinity = broadcast(__builtin_inff()), nan = broadcast(__builtin_nanf(""));
  for_values(
      n, x, y, [=](V v) __attribute__((always_inline)) {
        const V value = log<float>(v < least ? v * factor : v) - (v < least ? broadcast(log_factor) : V{});
        return v < 0.0f ? nan : v == 0.0f ? -infinity : value;
      });
}

void sigmoid_of(std::int64_t n, const float* x, float* y) {
  for_values(
      n, x, y, [](V v) __attribute__((always_inline)) { return 1.0f / (1.0f + exp<float>(-v)); });
}

void tanh_of(std::int64_t n, const float* x, float* y) {
  for_values(
      n, x, y, [](V v) __attribute__((always_inline)) { return tanh<float>(v); });
}

}  // namespace

extern const UnaryLoops unary_loops;
const UnaryLoops unary_loops = {exp_of, log_of, sigmoid_of, tanh_of};

}  // namespace simclr::kernels::SIMCLR_ISA
