// The loops of nt_xent.h.
#include "nt_xent.h"

#include "exp.h"
#include "product.h"
#include "transpose.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

/// 2^f, and `placed` = n + integer_place.
template <class T>
[[gnu::always_inline]] inline Vector<T> exp2_fraction(NtXentScale<T> scale, Vector<T> dot, Vector<T>& placed) {
  constexpr Exp2Series<T> series;
  placed = dot * scale.high + integer_place<T>;
  const Vector<T> n = placed - integer_place<T>;
  const Vector<T> f = dot * scale.low + (dot * scale.high - n);
  Vector<T> p = broadcast(series.at[Format<T>::terms - 1]);
#pragma GCC unroll 16
  for (int k = Format<T>::terms - 2; k >= 0; --k) p = p * f + series.at[k];
  return p;
}

/// A tile's scratch memory: its dot products, both its sides as unit vectors, a panel of one, and, where there are two
/// powers, the dot products again.
template <class T>
struct Scratch {
  T *dots, *u, *v, *panel, *again;

  Scratch(T* at, std::int64_t stride)
      : dots(at),
        u(dots + nt_xent_block * nt_xent_block),
        v(u + nt_xent_block * stride),
        panel(v + nt_xent_block * stride),
        again(panel + lanes<T> * stride) {}

  static std::int64_t size(std::int64_t stride, int powers) {
    return nt_xent_block * (powers * nt_xent_block + 2 * stride) + lanes<T> * stride;
  }
};

/// u [count,stride] = z/|z| of rows [first, first + count), zeros behind D. All of them kept would be as large as z;
/// anew for each tile costs about 3 % of the time. 1/|z| is in two parts, where they fit in a T: rounded to one f32, it
/// would move all similarities of its row alike, and a small temperature would multiply that.
template <class T>
void normalize(const NtXentTile<T>& tile, const NtXentRows<T>& rows, std::int64_t first, std::int64_t count, T* u) {
  for (std::int64_t i = first; i < first + count; ++i, u += tile.stride) {
    const T* z = rows.z + i * tile.width;
    const double norm = rows.norm[i], factor = norm == 0 ? 0 : 1 / norm;
    std::int64_t d = 0;
    if (norm > 1e-30 && norm < 1e30) {
      const T high = static_cast<T>(factor), low = static_cast<T>(factor - double{high});
      for (; d + lanes<T> <= tile.width; d += lanes<T>) store(u + d, load(z + d) * high + load(z + d) * low);
    }
    for (; d < tile.width; ++d) u[d] = static_cast<T>(double{z[d]} * factor);
    for (; d < tile.stride; ++d) u[d] = 0;
  }
}

/// panel [stride,lanes] = rows [first, first + lanes) of v, the tile's columns; zeros behind the last.
template <class T>
void pack(const NtXentTile<T>& tile, const T* v, std::int64_t first, T* panel) {
  for (std::int64_t d = 0; d < tile.stride; d += lanes<T>) {
    Vector<T> rows[lanes<T>];
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) {
      rows[l] = first + l < tile.columns.count ? load(v + (first + l) * tile.stride + d) : Vector<T>{};
    }
    transpose<T>(rows);
#pragma GCC unroll 16
    for (int l = 0; l < lanes<T>; ++l) store(panel + (d + l) * lanes<T>, rows[l]);
  }
}

/// Rows whose dot products with a panel are kept in registers at a time.
constexpr int dot_rows = product_rows * product_vectors / 4;

/// dots [rows,lanes] of `rows` anchors and a panel, each in four partial sums: four of up to 128 terms round off a
/// quarter as much as one; 1/tau would multiply that.
template <int rows, class T>
[[gnu::always_inline]] inline void dot_block(const T* u, std::int64_t stride, const T* panel, T* dots) {
  Vector<T> sum[4][rows] = {};
  for (std::int64_t d = 0; d < stride; d += 4) {
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
      const Vector<T> right = load(panel + (d + p) * lanes<T>);
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) sum[p][i] += broadcast(u[i * stride + d + p]) * right;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) store(dots + i * nt_xent_block, (sum[0][i] + sum[1][i]) + (sum[2][i] + sum[3][i]));
}

/// Stands in the place of dot products that do not count, those of rows with themselves: below all that there are.
template <class T>
constexpr T not_counted = -4;

