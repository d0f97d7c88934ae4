// The loops of attention.h.
#include "attention.h"

#include "exp.h"
#include "product.h"
#include "transpose.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

constexpr std::int64_t block = attention_block;

template <class T>
constexpr T log2_e = T(1.44269504088896340736);

/// A block's scratch memory: two matrices of own rows and two of sums, all transposed [D,block], two squares
/// [block,block] of the other side's steps and the own ones, and four values of each own step.
template <class T>
struct Scratch {
  T *own[2], *sum[2], *x, *dp, *of_step[4];

  Scratch(T* at, std::int64_t width) {
    const auto take = [&](std::int64_t rows) __attribute__((always_inline)) {
      T* const taken = at;
      at += rows * block;
      return taken;
    };
    for (T*& matrix : own) matrix = take(width);
    for (T*& matrix : sum) matrix = take(width);
    x = take(block);
    dp = take(block);
    for (T*& values : of_step) values = take(1);
  }

  static std::int64_t size(std::int64_t width) { return (4 * width + 2 * block + 4) * block; }
};

/// to [width,block] = factor from^T, whose `count` rows are `stride` apart; zeros up to whole vectors of columns.
template <class T>
void turn(const T* from, std::int64_t stride, std::int64_t count, std::int64_t width, T factor, T* to) {
  for (std::int64_t i = 0; i < count; i += lanes<T>) {
    const T* rows = from + i * stride;
    std::int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) {
      Vector<T> v[lanes<T>];
#pragma GCC unroll 16
      for (int l = 0; l < lanes<T>; ++l) v[l] = i + l < count ? load(rows + l * stride + d) * factor : Vector<T>{};
      transpose<T>(v);
#pragma GCC unroll 16
      for (int l = 0; l < lanes<T>; ++l) store(to + (d + l) * block + i, v[l]);
    }
    for (; d < width; ++d) {
      for (int l = 0; l < lanes<T>; ++l) to[d * block + i + l] = i + l < count ? rows[l * stride + d] * factor : T(0);
    }
  }
}

/// The way back: row i of `to` = factor[i] times column i of from [width,block].
template <class T>
void turn_back(const T* from, const T* factor, std::int64_t count, std::int64_t width, T* to, std::int64_t stride) {
  for (std::int64_t i = 0; i < count; i += lanes<T>) {
    const Vector<T> factors = load(factor + i);
    T* rows = to + i * stride;
    std::int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) {
      Vector<T> v[lanes<T>];
#pragma GCC unroll 16
      for (int l = 0; l < lanes<T>; ++l) v[l] = load(from + (d + l) * block + i) * factors;
      transpose<T>(v);
#pragma GCC unroll 16
      for (int l = 0; l < lanes<T>; ++l) {
        if (i + l < count) store(rows + l * stride + d, v[l]);
      }
    }
    for (; d < width; ++d) {
      for (int l = 0; l < lanes<T> && i + l < count; ++l) rows[l * stride + d] = from[d * block + i + l] * factors[l];
    }
  }
}

/// x [rows,columns] becomes 2^{x - top}, top being raised to the largest of a column; `sum` follows, and `factor` says
/// what earlier terms are to be multiplied with.
template <class T>
void exponentials(T* x, std::int64_t rows, std::int64_t columns, T* top, T* sum, T* factor) {
  for (std::int64_t c = 0; c < columns; c += lanes<T>) {
    const Vector<T> before = load(top + c);
    Vector<T> highest = before, total = {};
    for (std::int64_t r = 0; r < rows; ++r) {
      const Vector<T> value = load(x + r * block + c);
      highest = value > highest ? value : highest;
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const Vector<T> e = exp2_below_1<T>(load(x + r * block + c) - highest);
      store(x + r * block + c, e);
      total += e;
    }
    const Vector<T> shrunk = exp2_below_1<T>(before - highest);
    store(top + c, highest);
    store(sum + c, load(sum + c) * shrunk + total);
    store(factor + c, shrunk);
  }
}

template <class T>
void scale_columns(T* matrix, std::int64_t rows, std::int64_t columns, const T* factor) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; c += lanes<T>) {
      store(matrix + r * block + c, load(matrix + r * block + c) * load(factor + c));
    }
  }
}

constexpr std::int64_t rows_from(std::int64_t at, std::int64_t length) {
  return length - at < block ? length - at : block;
}

