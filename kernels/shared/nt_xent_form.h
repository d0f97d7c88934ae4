#pragma once

// Private: one row of the losses that are NT-Xent with another sum in the place of S- (NtXentForm in nt_xent.h), for
// the CPU and for GPUs, and SupCon's L_in. All is kept as logs: e^{1/tau} need not fit. With C and B the sums of
// e^{(1+beta)s} and e^{beta s} over the N negatives, prior t, and P positives:
//   L     N C / B; S- where beta is 0
//   G     max((L - t N S+/P) / (1 - t), N e^{-1/tau})
//   dL/ds_k   of a negative L ((1+beta) e^{(1+beta)s}/C - beta e^{beta s}/B)
//   d loss/dL  1 / ((1 - t)(S+ + G)); 0 where G is its least value
//   d loss/ds_p  of a positive e^s/(S+ + G) (1 - t N/((1 - t) P)) - 1/P; with P = 1 this is
//                -(G + t N e^s/(1 - t)) / (e^s + G), free of cancellation

#include <simclr/kernels/shared/nt_xent_row.h>

namespace simclr::kernels {
inline namespace SIMCLR_TARGET {

/// A row's negatives: logs of sums over them.
template <class Real>
struct NegativeSums {
  Real log_sum;     // of e^{(1+beta)s}
  Real log_second;  // of e^{beta s}, where there is a hardness
  std::int64_t count;
};

/// A RowLoss with a second divisor: e^{beta s} over it is taken off a negative's weight.
template <class Real>
struct FormRow : RowLoss<Real> {
  Real log_second;

  static constexpr Real infinite = std::numeric_limits<Real>::infinity();
  SIMCLR_HOST_DEVICE explicit FormRow(const RowLoss<Real>& row, Real second = infinite)
      : RowLoss<Real>(row), log_second(second) {}
};

/// SupCon's L_in: of the positives S+ alone counts, so that they pull by their shares of it what the negatives push.
template <class Real>
SIMCLR_HOST_DEVICE inline FormRow<Real> inside_row(Real log_negatives, const PositiveSum<Real>& positives) {
  const Real log_positives = positives.highest + std::log(positives.sum), margin = log_negatives - log_positives;
  const Real excess = softplus(margin);
  return FormRow<Real>({excess + std::log(static_cast<Real>(positives.count)), log_positives,
                        1 / (1 + std::exp(-margin)), log_positives + excess});
}

/// Debiased and hard, of a row with negatives and positives.
template <class Real>
SIMCLR_HOST_DEVICE inline FormRow<Real> reweighted_row(const NtXentForm& form, Real temperature,
                                                       const NegativeSums<Real>& negatives,
                                                       const PositiveSum<Real>& positives) {
  const Real beta = static_cast<Real>(form.hardness), prior = static_cast<Real>(form.class_prior);
  const Real log_count = std::log(static_cast<Real>(negatives.count)), log_kept = std::log1p(-prior);
  // 1 G: L less the positives' part of it, or the least that it can be
  const Real log_all = beta > 0 ? log_count + negatives.log_sum - negatives.log_second : negatives.log_sum;
  const Real log_part = std::log(prior / positives.count) + log_count + positives.highest + std::log(positives.sum);
  const Real share = std::exp(log_part - log_all);
  const Real least = log_count - 1 / temperature;
  const Real rest = share >= 1 ? -FormRow<Real>::infinite : log_all + std::log1p(-share) - log_kept;
  const bool clamped = rest <= least;  // not of a NaN
  // 2 the loss is NT-Xent's, of other negatives
  FormRow<Real> row(row_loss(clamped ? least : rest, positives));
  if (clamped) {
    row.log_divisor = FormRow<Real>::infinite;
    return row;
  }
  // 3 what G adds to the positives' weights, and its negatives'
  const Real log_rate = row.log_sum + log_kept;  // d loss/dL is e^{-log_rate}
  if (positives.count == 1) {
    row.pull += std::exp(log_part - log_rate);
  } else {
    row.pull -= prior * static_cast<Real>(negatives.count) / ((1 - prior) * positives.count);
  }
  row.log_divisor = log_rate;
  if (beta > 0) {
    row.log_divisor = negatives.log_sum - log_all + log_rate - std::log1p(beta);
    row.log_second = negatives.log_second - log_all + log_rate - std::log(beta);
  }
  return row;
}

/// What an anchor's row comes to. Of DCLW: with w = 1; weighted_row() is the rest.
template <class Real>
SIMCLR_HOST_DEVICE inline FormRow<Real> form_row(const NtXentForm& form, Real temperature,
                                                 const NegativeSums<Real>& negatives,
                                                 const PositiveSum<Real>& positives) {
  if (positives.count != 0 && form.decoupled) {
    return FormRow<Real>(
        {negatives.log_sum - positives.total / positives.count, negatives.log_sum, 1, negatives.log_sum});
  }
  if (positives.count != 0 && form.inside) return inside_row(negatives.log_sum, positives);
  const bool reweighted = form.class_prior != 0 || form.hardness != 0;
  if (positives.count == 0 || negatives.count == 0 || !reweighted) {
    return FormRow<Real>(row_loss(negatives.log_sum, positives));
  }
  return reweighted_row(form, temperature, negatives, positives);
}

/// DCLW: e^{(c - 1)/sigma} of an anchor whose positives' mean similarity is `mean`, c/tau: never infinite.
SIMCLR_HOST_DEVICE inline double mises_fisher(double sigma, double temperature, double mean) {
  return std::exp((mean * temperature - 1) / sigma);
}

/// DCLW's w, of that and its sum over all anchors that count.
SIMCLR_HOST_DEVICE inline double decoupled_weight(double own, double sum, double counted) {
  return 2 - counted * own / sum;
}

/// A row's negatives' weight, as tiles need it: e^{(1+beta)s} 2^.. first + e^{beta s} second.
template <class T>
struct HardTerm {
  AnchorTerm<T> first, second;  // the second share is negative
};

/// anchor_term(), or what contributes nothing for an infinite divisor: a sum without terms, or one at its least.
template <class T>
SIMCLR_HOST_DEVICE inline AnchorTerm<T> divided_term(double log_divisor, bool shifted) {
  if (log_divisor == FormRow<double>::infinite || log_divisor == -FormRow<double>::infinite) return no_anchor<T>();
  return anchor_term<T>(log_divisor, shifted);
}

template <class T>
SIMCLR_HOST_DEVICE inline AnchorTerm<T> negated(const AnchorTerm<T>& term) {
  return {term.shift, -term.share};
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr::kernels
