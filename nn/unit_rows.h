#pragma once

// Private: features as points on the unit sphere, for what is measured there.

#include <simclr/core/tensor.h>

#include <Eigen/Core>
#include <algorithm>

namespace simclr::nn {

using UnitRows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Up to `most` rows spread evenly over `values` [N,F] f32 on the host, each over its norm (0 stays 0).
inline UnitRows unit_rows(const Tensor& values, std::int64_t most) {
  const std::int64_t n = values.dim(0), dimensions = values.dim(1), rows = std::min(n, most);
  const float* x = values.data<const float>();
  UnitRows unit(rows, dimensions);
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* row = x + (i * n / rows) * dimensions;
    for (std::int64_t d = 0; d < dimensions; ++d) unit(i, d) = double{row[d]};
    const double norm = unit.row(i).norm();
    if (norm > 0) unit.row(i) /= norm;
  }
  return unit;
}

}  // namespace simclr::nn
