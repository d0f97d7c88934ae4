// NT-Xent on the CPU; the maths is in nt_xent.h. Tiles hold the negatives (cpu/nt_xent.h) and are used up before the
// next one: scratch is one tile a thread. The positives are added apart (cpu/nt_xent_positives.h). A tile adds to the
// sums of its rows and of its columns. So tiles go in rounds, in which no two share rows or columns; rounds depend on
// the sizes alone, and bits not on the thread count.
#include <simclr/core/parallel.h>
#include <simclr/kernels/nt_xent.h>

#include "cpu/nt_xent_positives.h"
#include "cpu/nt_xent_rounds.h"
#include "shared/check.h"

#include <array>

namespace simclr::kernels {
namespace {

using detail::for_tiles;
using detail::GroupOrder;
using detail::loops;
using detail::no_self;
using detail::powers_of;
using detail::Side;
using detail::stride_of;

/// sum 2^shift += a tile's sums.
template <class T>
void add_sums(const NtXentSums<T>& tile, std::int64_t count, bool shifted, double* sum, double* shift) {
  for (std::int64_t i = 0; i < count; ++i) {
    ShiftedSum<double> all = {sum[i], shift[i]};
    all.add({double{tile.sum[i]}, shifted ? double{tile.shift[i]} : 0.0});
    sum[i] = all.value;
    shift[i] = all.shift;
  }
}

/// log of the sum over the negatives of every anchor, f64 [powers,A].
template <class T>
Tensor log_negative_sums(const NtXentSaved& saved) {
  const std::int64_t count = saved.log_sum.numel();
  const int powers = powers_of(saved);
  Tensor sums = Tensor::zeros({powers, count}, DType::f64), shifts = Tensor::zeros({powers, count}, DType::f64);
  double *sum = sums.data<double>(), *shift = shifts.data<double>();
  for_tiles<T>(saved, [&](const NtXentTile<T>& tile, std::int64_t i, std::int64_t j, T* scratch) {
    NtXentSums<T> rows[2], columns[2];
    loops<T>().sums(tile, rows, columns, scratch);
    for (int p = 0; p < powers; ++p) {
      double *to = sum + p * count, *by = shift + p * count;
      add_sums(rows[p], tile.rows.count, tile.shifted, to + i, by + i);
      if (saved.square && i != j) add_sums(columns[p], tile.columns.count, tile.shifted, to + j, by + j);
    }
  });
  for (std::int64_t i = 0; i < powers * count; ++i) sum[i] = ShiftedSum<double>{sum[i], shift[i]}.log();
  return sums;
}

/// DCLW's: `pull` has the mean similarity of each anchor's positives and gets w, `loss` log S- and gets w times the
/// mean less.
void weigh_positives(const NtXentSaved& saved, std::int64_t counted, double* pull, double* loss) {
  const auto* positives = saved.positives.data<const std::int32_t>();
  const std::int64_t count = saved.log_sum.numel();
  const auto share = [&](std::int64_t i) { return mises_fisher(saved.form.sigma, saved.temperature, pull[i]); };
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += positives[i] != 0 ? share(i) : 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (positives[i] == 0) continue;
    const double weight = decoupled_weight(share(i), sum, static_cast<double>(counted));
    loss[i] -= weight * pull[i];
    pull[i] = weight;
  }
}

template <class T>
void forward_typed(NtXentSaved& saved, const Tensor& anchors, const Tensor& candidates, Tensor& loss) {
  saved.anchor_norm = row_norms<T>(anchors);
  saved.candidate_norm = saved.square ? saved.anchor_norm : row_norms<T>(candidates);
  const Side<T> rows = Side<T>::anchors(saved), columns = Side<T>::candidates(saved);
  const std::int64_t count = rows.count;
  const bool among = saved.pairs.self_offset >= 0;
  const std::int64_t self_offset = among ? saved.pairs.self_offset : no_self;

  double* log_sum = saved.log_sum.data<double>();
  double* pull = saved.pull.data<double>();
  std::int32_t* positives = saved.positives.data<std::int32_t>();
  const NtXentForm& form = saved.form;
  const Tensor sums = log_negative_sums<T>(saved);
  const double* log_negatives = sums.data<const double>();
  const double* log_second = log_negatives + (powers_of(saved) - 1) * count;
  if (!form.plain()) saved.log_divisors = Tensor::empty({powers_of(saved), count}, DType::f64);
  double* divisors = form.plain() ? nullptr : saved.log_divisors.data<double>();

  const GroupOrder order(columns);
  Tensor losses = Tensor::empty({count}, DType::f64);
  double* anchor_loss = losses.data<double>();
  parallel_for(count, row_grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      PositiveSum<double> sum;
      for (const std::int64_t p : order.of(rows.group[i])) {
        if (p != self_offset + i) sum.add(similarity(rows, i, columns, p, saved.temperature));
      }
      const FormRow<double> row = form_row<double>(
          form, saved.temperature, {log_negatives[i], log_second[i], columns.count - sum.count - (among ? 1 : 0)}, sum);
      positives[i] = sum.count;
      anchor_loss[i] = form.sigma > 0 && sum.count > 0 ? log_negatives[i] : row.loss;
      pull[i] = form.sigma > 0 && sum.count > 0 ? sum.total / sum.count : row.pull;
      log_sum[i] = row.log_sum;
      if (divisors == nullptr) continue;
      divisors[i] = row.log_divisor;
      if (form.hardness > 0) divisors[count + i] = row.log_second;
    }
  });

  saved.counted = count - std::count(positives, positives + count, 0);
  SIMCLR_CHECK(saved.counted > 0, "nt_xent: no anchor has a positive among the ", columns.count,
               " candidates; check the groups");
  if (form.sigma > 0) weigh_positives(saved, saved.counted, pull, anchor_loss);
  const double total = std::accumulate(anchor_loss, anchor_loss + count, 0.0);
  loss.fill(total / static_cast<double>(saved.counted));
}

