// NT-Xent on the CPU; the maths is in nt_xent.h. Tiles hold the negatives (cpu/nt_xent.h) and are used up before the
// next one: scratch is one tile a thread. The positives are added apart (cpu/nt_xent_positives.h). A tile adds to the
// sums of its rows and of its columns. So tiles go in rounds, in which no two share rows or columns; rounds depend on
// the sizes alone, and bits not on the thread count.
#include <simclr/core/parallel.h>
#include <simclr/kernels/nt_xent.h>

#include "cpu/nt_xent.h"
#include "cpu/nt_xent_positives.h"
#include "shared/check.h"

namespace simclr::kernels {
namespace {

using detail::GroupOrder;
using detail::Side;

constexpr std::int64_t no_self = std::numeric_limits<std::int64_t>::min() / 2;

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

/// Calls body(tile, first row, first column, scratch) for all tiles.
template <class T, class Body>
void for_tiles(const NtXentSaved& saved, const Body& body) {
  const Side<T> rows = Side<T>::anchors(saved), columns = Side<T>::candidates(saved);
  const Log2Scale<T> scale(saved.temperature);
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
                                  .scale_high = scale.high,
                                  .scale_low = scale.low,
                                  .shifted = saved.shifted};
      Tensor& memory =
          scratch.get(thread, [stride] { return Tensor::empty({loops<T>().scratch(stride)}, dtype_of<T>); });
      body(tile, i, j, memory.data<T>());
    });
  }
}

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

/// log of the sum over the negatives of every anchor, into f64 [A].
template <class T>
void log_negative_sums(const NtXentSaved& saved, double* log_sums) {
  const std::int64_t count = saved.log_sum.numel();
  Tensor shifts = Tensor::zeros({count}, DType::f64);
  double* shift = shifts.data<double>();
  std::fill_n(log_sums, count, 0.0);
  for_tiles<T>(saved, [&](const NtXentTile<T>& tile, std::int64_t i, std::int64_t j, T* scratch) {
    NtXentSums<T> rows, columns;
    loops<T>().sums(tile, rows, columns, scratch);
    add_sums(rows, tile.rows.count, tile.shifted, log_sums + i, shift + i);
    if (saved.square && i != j) add_sums(columns, tile.columns.count, tile.shifted, log_sums + j, shift + j);
  });
  for (std::int64_t i = 0; i < count; ++i) log_sums[i] = ShiftedSum<double>{log_sums[i], shift[i]}.log();
}

