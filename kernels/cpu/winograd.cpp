// The loops of winograd.h. V = B^T d B, U = G g G^T, Y = A dy A^T lie coefficient by coefficient: [16][rows][channels].
#include "winograd.h"

#include "product.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

/// Tiles at a time of the gradient: deep enough that adding up its sums costs little.
constexpr std::int64_t gradient_tiles = 48;
/// Outputs at a time of the forward pass, whose coefficients must fit into a cache beside the input's.
constexpr std::int64_t output_block = 128;

/// Values from one coefficient to the next: not a power of two, whose multiples share a cache's few places.
template <class T>
constexpr std::int64_t coefficient_step(std::int64_t values) {
  return values + lanes<T>;
}

/// From B^T d B's columns or rows: B^T = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1].
template <class V>
[[gnu::always_inline]] inline void input_transform(V& d0, V& d1, V& d2, V& d3) {
  const V t0 = d0 - d2, t1 = d1 + d2, t2 = d2 - d1, t3 = d1 - d3;
  d0 = t0, d1 = t1, d2 = t2, d3 = t3;
}

/// u [4x4] = G g G^T: G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1].
template <class T>
[[gnu::always_inline]] inline void weights_transform(const Vector<T> (&g)[9], Vector<T> (&u)[16]) {
  const auto along = [](Vector<T> a, Vector<T> b, Vector<T> c, Vector<T> & u0, Vector<T> & u1, Vector<T> & u2,
                        Vector<T> & u3) __attribute__((always_inline)) {
    const Vector<T> even = (a + c) * T(0.5), odd = b * T(0.5);
    u0 = a, u1 = even + odd, u2 = even - odd, u3 = c;
  };
  Vector<T> t[4][3];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) along(g[j], g[3 + j], g[6 + j], t[0][j], t[1][j], t[2][j], t[3][j]);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) along(t[i][0], t[i][1], t[i][2], u[4 * i], u[4 * i + 1], u[4 * i + 2], u[4 * i + 3]);
}

/// Neighbouring tiles of one row: their place in y in tiles, and the row's picture.
struct Run {
  std::int64_t image, row, column, count;
};

/// Calls body(run, t) for the runs that make up tiles [first, last); t counts from 0.
template <class Body>
[[gnu::always_inline]] inline void for_runs(const WinogradSizes& s, std::int64_t first, std::int64_t last, Body body) {
  const std::int64_t columns = s.tile_columns(), rows = s.tile_rows();
  for (std::int64_t t = first; t < last;) {
    const std::int64_t column = t % columns, rest = columns - column, left = last - t;
    const Run run{t / columns / rows, t / columns % rows, column, rest < left ? rest : left};
    body(run, t - first);
    t += run.count;
  }
}

/// The memory of some rows of pictures [n,height,width,channels] whose tiles are `count` from `first` on.
template <class T>
struct Rows {
  const T* begin;
  std::int64_t values;

  Rows(const T* data, const WinogradSizes& s, std::int64_t height, std::int64_t width, std::int64_t channels,
       std::int64_t first, std::int64_t count) {
    const std::int64_t row = first / s.tile_columns(), image = row / s.tile_rows();
    begin = data + (image * height + 2 * (row - image * s.tile_rows())) * width * channels;
    values = (count / s.tile_columns() + 1) * 2 * width * channels;
  }

  /// Asks for the part'th of 16 parts of it. Done between products it costs nothing, and reading does not wait later.
  void prefetch(int part) const {
    constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
    const std::int64_t lines = values / line;
    for (std::int64_t i = lines * part / 16; i < lines * (part + 1) / 16; ++i) {
      __builtin_prefetch(begin + i * line, 0, 2);
    }
  }
};

