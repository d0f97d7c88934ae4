// The loops of logmel.h. Of M = fft / 2 complex points z[n] = x[2 n] + i x[2 n + 1], Z is their FFT; with
// w = e^(-2 pi i / fft)
//   2 X[k] = (Z[k] + Z*[M - k]) - i w^k (Z[k] - Z*[M - k]),  2 X*[M - k] = (Z[k] + Z*[M - k]) + i w^k (Z[k] - Z*[M -
//   k])
// The passes are Stockham's: each reads one array and writes another, and at the end all is in order. A shift in time
// changes no power, so the window's samples stand at the beginning of the FFT's.
#include "logmel.h"

#include "log.h"
#include "transpose.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

template <class T>
struct Complex {
  Vector<T> re, im;
};

template <class T>
[[gnu::always_inline]] inline Complex<T> operator+(const Complex<T>& a, const Complex<T>& b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
[[gnu::always_inline]] inline Complex<T> operator-(const Complex<T>& a, const Complex<T>& b) {
  return {a.re - b.re, a.im - b.im};
}
template <class T>
[[gnu::always_inline]] inline Complex<T> operator*(const Complex<T>& a, T factor) {
  return {a.re * factor, a.im * factor};
}
/// a (cosine + i sine)
template <class T>
[[gnu::always_inline]] inline Complex<T> turned(const Complex<T>& a, T cosine, T sine) {
  return {a.re * cosine - a.im * sine, a.re * sine + a.im * cosine};
}
/// -i a
template <class T>
[[gnu::always_inline]] inline Complex<T> quarter_back(const Complex<T>& a) {
  return {a.im, -a.re};
}

/// a = its own DFT of 2, 3, 4 or 5 points.
template <class T>
[[gnu::always_inline]] inline void dft(Complex<T> (&a)[2]) {
  const Complex<T> sum = a[0] + a[1];
  a[1] = a[0] - a[1];
  a[0] = sum;
}

template <class T>
[[gnu::always_inline]] inline void dft(Complex<T> (&a)[3]) {
  constexpr T sine = T(0.86602540378443864676);  // of a third of a turn
  const Complex<T> sum = a[1] + a[2], middle = a[0] - sum * T(0.5), across = quarter_back(a[1] - a[2]) * sine;
  a[0] = a[0] + sum;
  a[1] = middle + across;
  a[2] = middle - across;
}

template <class T>
[[gnu::always_inline]] inline void dft(Complex<T> (&a)[4]) {
  const Complex<T> even = a[0] + a[2], odd = a[1] + a[3], other = a[0] - a[2], across = quarter_back(a[1] - a[3]);
  a[0] = even + odd;
  a[1] = other + across;
  a[2] = even - odd;
  a[3] = other - across;
}

template <class T>
[[gnu::always_inline]] inline void dft(Complex<T> (&a)[5]) {
  // Cosines and sines of a fifth and two fifths of a turn.
  constexpr T c1 = T(0.30901699437494742410), c2 = T(-0.80901699437494742410);
  constexpr T s1 = T(0.95105651629515357212), s2 = T(0.58778525229247312917);
  const Complex<T> outer = a[1] + a[4], inner = a[2] + a[3];
  const Complex<T> across_outer = quarter_back(a[1] - a[4]), across_inner = quarter_back(a[2] - a[3]);
  const Complex<T> first = a[0] + outer * c1 + inner * c2, second = a[0] + outer * c2 + inner * c1;
  const Complex<T> first_across = across_outer * s1 + across_inner * s2;
  const Complex<T> second_across = across_outer * s2 - across_inner * s1;
  a[0] = a[0] + outer + inner;
  a[1] = first + first_across;
  a[4] = first - first_across;
  a[2] = second + second_across;
  a[3] = second - second_across;
}

template <class T>
[[gnu::always_inline]] inline Complex<T> load_point(const T* points, std::int64_t i) {
  const T* from = points + 2 * lanes<T> * i;
  return {load(from), load(from + lanes<T>)};
}
template <class T>
[[gnu::always_inline]] inline void store_point(T* points, std::int64_t i, const Complex<T>& value) {
  T* to = points + 2 * lanes<T> * i;
  store(to, value.re);
  store(to + lanes<T>, value.im);
}

/// Point p of a pass: to[r p + j] = rotation[j] DFT(from[p], from[p + m], ...)[j], and so for `stride` points that lie
/// beside one another.
template <class T, int r, bool rotated>
[[gnu::always_inline]] inline void pass_point(const T* from, T* to, std::int64_t p, std::int64_t m, std::int64_t stride,
                                              const T* rotation) {
  for (std::int64_t q = 0; q < stride; ++q) {
    Complex<T> a[r];
#pragma GCC unroll 5
    for (int j = 0; j < r; ++j) a[j] = load_point(from, q + stride * (p + m * j));
    dft(a);
    store_point(to, q + stride * r * p, a[0]);
#pragma GCC unroll 5
    for (int j = 1; j < r; ++j) {
      if constexpr (rotated) a[j] = turned(a[j], rotation[2 * j - 2], rotation[2 * j - 1]);
      store_point(to, q + stride * (r * p + j), a[j]);
    }
  }
}

/// A pass of n points, `stride` beside one another. Returns what stands behind its rotations.
template <class T, int r>
const T* pass(const T* from, T* to, std::int64_t n, std::int64_t stride, const T* rotations) {
  const std::int64_t m = n / r;
  pass_point<T, r, false>(from, to, 0, m, stride, rotations);  // no rotation
  for (std::int64_t p = 1; p < m; ++p) {
    pass_point<T, r, true>(from, to, p, m, stride, rotations + 2 * (r - 1) * p);
  }
  return rotations + 2 * (r - 1) * m;
}

/// All passes. `points` and `other` take turns: returns the one that has the result, and moves `rotations` on.
template <class T>
T* transform(const FftPasses& passes, std::int64_t n, T* points, T* other, const T*& rotations) {
  std::int64_t stride = 1;
  for (int i = 0; i < passes.count; ++i) {
    const int r = passes.radix[i];
    switch (r) {
      case 2: rotations = pass<T, 2>(points, other, n, stride, rotations); break;
      case 3: rotations = pass<T, 3>(points, other, n, stride, rotations); break;
      case 4: rotations = pass<T, 4>(points, other, n, stride, rotations); break;
      default: rotations = pass<T, 5>(points, other, n, stride, rotations);
    }
    T* const result = other;
    other = points;
    points = result;
    n /= r;
    stride *= r;
  }
  return points;
}

/// power[k] = |X[k]|^2, k <= n, from the points' transform.
template <class T>
void powers(const T* points, std::int64_t n, const T* rotations, T* power) {
  for (std::int64_t k = 0; 2 * k <= n; ++k) {
    const Complex<T> a = load_point(points, k), b = load_point(points, k == 0 ? 0 : n - k);
    const Complex<T> sum = {a.re + b.re, a.im - b.im}, difference = {a.re - b.re, a.im + b.im};
    const Complex<T> across = turned(quarter_back(difference), rotations[2 * k], rotations[2 * k + 1]);
    const Complex<T> low = sum + across, high = sum - across;
    store(power + lanes<T> * k, low.re * low.re + low.im * low.im);
    store(power + lanes<T> * (n - k), high.re * high.re + high.im * high.im);
  }
}

/// to[i] = the rows' values i, times the window, lane by lane.
template <class T>
void gather(const T* const* from, const T* window, std::int64_t taps, T* to) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= taps; i += lanes<T>) {
    const Vector<T> w = load(window + i);
    Vector<T> rows[lanes<T>];
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) rows[l] = load(from[l] + i) * w;
    transpose<T>(rows);
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) store(to + lanes<T> * (i + l), rows[l]);
  }
  for (; i < taps; ++i) {
    for (int l = 0; l < lanes<T>; ++l) to[lanes<T> * i + l] = from[l][i] * window[i];
  }
}