/// dots [rows,nt_xent_block] = u_i.v_j, the columns filled up to whole vectors.
template <class T>
Scratch<T> dot_products(const NtXentTile<T>& tile, T* scratch) {
  const Scratch<T> s(scratch, tile.stride);
  const std::int64_t rows = tile.rows.count, columns = tile.columns.count, width = whole_vectors<T>(columns);
  normalize(tile, tile.rows, 0, rows, s.u);
  for (std::int64_t j = 0; j < width; j += lanes<T>) {
    normalize(tile, tile.columns, j, columns - j < lanes<T> ? columns - j : lanes<T>, s.v + j * tile.stride);
    pack(tile, s.v, j, s.panel);
    std::int64_t i = 0;
    const auto block = [&]<int height>() __attribute__((always_inline)) {
      dot_block<height>(s.u + i * tile.stride, tile.stride, s.panel, s.dots + i * nt_xent_block + j);
      i += height;
    };
    while (rows - i >= dot_rows) block.template operator()<dot_rows>();
    while (rows - i >= 2) block.template operator()<2>();
    if (rows > i) block.template operator()<1>();
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    T* row = s.dots + i * nt_xent_block;
    for (std::int64_t j = columns; j < width; ++j) row[j] = not_counted<T>;
    const std::int64_t self = tile.self + i;
    if (self >= 0 && self < columns) row[self] = not_counted<T>;
  }
  return s;
}

/// A value of each column, filled up to whole vectors.
template <class V>
struct OfColumns {
  V at[nt_xent_block];

  template <class From>
  OfColumns(const From* from, std::int64_t count) {
    for (std::int64_t j = 0; j < nt_xent_block; ++j) at[j] = j < count ? static_cast<V>(from[j]) : V{};
  }
};

/// The group of a row, to be compared with its columns'.
template <class T>
struct RowGroup {
  Bits<T> group, known;  // known: all bits, or none for -1, which equals nothing

  explicit RowGroup(std::int32_t of)
      : group(static_cast<Bits<T>>(of)), known(of == -1 ? Bits<T>{0} : static_cast<Bits<T>>(-1)) {}
};

/// Which columns, with their dot products and groups, are no negatives of a row.
template <class T>
[[gnu::always_inline]] inline auto is_left_out(Vector<T> dot, Vector<Bits<T>> groups, RowGroup<T> row) {
  return ((groups == row.group) & broadcast(row.known)) | (dot < not_counted<T> / 2);
}

template <class T>
T nearest(T x) {
  return x + integer_place<T> - integer_place<T>;
}

/// Sets shifts, by the largest of what is summed up.
template <class T>
void find_shifts(const NtXentTile<T>& tile, NtXentScale<T> scale, const OfColumns<Bits<T>>& groups, const T* dots,
                 NtXentSums<T>& rows, NtXentSums<T>& columns) {
  const Vector<T> least = broadcast(T(-1));
  for (std::int64_t j = 0; j < nt_xent_block; ++j) columns.shift[j] = -1;
  for (std::int64_t i = 0; i < tile.rows.count; ++i) {
    const RowGroup<T> group(tile.rows.group[i]);
    Vector<T> highest = least;
    for (std::int64_t j = 0; j < tile.columns.count; j += lanes<T>) {
      Vector<T> dot = load(dots + i * nt_xent_block + j), column = load(columns.shift + j);
      dot = is_left_out<T>(dot, load(groups.at + j), group) ? least : dot;
      highest = dot > highest ? dot : highest;
      store(columns.shift + j, dot > column ? dot : column);
    }
    T values[lanes<T>], most = -1;
    store(values, highest);
    for (const T value : values) most = value > most ? value : most;
    rows.shift[i] = nearest(most * scale.high);
  }
  for (T& shift : columns.shift) shift = nearest(shift * scale.high);
}