/// V of tiles [first, last) and channels [c, c + channels), rows `channels` apart. The windows of neighbours share two
/// columns: each column is read and transformed once.
template <class T>
void transform_input(const T* x, const WinogradSizes& s, std::int64_t c, std::int64_t channels, std::int64_t first,
                     std::int64_t last, T* v, std::int64_t v_step) {
  for_runs(s, first, last, [&](const Run& run, std::int64_t t) {
    const T* rows[4];  // null beyond the edges
    for (int i = 0; i < 4; ++i) {
      const std::int64_t y = 2 * run.row - s.padding + i;
      rows[i] = y >= 0 && y < s.h ? x + (run.image * s.h + y) * s.w * s.c + c : nullptr;
    }
    for (std::int64_t k = 0; k < channels; k += lanes<T>) {
      std::int64_t next = 2 * run.column - s.padding;
      const auto column = [&](Vector<T>(&d)[4]) __attribute__((always_inline)) {
        const bool inside = next >= 0 && next < s.w;
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) d[i] = inside && rows[i] ? load(rows[i] + next * s.c + k) : Vector<T>{};
        input_transform(d[0], d[1], d[2], d[3]);
        ++next;
      };
      Vector<T> a[4], b[4];
      column(a);
      column(b);
      T* to = v + t * channels + k;
      for (std::int64_t i = 0; i < run.count; ++i, to += channels) {
        Vector<T> d[4], e[4];
        column(d);
        column(e);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          Vector<T> r0 = a[j], r1 = b[j], r2 = d[j], r3 = e[j];
          input_transform(r0, r1, r2, r3);
          store(to + 4 * j * v_step, r0);
          store(to + (4 * j + 1) * v_step, r1);
          store(to + (4 * j + 2) * v_step, r2);
          store(to + (4 * j + 3) * v_step, r3);
          a[j] = d[j], b[j] = e[j];
        }
      }
    }
  });
}

template <class T>
std::int64_t convolve_tiles(const WinogradSizes& s) {
  constexpr std::int64_t cache = 640 << 10;  // bytes of V and of the products: most of a core's second-level cache
  const std::int64_t outputs = s.o < output_block ? s.o : output_block;
  const std::int64_t fit = cache / (16 * static_cast<std::int64_t>(sizeof(T)) * (s.c + outputs));
  const std::int64_t rows = fit / product_rows * product_rows;
  return rows < 24 ? 24 : rows > 96 ? 96 : rows;
}

template <class T>
std::int64_t convolve_scratch(const WinogradSizes& s) {
  const std::int64_t tiles = convolve_tiles<T>(s), outputs = s.o < output_block ? s.o : output_block;
  return 16 * (coefficient_step<T>(tiles * s.c) + coefficient_step<T>(tiles * outputs));
}

/// Where the panel of column `j` begins in a coefficient's part of u, [depth,width].
constexpr std::int64_t panel_offset(std::int64_t j, std::int64_t depth, std::int64_t panel) {
  return j / panel * panel * depth;
}

/// The columns of column j's panel.
template <class T>
std::int64_t columns_of_panel(std::int64_t j, std::int64_t width) {
  const std::int64_t rest = width - j / panel_width<T> * panel_width<T>;
  return rest < panel_width<T> ? rest : panel_width<T>;
}

template <class T>
void transform_weights(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last, T* u) {
  for (std::int64_t begin = first; begin < last; begin += lanes<T>) {  // rows that share u's cache lines
    const std::int64_t end = begin + lanes<T> < last ? begin + lanes<T> : last;
    for (std::int64_t k = 0; k < c; k += lanes<T>) {
      for (std::int64_t row = begin; row < end; ++row) {
        T* panel = u + panel_offset(row, c, panel_width<T>) + row % panel_width<T>;
        const std::int64_t columns = columns_of_panel<T>(row, o);
        Vector<T> g[9], transformed[16];
        for (int i = 0; i < 9; ++i) g[i] = load(w + (row * 9 + i) * c + k);
        weights_transform<T>(g, transformed);
        for (int i = 0; i < 16; ++i) {
          T values[lanes<T>];
          store(values, transformed[i]);
          for (int lane = 0; lane < lanes<T>; ++lane) panel[i * o * c + (k + lane) * columns] = values[lane];
        }
      }
    }
  }
}

template <class T>
void transform_weights_turned(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last, T* u) {
  for (std::int64_t row = first; row < last; ++row) {
    for (std::int64_t k = 0; k < c; k += lanes<T>) {
      Vector<T> g[9], transformed[16];
      for (int i = 0; i < 9; ++i) g[i] = load(w + (row * 9 + 8 - i) * c + k);
      weights_transform<T>(g, transformed);
      T* to = u + panel_offset(k, o, panel_width<T>) + row * columns_of_panel<T>(k, c) + k % panel_width<T>;
      for (int i = 0; i < 16; ++i) store(to + i * o * c, transformed[i]);
    }
  }
}

