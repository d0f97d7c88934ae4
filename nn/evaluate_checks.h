#pragma once

// Private: checks that the kNN classifier and the linear probe share.

#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/shared/check.h>
#include <simclr/nn/evaluate.h>

#include <cmath>

namespace simclr::nn {

inline void check_features(const char* who, const char* what, const Tensor& values) {
  kernels::check_rank(who, what, values, 2);
  SIMCLR_CHECK(values.dtype() == DType::f32 && values.device() == Device{}, who, ": ", what,
               " must be f32 on the CPU, got ", describe(values));
}

/// Both sets [.,F] f32 on the CPU; training labels one a row, in 0..classes-1.
inline void check_problem(const char* who, const Features& train, const Tensor& test, std::int64_t classes) {
  check_features(who, "training features", train.values);
  check_features(who, "test features", test);
  SIMCLR_CHECK(train.values.dim(0) > 0 && train.values.dim(1) > 0, who, ": training features are ",
               train.values.shape(), "; at least one row and one column are needed");
  SIMCLR_CHECK(test.dim(1) == train.values.dim(1), who, ": test features have ", test.dim(1),
               " columns, training features ", train.values.dim(1), "; both must come from one encoder");
  SIMCLR_CHECK(classes > 0, who, ": ", classes, " classes; at least one is needed");
  SIMCLR_CHECK(static_cast<std::int64_t>(train.labels.size()) == train.values.dim(0), who, ": ", train.labels.size(),
               " training labels for ", train.values.dim(0), " rows");
  for (std::size_t i = 0; i < train.labels.size(); ++i) {
    const std::int64_t label = train.labels[i];
    SIMCLR_CHECK(label >= 0 && label < classes, who, ": training row ", i, " has label ", label, ", outside 0..",
                 classes - 1, label < 0 ? " (unlabelled); give labelled samples only" : "");
  }
}

/// The rows over their norms. Throws Error naming the first row that is not finite: its norm is not, either.
inline kernels::Normalized normalize_finite(const char* who, const char* what, const Tensor& values) {
  kernels::Normalized result = kernels::normalize_forward(values.detach());
  const float* norm = result.norm.data<const float>();
  for (std::int64_t i = 0; i < values.dim(0); ++i) {
    SIMCLR_CHECK(
        std::isfinite(norm[i]), who, ": row ", i, " of the ", what,
        " features holds NaN or Inf; where its sample has finite values, the encoder diverged: train it again with a "
        "lower learning rate");
  }
  return result;
}

}  // namespace simclr::nn
