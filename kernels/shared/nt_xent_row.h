#pragma once

// Private: NT-Xent's maths of one row, an anchor's, written once for the CPU and for GPUs; the symbols are nt_xent.h's.
// With S+ and S- the sums of e^s over the row's positives and over its negatives:
//   margin   m = log S- - log S+
//   log_sum  log(S+ + S-) = log S+ + log(1 + e^m)
//   loss     log_sum - the mean of s over the positives
//   weights  e^s / (S+ + S-) of a negative, the same less 1/|P| of a positive
// Of the family's other losses (NtXentForm) see shared/nt_xent_form.h.
// Tiles add up S-, as powers of two. The positives are few and taken apart, in Real (double on both sides) and from z
// itself: in well-aligned pairs 1 - p, log(1/p), and the part of the positive that is perpendicular to u are small
// differences of large numbers, and a sum over all candidates would round them away.

#include <simclr/kernels/nt_xent.h>
#include <simclr/kernels/shared/unit_row.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// Whether an e^s = 2^x, or a sum of them, could overflow the tiles' type T: |x| <= log2(e)/tau. Tiles then keep each
/// 2^x relative to a whole power of two of its row.
template <class T>
bool needs_shift(double temperature) {
  return std::numbers::log2e / temperature > (std::is_same_v<T, float> ? 96 : 960);
}

/// log2(e)/tau in two parts: rounded to one f32, an argument of 20 would cost 1e-6 of the exponential.
template <class T>
struct Log2Scale {
  T high, low;

  explicit Log2Scale(double temperature) {
    const long double scale = std::numbers::log2e_v<long double> / static_cast<long double>(temperature);
    high = static_cast<T>(scale);
    low = static_cast<T>(scale - static_cast<long double>(high));
  }

  /// On a GPU, which has no long double and computes in f32.
  SIMCLR_HOST_DEVICE static Log2Scale split(double scale) {
    const T high = static_cast<T>(scale);
    return Log2Scale(high, static_cast<T>(scale - static_cast<double>(high)));
  }

 private:
  SIMCLR_HOST_DEVICE Log2Scale(T a, T b) : high(a), low(b) {}
};

/// What u is multiplied by for the tensor cores: products are arguments of 2^x then.
SIMCLR_HOST_DEVICE inline double tensor_core_scale(double temperature) {
  return std::sqrt(std::numbers::log2e / temperature);
}

/// tau of a learned log(1/tau), which has a cap. A NaN stays one.
SIMCLR_HOST_DEVICE inline double learned_temperature(double logit_scale) {
  const double scale = std::exp(logit_scale);
  if (scale > nt_xent_most_scale) return 1 / nt_xent_most_scale;
  return 1 / scale;
}

/// d loss/d log(1/tau) as nt_xent.h says: at the cap nothing leads on, while the way back is open.
SIMCLR_HOST_DEVICE inline double capped_gradient(double gradient, double logit_scale) {
  return gradient < 0 && std::exp(logit_scale) >= nt_xent_most_scale ? 0.0 : gradient;
}

/// What d loss/d log(1/tau) takes of du.u, added up over the anchors: where they are the candidates too, du has each
/// pair in both roles.
SIMCLR_HOST_DEVICE constexpr double scale_share(bool square) {
  return square ? 0.5 : 1.0;
}

/// value 2^shift: a sum of powers of two which need not fit. The shift is whole, so that it costs no accuracy.
template <class Real>
struct ShiftedSum {
  Real value = 0, shift = 0;

  SIMCLR_HOST_DEVICE void add(ShiftedSum other) {
    if (other.value == 0) return;
    if (value == 0) shift = other.shift;
    if (shift < other.shift) {
      value *= std::exp2(shift - other.shift);
      shift = other.shift;
    } else if (shift > other.shift) {
      other.value *= std::exp2(other.shift - shift);
    }
    value += other.value;
  }

