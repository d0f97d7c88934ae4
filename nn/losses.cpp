#include <simclr/kernels/softmax_xent.h>
#include <simclr/nn/losses.h>
#include <simclr/nn/nt_xent_record.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace simclr::nn {

namespace {

kernels::NtXentTemperature temperature_of(const NtXentOptions& options) {
  if (options.logit_scale.defined()) return options.logit_scale;
  return options.temperature;
}

/// Anchors and candidates are one tensor, with one grouping.
Tensor square_nt_xent(const Tensor& z, const kernels::NtXentPairs& pairs, const NtXentOptions& options) {
  const auto forward = kernels::nt_xent_forward(z, z, temperature_of(options), pairs, options.wgmma, options.form);
  return record("nt_xent", {z, options.logit_scale}, forward.loss, {z, pairs.anchor_group, options.logit_scale},
                [saved = forward.saved](Backward& bw) {
                  const kernels::NtXentGradient gradient = kernels::nt_xent_backward(saved, bw.dy());
                  if (bw.needs(0)) bw.set(0, gradient.danchors);
                  if (bw.needs(1)) bw.set(1, gradient.dlogit_scale);
                });
}

}  // namespace

Tensor sample_groups(std::int64_t rows, int views, Device device) {
  SIMCLR_CHECK(views >= 1, "nt_xent: views ", views, "; at least 1 of each sample is needed");
  SIMCLR_CHECK(rows % views == 0, "nt_xent: ", rows, " rows are not ", views,
               " views of each sample; set views to their number, or give groups");
  Tensor groups = Tensor::empty({rows}, DType::i32);
  const std::int64_t samples = rows / views;
  std::int32_t* group = groups.data<std::int32_t>();
  for (std::int64_t i = 0; i < rows; ++i) group[i] = static_cast<std::int32_t>(i % samples);
  return groups.to(device);
}

Tensor nt_xent(const Tensor& z, const NtXentOptions& options) {
  if (options.views == 2) return square_nt_xent(z, {}, options);
  SIMCLR_CHECK(options.views > 2, "nt_xent: views ", options.views, "; at least 2 of each sample are needed");
  SIMCLR_CHECK(z.defined() && z.rank() == 2 && z.dim(0) % options.views == 0, "nt_xent: z ",
               z.defined() ? describe(z) : "undefined", " is not ", options.views,
               " views of each sample, [views N,D]; set views to their number, or give groups");
  const Tensor groups = sample_groups(z.dim(0), options.views, z.device());
  return square_nt_xent(z, {.anchor_group = groups, .candidate_group = groups}, options);
}

Tensor nt_xent(const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
               const NtXentOptions& options) {
  return record_nt_xent(anchors, candidates, pairs, options, ScaleGradient::capped);
}

Tensor record_nt_xent(const Tensor& anchors, const Tensor& candidates, const kernels::NtXentPairs& pairs,
                      const NtXentOptions& options, ScaleGradient kind) {
  SIMCLR_CHECK(options.views == 2, "nt_xent: views ", options.views, " is for z alone; here the pairs' groups say it");
  const bool raw = kind == ScaleGradient::raw;
  const bool square =
      candidates.same_as(anchors) && pairs.self_offset == 0 && pairs.anchor_group.same_as(pairs.candidate_group);
  if (square && !raw) return square_nt_xent(anchors, pairs, options);
  // In other cases anchors and candidates are two inputs, even where they are one tensor.
  const Tensor other = candidates.same_as(anchors) ? candidates.reshape(candidates.shape()) : candidates;
  auto forward = kernels::nt_xent_forward(anchors, other, temperature_of(options), pairs, options.wgmma, options.form);
  if (raw && options.logit_scale.defined()) {
    forward.saved.logit_scale = Tensor::zeros_like(options.logit_scale);  // backward asks it about the cap alone
  }
  const std::vector<Tensor> saved = {anchors, other, pairs.anchor_group, pairs.candidate_group, options.logit_scale};
  return record("nt_xent", {anchors, other, options.logit_scale}, forward.loss, saved,
                [saved = forward.saved](Backward& bw) {
                  const kernels::NtXentGradient gradient = kernels::nt_xent_backward(saved, bw.dy());
                  if (bw.needs(0)) bw.set(0, gradient.danchors);
                  if (bw.needs(1)) bw.set(1, gradient.dcandidates);
                  if (bw.needs(2)) bw.set(2, gradient.dlogit_scale);
                });
}

double nt_xent_chance(std::int64_t samples) {
  return nt_xent_chance(samples, 2, 1, {});
}

double nt_xent_bound(std::int64_t samples, double temperature) {
  return nt_xent_bound(samples, 2, 1, temperature, {});
}

double nt_xent_chance(std::int64_t samples, int views, int positives, const kernels::NtXentForm& form) {
  const double negatives = views * (static_cast<double>(samples) - 1);
  return std::log(form.decoupled ? negatives : positives + negatives);
}

double nt_xent_bound(std::int64_t samples, int views, int positives, double temperature,
                     const kernels::NtXentForm& form) {
  if (samples < 2) return form.decoupled ? -std::numeric_limits<double>::infinity() : std::log(positives);
  const double n = static_cast<double>(samples), negatives = views * (n - 1);
  const double apart = n / ((n - 1) * temperature);  // of s, from a positive to the negatives of a simplex
  if (form.decoupled) return std::log(negatives) - apart;
  // e^{1/tau} is taken out of both sums, so that a small tau cannot overflow.
  const double rest = negatives * std::exp(form.class_prior > 0 ? -2 / temperature : -apart);
  return std::log(positives) + std::log1p(rest / positives);
}

namespace {

/// How many rows a class has.
double rows_of_class(std::int64_t samples, int views, std::int64_t classes) {
  SIMCLR_CHECK(classes >= 1 && views >= 1, "supcon: ", classes, " classes of ", views,
               " views; at least 1 of each is needed");
  return std::max(static_cast<double>(views * samples) / static_cast<double>(classes), static_cast<double>(views));
}

}  // namespace

double supcon_chance(std::int64_t samples, int views, std::int64_t classes, const kernels::NtXentForm& form) {
  const double rows = static_cast<double>(views * samples);
  return std::log(form.decoupled ? rows - rows_of_class(samples, views, classes) : rows - 1);
}

double supcon_bound(std::int64_t samples, int views, std::int64_t classes, double temperature,
                    const kernels::NtXentForm& form) {
  const double alike = rows_of_class(samples, views, classes);
  const double negatives = static_cast<double>(views * samples) - alike;
  if (form.decoupled) return std::log(negatives) - 2 / temperature;
  return std::log(alike - 1 + negatives * std::exp(-2 / temperature));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  const kernels::SoftmaxXentResult forward = kernels::softmax_xent_forward(logits, labels);
  return record("cross_entropy", {logits}, forward.loss, {logits, labels},
                [logits = logits.detach(), labels, log_sum = forward.log_sum](Backward& bw) {
                  bw.set(0, kernels::softmax_xent_backward(logits, labels, log_sum, bw.dy()));
                });
}

}  // namespace simclr::nn