/// y's tiles from m, the 16 sums over channels, for outputs [o, o + outputs).
template <class T>
void transform_output(const T* m, std::int64_t m_step, T* y, const WinogradSizes& s, std::int64_t o,
                      std::int64_t outputs, std::int64_t first, std::int64_t last) {
  for_runs(s, first, last, [&](const Run& run, std::int64_t t) {
    T* pixels = y + ((run.image * s.p + 2 * run.row) * s.q + 2 * run.column) * s.o + o;
    const bool two_rows = 2 * run.row + 1 < s.p;
    for (std::int64_t i = 0; i < run.count; ++i, pixels += 2 * s.o) {
      const bool two_columns = 2 * (run.column + i) + 1 < s.q;
      for (std::int64_t k = 0; k < outputs; k += lanes<T>) {
        Vector<T> rows[2][4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          const T* column = m + j * m_step + (t + i) * outputs + k;
          const Vector<T> m0 = load(column), m1 = load(column + 4 * m_step), m2 = load(column + 8 * m_step),
                          m3 = load(column + 12 * m_step);
          rows[0][j] = m0 + m1 + m2;
          rows[1][j] = m1 - m2 - m3;
        }
        const auto write = [&](T * to, const Vector<T>(&r)[4]) __attribute__((always_inline)) {
          store(to, r[0] + r[1] + r[2]);
          if (two_columns) store(to + s.o, r[1] - r[2] - r[3]);
        };
        write(pixels + k, rows[0]);
        if (two_rows) write(pixels + s.q * s.o + k, rows[1]);
      }
    }
  });
}

template <class T>
void convolve(const T* x, const T* u, T* y, const WinogradSizes& s, std::int64_t first, std::int64_t last, T* scratch) {
  const std::int64_t tiles = convolve_tiles<T>(s), block = s.o < output_block ? s.o : output_block;
  const std::int64_t v_step = coefficient_step<T>(tiles * s.c), m_step = coefficient_step<T>(tiles * block);
  // The products' rows behind the last tile are made of what lies there, and nobody reads them.
  const std::int64_t rows = (last - first + product_rows - 1) / product_rows * product_rows;
  T *v = scratch, *m = v + 16 * v_step;
  transform_input(x, s, 0, s.c, first, last, v, v_step);
  const Rows<T> next(x, s, s.h, s.w, s.c, last, last - first);
  for (std::int64_t o = 0; o < s.o; o += block) {
    const std::int64_t outputs = s.o - o < block ? s.o - o : block;
    for (int i = 0; i < 16; ++i) {
      if (o == 0) next.prefetch(i);
      for (std::int64_t j = o; j < o + outputs; j += panel_width<T>) {
        const std::int64_t columns = columns_of_panel<T>(j, s.o);
        product<false>(v + i * v_step, s.c, u + i * s.o * s.c + panel_offset(j, s.c, panel_width<T>), columns,
                       m + i * m_step + (j - o), outputs, rows, columns, s.c, false);
      }
    }
    transform_output(m, m_step, y, s, o, outputs, first, last);
  }
}

template <class T>
std::int64_t gradient_scratch(const WinogradPart& part) {
  return 16 *
         (coefficient_step<T>(gradient_tiles * part.channels) + coefficient_step<T>(gradient_tiles * part.outputs));
}

/// Y of tiles [first, last) and the part's outputs.
template <class T>
void transform_gradient(const T* dy, const WinogradSizes& s, const WinogradPart& part, std::int64_t first,
                        std::int64_t last, T* out, std::int64_t step) {
  for_runs(s, first, last, [&](const Run& run, std::int64_t t) {
    const T* pixels = dy + ((run.image * s.p + 2 * run.row) * s.q + 2 * run.column) * s.o + part.o;
    const bool two_rows = 2 * run.row + 1 < s.p;
    T* to = out + t * part.outputs;
    for (std::int64_t i = 0; i < run.count; ++i, pixels += 2 * s.o, to += part.outputs) {
      const bool two_columns = 2 * (run.column + i) + 1 < s.q;
      for (std::int64_t k = 0; k < part.outputs; k += lanes<T>) {
        const T* g = pixels + k;
        const Vector<T> g00 = load(g), g01 = two_columns ? load(g + s.o) : Vector<T>{};
        const Vector<T> g10 = two_rows ? load(g + s.q * s.o) : Vector<T>{};
        const Vector<T> g11 = two_rows && two_columns ? load(g + (s.q + 1) * s.o) : Vector<T>{};
        // A = [1 0; 1 1; 1 -1; 0 -1], down the columns, then along the rows
        const auto write = [&](int row, Vector<T> a, Vector<T> b) __attribute__((always_inline)) {
          T* coefficients = to + 4 * row * step + k;
          store(coefficients, a);
          store(coefficients + step, a + b);
          store(coefficients + 2 * step, a - b);
          store(coefficients + 3 * step, -b);
        };
        write(0, g00, g01);
        write(1, g00 + g10, g01 + g11);
        write(2, g00 - g10, g01 - g11);
        write(3, -g10, -g11);
      }
    }
  });
}