void forward(NtXentSaved& saved, const Tensor& anchors, const Tensor& candidates, Tensor& loss) {
  if (saved.logit_scale.defined()) saved.temperature = learned_temperature(saved.logit_scale.item());
  dispatch_float(anchors.dtype(), [&](auto zero) { forward_typed<decltype(zero)>(saved, anchors, candidates, loss); });
}

/// What the rows of one side contribute as anchors; those without a positive, and candidates, nothing.
template <class T>
class Anchors {
 public:
  explicit Anchors(std::int64_t count, int powers)
      : count_(count), terms_(Tensor::zeros({powers, 2, count}, dtype_of<T>)) {
    for (int p = 0; p < powers; ++p) std::fill_n(data(p), count, no_anchor<T>().shift);
  }

  explicit Anchors(const NtXentSaved& saved) : Anchors(saved.log_sum.dim(0), powers_of(saved)) {
    log_sum_ = saved.log_sum.data<double>();
    pull_ = saved.pull.data<double>();
    positives_ = saved.positives.data<std::int32_t>();
    rule_ = pull_rule(saved.form);
    const double* divisors = saved.log_divisors.defined() ? saved.log_divisors.data<double>() : log_sum_;
    for (int p = 0; p < powers_of(saved); ++p) {
      T* out = data(p);
      for (std::int64_t i = 0; i < count_; ++i) {
        if (positives_[i] == 0) continue;
        const AnchorTerm<T> term = divided_term<T>(divisors[p * count_ + i], saved.shifted);
        out[i] = term.shift;
        out[count_ + i] = p == 0 ? term.share : -term.share;
      }
    }
  }

  /// Of each power, from row `first` on.
  std::array<NtXentTerms<T>, 2> terms(std::int64_t first) const {
    const auto of = [&](std::int64_t p) {
      const T* from = data(p) + first;
      return NtXentTerms<T>{from, from + count_};
    };
    return {of(0), of(terms_.dim(0) - 1)};
  }

  /// Of anchor i and a positive at similarity s; 0 where the rows are no anchors.
  double positive_weight_of(std::int64_t i, double s) const {
    return positives_ == nullptr ? 0 : positive_weight(s, log_sum_[i], pull_[i], positives_[i], rule_);
  }

 private:
  T* data(std::int64_t power) const { return terms_.template data<T>() + power * 2 * count_; }

  std::int64_t count_;
  Tensor terms_;  // [powers,2,R]
  const double *log_sum_ = nullptr, *pull_ = nullptr;
  const std::int32_t* positives_ = nullptr;
  PullRule rule_ = PullRule::outside;
};

