#pragma once

// Private to NT-Xent's kernels: who is a pair, what a pair adds to a sum of powers and to a gradient.

#include <simclr/kernels/cuda/fragments.h>
#include <simclr/kernels/cuda/tiles.h>
#include <simclr/kernels/shared/nt_xent_form.h>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr int no_self = -(1 << 30);

/// Which columns are a row's positives or itself. Row i is the column that has its place: first_row + i = first_column
/// + k. In groups -1 equals nothing. Without groups the places of SimCLR's order decide: the two views of a sample are
/// `samples` apart.
struct Pairs {
  const std::int32_t *row_group, *column_group;
  int rows, columns;
  int first_row, first_column;
  int samples;

  /// Whether column k is no negative of row i, or no column at all.
  __device__ bool exclude(int i, int k) const {
    const int apart = first_row + i - first_column - k;
    if (row_group == nullptr) return (k >= columns) | (apart == 0) | (apart == samples) | (apart == -samples);
    if (k >= columns) return true;
    return apart == 0 || (i < rows && row_group[i] == column_group[k] && row_group[i] != -1);
  }

  /// Whether a tile may hold such a pair; most tiles of SimCLR's order do not.
  __device__ bool touch(int row, int height, int column, int width) const {
    if (row_group != nullptr || column + width > columns) return true;
    const int low = first_row + row - first_column - (column + width - 1), high = low + height + width - 2;
    const auto within = [&](int apart) { return low <= apart && apart <= high; };
    return within(0) || within(samples) || within(-samples);
  }

  /// Calls f(k) in all lanes for each positive k of row i, in order.
  template <class F>
  __device__ void each_positive(int i, F&& f) const {
    if (row_group == nullptr) {
      const int k = (first_row + i + samples) % (2 * samples) - first_column;
      if (k >= 0 && k < columns) f(k);
      return;
    }
    const int self = first_row + i - first_column, group = row_group[i];
    if (group == -1) return;
    for (int begin = 0; begin < columns; begin += 32) {
      const int k = begin + lane_index();
      unsigned found = __ballot_sync(all_lanes, k < columns && k != self && column_group[k] == group);
      for (; found != 0; found &= found - 1) f(begin + __ffs(static_cast<int>(found)) - 1);
    }
  }
};

using TileTerm = kernels::AnchorTerm<float>;
using HardTerm = kernels::HardTerm<float>;

template <class Term>
__device__ Term no_term() {
  if constexpr (std::is_same_v<Term, TileTerm>)
    return kernels::no_anchor<float>();
  else
    return {kernels::no_anchor<float>(), kernels::no_anchor<float>()};
}

/// Of all rows of a side; null where they are no anchors.
template <class Term>
struct TermsOf {
  const Term* term;

  __device__ Term at(int row) const { return term == nullptr ? no_term<Term>() : term[row]; }
  /// Those of the rows from `row` on.
  __device__ TermsOf from(std::int64_t row) const { return {term == nullptr ? nullptr : term + row}; }
};
using AnchorTerms = TermsOf<TileTerm>;

/// What a pair of rows contributes to the gradient, each as an anchor of the other. Where no shift is needed all are 0,
/// or the share is.
template <bool shifted>
__device__ float weight(float x, const TileTerm& a, const TileTerm& b) {
  if constexpr (shifted) return fast_exp2(x - a.shift) * a.share + fast_exp2(x - b.shift) * b.share;
  return fast_exp2(x) * (a.share + b.share);
}

/// The powers that tiles take of x: e^s.
struct OnePower {
  using Term = TileTerm;
  static constexpr int count = 1;

  template <int>
  __device__ static const TileTerm& part(const TileTerm& term) {
    return term;
  }
};

/// With a hardness e^{(1 + hardness)s} and e^{hardness s}.
struct TwoPowers {
  using Term = HardTerm;
  static constexpr int count = 2;
  float hardness;

  __device__ float factor(int power) const { return power == 0 ? 1 + hardness : hardness; }
  template <int power>
  __device__ static const TileTerm& part(const HardTerm& term) {
    if constexpr (power == 0)
      return term.first;
    else
      return term.second;
  }
};

/// W of a pair, of the powers that there are.
template <bool shifted>
__device__ float weight(OnePower, float x, const TileTerm& a, const TileTerm& b) {
  return weight<shifted>(x, a, b);
}
template <bool shifted>
__device__ float weight(TwoPowers powers, float x, const HardTerm& a, const HardTerm& b) {
  return weight<shifted>(x * powers.factor(0), a.first, b.first) +
         weight<shifted>(x * powers.factor(1), a.second, b.second);
}

/// A sum of powers of two, relative to 2^top where they could overflow.
template <bool shifted>
struct RowSum {
  double sum = 0;
  float top = shifted ? -1e30f : 0.0f;

  /// Adds all 2^x, in `chains` sums that do not wait for each other.
  template <int chains, int count>
  __device__ void add(const float (&x)[count]) {
    rise(x);
    float part[chains] = {};
#pragma unroll
    for (int i = 0; i < count; ++i) part[i % chains] += fast_exp2(x[i] - top);
#pragma unroll
    for (int i = 1; i < chains; ++i) part[0] += part[i];
    sum += static_cast<double>(part[0]);
  }