template <class T>
void forward_typed(NtXentSaved& saved, const Tensor& anchors, const Tensor& candidates, Tensor& loss) {
  saved.anchor_norm = row_norms<T>(anchors);
  saved.candidate_norm = saved.square ? saved.anchor_norm : row_norms<T>(candidates);
  const Side<T> rows = Side<T>::anchors(saved), columns = Side<T>::candidates(saved);
  const std::int64_t count = rows.count;
  const std::int64_t self_offset = saved.pairs.self_offset < 0 ? no_self : saved.pairs.self_offset;

  double* log_sum = saved.log_sum.data<double>();
  double* negatives = saved.negatives.data<double>();
  std::int32_t* positives = saved.positives.data<std::int32_t>();
  log_negative_sums<T>(saved, log_sum);

  const GroupOrder order(columns);
  Tensor losses = Tensor::empty({count}, DType::f64);
  double* anchor_loss = losses.data<double>();
  parallel_for(count, row_grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      PositiveSum<double> sum;
      for (const std::int64_t p : order.of(rows.group[i])) {
        if (p != self_offset + i) sum.add(similarity(rows, i, columns, p, saved.temperature));
      }
      const RowLoss<double> row = row_loss(log_sum[i], sum);
      positives[i] = sum.count;
      anchor_loss[i] = row.loss;
      negatives[i] = row.negatives;
      log_sum[i] = row.log_sum;
    }
  });

  saved.counted = count - std::count(positives, positives + count, 0);
  SIMCLR_CHECK(saved.counted > 0, "nt_xent: no anchor has a positive among the ", columns.count,
               " candidates; check the groups");
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
  explicit Anchors(std::int64_t count) : terms_(Tensor::zeros({2, count}, dtype_of<T>)) {
    std::fill_n(terms_.template data<T>(), count, no_anchor<T>().shift);
  }

  explicit Anchors(const NtXentSaved& saved) : Anchors(saved.log_sum.dim(0)) {
    log_sum_ = saved.log_sum.data<double>();
    negatives_ = saved.negatives.data<double>();
    positives_ = saved.positives.data<std::int32_t>();
    const std::int64_t count = terms_.dim(1);
    T* out = terms_.template data<T>();
    for (std::int64_t i = 0; i < count; ++i) {
      if (positives_[i] == 0) continue;
      const AnchorTerm<T> term = anchor_term<T>(log_sum_[i], saved.shifted);
      out[i] = term.shift;
      out[count + i] = term.share;
    }
  }

  NtXentTerms<T> terms(std::int64_t first) const {
    const T* data = terms_.template data<T>() + first;
    return {data, data + terms_.dim(1)};
  }

  /// Of anchor i and a positive at similarity s; 0 where the rows are no anchors.
  double positive_weight_of(std::int64_t i, double s) const {
    return positives_ == nullptr ? 0 : positive_weight(s, log_sum_[i], negatives_[i], positives_[i]);
  }

 private:
  Tensor terms_;  // [2,R]
  const double *log_sum_ = nullptr, *negatives_ = nullptr;
  const std::int32_t* positives_ = nullptr;
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
  const Anchors<T> others = saved.square ? terms : Anchors<T>(candidates.count);
  Tensor du = sums_for(anchors, gradient.danchors);
  Tensor dv = saved.square ? du : sums_for(candidates, gradient.dcandidates);
  for_tiles<T>(saved, [&](const NtXentTile<T>& tile, std::int64_t i, std::int64_t j, T* scratch) {
    T* columns = saved.square && i == j ? nullptr : dv.data<T>() + j * tile.stride;
    loops<T>().gradient(tile, terms.terms(i), others.terms(j), du.data<T>() + i * tile.stride, columns, scratch);
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

/// Sets both temperatures, and whether sums are shifted: always where the host does not know what tau is.
void save_temperature(const NtXentTemperature& temperature, DType dtype, NtXentSaved& saved) {
  const bool learned = temperature.logit_scale.defined();
  saved.temperature = learned ? std::numeric_limits<double>::quiet_NaN() : temperature.fixed;
  if (learned) saved.logit_scale = temperature.logit_scale.detach();
  saved.shifted =
      learned || (dtype == DType::f64 ? needs_shift<double>(temperature.fixed) : needs_shift<float>(temperature.fixed));
}

}  // namespace

extern const NtXentKernels nt_xent_cpu;
const NtXentKernels nt_xent_cpu = {forward, backward};

NtXentResult nt_xent_forward(const Tensor& anchors, const Tensor& candidates, const NtXentTemperature& temperature,
                             const NtXentPairs& pairs, bool wgmma) {
  check_floats("nt_xent", anchors, candidates);
  check_rank("nt_xent", "anchors", anchors, 2);
  check_rank("nt_xent", "candidates", candidates, 2);
  SIMCLR_CHECK(anchors.numel() > 0 && candidates.numel() > 0 && anchors.dim(1) == candidates.dim(1),
               "nt_xent: anchors ", anchors.shape(), " and candidates ", candidates.shape(),
               " must have rows of one length, and some");
  check_temperature(anchors, temperature);
  const Device device = anchors.device();
  SIMCLR_CHECK(!wgmma || (device.type != DeviceType::cpu && anchors.dtype() == DType::bf16 && anchors.dim(1) <= 256),
               "nt_xent: wgmma multiplies bf16 rows of up to 256 values on a GPU of sm_90, got ", describe(anchors),
               "; leave it off");
  const std::int64_t count = anchors.dim(0);
  NtXentSaved saved;
  save_temperature(temperature, anchors.dtype(), saved);
  saved.wgmma = wgmma;
  saved.square =
      anchors.same_as(candidates) && pairs.self_offset == 0 && pairs.anchor_group.same_as(pairs.candidate_group);
  saved.pairs = checked_pairs(anchors, candidates, pairs);
  saved.anchors = anchors.detach();
  saved.candidates = candidates.detach();
  saved.log_sum = Tensor::empty({count}, DType::f64, device);
  saved.negatives = Tensor::empty({count}, DType::f64, device);
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