/// Adds the positives to du [R,stride] and goes back through the normalisation. Row i itself is column self_offset + i.
/// Writes du.u of each row to `along`, unless it is null.
template <class T>
void finish_gradient(const Side<T>& rows, const Anchors<T>& own, const Side<T>& columns, const Anchors<T>& others,
                     std::int64_t self_offset, double temperature, double factor, const T* du, T* dz,
                     double* along = nullptr) {
  const GroupOrder order(columns);
  const std::int64_t width = rows.width, stride = stride_of<T>(width);
  parallel_for(rows.count, row_grain, [&](std::int64_t begin, std::int64_t end) {
    Tensor scratch = Tensor::empty({width}, DType::f64);
    double* sum = scratch.data<double>();
    for (std::int64_t i = begin; i < end; ++i) {
      std::copy_n(du + i * stride, width, sum);
      for (const std::int64_t p : order.of(rows.group[i])) {
        if (p == self_offset + i || columns.norm[p] == 0) continue;
        const double s = similarity(rows, i, columns, p, temperature);
        const double weight = (own.positive_weight_of(i, s) + others.positive_weight_of(p, s)) / columns.norm[p];
        const T* positive = columns.row(p);
        for (std::int64_t d = 0; d < width; ++d) sum[d] += weight * double{positive[d]};
      }
      const double dot =
          normalize_backward(sum, rows.row(i), rows.norm[i], factor / temperature, width, dz + i * width);
      if (along != nullptr) along[i] = dot;
    }
  });
}

/// Where du [R,stride] is added up: in dz [R,D], unless rows must be longer.
template <class T>
Tensor sums_for(const Side<T>& side, Tensor& dz) {
  const std::int64_t stride = stride_of<T>(side.width);
  Tensor du = stride == side.width ? dz : Tensor::empty({side.count, stride}, dtype_of<T>);
  du.fill(0);
  return du;
}

/// d loss/d logit_scale from du.u of the anchors, `along` [A].
void finish_scale(const NtXentSaved& saved, const Tensor& along, double factor, Tensor& dlogit_scale) {
  const double* first = along.data<double>();
  const double sum = std::accumulate(first, first + along.numel(), 0.0) * scale_share(saved.square);
  dlogit_scale.fill(capped_gradient(sum * factor / saved.temperature, saved.logit_scale.item()));
}

template <class T>
void backward_typed(const NtXentSaved& saved, const Tensor& dloss, NtXentGradient& gradient) {
  const Side<T> anchors = Side<T>::anchors(saved), candidates = Side<T>::candidates(saved);
  const double factor = dloss.item() / static_cast<double>(saved.counted), temperature = saved.temperature;
  const Anchors<T> terms(saved);
  const Anchors<T> others = saved.square ? terms : Anchors<T>(candidates.count, powers_of(saved));
  Tensor du = sums_for(anchors, gradient.danchors);
  Tensor dv = saved.square ? du : sums_for(candidates, gradient.dcandidates);
  for_tiles<T>(saved, [&](const NtXentTile<T>& tile, std::int64_t i, std::int64_t j, T* scratch) {
    T* columns = saved.square && i == j ? nullptr : dv.data<T>() + j * tile.stride;
    loops<T>().gradient(tile, terms.terms(i).data(), others.terms(j).data(), du.data<T>() + i * tile.stride, columns,
                        scratch);
  });
  const std::int64_t offset = saved.pairs.self_offset;
  Tensor along = gradient.dlogit_scale.defined() ? Tensor::empty({anchors.count}, DType::f64) : Tensor();
  finish_gradient<T>(anchors, terms, candidates, others, offset < 0 ? no_self : offset, temperature, factor,
                     du.data<T>(), gradient.danchors.data<T>(), along.defined() ? along.data<double>() : nullptr);
  if (along.defined()) finish_scale(saved, along, factor, gradient.dlogit_scale);
  if (saved.square) return;
  finish_gradient<T>(candidates, others, anchors, terms, offset < 0 ? no_self : -offset, temperature, factor,
                     dv.data<T>(), gradient.dcandidates.data<T>());
}

void backward(const NtXentSaved& saved, const Tensor& dloss, NtXentGradient& gradient) {
  dispatch_float(dloss.dtype(), [&](auto zero) { backward_typed<decltype(zero)>(saved, dloss, gradient); });
}

