#pragma once

// Private to nt_xent.cpp: both sides of NT-Xent, and who is whose positive.

#include <simclr/kernels/nt_xent.h>
#include <simclr/kernels/shared/nt_xent_form.h>

#include "normalize.h"
#include "nt_xent.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace simclr::kernels::detail {

/// The anchors or the candidates.
template <class T>
struct Side {
  const T* z;
  const double* norm;
  const std::int32_t* group;
  std::int64_t count, width;

  static Side anchors(const NtXentSaved& saved) { return {saved.anchors, saved.anchor_norm, saved.pairs.anchor_group}; }
  static Side candidates(const NtXentSaved& saved) {
    return {saved.candidates, saved.candidate_norm, saved.pairs.candidate_group};
  }

  const T* row(std::int64_t i) const { return z + i * width; }
  NtXentRows<T> rows(std::int64_t first, std::int64_t length) const {
    return {row(first), norm + first, group + first, length};
  }

 private:
  Side(const Tensor& embeddings, const Tensor& norms, const Tensor& groups)
      : z(embeddings.data<T>()),
        norm(norms.data<double>()),
        group(groups.data<std::int32_t>()),
        count(embeddings.dim(0)),
        width(embeddings.dim(1)) {}
};

/// The rows of one side in the order of their groups, so that the positives of a row of the other side are
/// one range of them.
class GroupOrder {
 public:
  template <class T>
  explicit GroupOrder(const Side<T>& side)
      : group_(side.group),
        rows_(Tensor::empty({side.count}, DType::i32)),
        sorted_(rows_.data<std::int32_t>(), static_cast<std::size_t>(side.count)) {
    std::iota(sorted_.begin(), sorted_.end(), 0);
    std::sort(sorted_.begin(), sorted_.end(),
              [&](std::int32_t a, std::int32_t b) { return group_[a] != group_[b] ? group_[a] < group_[b] : a < b; });
  }

  std::span<const std::int32_t> of(std::int32_t group) const {
    if (group == -1) return {};
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
  return scaled_cosine(dot(a.row(i), b.row(k), a.width), a.norm[i], b.norm[k], temperature);
}

}  // namespace simclr::kernels::detail
