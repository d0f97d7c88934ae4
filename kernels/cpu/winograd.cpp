// The loops of winograd.h. V = B^T d B, U = G g G^T, Y = A dy A^T lie coefficient by coefficient:
// [coefficients][rows][channels].
#include "winograd.h"

#include "product.h"
#include "winograd_tiles.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

/// Tiles at a time of the gradient: deep enough that adding up its sums costs little.
constexpr std::int64_t gradient_tiles = 48;
/// Outputs at a time of the forward pass, whose coefficients must fit into a cache beside the input's.
constexpr std::int64_t output_block = 64;
/// Channels at a time: their part of a panel lies in the first-level cache, and shorter sums round less.
constexpr std::int64_t channel_block = 128;

/// Values from one coefficient to the next: not a power of two, whose multiples share a cache's few places, and room
/// for the rows that a product reads behind the last.
template <class T>
constexpr std::int64_t coefficient_step(std::int64_t values) {
  return values + (product_rows + lanes<T> - 1) / lanes<T> * lanes<T>;
}

/// Writes G g G^T, its coefficients `step` apart.
template <class F, class T>
[[gnu::always_inline]] inline void store_weights(const Vector<T> (&g)[9], T* u, std::int64_t step) {
  constexpr int window = F::window;
  Vector<T> rows[window][3];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    const Vector<T> column[3] = {g[j], g[3 + j], g[6 + j]};
    Vector<T> along[window];
    F::template weights<T>(column, along);
#pragma GCC unroll 6
    for (int i = 0; i < window; ++i) rows[i][j] = along[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < window; ++i) {
    Vector<T> values[window];
    F::template weights<T>(rows[i], values);
#pragma GCC unroll 6
    for (int j = 0; j < window; ++j) store(u + (window * i + j) * step, values[j]);
  }
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
    begin = data + (image * height + s.side * (row - image * s.tile_rows())) * width * channels;
    values = (count / s.tile_columns() + 1) * s.side * width * channels;
  }

  /// Asks for the part'th of `parts` parts of it. Done between products it costs nothing, and reading does not wait
  /// later.
  void prefetch(int part, int parts) const {
    constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
    const std::int64_t lines = values / line;
    for (std::int64_t i = lines * part / parts; i < lines * (part + 1) / parts; ++i) {
      __builtin_prefetch(begin + i * line, 0, 2);
    }
  }
};

/// V of tiles [first, last) and channels [c, c + channels), rows `channels` apart. The windows of neighbours share two
/// columns: each column is read and transformed once.
template <class F, class T>
void transform_input(const T* x, const WinogradSizes& s, std::int64_t c, std::int64_t channels, std::int64_t first,
                     std::int64_t last, T* v, std::int64_t v_step) {
  constexpr int side = F::side, window = F::window;
  for_runs(s, first, last, [&](const Run& run, std::int64_t t) {
    const T* rows[window];  // null beyond the edges
    for (int i = 0; i < window; ++i) {
      const std::int64_t y = side * run.row - s.padding_h + i;
      rows[i] = y >= 0 && y < s.h ? x + (run.image * s.h + y) * s.w * s.c + c : nullptr;
    }
    for (std::int64_t k = 0; k < channels; k += lanes<T>) {
      std::int64_t next = side * run.column - s.padding_w;
      const auto column = [&](Vector<T>(&d)[window]) __attribute__((always_inline)) {
        const bool inside = next >= 0 && next < s.w;
#pragma GCC unroll 6
        for (int i = 0; i < window; ++i) d[i] = inside && rows[i] ? load(rows[i] + next * s.c + k) : Vector<T>{};
        F::template input<T>(d);
        ++next;
      };
      Vector<T> d[window][window];  // columns
      column(d[0]);
      column(d[1]);
      T* to = v + t * channels + k;
      for (std::int64_t i = 0; i < run.count; ++i, to += channels) {
#pragma GCC unroll 4
        for (int j = 2; j < window; ++j) column(d[j]);
#pragma GCC unroll 6
        for (int row = 0; row < window; ++row) {
          Vector<T> r[window];
#pragma GCC unroll 6
          for (int j = 0; j < window; ++j) r[j] = d[j][row];
          F::template input<T>(r);
#pragma GCC unroll 6
          for (int j = 0; j < window; ++j) store(to + (window * row + j) * v_step, r[j]);
          d[0][row] = d[side][row], d[1][row] = d[side + 1][row];
        }
      }
    }
  });
}

