// NT-Xent on the CPU; the maths is in nt_xent.h. Tiles of dot products come from Eigen, one thread a row of
// tiles, and are used up before the next one: scratch is one tile a thread. Tiles hold the negatives only.
// The positives are few and taken in double from z: in well-aligned pairs 1 - p, log(1/p), and the part of
// the positive that is perpendicular to u are small differences of large numbers, and a sum over all
// candidates would round them away. Tiles, and so bits, do not depend on the thread count.
#include <simclr/core/parallel.h>
#include <simclr/kernels/nt_xent.h>

#include "check.h"
#include "normalize.h"
#include "nt_xent_tiles.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

namespace simclr::kernels {
namespace {

using detail::AnchorTerms;
using detail::Log2Scale;

constexpr std::int64_t tile_rows = 128;
constexpr std::int64_t tile_columns = 512;
constexpr std::int64_t sum_length = 128;  // terms added up in one go; longer sums round off more
constexpr std::int64_t no_self = std::numeric_limits<std::int64_t>::min() / 2;

/// The anchors or the candidates.
template <class T>
struct Side {
  const T* z;
  Eigen::Map<RowMajor<T>> u;
  const double* norm;
  const std::int32_t* group;

  Side(const Tensor& embeddings, const Tensor& unit, const Tensor& norms, const Tensor& groups)
      : z(embeddings.data<T>()),
        u(as_matrix<T>(unit)),
        norm(norms.data<double>()),
        group(groups.data<std::int32_t>()) {}

  std::int64_t count() const { return u.rows(); }
  std::int64_t width() const { return u.cols(); }
  const T* row(std::int64_t i) const { return z + i * width(); }
};

template <class T>
Side<T> anchor_side(const NtXentSaved& saved) {
  return {saved.anchors, saved.anchor_u, saved.anchor_norm, saved.pairs.anchor_group};
}

template <class T>
Side<T> candidate_side(const NtXentSaved& saved) {
  return {saved.candidates, saved.candidate_u, saved.candidate_norm, saved.pairs.candidate_group};
}

/// The rows of one side in the order of their groups, so that the positives of a row of the other side are
/// one range of them.
class GroupOrder {
 public:
  template <class T>
  explicit GroupOrder(const Side<T>& side)
      : group_(side.group),
        rows_(Tensor::empty({side.count()}, DType::i32)),
        sorted_(rows_.data<std::int32_t>(), static_cast<std::size_t>(side.count())) {
    std::iota(sorted_.begin(), sorted_.end(), 0);
    std::sort(sorted_.begin(), sorted_.end(),
              [&](std::int32_t a, std::int32_t b) { return group_[a] != group_[b] ? group_[a] < group_[b] : a < b; });
  }

  std::span<const std::int32_t> of(std::int32_t group) const {
    const auto below = [&](std::int32_t row, std::int32_t g) { return group_[row] < g; };
    const auto above = [&](std::int32_t g, std::int32_t row) { return g < group_[row]; };
    const auto first = std::lower_bound(sorted_.begin(), sorted_.end(), group, below);
    return {first, std::upper_bound(first, sorted_.end(), group, above)};
  }

