#include "train/embedding_map.h"

#include <simclr/core/parallel.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <cmath>

using simclr::Shape;
using simclr::Tensor;
using simclr::test::message_of;
using simclr::test::random_tensor;

namespace {

/// `count` rows around each of `clusters` directions, cluster by cluster: [clusters * count, dimensions].
Tensor clustered(std::int64_t clusters, std::int64_t count, std::int64_t dimensions, double noise) {
  const auto centres = random_tensor({clusters, dimensions}, 1).to_vector<float>();
  auto values = random_tensor({clusters * count, dimensions}, 2, simclr::DType::f32, -noise, noise).to_vector<float>();
  for (std::int64_t i = 0; i < clusters * count; ++i) {
    for (std::int64_t d = 0; d < dimensions; ++d) values[i * dimensions + d] += centres[i / count * dimensions + d];
  }
  return Tensor::from(values, {clusters * count, dimensions});
}

double distance(const Point& a, const Point& b) {
  return std::hypot(double{a[0]} - b[0], double{a[1]} - b[1]);
}

/// The share of points whose nearest other point is of their own cluster.
double purity(const std::vector<Point>& points, std::size_t count) {
  double pure = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::size_t nearest = i == 0 ? 1 : 0;
    for (std::size_t j = 0; j < points.size(); ++j) {
      if (j != i && distance(points[i], points[j]) < distance(points[i], points[nearest])) nearest = j;
    }
    pure += nearest / count == i / count;
  }
  return pure / static_cast<double>(points.size());
}

/// The largest distance within a cluster over the smallest between two: under 1, they are islands.
double overlap(const std::vector<Point>& points, std::size_t count) {
  double within = 0, between = INFINITY;
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double d = distance(points[i], points[j]);
      if (i / count == j / count)
        within = std::max(within, d);
      else
        between = std::min(between, d);
    }
  }
  return within / between;
}

}  // namespace

TEST_CASE("affinities have the perplexity that is asked for") {
  constexpr std::int64_t n = 90;
  // Spread widely, and so far away that only their small differences tell neighbours apart.
  const auto [low, high] = GENERATE(std::pair(0.0, 4.0), std::pair(4.0, 4.01));
  CAPTURE(low, high);
  auto distances = random_tensor({n, n}, 3, simclr::DType::f32, low, high);
  for (std::int64_t i = 0; i < n; ++i) distances.data<float>()[i * n + i] = 0;
  const double perplexity = GENERATE(2.0, 5.0, 30.0);
  CAPTURE(perplexity);
  const auto p = tsne_affinities(distances, perplexity);
  for (std::int64_t i = 0; i < n; ++i) {
    double sum = 0, entropy = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      const double share = p[static_cast<std::size_t>(i * n + j)];
      sum += share;
      if (share > 0) entropy -= share * std::log(share);
    }
    REQUIRE(p[static_cast<std::size_t>(i * n + i)] == 0);
    REQUIRE(sum == Approx(1).epsilon(1e-4));
    REQUIRE(std::exp(entropy) == Approx(perplexity).epsilon(1e-3));
  }
}

TEST_CASE("affinities of equal distances are equal, however large the distances are") {
  const double distance = GENERATE(0.0, 1e-12, 4.0, 1e8);
  const auto p = tsne_affinities(Tensor::full({6, 6}, distance), 2);
  for (std::size_t i = 0; i < 36; ++i) CHECK(p[i] == Approx(i % 7 == 0 ? 0 : 0.2));
}

TEST_CASE("t-SNE makes islands of well separated clusters") {
  const Tensor values = clustered(5, 40, 16, 0.3);
  const auto points = tsne_map(values);
  REQUIRE(points.size() == 200);
  CHECK(purity(points, 40) == 1);
  CHECK(overlap(points, 40) < 1);
}