template <class T>
std::int64_t transformed_weights(const WinogradSizes& s) {
  return s.coefficients() * coefficient_step<T>(s.o * s.c);
}

template <class T>
std::int64_t convolve_tiles(const WinogradSizes& s) {
  constexpr std::int64_t cache = 640 << 10;  // bytes of V and of the products: most of a core's second-level cache
  const std::int64_t outputs = s.o < output_block ? s.o : output_block;
  const std::int64_t fit = cache / (s.coefficients() * static_cast<std::int64_t>(sizeof(T)) * (s.c + outputs));
  const std::int64_t rows = fit / product_rows * product_rows;
  return rows < 24 ? 24 : rows > 96 ? 96 : rows;
}

template <class T>
std::int64_t convolve_scratch(const WinogradSizes& s) {
  const std::int64_t tiles = convolve_tiles<T>(s), outputs = s.o < output_block ? s.o : output_block;
  return s.coefficients() * (coefficient_step<T>(tiles * s.c) + coefficient_step<T>(tiles * outputs));
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

template <class F, class T>
void transform_weights(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last, T* u) {
  constexpr int n = lanes<T>;
  for (std::int64_t row = first; row < last; row += n) {
    const std::int64_t columns = columns_of_panel<T>(row, o);
    for (std::int64_t k = 0; k < c; k += n) {
      T turned[n][9][n];  // channels, taps, outputs: neighbours in u
      for (int j = 0; j < n; ++j) {
        for (int i = 0; i < 9; ++i) {
          const T* from = w + ((row + j) * 9 + i) * c + k;
          for (int channel = 0; channel < n; ++channel) turned[channel][i][j] = from[channel];
        }
      }
      T* to = u + panel_offset(row, c, panel_width<T>) + row % panel_width<T> + k * columns;
      for (int channel = 0; channel < n; ++channel, to += columns) {
        Vector<T> g[9];
        for (int i = 0; i < 9; ++i) g[i] = load(turned[channel][i]);
        store_weights<F>(g, to, coefficient_step<T>(o * c));
      }
    }
  }
}

template <class F, class T>
void transform_weights_turned(const T* w, std::int64_t o, std::int64_t c, std::int64_t first, std::int64_t last, T* u) {
  for (std::int64_t row = first; row < last; ++row) {
    for (std::int64_t k = 0; k < c; k += lanes<T>) {
      Vector<T> g[9];
      for (int i = 0; i < 9; ++i) g[i] = load(w + (row * 9 + 8 - i) * c + k);
      store_weights<F>(g, u + panel_offset(k, o, panel_width<T>) + row * columns_of_panel<T>(k, c) + k % panel_width<T>,
                       coefficient_step<T>(o * c));
    }
  }
}

/// y's tiles from m, the sums over channels, for outputs [o, o + outputs).
template <class F, class T>
void transform_output(const T* m, std::int64_t m_step, T* y, const WinogradSizes& s, std::int64_t o,
                      std::int64_t outputs, std::int64_t first, std::int64_t last) {
  constexpr int side = F::side, window = F::window;
  for_runs(s, first, last, [&](const Run& run, std::int64_t t) {
    T* pixels = y + ((run.image * s.p + side * run.row) * s.q + side * run.column) * s.o + o;
    const std::int64_t height = s.p - side * run.row;  // of what is left of y
    for (std::int64_t i = 0; i < run.count; ++i, pixels += side * s.o) {
      const std::int64_t width = s.q - side * (run.column + i);
      for (std::int64_t k = 0; k < outputs; k += lanes<T>) {
        Vector<T> rows[side][window];
#pragma GCC unroll 6
        for (int j = 0; j < window; ++j) {
          const T* from = m + j * m_step + (t + i) * outputs + k;
          Vector<T> column[window], along[side];
#pragma GCC unroll 6
          for (int row = 0; row < window; ++row) column[row] = load(from + window * row * m_step);
          F::template output<T>(column, along);
#pragma GCC unroll 4
          for (int row = 0; row < side; ++row) rows[row][j] = along[row];
        }
#pragma GCC unroll 4
        for (int row = 0; row < side; ++row) {
          if (row >= height) break;
          Vector<T> values[side];
          F::template output<T>(rows[row], values);
          T* to = pixels + row * s.q * s.o + k;
#pragma GCC unroll 4
          for (int j = 0; j < side; ++j) {
            if (j < width) store(to + j * s.o, values[j]);
          }
        }
      }
    }
  });
}

template <class F, class T>
void convolve(const T* x, const T* u, T* y, const WinogradSizes& s, std::int64_t first, std::int64_t last, T* scratch) {
  const std::int64_t tiles = convolve_tiles<T>(s), block = s.o < output_block ? s.o : output_block;
  const std::int64_t v_step = coefficient_step<T>(tiles * s.c), m_step = coefficient_step<T>(tiles * block);
  // The products' rows behind the last tile are made of what lies there, and nobody reads them.
  const std::int64_t rows = (last - first + product_rows - 1) / product_rows * product_rows;
  constexpr int coefficients = F::window * F::window;
  T *v = scratch, *m = v + coefficients * v_step;
  transform_input<F>(x, s, 0, s.c, first, last, v, v_step);
  const Rows<T> next(x, s, s.h, s.w, s.c, last, last - first);
  for (std::int64_t o = 0; o < s.o; o += block) {
    const std::int64_t outputs = s.o - o < block ? s.o - o : block;
    for (int i = 0; i < coefficients; ++i) {
      if (o == 0) next.prefetch(i, coefficients);
      for (std::int64_t j = o; j < o + outputs; j += panel_width<T>) {
        const std::int64_t columns = columns_of_panel<T>(j, s.o);
        const T* panel = u + i * coefficient_step<T>(s.o * s.c) + panel_offset(j, s.c, panel_width<T>);
        for (std::int64_t k = 0; k < s.c; k += channel_block) {
          const std::int64_t depth = s.c - k < channel_block ? s.c - k : channel_block;
          product<false>(v + i * v_step + k, s.c, panel + k * columns, columns, m + i * m_step + (j - o), outputs, rows,
                         columns, depth, k > 0);
        }
      }
    }
    transform_output<F>(m, m_step, y, s, o, outputs, first, last);
  }
}

template <class F, class T>
std::int64_t gradient_scratch(const WinogradPart& part) {
  return F::window * F::window *
         (coefficient_step<T>(gradient_tiles * part.channels) + coefficient_step<T>(gradient_tiles * part.outputs));
}

/// Y of tiles [first, last) and the part's outputs.
template <class F, class T>
void transform_gradient(const T* dy, const WinogradSizes& s, const WinogradPart& part, std::int64_t first,
                        std::int64_t last, T* out, std::int64_t step) {
  constexpr int side = F::side, window = F::window;
  for_runs(s, first, last, [&](const Run& run, std::int64_t t) {
    const T* pixels = dy + ((run.image * s.p + side * run.row) * s.q + side * run.column) * s.o + part.o;
    const std::int64_t height = s.p - side * run.row;
    T* to = out + t * part.outputs;
    for (std::int64_t i = 0; i < run.count; ++i, pixels += side * s.o, to += part.outputs) {
      const std::int64_t width = s.q - side * (run.column + i);
      for (std::int64_t k = 0; k < part.outputs; k += lanes<T>) {
        Vector<T> rows[window][side];
#pragma GCC unroll 4
        for (int j = 0; j < side; ++j) {
          Vector<T> column[side], along[window];
#pragma GCC unroll 4
          for (int row = 0; row < side; ++row) {
            column[row] = row < height && j < width ? load(pixels + (row * s.q + j) * s.o + k) : Vector<T>{};
          }
          F::template output_gradient<T>(column, along);
#pragma GCC unroll 6
          for (int row = 0; row < window; ++row) rows[row][j] = along[row];
        }
#pragma GCC unroll 6
        for (int row = 0; row < window; ++row) {
          Vector<T> values[window];
          F::template output_gradient<T>(rows[row], values);
#pragma GCC unroll 6
          for (int j = 0; j < window; ++j) store(to + (window * row + j) * step + k, values[j]);
        }
      }
    }
  });
}

template <class F, class T>
void gradient_sums(const T* x, const T* dy, const WinogradSizes& s, const WinogradPart& part, std::int64_t first,
                   std::int64_t last, T* sums, T* scratch) {
  constexpr int coefficients = F::window * F::window;
  const std::int64_t outputs = part.padded_outputs();
  const std::int64_t v_step = coefficient_step<T>(gradient_tiles * part.channels);
  const std::int64_t y_step = coefficient_step<T>(gradient_tiles * part.outputs);
  T *v = scratch, *y = v + coefficients * v_step;
  for (std::int64_t t = first; t < last; t += gradient_tiles) {
    const std::int64_t end = t + gradient_tiles < last ? t + gradient_tiles : last;
    transform_input<F>(x, s, part.c, part.channels, t, end, v, v_step);
    transform_gradient<F>(dy, s, part, t, end, y, y_step);
    const Rows<T> next_x(x, s, s.h, s.w, s.c, end, end - t), next_dy(dy, s, s.p, s.q, s.o, end, end - t);
    for (int i = 0; i < coefficients; ++i) {
      next_x.prefetch(i, coefficients);
      next_dy.prefetch(i, coefficients);
      // The product's rows behind the part's outputs are made of what lies there, and nobody reads them.
      product<true>(y + i * y_step, part.outputs, v + i * v_step, part.channels, sums + i * part.sums(), part.channels,
                    outputs, part.channels, end - t, t > first);
    }
  }
}

template <class F, class T>
void gradient(const T* sums, std::int64_t count, std::int64_t step, const WinogradSizes& s, const WinogradPart& part,
              T* dw) {
  constexpr int window = F::window;
  for (std::int64_t o = 0; o < part.outputs; ++o) {
    for (std::int64_t k = 0; k < part.channels; k += lanes<T>) {
      Vector<T> rows[3][window];
      for (int j = 0; j < window; ++j) {
        Vector<T> u[window] = {}, along[3];
        for (int i = 0; i < window; ++i) {
          const T* from = sums + (window * i + j) * part.sums() + o * part.channels + k;
          for (std::int64_t slice = 0; slice < count; ++slice) u[i] += load(from + slice * step);
        }
        F::template weights_gradient<T>(u, along);
        for (int i = 0; i < 3; ++i) rows[i][j] = along[i];
      }
      for (int i = 0; i < 3; ++i) {
        Vector<T> values[3];
        F::template weights_gradient<T>(rows[i], values);
        for (int j = 0; j < 3; ++j) store(dw + ((part.o + o) * 9 + 3 * i + j) * s.c + part.c + k, values[j]);
      }
    }
  }
}

template <int side, class T>
constexpr WinogradFunctions<T> functions = {lanes<T>,
                                            transformed_weights<T>,
                                            convolve_tiles<T>,
                                            convolve_scratch<T>,
                                            gradient_scratch<Tile<side>, T>,
                                            transform_weights<Tile<side>, T>,
                                            transform_weights_turned<Tile<side>, T>,
                                            convolve<Tile<side>, T>,
                                            gradient_sums<Tile<side>, T>,
                                            gradient<Tile<side>, T>};

}  // namespace

extern const WinogradLoops winograd_loops;
const WinogradLoops winograd_loops = {{functions<2, float>, functions<4, float>},
                                      {functions<2, double>, functions<4, double>}};

}  // namespace simclr::kernels::SIMCLR_ISA