 private:
  const std::int32_t* group_;
  Tensor rows_;
  std::span<std::int32_t> sorted_;
};

/// s of row i and row k of two sides, in double.
template <class T>
double similarity(const Side<T>& a, std::int64_t i, const Side<T>& b, std::int64_t k, double temperature) {
  const double norms = a.norm[i] * b.norm[k];
  return norms == 0 ? 0.0 : dot(a.row(i), b.row(k), a.width()) / (norms * temperature);
}

/// Runs tile(values, first row, rows, first column, columns) over rows [begin, end) in blocks that start at
/// multiples of tile_rows; values holds the dot products, its rows tile_columns apart. after(first row, rows)
/// follows each row of tiles.
template <class T, class Tile, class After>
void for_tiles(const Side<T>& rows, const Side<T>& columns, const Tile& tile, const After& after) {
  const std::int64_t total = rows.count(), width = columns.count(), depth = rows.width();
  // Four partial sums of up to 128 terms round off a quarter as much as one; 1/tau would multiply that.
  const std::int64_t part = (depth + 31) / 32 * 8;
  parallel_for((total + tile_rows - 1) / tile_rows, 1, [&](std::int64_t begin, std::int64_t end) {
    const SerialScope serial;  // a single range must not let Eigen split its products
    Tensor scratch = Tensor::empty({tile_rows, tile_columns}, dtype_of<T>);
    auto values = as_matrix<T>(scratch);
    for (std::int64_t i = begin * tile_rows; i < std::min(end * tile_rows, total); i += tile_rows) {
      const std::int64_t height = std::min(tile_rows, total - i);
      for (std::int64_t j = 0; j < width; j += tile_columns) {
        const std::int64_t span = std::min(tile_columns, width - j);
        auto dots = values.topLeftCorner(height, span);
        for (std::int64_t d = 0; d < depth; d += part) {
          const std::int64_t length = std::min(part, depth - d);
          const auto product = rows.u.block(i, d, height, length) * columns.u.block(j, d, span, length).transpose();
          if (d == 0) {
            dots.noalias() = product;
          } else {
            dots.noalias() += product;
          }
        }
        tile(values, i, height, j, span);
      }
      after(i, height);
    }
  });
}

/// log of the sum over the negatives of every anchor, into f64 [A].
template <class T>
void log_negative_sums(const Side<T>& anchors, const Side<T>& candidates, double temperature, std::int64_t self_offset,
                       double* log_sums) {
  const Log2Scale<T> scale(temperature);
  // Where no e^s can overflow the shift stays 0, else it follows the row's maximum.
  const bool shifted = scale.high > (std::is_same_v<T, float> ? T(96) : T(960));
  Tensor shifts = Tensor::zeros({anchors.count()}, DType::f64);
  double* shift = shifts.data<double>();
  std::fill_n(log_sums, anchors.count(), 0.0);
  const auto tile = [&](auto& values, std::int64_t i, std::int64_t height, std::int64_t j, std::int64_t span) {
    for (std::int64_t r = 0; r < height; ++r) {
      T* row = values.row(r).data();
      const std::int64_t self = self_offset + i + r - j;
      if (shifted) {
        const T highest = detail::highest_negative(row, span, self, anchors.group[i + r], candidates.group + j);
        const double wanted = std::ceil(double{highest} * double{scale.high});
        if (log_sums[i + r] == 0) {
          shift[i + r] = wanted;
        } else if (wanted > shift[i + r]) {
          log_sums[i + r] *= std::exp2(shift[i + r] - wanted);
          shift[i + r] = wanted;
        }
      }
      detail::exponentials(row, span, scale, static_cast<T>(shift[i + r]), anchors.group[i + r], candidates.group + j);
      if (self >= 0 && self < span) row[self] = 0;
      log_sums[i + r] += double{values.row(r).head(span).sum()};
    }
  };
  for_tiles<T>(anchors, candidates, tile, [&](std::int64_t i, std::int64_t height) {
    for (std::int64_t r = i; r < i + height; ++r) {
      log_sums[r] = std::log(log_sums[r]) + shift[r] * std::numbers::ln2;
    }
  });
}

/// The similarities of one anchor to its positives, met one by one.
struct PositiveSum {
  double highest = -std::numeric_limits<double>::infinity();
  double sum = 0;  // of e^{s - highest}
  double total = 0;
  std::int32_t count = 0;

  void add(double s) {
    if (s > highest) {
      sum *= std::exp(highest - s);
      highest = s;
    }
    sum += std::exp(s - highest);
    total += s;
    ++count;
  }
};

template <class T>
void forward_typed(NtXentSaved& saved, const Tensor& anchors, const Tensor& candidates, Tensor& loss) {
  saved.anchor_u = Tensor::empty_like(anchors);
  saved.anchor_norm = Tensor::empty({anchors.dim(0)}, DType::f64);
  normalize_rows<T>(anchors, saved.anchor_u, saved.anchor_norm);
  saved.candidate_u = saved.square ? saved.anchor_u : Tensor::empty_like(candidates);
  saved.candidate_norm = saved.square ? saved.anchor_norm : Tensor::empty({candidates.dim(0)}, DType::f64);
  if (!saved.square) normalize_rows<T>(candidates, saved.candidate_u, saved.candidate_norm);
  const Side<T> rows = anchor_side<T>(saved), columns = candidate_side<T>(saved);
  const std::int64_t count = rows.count();
  const std::int64_t self_offset = saved.pairs.self_offset < 0 ? no_self : saved.pairs.self_offset;

  double* log_sum = saved.log_sum.data<double>();
  double* negatives = saved.negatives.data<double>();
  std::int32_t* positives = saved.positives.data<std::int32_t>();
  log_negative_sums<T>(rows, columns, saved.temperature, self_offset, log_sum);

  const GroupOrder order(columns);
  Tensor losses = Tensor::empty({count}, DType::f64);
  double* anchor_loss = losses.data<double>();
  parallel_for(count, row_grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      PositiveSum sum;
      for (const std::int64_t p : order.of(rows.group[i])) {
        if (p != self_offset + i) sum.add(similarity(rows, i, columns, p, saved.temperature));
      }
      positives[i] = sum.count;
      anchor_loss[i] = 0;
      if (sum.count == 0) continue;
      const double log_positive = sum.highest + std::log(sum.sum);
      const double margin = log_sum[i] - log_positive;  // log of negatives over positives
      const double excess = margin > 0 ? margin + std::log1p(std::exp(-margin)) : std::log1p(std::exp(margin));
      anchor_loss[i] = excess + (log_positive - sum.total / sum.count);
      negatives[i] = 1 / (1 + std::exp(-margin));
      log_sum[i] = log_positive + excess;
    }
  });