void check_group(const char* what, const Tensor& group, const Tensor& rows) {
  SIMCLR_CHECK(group.dtype() == DType::i32 && group.device() == rows.device() && group.shape() == Shape({rows.dim(0)}),
               "nt_xent: ", what, " must be i32 [", rows.dim(0), "] on ", rows.device(), ", got ", describe(group));
}

/// The pairs, or an Error. On the CPU with both groups defined; a GPU's kernels know SimCLR's order, and an upload in
/// every step would cost more than it.
NtXentPairs checked_pairs(const Tensor& anchors, const Tensor& candidates, const NtXentPairs& pairs) {
  const std::int64_t count = anchors.dim(0), candidate_count = candidates.dim(0), first = pairs.self_offset;
  SIMCLR_CHECK(first >= -1 && (first == -1 || first + count <= candidate_count), "nt_xent: ", count,
               " anchors do not fit among ", candidate_count, " candidates from row ", first,
               "; self_offset is -1 for anchors that are no candidates");
  if (pairs.anchor_group.defined() || pairs.candidate_group.defined()) {
    SIMCLR_CHECK(pairs.anchor_group.defined() && pairs.candidate_group.defined(),
                 "nt_xent: groups of anchors and of candidates come together, one is missing");
    check_group("anchor_group", pairs.anchor_group, anchors);
    check_group("candidate_group", pairs.candidate_group, candidates);
    return pairs;
  }
  SIMCLR_CHECK(first >= 0, "nt_xent: anchors that are no candidates need groups to say who is positive");
  SIMCLR_CHECK(candidate_count % 2 == 0, "nt_xent: ", candidate_count,
               " candidates are not two views of each sample; give an even number, or groups for other views");
  if (anchors.device().type != DeviceType::cpu) return pairs;
  Tensor groups = Tensor::empty({candidate_count}, DType::i32);  // both views of sample n are in group n
  std::int32_t* first_view = groups.data<std::int32_t>();
  std::iota(first_view, first_view + candidate_count / 2, 0);
  std::iota(first_view + candidate_count / 2, first_view + candidate_count, 0);
  return {.self_offset = first, .anchor_group = groups.narrow(first, count), .candidate_group = groups};
}

void check_temperature(const Tensor& anchors, const NtXentTemperature& temperature) {
  if (temperature.logit_scale.defined()) {
    check_parameters("nt_xent", anchors, temperature.logit_scale);
    SIMCLR_CHECK(temperature.logit_scale.numel() == 1, "nt_xent: logit_scale must be one value, got ",
                 describe(temperature.logit_scale));
    return;
  }
  const double tau = temperature.fixed, least = nt_xent_least_temperature(anchors.dtype());
  SIMCLR_CHECK(tau > 0 && std::isfinite(tau), "nt_xent: temperature ", tau, " must be positive and finite");
  SIMCLR_CHECK(tau >= least, "nt_xent: temperature ", tau, ": below ", least, " the rounding of ", anchors.dtype(),
               " decides the loss; raise it, 0.1 to 1 is usual");
}

void check_form(const NtXentForm& form, const NtXentTemperature& temperature, DType dtype, bool wgmma) {
  SIMCLR_CHECK(form.class_prior >= 0 && form.class_prior < 1, "nt_xent: a class prior of ", form.class_prior,
               "; it is the share of negatives of the own class, 0 or more and below 1: 0.1 of ten classes");
  SIMCLR_CHECK(form.hardness == 0 || (form.hardness >= 1e-30 && std::isfinite(form.hardness)),
               "nt_xent: a hardness of ", form.hardness, "; it must be 0, or 1e-30 or more: 0.5 to 2 is usual");
  SIMCLR_CHECK(form.sigma == 0 || (form.decoupled && form.sigma >= 0.01 && std::isfinite(form.sigma)),
               "nt_xent: a sigma of ", form.sigma, "; it is for the decoupled loss, 0.01 or more: 0.5 is usual");
  const bool reweighted = form.class_prior > 0 || form.hardness > 0;
  SIMCLR_CHECK(!form.decoupled || !reweighted,
               "nt_xent: a class prior or a hardness is not for the decoupled loss; choose one of them");
  SIMCLR_CHECK(!form.inside || (!form.decoupled && !reweighted),
               "nt_xent: SupCon's form inside stands alone; leave the rest of the form out, or inside");
  SIMCLR_CHECK(!reweighted || !temperature.logit_scale.defined(),
               "nt_xent: a class prior or a hardness needs a fixed temperature, and this one is learned; fix it");
  SIMCLR_CHECK(form.hardness == 0 || !wgmma,
               "nt_xent: wgmma has no tiles for a hardness; leave it off, or the hardness 0");
  const double least = nt_xent_least_temperature(dtype);
  SIMCLR_CHECK(form.hardness == 0 || temperature.fixed / (1 + form.hardness) >= least, "nt_xent: temperature ",
               temperature.fixed, " over 1 + hardness ", form.hardness, ": below ", least, " the rounding of ", dtype,
               " decides the loss; raise it or lower the hardness");
}

