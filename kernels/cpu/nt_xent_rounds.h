#pragma once

// Private to nt_xent.cpp: NT-Xent's tiles, in rounds in which no two share rows or columns.

#include <simclr/core/parallel.h>

#include "nt_xent_positives.h"

namespace simclr::kernels::detail {

inline constexpr std::int64_t no_self = std::numeric_limits<std::int64_t>::min() / 2;

template <class T>
const NtXentFunctions<T>& loops() {
  if constexpr (std::is_same_v<T, float>) {
    return nt_xent_loops().f32;
  } else {
    return nt_xent_loops().f64;
  }
}

/// Blocks of rows against blocks of columns, in rounds whose tiles share neither. In the square case rows and columns
/// are the same blocks, and each pair of blocks is met once: they play each other as in a tournament.
struct Rounds {
  std::int64_t rows, columns;
  bool square;

  std::int64_t odd() const { return rows - (rows % 2 == 0); }
  std::int64_t count() const { return std::max(rows, columns); }
  std::int64_t tiles(std::int64_t round) const {
    if (!square) return std::min(rows, columns);
    return round == odd() ? rows : (odd() + 1) / 2;
  }
  std::pair<std::int64_t, std::int64_t> tile(std::int64_t round, std::int64_t i) const {
    if (!square) {
      const std::int64_t other = (i + round) % count();
      return rows <= columns ? std::pair(i, other) : std::pair(other, i);
    }
    if (round == odd()) return {i, i};  // with an even number the last round is each block's with itself,
    if (i == 0) return {round, odd() == rows ? round : odd()};  // with an odd one that of the block left over
    return {(round + i) % odd(), (round - i + odd()) % odd()};
  }
};

/// Rows and columns of a tile: large ones are faster, many keep many threads busy.
constexpr std::int64_t block_of(std::int64_t count) {
  return count < 256 ? 32 : count < 2048 ? 64 : nt_xent_block;
}

/// From one row of du to the next.
template <class T>
std::int64_t stride_of(std::int64_t width) {
  const std::int64_t alignment = loops<T>().alignment;
  return (width + alignment - 1) / alignment * alignment;
}

/// e^s alone, or with a hardness e^{(1+hardness)s} and e^{hardness s}.
inline int powers_of(const NtXentSaved& saved) {
  return saved.form.hardness > 0 ? 2 : 1;
}

/// Calls body(tile, first row, first column, scratch) for all tiles.
template <class T, class Body>
void for_tiles(const NtXentSaved& saved, const Body& body) {
  const Side<T> rows = Side<T>::anchors(saved), columns = Side<T>::candidates(saved);
  const double hardness = saved.form.hardness;
  const Log2Scale<T> scale(saved.temperature / (1 + hardness)), second(saved.temperature / hardness);
  const std::int64_t self = saved.pairs.self_offset < 0 ? no_self : saved.pairs.self_offset;
  const std::int64_t stride = stride_of<T>(rows.width);
  const std::int64_t block = block_of(std::min(rows.count, columns.count));
  const Rounds rounds = {(rows.count + block - 1) / block, (columns.count + block - 1) / block, saved.square};
  PerThread<Tensor> scratch;
  for (std::int64_t round = 0; round < rounds.count(); ++round) {
    parallel_for(rounds.tiles(round), 1, [&](std::int64_t t, std::int64_t, int thread) {
      const auto [row, column] = rounds.tile(round, t);
      const std::int64_t i = row * block, j = column * block;
      const NtXentTile<T> tile = {.rows = rows.rows(i, std::min(block, rows.count - i)),
                                  .columns = columns.rows(j, std::min(block, columns.count - j)),
                                  .width = rows.width,
                                  .stride = stride,
                                  .self = self + i - j,
                                  .scales = {{scale.high, scale.low}, {second.high, second.low}},
                                  .powers = powers_of(saved),
                                  .shifted = saved.shifted};
      Tensor& memory = scratch.get(
          thread, [&] { return Tensor::empty({loops<T>().scratch(stride, powers_of(saved))}, dtype_of<T>); });
      body(tile, i, j, memory.data<T>());
    });
  }
}

}  // namespace simclr::kernels::detail
