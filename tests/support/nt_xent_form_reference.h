#pragma once

#include <simclr/kernels/nt_xent.h>

#include "support/nt_xent_reference.h"

/// The losses of NT-Xent's family as their papers write them, in plain loops over e^s itself, in long double, where
/// e^{1000} fits: what the kernels, which keep logs, are compared with.
namespace simclr::test {

using Real = long double;

/// An anchor's similarities, and what its loss makes of them: ds [M].
struct FormAnchor {
  std::vector<Real> s, ds;
  std::vector<std::size_t> positives, negatives;
  Real loss = 0;

  Real sum(const std::vector<std::size_t>& of, Real power = 1) const {
    Real sum = 0;
    for (const std::size_t k : of) sum += std::exp(power * s[k]);
    return sum;
  }
  Real mean() const {
    Real sum = 0;
    for (const std::size_t k : positives) sum += s[k];
    return sum / static_cast<Real>(positives.size());
  }
};

/// arXiv 2110.06848, equation 6.
inline void decoupled_loss(FormAnchor& a, Real weight) {
  const Real negatives = a.sum(a.negatives);
  a.loss = std::log(negatives) - weight * a.mean();
  for (const std::size_t k : a.negatives) a.ds[k] = std::exp(a.s[k]) / negatives;
  for (const std::size_t k : a.positives) a.ds[k] = -weight / static_cast<Real>(a.positives.size());
}

/// arXiv 2004.11362, equation 3.
inline void inside_loss(FormAnchor& a) {
  const Real own = a.sum(a.positives), all = own + a.sum(a.negatives);
  a.loss = -std::log(own / all / static_cast<Real>(a.positives.size()));
  for (const std::size_t k : a.negatives) a.ds[k] = std::exp(a.s[k]) / all;
  for (const std::size_t k : a.positives) a.ds[k] = std::exp(a.s[k]) * (1 / all - 1 / own);
}

/// arXiv 2007.00224, equations 7 and 8, with the negatives of arXiv 2010.04592.
inline void reweighted_loss(FormAnchor& a, const kernels::NtXentForm& form, Real temperature) {
  const Real count = static_cast<Real>(a.negatives.size()), own = static_cast<Real>(a.positives.size());
  const Real beta = form.hardness, prior = form.class_prior;
  const Real high = a.sum(a.negatives, 1 + beta), low = a.sum(a.negatives, beta), positive = a.sum(a.positives);
  const Real hard = count * high / low, least = count * std::exp(-1 / temperature);
  const Real debiased = (hard - prior * count * positive / own) / (1 - prior);
  const bool clamped = debiased <= least;
  const Real all = positive + (clamped ? least : debiased), rate = clamped ? 0 : 1 / ((1 - prior) * all);
  a.loss = std::log(all) - a.mean();
  for (const std::size_t k : a.negatives) {
    const Real dhigh = (1 + beta) * std::exp((1 + beta) * a.s[k]), dlow = beta * std::exp(beta * a.s[k]);
    a.ds[k] = rate * count * (dhigh / low - high * dlow / (low * low));
  }
  for (const std::size_t k : a.positives) {
    a.ds[k] = std::exp(a.s[k]) * (1 / all - rate * prior * count / own) - 1 / own;
    if (own == 1) a.ds[k] = -((clamped ? least : debiased) + rate * all * prior * count * std::exp(a.s[k])) / all;
  }
}

/// DCLW's weights of the anchors with a positive, which the gradient leaves alone.
inline std::vector<Real> decoupled_weights(const std::vector<FormAnchor>& anchors, double sigma, Real temperature) {
  std::vector<Real> weights(anchors.size(), 1);
  if (sigma == 0) return weights;
  Real sum = 0, counted = 0;
  for (const FormAnchor& a : anchors) {
    if (a.positives.empty()) continue;
    sum += std::exp(a.mean() * temperature / sigma);
    counted += 1;
  }
  for (std::size_t i = 0; i < anchors.size(); ++i) {
    if (!anchors[i].positives.empty()) {
      weights[i] = 2 - counted * std::exp(anchors[i].mean() * temperature / sigma) / sum;
    }
  }
  return weights;
}

/// u and |z| of rows of `width`.
struct UnitRows {
  std::vector<Real> u, norm;