  saved.counted = count - std::count(positives, positives + count, 0);
  SIMCLR_CHECK(saved.counted > 0, "nt_xent: no anchor has a positive among the ", columns.count(),
               " candidates; check the groups");
  const double total = std::accumulate(anchor_loss, anchor_loss + count, 0.0);
  loss.fill(total / static_cast<double>(saved.counted));
}

void forward(NtXentSaved& saved, const Tensor& anchors, const Tensor& candidates, Tensor& loss) {
  dispatch_float(anchors.dtype(), [&](auto zero) { forward_typed<decltype(zero)>(saved, anchors, candidates, loss); });
}

/// What the rows of one side contribute as anchors; those without a positive, and candidates, nothing.
template <class T>
class Anchors {
 public:
  explicit Anchors(std::int64_t count) : terms_(Tensor::zeros({2, count}, dtype_of<T>)) {
    std::fill_n(terms_.template data<T>(), count, std::numeric_limits<T>::max());  // 2^-shift is 0, never infinite
  }

  explicit Anchors(const NtXentSaved& saved) : Anchors(saved.log_sum.dim(0)) {
    log_sum_ = saved.log_sum.data<double>();
    negatives_ = saved.negatives.data<double>();
    positives_ = saved.positives.data<std::int32_t>();
    const std::int64_t count = terms_.dim(1);
    T* out = terms_.template data<T>();
    for (std::int64_t i = 0; i < count; ++i) {
      if (positives_[i] == 0) continue;
      const double log2_sum = log_sum_[i] * std::numbers::log2e;
      const double shift = std::rint(log2_sum);
      out[i] = static_cast<T>(shift);
      out[count + i] = static_cast<T>(std::exp2(shift - log2_sum));
    }
  }

  AnchorTerms<T> terms(std::int64_t first) const {
    const T* data = terms_.template data<T>() + first;
    return {data, data + terms_.dim(1)};
  }

  /// p - 1/|P| of anchor i and a positive at similarity s. With one positive that is minus the share of the
  /// negatives, free of cancellation.
  double positive_weight(std::int64_t i, double s) const {
    if (positives_ == nullptr) return 0;
    return positives_[i] == 1 ? -negatives_[i] : std::exp(s - log_sum_[i]) - 1.0 / positives_[i];
  }

 private:
  Tensor terms_;  // [2,R]
  const double *log_sum_ = nullptr, *negatives_ = nullptr;
  const std::int32_t* positives_ = nullptr;
};

/// dz of `rows`: sum_j W_ij v_j over the columns, then through the normalisation. Row i itself is column
/// self_offset + i.
template <class T>
void gradient_of(const Side<T>& rows, const Anchors<T>& own, const Side<T>& columns, const Anchors<T>& others,
                 std::int64_t self_offset, double temperature, double factor, Tensor& dz) {
  const Log2Scale<T> scale(temperature);
  const GroupOrder order(columns);
  const std::int64_t width = rows.width();
  auto du = as_matrix<T>(dz);
  const auto tile = [&](auto& values, std::int64_t i, std::int64_t height, std::int64_t j, std::int64_t span) {
    for (std::int64_t r = 0; r < height; ++r) {
      T* row = values.row(r).data();
      detail::weights(row, span, scale, own.terms(i + r), others.terms(j), rows.group[i + r], columns.group + j);
      const std::int64_t self = self_offset + i + r - j;
      if (self >= 0 && self < span) row[self] = 0;
    }
    auto out = du.middleRows(i, height);
    for (std::int64_t k = 0; k < span; k += sum_length) {
      const std::int64_t length = std::min(sum_length, span - k);
      const auto product = values.block(0, k, height, length) * columns.u.middleRows(j + k, length);
      if (j + k == 0) {
        out.noalias() = product;
      } else {
        out.noalias() += product;
      }
    }
  };
  const auto finish = [&](std::int64_t first, std::int64_t height) {
    Tensor scratch = Tensor::empty({width}, DType::f64);
    double* sum = scratch.data<double>();
    for (std::int64_t i = first; i < first + height; ++i) {
      T* row = dz.data<T>() + i * width;
      std::copy(row, row + width, sum);
      for (const std::int64_t p : order.of(rows.group[i])) {
        if (p == self_offset + i || columns.norm[p] == 0) continue;
        const double s = similarity(rows, i, columns, p, temperature);
        const double weight = (own.positive_weight(i, s) + others.positive_weight(p, s)) / columns.norm[p];
        const T* positive = columns.row(p);
        for (std::int64_t d = 0; d < width; ++d) sum[d] += weight * double{positive[d]};
      }
      normalize_backward(sum, rows.row(i), rows.norm[i], factor / temperature, width, row);
    }
  };
  for_tiles<T>(rows, columns, tile, finish);
}