template <class T>
void forward(const AttentionHead<T>& head, std::int64_t first, std::int64_t count, T* y, std::int64_t y_stride, T* top,
             T* sum, T* scratch) {
  const Scratch<T> s(scratch, head.width);
  const std::int64_t columns = whole_vectors<T>(count), width = head.width;
  T* const factor = s.of_step[0];
  turn(head.q + first * head.stride, head.stride, count, width, head.scale * log2_e<T>, s.own[0]);
  for (std::int64_t c = 0; c < columns; ++c) top[c] = -__builtin_inf(), sum[c] = 0;
  for (std::int64_t j = 0; j < head.length; j += block) {
    const std::int64_t rows = rows_from(j, head.length);
    product<false>(head.k + j * head.stride, head.stride, s.own[0], block, s.x, block, rows, columns, width, false);
    exponentials(s.x, rows, columns, top, sum, factor);
    if (j > 0) scale_columns(s.sum[0], width, columns, factor);
    product<true>(head.v + j * head.stride, head.stride, s.x, block, s.sum[0], block, width, columns, rows, j > 0);
  }
  for (std::int64_t c = 0; c < columns; ++c) factor[c] = T(1) / sum[c];
  turn_back(s.sum[0], factor, count, width, y, y_stride);
}

/// x becomes p = 2^{x - log_sum}, dp becomes ds = p (dp - delta). Both values belong to a query: to a row where the own
/// steps are keys, to a column otherwise.
template <bool own_keys, class T>
void score_gradients(T* x, T* dp, std::int64_t rows, std::int64_t columns, const T* log_sum, const T* delta) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; c += lanes<T>) {
      const Vector<T> log = own_keys ? broadcast(log_sum[r]) : load(log_sum + c);
      const Vector<T> off = own_keys ? broadcast(delta[r]) : load(delta + c);
      const Vector<T> p = exp2_below_1<T>(load(x + r * block + c) - log);
      store(x + r * block + c, p);
      store(dp + r * block + c, p * (load(dp + r * block + c) - off));
    }
  }
}

template <bool own_keys, class T>
void backward(const AttentionHead<T>& head, const AttentionHeadGradient<T>& gradient, std::int64_t first,
              std::int64_t count, T* scratch) {
  const Scratch<T> s(scratch, head.width);
  const std::int64_t columns = whole_vectors<T>(count), width = head.width, stride = head.stride;
  const std::int64_t own_stride = own_keys ? stride : gradient.dy_stride;    // of v or dy, the own
  const std::int64_t other_stride = own_keys ? gradient.dy_stride : stride;  // and the other side's
  const T *own_a = own_keys ? head.k : head.q, *own_b = own_keys ? head.v : gradient.dy;
  const T *other_a = own_keys ? head.q : head.k, *other_b = own_keys ? gradient.dy : head.v;
  turn(own_a + first * stride, stride, count, width, head.scale * log2_e<T>, s.own[0]);
  turn(own_b + first * own_stride, own_stride, count, width, T(1), s.own[1]);
  T *own_log = s.of_step[0], *own_delta = s.of_step[1], *one = s.of_step[2], *scale = s.of_step[3];
  for (std::int64_t c = 0; c < columns; ++c) {
    own_log[c] = c < count && !own_keys ? gradient.log_sum[first + c] : T(0);
    own_delta[c] = c < count && !own_keys ? gradient.delta[first + c] : T(0);
    one[c] = 1, scale[c] = head.scale;
  }
  for (std::int64_t j = 0; j < head.length; j += block) {
    const std::int64_t rows = rows_from(j, head.length);
    const T *a = other_a + j * stride, *b = other_b + j * other_stride;
    product<false>(a, stride, s.own[0], block, s.x, block, rows, columns, width, false);
    product<false>(b, other_stride, s.own[1], block, s.dp, block, rows, columns, width, false);
    score_gradients<own_keys>(s.x, s.dp, rows, columns, own_keys ? gradient.log_sum + j : own_log,
                              own_keys ? gradient.delta + j : own_delta);
    product<true>(a, stride, s.dp, block, s.sum[0], block, width, columns, rows, j > 0);
    if (own_keys) product<true>(b, other_stride, s.x, block, s.sum[1], block, width, columns, rows, j > 0);
  }
  turn_back(s.sum[0], scale, count, width, (own_keys ? gradient.dk : gradient.dq) + first * stride, stride);
  if (own_keys) turn_back(s.sum[1], one, count, width, gradient.dv + first * stride, stride);
}

template <class T>
constexpr AttentionFunctions<T> functions = {Scratch<T>::size, forward<T>, backward<false, T>, backward<true, T>};

}  // namespace

extern const AttentionLoops attention_loops;
const AttentionLoops attention_loops = {functions<float>, functions<double>};

}  // namespace simclr::kernels::SIMCLR_ISA
