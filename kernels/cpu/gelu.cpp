// The loops of gelu.h. With e = exp(-x^2 / 2) and t = 1 / (1 + 0.3 |x|):
//   P(-|x|) = e t g(t),  P(|x|) = 1 - P(-|x|),  p(x) = e / sqrt(2 pi)
// g(t) = erfc(|x| / sqrt 2) / (2 e t) is smooth: the polynomial of degree 9 in t that is nearest for |x| <= 13.3, found
// by Remez's exchange, errs by 3.5e-9 of it. Beyond, e is 0 in f32.
#include "gelu.h"

#include "exp.h"
#include "vectors.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

using V = Vector<float>;

struct Normal {
  V cumulative, e;  // e = exp(-x^2 / 2)
};

[[gnu::always_inline]] inline Normal normal(V x) {
  constexpr float g[] = {0.119686483f,   0.119575615f, 0.11020554f,   0.0785218761f, 0.0957932365f,
                         -0.0787776853f, 0.191041982f, -0.227679489f, 0.112217088f,  -0.0205846483f};
  constexpr float half_log2_e = 0.721347520f;
  const V e = exp2_below_1<float>(x * x * -half_log2_e);
  const V t = 1.0f / (1.0f + 0.3f * (x < 0.0f ? -x : x));
  V p = broadcast(g[9]);
#pragma GCC unroll 9
  for (int k = 8; k >= 0; --k) p = p * t + g[k];
  const V tail = e * t * p;
  return {x < 0.0f ? tail : 1.0f - tail, e};
}

void forward(std::int64_t n, const float* x, float* y) {
  for_vectors(
      n,
      [=](std::int64_t i, int count) __attribute__((always_inline)) {
        const V value = load_some(x + i, count);
        return value * normal(value).cumulative;
      },
      [=](std::int64_t i, int count, V v) __attribute__((always_inline)) { store_some(y + i, count, v); });
}

void backward(std::int64_t n, const float* dy, const float* x, float* dx) {
  constexpr float density = 0.398942280f;  // 1 / sqrt(2 pi)
  for_vectors(
      n,
      [=](std::int64_t i, int count) __attribute__((always_inline)) {
        const V value = load_some(x + i, count);
        const Normal of = normal(value);
        return load_some(dy + i, count) * (of.cumulative + value * of.e * density);
      },
      [=](std::int64_t i, int count, V v) __attribute__((always_inline)) { store_some(dx + i, count, v); });
}

}  // namespace

extern const GeluLoops gelu_loops;
const GeluLoops gelu_loops = {forward, backward};

}  // namespace simclr::kernels::SIMCLR_ISA