/// Sets both temperatures, and whether sums are shifted: always where the host does not know what tau is.
void save_temperature(const NtXentTemperature& temperature, DType dtype, NtXentSaved& saved) {
  const bool learned = temperature.logit_scale.defined();
  saved.temperature = learned ? std::numeric_limits<double>::quiet_NaN() : temperature.fixed;
  if (learned) saved.logit_scale = temperature.logit_scale.detach();
  const double least = temperature.fixed / (1 + saved.form.hardness);
  saved.shifted = learned || (dtype == DType::f64 ? needs_shift<double>(least) : needs_shift<float>(least));
}

}  // namespace

extern const NtXentKernels nt_xent_cpu;
const NtXentKernels nt_xent_cpu = {forward, backward};

NtXentResult nt_xent_forward(const Tensor& anchors, const Tensor& candidates, const NtXentTemperature& temperature,
                             const NtXentPairs& pairs, bool wgmma, const NtXentForm& form) {
  check_floats("nt_xent", anchors, candidates);
  check_rank("nt_xent", "anchors", anchors, 2);
  check_rank("nt_xent", "candidates", candidates, 2);
  SIMCLR_CHECK(anchors.numel() > 0 && candidates.numel() > 0 && anchors.dim(1) == candidates.dim(1),
               "nt_xent: anchors ", anchors.shape(), " and candidates ", candidates.shape(),
               " must have rows of one length, and some");
  check_temperature(anchors, temperature);
  check_form(form, temperature, anchors.dtype(), wgmma);
  const Device device = anchors.device();
  SIMCLR_CHECK(!wgmma || (device.type != DeviceType::cpu && anchors.dtype() == DType::bf16 && anchors.dim(1) <= 256),
               "nt_xent: wgmma multiplies bf16 rows of up to 256 values on a GPU of sm_90, got ", describe(anchors),
               "; leave it off");
  const std::int64_t count = anchors.dim(0);
  NtXentSaved saved;
  saved.form = form;
  save_temperature(temperature, anchors.dtype(), saved);
  saved.wgmma = wgmma;
  saved.square =
      anchors.same_as(candidates) && pairs.self_offset == 0 && pairs.anchor_group.same_as(pairs.candidate_group);
  saved.pairs = checked_pairs(anchors, candidates, pairs);
  saved.anchors = anchors.detach();
  saved.candidates = candidates.detach();
  saved.log_sum = Tensor::empty({count}, DType::f64, device);
  saved.pull = Tensor::empty({count}, DType::f64, device);
  saved.positives = Tensor::empty({count}, DType::i32, device);
  Tensor loss = Tensor::empty({}, parameter_dtype(anchors.dtype()), device);
  nt_xent_slot.on(device).forward(saved, anchors, candidates, loss);
  return {loss, saved};
}

NtXentGradient nt_xent_backward(const NtXentSaved& saved, const Tensor& dloss) {
  check_parameters("nt_xent", saved.anchors, dloss);
  SIMCLR_CHECK(dloss.numel() == 1, "nt_xent: dloss must be a scalar, got ", describe(dloss));
  NtXentGradient gradient;
  gradient.danchors = Tensor::empty_like(saved.anchors);
  if (!saved.square) gradient.dcandidates = Tensor::empty_like(saved.candidates);
  if (saved.logit_scale.defined()) gradient.dlogit_scale = Tensor::empty_like(saved.logit_scale);
  nt_xent_slot.on(dloss.device()).backward(saved, dloss, gradient);
  return gradient;
}

}  // namespace simclr::kernels