  /// Makes room for 2^x.
  template <int count>
  __device__ void rise(const float (&x)[count]) {
    if constexpr (shifted) {
      float highest = top;
#pragma unroll
      for (int i = 0; i < count; ++i) highest = x[i] > highest ? x[i] : highest;
      rise_to(ceilf(highest));
    }
  }

  __device__ void rise_to(float higher) {
    if (!(higher > top)) return;
    sum *= static_cast<double>(fast_exp2(top - higher));
    top = higher;
  }

  /// Adds up neighbouring lanes' sums.
  template <int lanes>
  __device__ void merge_lanes() {
#pragma unroll
    for (int step = lanes / 2; step > 0; step /= 2) {
      if constexpr (shifted) rise_to(__shfl_xor_sync(all_lanes, top, step));
      sum += __shfl_xor_sync(all_lanes, sum, step);
    }
  }
};

/// A row's sum of each power, shifted apart.
template <bool shifted, class Powers>
struct RowSums {
  RowSum<shifted> of[Powers::count];

  template <int chains, int count>
  __device__ void add(Powers powers, const float (&x)[count]) {
    if constexpr (Powers::count == 1) {
      of[0].template add<chains>(x);
    } else {
#pragma unroll
      for (int p = 0; p < Powers::count; ++p) {
        float argument[count];
#pragma unroll
        for (int i = 0; i < count; ++i) argument[i] = x[i] * powers.factor(p);
        of[p].template add<chains>(argument);
      }
    }
  }

  template <int lanes>
  __device__ void merge_lanes() {
#pragma unroll
    for (int p = 0; p < Powers::count; ++p) of[p].template merge_lanes<lanes>();
  }
};

/// The sums of each split's columns, [powers, splits, padded rows].
struct PartialSums {
  double* sum;
  float* top;
  int splits, all_rows;

  template <bool shifted>
  __device__ void write(unsigned split, int row, const RowSum<shifted>& value) const {
    const std::int64_t at = static_cast<std::int64_t>(split) * all_rows + row;
    sum[at] = value.sum;
    if constexpr (shifted) top[at] = value.top;
  }
  template <bool shifted, class Powers>
  __device__ void write(unsigned split, int row, const RowSums<shifted, Powers>& value) const {
#pragma unroll
    for (int p = 0; p < Powers::count; ++p) write(static_cast<unsigned>(p * splits) + split, row, value.of[p]);
  }

  /// The log of a row's whole sum of a power, in every lane.
  __device__ double log_of(int row, int power = 0) const {
    kernels::ShiftedSum<double> total;
    for (int s = lane_index(); s < splits; s += 32) {
      const std::int64_t at = static_cast<std::int64_t>(power * splits + s) * all_rows + row;
      total.add({sum[at], top == nullptr ? 0.0 : static_cast<double>(top[at])});
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
      total.add({__shfl_xor_sync(all_lanes, total.value, step), __shfl_xor_sync(all_lanes, total.shift, step)});
    }
    return total.log();
  }
};

/// Rows of one side as the tiles read them.
template <class U, class Term>
struct TileSide {
  const U* u;
  TermsOf<Term> terms;
};

/// A pass over all pairs, in tiles.
struct TileLaunch {
  Device device;
  dim3 grid;              // row tiles x splits of the columns x slices of du
  int tiles, tiles_each;  // of the columns, and of those the ones of a split
  Pairs pairs;
  bool shifted;
};

/// Calls body(depth, shifted), both constants, for the kernels of the tensor cores.
template <class Body>
void dispatch_depth(std::int64_t depth, bool shifted, Body&& body) {
  const auto with = [&](auto constant) {
    shifted ? body(constant, std::true_type{}) : body(constant, std::false_type{});
  };
  switch (depth) {
    case 64: return with(std::integral_constant<int, 64>{});
    case 128: return with(std::integral_constant<int, 128>{});
    default: return with(std::integral_constant<int, 256>{});
  }
}

/// x = -infinity for the pairs that are no negatives, of fragments that start at `row` and `column`.
template <int row_parts, int column_parts>
__device__ void exclude_pairs(const Pairs& pairs, int row, int column, FragmentC (&x)[row_parts][column_parts]) {
  for_each_value(x, [&](float& value, int r, int c) {
    if (pairs.exclude(row + row_offset(r), column + column_offset(c))) value = -INFINITY;
  });
}

/// x becomes W: each pair's weight, of the lane's own rows and of the columns from `column` on.
template <bool shifted, class Powers, int row_parts, int column_parts>
__device__ void weigh(Powers powers, const typename Powers::Term (&own)[2 * row_parts],
                      const TermsOf<typename Powers::Term>& others, int column,
                      FragmentC (&x)[row_parts][column_parts]) {
  for_each_value(x, [&](float& value, int r, int c) {
    value = weight<shifted>(powers, value, own[r], others.at(column + column_offset(c)));
  });
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