  UnitRows(const Tensor& z) {
    const auto values = z.to_vector<double>();
    const auto width = static_cast<std::size_t>(z.dim(1));
    for (std::size_t i = 0; i < values.size(); i += width) {
      Real square = 0;
      for (std::size_t d = 0; d < width; ++d) square += Real{values[i + d]} * values[i + d];
      norm.push_back(std::sqrt(square));
      for (std::size_t d = 0; d < width; ++d) u.push_back(square == 0 ? 0 : values[i + d] / norm.back());
    }
  }

  /// dz of du, which is lost.
  Tensor backward(std::vector<Real>& du, const Shape& shape) const {
    const std::size_t width = u.size() / norm.size();
    std::vector<double> dz;
    for (std::size_t i = 0; i < norm.size(); ++i) {
      Real along = 0;
      for (std::size_t d = 0; d < width; ++d) along += du[i * width + d] * u[i * width + d];
      for (std::size_t d = 0; d < width; ++d) {
        const Real across = du[i * width + d] - along * u[i * width + d];
        dz.push_back(static_cast<double>(norm[i] == 0 ? 0 : across / norm[i]));
      }
    }
    return Tensor::from(dz, shape);
  }
};

/// As reference() of NT-Xent; `weights`, where given, are DCLW's: what it keeps while z moves.
inline Reference form_reference(const Tensor& anchors, const Tensor& candidates, double temperature,
                                const kernels::NtXentForm& form, const kernels::NtXentPairs& pairs = {},
                                std::vector<Real>* weights = nullptr) {
  const std::int64_t count = anchors.dim(0), others = candidates.dim(0);
  const auto width = static_cast<std::size_t>(anchors.dim(1));
  const UnitRows a(anchors), b(candidates);
  std::vector<FormAnchor> rows(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    FormAnchor& row = rows[i];
    row.ds.assign(static_cast<std::size_t>(others), 0);
    for (std::size_t k = 0; k < row.ds.size(); ++k) {
      Real dot = 0;
      for (std::size_t d = 0; d < width; ++d) dot += a.u[i * width + d] * b.u[k * width + d];
      row.s.push_back(dot / temperature);
      const auto row_at = static_cast<std::int64_t>(i), at = static_cast<std::int64_t>(k);
      if (pairs.self_offset >= 0 && at == pairs.self_offset + row_at) continue;
      (is_positive(row_at, at, others, pairs) ? row.positives : row.negatives).push_back(k);
    }
  }
  std::vector<Real> own =
      weights != nullptr && !weights->empty() ? *weights : decoupled_weights(rows, form.sigma, temperature);
  if (weights != nullptr) *weights = own;
  Real total = 0, counted = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].positives.empty()) continue;
    if (form.inside) {
      inside_loss(rows[i]);
    } else {
      form.decoupled ? decoupled_loss(rows[i], own[i]) : reweighted_loss(rows[i], form, temperature);
    }
    total += rows[i].loss;
    counted += 1;
  }
  std::vector<Real> du(a.u.size(), 0), dv(b.u.size(), 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t k = 0; k < rows[i].ds.size(); ++k) {
      const Real weight = rows[i].ds[k] / (counted * temperature);
      for (std::size_t d = 0; d < width; ++d) {
        du[i * width + d] += weight * b.u[k * width + d];
        dv[k * width + d] += weight * a.u[i * width + d];
      }
    }
  }
  Reference result = {
      static_cast<double>(total / counted), a.backward(du, anchors.shape()), b.backward(dv, candidates.shape()), {}};
  if (count == others) {
    auto dz = result.danchors.to_vector<double>();
    const auto more = result.dcandidates.to_vector<double>();
    for (std::size_t i = 0; i < dz.size(); ++i) dz[i] += more[i];
    result.dz = Tensor::from(dz, anchors.shape());
  }
  return result;
}

/// The family, by name.
inline const std::vector<std::pair<const char*, kernels::NtXentForm>> forms = {
    {"dcl", {.decoupled = true}},          {"dclw", {.decoupled = true, .sigma = 0.5}},
    {"debiased", {.class_prior = 0.1}},    {"hard", {.class_prior = 0.1, .hardness = 1}},
    {"hard, no prior", {.hardness = 0.5}}, {"inside", {.inside = true}},
};

}  // namespace simclr::test