/// Sums of what dot products stand for, over the rows and over the columns.
template <class T, bool shifted>
void add_exponentials(const NtXentTile<T>& tile, NtXentScale<T> scale, const T* dots, NtXentSums<T>& rows,
                      NtXentSums<T>& columns) {
  const OfColumns<Bits<T>> groups(tile.columns.group, tile.columns.count);
  if constexpr (shifted) find_shifts(tile, scale, groups, dots, rows, columns);
  for (T& sum : columns.sum) sum = 0;
  for (std::int64_t i = 0; i < tile.rows.count; ++i) {
    const RowGroup<T> group(tile.rows.group[i]);
    Vector<T> sum = {};
    for (std::int64_t j = 0; j < tile.columns.count; j += lanes<T>) {
      const Vector<T> dot = load(dots + i * nt_xent_block + j);
      const auto left_out = is_left_out<T>(dot, load(groups.at + j), group);
      Vector<T> placed;
      const Vector<T> p = exp2_fraction(scale, dot, placed);
      const auto add = [&](Vector<T> power, Vector<T> to) __attribute__((always_inline)) {
        return to + (left_out ? Vector<T>{} : p * power);
      };
      const Vector<T> column = load(columns.sum + j);
      if constexpr (shifted) {
        sum = add(power_of_two<T>(placed, broadcast(rows.shift[i])), sum);
        store(columns.sum + j, add(power_of_two<T>(placed, load(columns.shift + j)), column));
      } else {
        const Vector<T> power = power_of_two<T>(placed);
        sum = add(power, sum);
        store(columns.sum + j, add(power, column));
      }
    }
    T values[lanes<T>];
    store(values, sum);
    for (int width = lanes<T> / 2; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) values[l] += values[l + width];
    }
    rows.sum[i] = values[0];
  }
}

/// Dot products become weights, in the same place; or weights are added to those that are there.
template <class T, bool shifted, bool more>
void weigh(const NtXentTile<T>& tile, NtXentScale<T> scale, NtXentTerms<T> rows, NtXentTerms<T> columns, const T* dots,
           T* weights) {
  const OfColumns<Bits<T>> groups(tile.columns.group, tile.columns.count);
  const OfColumns<T> shifts(columns.shift, tile.columns.count), shares(columns.share, tile.columns.count);
  for (std::int64_t i = 0; i < tile.rows.count; ++i) {
    const RowGroup<T> group(tile.rows.group[i]);
    const T share = rows.share[i];
    const Vector<T> shift = broadcast(rows.shift[i]);
    for (std::int64_t j = 0; j < tile.columns.count; j += lanes<T>) {
      T* at = weights + i * nt_xent_block + j;
      const Vector<T> dot = load(dots + i * nt_xent_block + j), other = load(shares.at + j);
      Vector<T> placed;
      const Vector<T> p = exp2_fraction(scale, dot, placed);
      Vector<T> w;
      if constexpr (shifted) {
        w = p * (power_of_two<T>(placed, shift) * share + power_of_two<T>(placed, load(shifts.at + j)) * other);
      } else {
        w = p * power_of_two<T>(placed) * (share + other);
      }
      w = is_left_out<T>(dot, load(groups.at + j), group) ? Vector<T>{} : w;
      if constexpr (more) w += load(at);
      store(at, w);
    }
  }
}

template <class T>
void sums(const NtXentTile<T>& tile, NtXentSums<T>* rows, NtXentSums<T>* columns, T* scratch) {
  const Scratch<T> s = dot_products(tile, scratch);
  for (int p = 0; p < tile.powers; ++p) {
    (tile.shifted ? add_exponentials<T, true> : add_exponentials<T, false>)(tile, tile.scales[p], s.dots, rows[p],
                                                                            columns[p]);
  }
}

template <class T>
void gradient(const NtXentTile<T>& tile, const NtXentTerms<T>* rows, const NtXentTerms<T>* columns, T* du, T* dv,
              T* scratch) {
  const Scratch<T> s = dot_products(tile, scratch);
  if (tile.powers == 2) __builtin_memcpy(s.again, s.dots, nt_xent_block * nt_xent_block * sizeof(T));
  (tile.shifted ? weigh<T, true, false> : weigh<T, false, false>)(tile, tile.scales[0], rows[0], columns[0], s.dots,
                                                                  s.dots);
  if (tile.powers == 2) {
    (tile.shifted ? weigh<T, true, true> : weigh<T, false, true>)(tile, tile.scales[1], rows[1], columns[1], s.again,
                                                                  s.dots);
  }
  product<false>(s.dots, nt_xent_block, s.v, tile.stride, du, tile.stride, tile.rows.count, tile.stride,
                 tile.columns.count, true);
  if (dv == nullptr) return;
  product<true>(s.dots, nt_xent_block, s.u, tile.stride, dv, tile.stride, tile.columns.count, tile.stride,
                tile.rows.count, true);
}

template <class T>
constexpr NtXentFunctions<T> functions = {lanes<T> > 4 ? lanes<T> : 4, Scratch<T>::size, sums<T>, gradient<T>};

}  // namespace

extern const NtXentLoops nt_xent_loops;
const NtXentLoops nt_xent_loops = {functions<float>, functions<double>};

}  // namespace simclr::kernels::SIMCLR_ISA