template <class T>
void backward_typed(const NtXentSaved& saved, const Tensor& dloss, NtXentGradient& gradient) {
  const Side<T> anchors = anchor_side<T>(saved), candidates = candidate_side<T>(saved);
  const double factor = dloss.item() / static_cast<double>(saved.counted), temperature = saved.temperature;
  const Anchors<T> terms(saved);
  if (saved.square) {
    gradient_of<T>(anchors, terms, anchors, terms, 0, temperature, factor, gradient.danchors);
    return;
  }
  const Anchors<T> none(candidates.count());
  const std::int64_t offset = saved.pairs.self_offset;
  gradient_of<T>(anchors, terms, candidates, none, offset < 0 ? no_self : offset, temperature, factor,
                 gradient.danchors);
  gradient_of<T>(candidates, none, anchors, terms, offset < 0 ? no_self : -offset, temperature, factor,
                 gradient.dcandidates);
}

void backward(const NtXentSaved& saved, const Tensor& dloss, NtXentGradient& gradient) {
  dispatch_float(dloss.dtype(), [&](auto zero) { backward_typed<decltype(zero)>(saved, dloss, gradient); });
}

void check_group(const char* what, const Tensor& group, const Tensor& rows) {
  SIMCLR_CHECK(group.dtype() == DType::i32 && group.device() == rows.device() && group.shape() == Shape({rows.dim(0)}),
               "nt_xent: ", what, " must be i32 [", rows.dim(0), "] on ", rows.device(), ", got ", describe(group));
}

/// SimCLR's order as groups: both views of image n are in group n.
Tensor view_groups(std::int64_t first, std::int64_t count, std::int64_t images) {
  std::vector<std::int32_t> groups(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    groups[static_cast<std::size_t>(i)] = static_cast<std::int32_t>((first + i) % images);
  return Tensor::from(groups, {count});
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
               " candidates are not two views of each image; give an even number or groups");
  if (anchors.device().type != DeviceType::cpu) return pairs;
  const std::int64_t images = candidate_count / 2;
  return {.self_offset = first,
          .anchor_group = view_groups(first, count, images),
          .candidate_group = view_groups(0, candidate_count, images)};
}

}  // namespace

extern const NtXentKernels nt_xent_cpu;
const NtXentKernels nt_xent_cpu = {forward, backward};

NtXentResult nt_xent_forward(const Tensor& anchors, const Tensor& candidates, double temperature,
                             const NtXentPairs& pairs) {
  check_floats("nt_xent", anchors, candidates);
  check_rank("nt_xent", "anchors", anchors, 2);
  check_rank("nt_xent", "candidates", candidates, 2);
  SIMCLR_CHECK(anchors.numel() > 0 && candidates.numel() > 0 && anchors.dim(1) == candidates.dim(1),
               "nt_xent: anchors ", anchors.shape(), " and candidates ", candidates.shape(),
               " must have rows of one length, and some");
  SIMCLR_CHECK(temperature > 0 && std::isfinite(temperature), "nt_xent: temperature ", temperature,
               " must be positive and finite");
  const Device device = anchors.device();
  const std::int64_t count = anchors.dim(0);
  NtXentSaved saved;
  saved.temperature = temperature;
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
  nt_xent_slot.on(dloss.device()).backward(saved, dloss, gradient);
  return gradient;
}

}  // namespace simclr::kernels
