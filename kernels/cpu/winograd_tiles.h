#pragma once

// Private, for winograd.cpp: the matrices of winograd.h, each as what it does to vectors.

#include "isa.h"

namespace simclr::kernels::SIMCLR_ISA {

/// What F(side x side, 3x3) is made of, along one dimension; all else follows from it.
template <int side>
struct Tile;

template <>
struct Tile<2> {
  static constexpr int side = 2, window = 4;

  /// d = B^T d: B^T = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1].
  template <class T, class V>
  [[gnu::always_inline]] static void input(V (&d)[4]) {
    const V t0 = d[0] - d[2], t1 = d[1] + d[2], t2 = d[2] - d[1], t3 = d[1] - d[3];
    d[0] = t0, d[1] = t1, d[2] = t2, d[3] = t3;
  }
  /// u = G g: G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1].
  template <class T, class V>
  [[gnu::always_inline]] static void weights(const V (&g)[3], V (&u)[4]) {
    const V even = (g[0] + g[2]) * T(0.5), odd = g[1] * T(0.5);
    u[0] = g[0], u[1] = even + odd, u[2] = even - odd, u[3] = g[2];
  }
  /// y = A^T m: A^T = [1 1 1 0; 0 1 -1 -1].
  template <class T, class V>
  [[gnu::always_inline]] static void output(const V (&m)[4], V (&y)[2]) {
    y[0] = m[0] + m[1] + m[2], y[1] = m[1] - m[2] - m[3];
  }
  /// m = A y.
  template <class T, class V>
  [[gnu::always_inline]] static void output_gradient(const V (&y)[2], V (&m)[4]) {
    m[0] = y[0], m[1] = y[0] + y[1], m[2] = y[0] - y[1], m[3] = -y[1];
  }
  /// g = G^T u.
  template <class T, class V>
  [[gnu::always_inline]] static void weights_gradient(const V (&u)[4], V (&g)[3]) {
    const V even = (u[1] + u[2]) * T(0.5);
    g[0] = u[0] + even, g[1] = (u[1] - u[2]) * T(0.5), g[2] = even + u[3];
  }
};

/// With points 0, a, -a, b, -b and infinity; the rows of a pair of points differ in the sign of their odd terms.
template <>
struct Tile<4> {
  static constexpr int side = 4, window = 6;
  static constexpr double a = 0.625, b = 1.625, a2 = a * a, b2 = b * b;
  /// What G's rows are divided by: 0's, a's and b's.
  static constexpr double by_0 = a2 * b2, by_a = 2 * a2 * (a2 - b2), by_b = 2 * b2 * (b2 - a2);

  /// B^T's rows: (x^2-a^2)(x^2-b^2), x(x+-a)(x^2-b^2), x(x^2-a^2)(x+-b), x(x^2-a^2)(x^2-b^2).
  template <class T, class V>
  [[gnu::always_inline]] static void input(V (&d)[6]) {
    const V even_a = d[4] - T(b2) * d[2], odd_a = T(a) * (d[3] - T(b2) * d[1]);
    const V even_b = d[4] - T(a2) * d[2], odd_b = T(b) * (d[3] - T(a2) * d[1]);
    d[0] = T(a2 * b2) * d[0] - T(a2 + b2) * d[2] + d[4];
    d[5] = T(a2 * b2) * d[1] - T(a2 + b2) * d[3] + d[5];
    d[1] = even_a + odd_a, d[2] = even_a - odd_a, d[3] = even_b + odd_b, d[4] = even_b - odd_b;
  }
  /// G's rows: 1, x, x^2 at each point, divided.
  template <class T, class V>
  [[gnu::always_inline]] static void weights(const V (&g)[3], V (&u)[6]) {
    const V even_a = T(1 / by_a) * g[0] + T(a2 / by_a) * g[2], odd_a = T(a / by_a) * g[1];
    const V even_b = T(1 / by_b) * g[0] + T(b2 / by_b) * g[2], odd_b = T(b / by_b) * g[1];
    u[0] = T(1 / by_0) * g[0], u[5] = g[2];
    u[1] = even_a + odd_a, u[2] = even_a - odd_a, u[3] = even_b + odd_b, u[4] = even_b - odd_b;
  }
  /// A^T's columns: 1, x, x^2, x^3 at each point.
  template <class T, class V>
  [[gnu::always_inline]] static void output(const V (&m)[6], V (&y)[4]) {
    const V even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = T(a) * odd_a + T(b) * odd_b;
    y[2] = T(a2) * even_a + T(b2) * even_b;
    y[3] = T(a * a2) * odd_a + T(b * b2) * odd_b + m[5];
  }
  template <class T, class V>
  [[gnu::always_inline]] static void output_gradient(const V (&y)[4], V (&m)[6]) {
    const V even_a = y[0] + T(a2) * y[2], odd_a = T(a) * y[1] + T(a * a2) * y[3];
    const V even_b = y[0] + T(b2) * y[2], odd_b = T(b) * y[1] + T(b * b2) * y[3];
    m[0] = y[0], m[5] = y[3];
    m[1] = even_a + odd_a, m[2] = even_a - odd_a, m[3] = even_b + odd_b, m[4] = even_b - odd_b;
  }
  template <class T, class V>
  [[gnu::always_inline]] static void weights_gradient(const V (&u)[6], V (&g)[3]) {
    const V even_a = u[1] + u[2], odd_a = u[1] - u[2], even_b = u[3] + u[4], odd_b = u[3] - u[4];
    g[0] = T(1 / by_0) * u[0] + T(1 / by_a) * even_a + T(1 / by_b) * even_b;
    g[1] = T(a / by_a) * odd_a + T(b / by_b) * odd_b;
    g[2] = T(a2 / by_a) * even_a + T(b2 / by_b) * even_b + u[5];
  }
};

}  // namespace simclr::kernels::SIMCLR_ISA