template <class T>
void gradient_sums(const T* x, const T* dy, const WinogradSizes& s, const WinogradPart& part, std::int64_t first,
                   std::int64_t last, T* sums, T* scratch) {
  const std::int64_t outputs = part.padded_outputs();
  const std::int64_t v_step = coefficient_step<T>(gradient_tiles * part.channels);
  const std::int64_t y_step = coefficient_step<T>(gradient_tiles * part.outputs);
  T *v = scratch, *y = v + 16 * v_step;
  for (std::int64_t t = first; t < last; t += gradient_tiles) {
    const std::int64_t end = t + gradient_tiles < last ? t + gradient_tiles : last;
    transform_input(x, s, part.c, part.channels, t, end, v, v_step);
    transform_gradient(dy, s, part, t, end, y, y_step);
    const Rows<T> next_x(x, s, s.h, s.w, s.c, end, end - t), next_dy(dy, s, s.p, s.q, s.o, end, end - t);
    for (int i = 0; i < 16; ++i) {
      next_x.prefetch(i);
      next_dy.prefetch(i);
      // The product's rows behind the part's outputs are made of what lies there, and nobody reads them.
      product<true>(y + i * y_step, part.outputs, v + i * v_step, part.channels, sums + i * outputs * part.channels,
                    part.channels, outputs, part.channels, end - t, t > first);
    }
  }
}

template <class T>
void gradient(const T* sums, std::int64_t count, std::int64_t step, const WinogradSizes& s, const WinogradPart& part,
              T* dw) {
  const std::int64_t coefficient = part.padded_outputs() * part.channels;
  for (std::int64_t o = 0; o < part.outputs; ++o) {
    for (std::int64_t k = 0; k < part.channels; k += lanes<T>) {
      Vector<T> rows[3][4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        Vector<T> u[4] = {};
        for (int i = 0; i < 4; ++i) {
          const T* from = sums + (4 * i + j) * coefficient + o * part.channels + k;
          for (std::int64_t slice = 0; slice < count; ++slice) u[i] += load(from + slice * step);
        }
        // G^T = [1 1/2 1/2 0; 0 1/2 -1/2 0; 0 1/2 1/2 1]
        const Vector<T> even = (u[1] + u[2]) * T(0.5), odd = (u[1] - u[2]) * T(0.5);
        rows[0][j] = u[0] + even, rows[1][j] = odd, rows[2][j] = even + u[3];
      }
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        const Vector<T>(&r)[4] = rows[i];
        const Vector<T> even = (r[1] + r[2]) * T(0.5), odd = (r[1] - r[2]) * T(0.5);
        T* to = dw + ((part.o + o) * 9 + 3 * i) * s.c + part.c + k;
        store(to, r[0] + even);
        store(to + s.c, odd);
        store(to + 2 * s.c, even + r[3]);
      }
    }
  }
}

template <class T>
constexpr WinogradFunctions<T> functions = {lanes<T>,
                                            convolve_tiles<T>,
                                            convolve_scratch<T>,
                                            gradient_scratch<T>,
                                            transform_weights<T>,
                                            transform_weights_turned<T>,
                                            convolve<T>,
                                            gradient_sums<T>,
                                            gradient<T>};

}  // namespace

extern const WinogradLoops winograd_loops;
const WinogradLoops winograd_loops = {functions<float>, functions<double>};

}  // namespace simclr::kernels::SIMCLR_ISA
