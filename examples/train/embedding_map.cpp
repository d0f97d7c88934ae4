#define EIGEN_DONT_PARALLELIZE  // threads come from parallel_for alone
#include "train/embedding_map.h"

#include <simclr/core/error.h>
#include <simclr/core/parallel.h>
#include <simclr/core/random.h>
#include <simclr/nn/functional.h>

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

using simclr::parallel_for;
using simclr::Tensor;

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Row = Eigen::ArrayXf;

/// The rows, each over its norm (0 stays 0).
Matrix unit_rows(const Tensor& values) {
  SIMCLR_CHECK(values.rank() == 2 && values.dim(0) >= 2 && values.dtype() == simclr::DType::f32 &&
                   simclr::is_host_memory(values.device()),
               "embedding map: values must be f32 [N,F] on the CPU with N at least 2, got ", describe(values));
  const Tensor unit = simclr::nn::normalize(values.detach());
  Matrix rows = Eigen::Map<const Matrix>(unit.data<const float>(), unit.dim(0), unit.dim(1));
  SIMCLR_CHECK(rows.allFinite(), "embedding map: the features hold NaN or Inf");
  return rows;
}

/// The square [N,N] of distances between rows, which have norm 1 or 0.
Matrix squared_distances(const Matrix& rows) {
  const std::int64_t n = rows.rows();
  const Eigen::VectorXf squares = rows.rowwise().squaredNorm();
  Matrix distances(n, n);
  constexpr std::int64_t tile = 64;  // fixed, so that no sum depends on the threads
  parallel_for((n + tile - 1) / tile, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin * tile; first < std::min(n, end * tile); first += tile) {
      const std::int64_t count = std::min(tile, n - first);
      auto out = distances.middleRows(first, count);
      out.noalias() = -2 * rows.middleRows(first, count) * rows.transpose();
      out.colwise() += squares.segment(first, count);
      out.rowwise() += squares.transpose();
      out = out.cwiseMax(0);
    }
  });
  return distances;
}

/// Weights exp(-beta d) of row i's neighbours, their sum 1. Returns their entropy.
double weigh(const Row& distances, std::int64_t i, double beta, Row& weights) {
  weights = (static_cast<float>(-beta) * distances).exp();
  weights[i] = 0;
  const double sum = weights.sum();
  const double mean = (weights * distances).sum() / sum;
  weights /= static_cast<float>(sum);
  return std::log(sum) + beta * mean;
}

/// Finds beta by doubling and halving, then by bisection. Only differences of distances count, so they are taken from
/// the least: else no weight would be left of neighbours that are far away and yet nearest.
void fit_row(Row& distances, std::int64_t i, double entropy, Row& weights) {
  distances[i] = INFINITY;
  distances -= distances.minCoeff();
  distances[i] = 0;
  double low = 0, high = INFINITY, beta = 1;
  for (int step = 0; step < 64; ++step) {  // fewer, but for more equal neighbours than the perplexity asks for
    const double excess = weigh(distances, i, beta, weights) - entropy;
    if (std::abs(excess) < 1e-5) break;
    (excess > 0 ? low : high) = beta;
    beta = std::isinf(high) ? 2 * beta : (low + high) / 2;
  }
}

/// p(j|i) + p(i|j), over 2N: a distribution over all pairs.
Matrix joint_affinities(const Matrix& rows, double perplexity) {
  Matrix distances = squared_distances(rows);
  const std::int64_t n = rows.rows();
  const std::vector<float> conditional =
      tsne_affinities(Tensor::wrap(distances.data(), {n, n}, simclr::DType::f32), perplexity);
  const Eigen::Map<const Matrix> p(conditional.data(), n, n);
  return (p + p.transpose()) / static_cast<float>(2 * n);
}

/// The descent's state: one array a coordinate, so that sums over j run along memory.
struct Layout {
  Row at[2];
  Row speed[2];
  Row gain[2];
  Row gradient[2];
};

/// 4 sum_j (exaggeration p_ij - w_ij / Z) w_ij (y_i - y_j) with w_ij = 1 / (1 + |y_i - y_j|^2), Z the sum of all w.
void compute_gradient(const Matrix& p, float exaggeration, Layout& layout) {
  const std::int64_t n = p.rows();
  Row repulsion[2] = {Row(n), Row(n)}, weight_sums(n);
  parallel_for(n, 16, [&](std::int64_t begin, std::int64_t end) {
    Row d[2] = {Row(n), Row(n)}, w(n), pull(n);
    for (std::int64_t i = begin; i < end; ++i) {
      for (int k = 0; k < 2; ++k) d[k] = layout.at[k][i] - layout.at[k];
      w = (1 + d[0].square() + d[1].square()).inverse();
      weight_sums[i] = w.sum() - 1;  // without itself
      pull = p.row(i).array().transpose() * w;
      w = w.square();
      for (int k = 0; k < 2; ++k) {
        layout.gradient[k][i] = exaggeration * (pull * d[k]).sum();
        repulsion[k][i] = (w * d[k]).sum();
      }
    }
  });
  const auto z = static_cast<float>(std::max(weight_sums.cast<double>().sum(), 1e-30));
  for (int k = 0; k < 2; ++k) layout.gradient[k] = 4 * (layout.gradient[k] - repulsion[k] / z);
}