/// Lane i of values [mels] becomes row i, i < count.
template <class T>
void scatter(const T* values, std::int64_t mels, T* const* to, std::int64_t count) {
  std::int64_t m = 0;
  for (; m + lanes<T> <= mels; m += lanes<T>) {
    Vector<T> rows[lanes<T>];
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) rows[l] = load(values + lanes<T> * (m + l));
    transpose<T>(rows);
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) {
      if (l < count) store(to[l] + m, rows[l]);
    }
  }
  for (; m < mels; ++m) {
    for (std::int64_t l = 0; l < count; ++l) to[l][m] = values[lanes<T> * m + l];
  }
}

/// Room for the points, twice, the powers and the mels.
template <class T>
std::int64_t scratch(std::int64_t fft, std::int64_t mels) {
  return lanes<T> * (2 * fft + fft / 2 + 1 + mels);
}

template <class T>
void run(const LogmelTables<T>& tables, const T* const* from, T* const* to, std::int64_t count, T* scratch) {
  T *points = scratch, *other = points + lanes<T> * tables.fft, *power = other + lanes<T> * tables.fft;
  T* mels = power + lanes<T> * (tables.fft / 2 + 1);
  // 1 the window
  gather(from, tables.transform, tables.taps, points);
  for (std::int64_t i = lanes<T> * tables.taps; i < lanes<T> * tables.fft; i += lanes<T>)
    store(points + i, Vector<T>{});
  // 2 the powers
  const T* rotations = tables.transform + tables.taps;
  const T* transformed = transform(tables.passes, tables.fft / 2, points, other, rotations);
  powers(transformed, tables.fft / 2, rotations, power);
  // 3 the mels
  const Vector<T> floor = broadcast(tables.floor);
  for (std::int64_t m = 0; m < tables.mels; ++m) {
    const std::int32_t* band = tables.bands + 3 * m;
    const T *bins = power + lanes<T> * band[0], *weights = tables.weights + band[2];
    Vector<T> sum = {};
    for (std::int32_t k = 0; k < band[1]; ++k) sum += load(bins + lanes<T> * k) * weights[k];
    store(mels + lanes<T> * m, log<T>(sum < floor ? floor : sum));
  }
  scatter(mels, tables.mels, to, count);
}

template <class T>
constexpr LogmelFunctions<T> functions = {lanes<T>, scratch<T>, run<T>};

}  // namespace

extern const LogmelLoops logmel_loops;
const LogmelLoops logmel_loops = {functions<float>, functions<double>};

}  // namespace simclr::kernels::SIMCLR_ISA