TEST_CASE("t-SNE shows clusters that PCA lays over each other") {
  const Tensor values = clustered(8, 25, 32, 0.5);
  CHECK(purity(pca_map(values).points, 25) < 0.9);
  CHECK(purity(tsne_map(values), 25) == 1);
}

TEST_CASE("the maps are the same bits again, with any number of threads") {
  const Tensor values = clustered(3, 31, 10, 0.5);
  const int before = simclr::threads();
  simclr::set_threads(1);
  const auto one = tsne_map(values, {.iterations = 120});
  const auto pca_one = pca_map(values).points;
  simclr::set_threads(3);
  CHECK(tsne_map(values, {.iterations = 120}) == one);
  CHECK(pca_map(values).points == pca_one);
  simclr::set_threads(before);
  CHECK(tsne_map(values, {.iterations = 120, .seed = 1}) != one);
}

TEST_CASE("PCA finds the directions of the largest variance") {
  // An ellipse on the unit sphere around e0, its axes e1 and e2: the map shows just these two.
  constexpr std::size_t n = 200, dimensions = 40;
  std::vector<float> values(n * dimensions);
  for (std::size_t i = 0; i < n; ++i) {
    const double angle = 2 * M_PI * static_cast<double>(i) / n, y = 0.2 * std::cos(angle), z = 0.1 * std::sin(angle);
    float* row = &values[i * dimensions];
    const float length = static_cast<float>(i + 1);  // which normalisation takes away
    row[0] = length * static_cast<float>(std::sqrt(1 - y * y - z * z));
    row[1] = length * static_cast<float>(y);
    row[2] = length * static_cast<float>(z);
  }
  const PcaMap map = pca_map(Tensor::from(values, {n, dimensions}));
  const double sign = map.points[n / 4][1];  // of a component, which is arbitrary
  for (std::size_t i = 0; i < n; ++i) {
    const double angle = 2 * M_PI * static_cast<double>(i) / n;
    REQUIRE(std::abs(map.points[i][0]) == Approx(std::abs(0.2 * std::cos(angle))).margin(1e-4));
    REQUIRE(map.points[i][1] == Approx(std::copysign(0.1, sign) * std::sin(angle)).margin(1e-4));
  }
  CHECK(map.variance_shares[0] == Approx(0.8).margin(0.001));
  CHECK(map.variance_shares[1] == Approx(0.2).margin(0.001));
}

TEST_CASE("maps of few, equal and one-dimensional rows are finite") {
  const auto finite = [](const std::vector<Point>& points) {
    for (const Point& p : points) {
      if (!std::isfinite(p[0]) || !std::isfinite(p[1])) return false;
    }
    return true;
  };
  for (const Shape& shape : {Shape{2, 3}, Shape{3, 1}, Shape{4, 1}, Shape{5, 2}, Shape{40, 1}}) {
    CAPTURE(shape.numel());
    for (const Tensor& values :
         {random_tensor(shape, 5, simclr::DType::f32), Tensor::zeros(shape), Tensor::full(shape, 1e30)}) {
      const PcaMap pca = pca_map(values);
      CHECK(finite(pca.points));
      CHECK((pca.variance_shares[0] >= 0 && pca.variance_shares[0] <= 1.0001));
      const auto points = tsne_map(values);
      CHECK(points.size() == static_cast<std::size_t>(shape[0]));
      CHECK(finite(points));
    }
  }
}

TEST_CASE("a map says what it cannot be made of") {
  CHECK(message_of([] { pca_map(Tensor::full({3, 2}, NAN)); }) == "embedding map: the features hold NaN or Inf");
  CHECK(message_of([] {
          tsne_map(Tensor::zeros({1, 2}));
        }).find("N at least 2, got f32 [1,2] on cpu") != std::string::npos);
  CHECK(message_of([] {
          tsne_affinities(Tensor::zeros({4, 4}), 4);
        }) == "t-SNE: perplexity 4 for 4 points; it must lie between 1 and their number");
}