/// Gradient descent with momentum and a gain a coordinate, which grows while the gradient keeps its sign.
void move(Layout& layout, float rate, float momentum) {
  for (int k = 0; k < 2; ++k) {
    Row& gain = layout.gain[k];
    gain = ((layout.gradient[k] > 0) == (layout.speed[k] > 0)).select(gain * 0.8f, gain + 0.2f).max(0.01f);
    layout.speed[k] = momentum * layout.speed[k] - rate * gain * layout.gradient[k];
    layout.at[k] += layout.speed[k];
    layout.at[k] -= layout.at[k].mean();
  }
}

}  // namespace

PcaMap pca_map(const Tensor& values) {
  Matrix rows = unit_rows(values);
  rows.rowwise() -= Eigen::RowVectorXf(rows.colwise().mean());
  const double total = rows.cast<double>().squaredNorm();
  // Subspace iteration: the two largest directions need few rounds where six more are carried along.
  const std::int64_t carried = std::min<std::int64_t>({8, rows.rows(), rows.cols()});
  const simclr::Random random(0, simclr::RandomPurpose::user);
  Matrix basis(rows.cols(), carried);
  for (std::int64_t i = 0; i < basis.size(); ++i) {
    basis.data()[i] = random.uniform(static_cast<std::uint32_t>(i)) - 0.5f;
  }
  for (int round = 0; round < 30; ++round) {
    const Matrix turned = rows.transpose() * (rows * basis);
    basis = Eigen::HouseholderQR<Matrix>(turned).householderQ() * Matrix::Identity(rows.cols(), carried);
  }
  const Matrix coordinates = rows * basis;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
      (coordinates.transpose() * coordinates).eval().cast<double>());
  PcaMap map{std::vector<Point>(static_cast<std::size_t>(rows.rows())), {0, 0}};
  for (std::int64_t k = 0; k < std::min<std::int64_t>(2, carried); ++k) {  // eigenvalues come in rising order
    Eigen::VectorXf along = coordinates * solver.eigenvectors().col(carried - 1 - k).cast<float>();
    Eigen::Index largest = 0;
    along.cwiseAbs().maxCoeff(&largest);
    if (along[largest] < 0) along = -along;  // the sign of a component is arbitrary
    for (std::size_t i = 0; i < map.points.size(); ++i) map.points[i][k] = along[static_cast<Eigen::Index>(i)];
    if (total > 0) map.variance_shares[k] = std::max(0.0, solver.eigenvalues()[carried - 1 - k] / total);
  }
  return map;
}

std::vector<float> tsne_affinities(const Tensor& squared_distances, double perplexity) {
  const std::int64_t n = squared_distances.dim(0);
  SIMCLR_CHECK(n >= 3 && perplexity > 1 && perplexity < static_cast<double>(n), "t-SNE: perplexity ", perplexity,
               " for ", n, " points; it must lie between 1 and their number");
  std::vector<float> affinities(static_cast<std::size_t>(n * n));
  const float* distances = squared_distances.data<const float>();
  parallel_for(n, 16, [&](std::int64_t begin, std::int64_t end) {
    Row row(n), weights(n);
    for (std::int64_t i = begin; i < end; ++i) {
      row = Eigen::Map<const Row>(distances + i * n, n);
      fit_row(row, i, std::log(perplexity), weights);
      std::copy_n(weights.data(), n, affinities.data() + i * n);
    }
  });
  return affinities;
}

std::vector<Point> tsne_map(const Tensor& values, const TsneOptions& options) {
  const Matrix rows = unit_rows(values);
  const std::int64_t n = rows.rows();
  std::vector<Point> points = pca_map(values).points;
  const double perplexity = std::min(options.perplexity, static_cast<double>(n - 1) / 3);
  if (perplexity <= 1) return points;  // too few points to have neighbours
  const Matrix p = joint_affinities(rows, perplexity);

  double spread = 0;
  for (const Point& point : points) spread += double{point[0]} * point[0] / static_cast<double>(n);
  const double scale = spread > 0 ? 1e-4 / std::sqrt(spread) : 0;
  const simclr::Random random(options.seed, simclr::RandomPurpose::user);
  Layout layout;
  for (int k = 0; k < 2; ++k) {
    layout.at[k].resize(n);
    for (std::int64_t i = 0; i < n; ++i) {
      const float noise = random.uniform(static_cast<std::uint32_t>(2 * i + k)) - 0.5f;
      layout.at[k][i] = static_cast<float>(scale * points[static_cast<std::size_t>(i)][k]) + 1e-6f * noise;
    }
    layout.speed[k] = layout.gradient[k] = Row::Zero(n);
    layout.gain[k] = Row::Ones(n);
  }
  // Belkina et al. (Nature Communications 10:5415, 2019): a rate of N over the exaggeration.
  constexpr float exaggeration = 12;
  const float rate = std::max(static_cast<float>(n) / exaggeration / 4, 50.0f);
  for (int i = 0; i < options.iterations; ++i) {
    const bool early = i < options.iterations / 3;
    compute_gradient(p, early ? exaggeration : 1, layout);
    move(layout, rate, early ? 0.5f : 0.8f);
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (int k = 0; k < 2; ++k) points[i][k] = layout.at[k][static_cast<Eigen::Index>(i)];
  }
  return points;
}