  SIMCLR_HOST_DEVICE Real log() const { return std::log(value) + shift * std::numbers::ln2_v<Real>; }
};

/// The similarities of one anchor to its positives, met one by one.
template <class Real>
struct PositiveSum {
  Real highest = -std::numeric_limits<Real>::infinity();
  Real sum = 0;  // of e^{s - highest}
  Real total = 0;
  std::int32_t count = 0;

  SIMCLR_HOST_DEVICE void add(Real s) {
    if (s > highest) {
      sum *= std::exp(highest - s);
      highest = s;
    }
    sum += std::exp(s - highest);
    total += s;
    ++count;
  }
};

/// log(1 + e^margin).
template <class Real>
SIMCLR_HOST_DEVICE inline Real softplus(Real margin) {
  return margin > 0 ? margin + std::log1p(std::exp(-margin)) : std::log1p(std::exp(margin));
}

/// What an anchor's row comes to.
template <class Real>
struct RowLoss {
  Real loss;
  Real log_sum;      // log(S+ + S-)
  Real pull;         // for positive_weight(): of one positive S- / (S+ + S-), of several 1
  Real log_divisor;  // log of what e^s of a negative is divided by for its weight: log_sum
};

/// Of an anchor without a positive the loss is 0, which counts as nothing.
template <class Real>
SIMCLR_HOST_DEVICE inline RowLoss<Real> row_loss(Real log_negatives, const PositiveSum<Real>& positives) {
  if (positives.count == 0) return {0, log_negatives, 0, log_negatives};
  const Real log_positives = positives.highest + std::log(positives.sum);
  const Real margin = log_negatives - log_positives;
  const Real excess = softplus(margin);
  const Real log_sum = log_positives + excess;
  return {excess + (log_positives - positives.total / positives.count), log_sum,
          positives.count == 1 ? 1 / (1 + std::exp(-margin)) : Real{1}, log_sum};
}

/// How a row's positives share what pulls them: by p - 1/|P|, equally, or as a softmax of their own.
enum class PullRule : std::uint8_t { outside, equal, inside };

SIMCLR_HOST_DEVICE constexpr PullRule pull_rule(const NtXentForm& form) {
  if (form.decoupled) return PullRule::equal;
  return form.inside ? PullRule::inside : PullRule::outside;
}

/// d loss/ds of an anchor and a positive at similarity s, p - 1/|P|. With one positive that is minus the share of the
/// negatives, free of cancellation. Decoupled, p is 0 and all positives have the weight `pull` between them; inside
/// they have it by their shares of S+, whose log `log_sum` then is.
template <class Real>
SIMCLR_HOST_DEVICE inline Real positive_weight(Real s, Real log_sum, Real pull, std::int32_t positives, PullRule rule) {
  if (positives == 1) return -pull;
  if (rule == PullRule::equal) return -pull / positives;
  const Real share = std::exp(s - log_sum) * pull;
  return rule == PullRule::inside ? -share : share - Real{1} / positives;
}

/// What tiles need of a row as an anchor: e^s over its row's sum is 2^{x - shift} share.
template <class T>
struct AnchorTerm {
  T shift, share;
};

/// `shifted`: as needs_shift() says.
template <class T, class Real>
SIMCLR_HOST_DEVICE inline AnchorTerm<T> anchor_term(Real log_sum, bool shifted) {
  const Real log2_sum = log_sum * std::numbers::log2e_v<Real>;
  const Real shift = shifted ? std::rint(log2_sum) : Real{0};
  return {static_cast<T>(shift), static_cast<T>(std::exp2(shift - log2_sum))};
}

/// The term of rows that are no anchors, or have no positive: 2^{x - shift} is 0, and never infinite.
template <class T>
SIMCLR_HOST_DEVICE constexpr AnchorTerm<T> no_anchor() {
  return {std::numeric_limits<T>::max(), T{0}};
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
