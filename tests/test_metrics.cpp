#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/nn/evaluate.h>

#include <limits>

using namespace simclr;
using Catch::Matchers::Contains;

namespace {

Tensor matrix(const std::vector<std::vector<float>>& rows) {
  std::vector<float> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  const auto n = static_cast<std::int64_t>(rows.size());
  return Tensor::from(values, {n, static_cast<std::int64_t>(values.size()) / n});
}

}  // namespace

TEST_CASE("metrics of a small case worked out by hand") {
  // Predictions 0 0 1 1 2 0 for truth 0 0 0 1 1 2.
  const Tensor scores = matrix({{3, 1, 0}, {5, 0, 4}, {1, 2, 0}, {0, 9, 1}, {0, 1, 2}, {7, 0, 6}});
  const nn::Metrics m = nn::compute_metrics(scores, {0, 0, 0, 1, 1, 2});
  CHECK(m.count == 6);
  CHECK(m.classes == 3);
  CHECK(m.confusion == std::vector<std::int64_t>{2, 1, 0, 0, 1, 1, 1, 0, 0});
  CHECK(m.top1 == 3.0 / 6);
  CHECK(m.top5 == 1.0);  // three classes: always among the first three
  CHECK(m.precision == std::vector<double>{2.0 / 3, 1.0 / 2, 0.0});
  CHECK(m.recall == std::vector<double>{2.0 / 3, 1.0 / 2, 0.0});
  CHECK(m.f1 == std::vector<double>{4.0 / 6, 2.0 / 4, 0.0});
  CHECK(m.macro_precision == Approx((2.0 / 3 + 0.5) / 3).epsilon(1e-15));
  CHECK(m.macro_recall == Approx((2.0 / 3 + 0.5) / 3).epsilon(1e-15));
  CHECK(m.macro_f1 == Approx((2.0 / 3 + 0.5) / 3).epsilon(1e-15));
}

TEST_CASE("precision, recall and F1 differ where a class is predicted too often") {
  // Truth 0 0 0 1, predictions 0 1 1 1: class 1 has precision 1/3, recall 1, F1 1/2.
  const nn::Metrics m = nn::compute_metrics(matrix({{1, 0}, {0, 1}, {0, 1}, {0, 1}}), {0, 0, 0, 1});
  CHECK(m.precision == std::vector<double>{1.0, 1.0 / 3});
  CHECK(m.recall == std::vector<double>{1.0 / 3, 1.0});
  CHECK(m.f1 == std::vector<double>{0.5, 0.5});
  CHECK(m.macro_precision == Approx(2.0 / 3));
  CHECK(m.macro_recall == Approx(2.0 / 3));
  CHECK(m.macro_f1 == 0.5);
}

TEST_CASE("classes that never occur stay out of the macro means; never predicted ones have precision 0") {
  // Four classes; truth 0 0 1, predictions 0 3 0: class 2 is nowhere, class 3 only predicted, class 1 never predicted.
  const nn::Metrics m = nn::compute_metrics(matrix({{9, 0, 0, 0}, {0, 0, 0, 9}, {9, 0, 0, 0}}), {0, 0, 1});
  CHECK(m.precision == std::vector<double>{0.5, 0, 0, 0});
  CHECK(m.recall == std::vector<double>{0.5, 0, 0, 0});
  CHECK(m.f1 == std::vector<double>{0.5, 0, 0, 0});
  CHECK(m.macro_precision == 0.25);  // over classes 0 and 1
  CHECK(m.macro_recall == 0.25);
  CHECK(m.macro_f1 == 0.25);
}

TEST_CASE("top-5 counts five places and equal scores go to the lower class") {
  const Tensor scores = matrix({{7, 6, 5, 4, 3, 2, 1},    // label 4: fifth
                                {7, 6, 5, 4, 3, 2, 1},    // label 5: sixth
                                {0, 0, 0, 0, 0, 0, 0},    // label 4: fifth among equals
                                {0, 0, 0, 0, 0, 0, 0},    // label 5: sixth among equals
                                {0, 0, 0, 0, 0, 0, 0},    // label 0: first among equals
                                {0, 0, 1, 1, 0, 0, 0}});  // label 3: second, behind 2
  const nn::Metrics m = nn::compute_metrics(scores, {4, 5, 4, 5, 0, 3});
  CHECK(m.top1 == 1.0 / 6);
  CHECK(m.top5 == 4.0 / 6);
  CHECK(m.confusion[3 * 7 + 2] == 1);
  CHECK(m.confusion[0] == 1);
}

TEST_CASE("so many classes that their square is too much have figures and no confusion matrix") {
  for (const std::int64_t classes : {nn::most_confusion_classes, nn::most_confusion_classes + 1}) {
    CAPTURE(classes);
    Tensor scores = Tensor::zeros({3, classes});  // predictions 0, the last, the last for truth 0, 0, the last
    scores.data<float>()[2 * classes - 1] = scores.data<float>()[3 * classes - 1] = 1;
    const auto last = static_cast<std::int32_t>(classes - 1);
    const nn::Metrics m = nn::compute_metrics(scores, {0, 0, last});
    CHECK(m.confusion.empty() == (classes > nn::most_confusion_classes));
    CHECK(m.top1 == 2.0 / 3);
    CHECK(m.precision.back() == 0.5);
    CHECK(m.recall.front() == 0.5);
    CHECK(m.macro_f1 == Approx(2.0 / 3));
    CHECK(m.support.front() == 2);
    CHECK(m.support.back() == 1);
  }
}

TEST_CASE("metrics take f64 scores and infinite ones") {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor scores = Tensor::from(std::vector<double>{-inf, 1.0, 1.0 + 1e-12, 1.0}, {2, 2});
  const nn::Metrics m = nn::compute_metrics(scores, {1, 0});
  CHECK(m.top1 == 1.0);
}

TEST_CASE("metrics refuse what they cannot measure") {
  const Tensor scores = matrix({{1, 0}, {0, 1}});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(nn::compute_metrics(scores, {0}), Contains("1 labels for 2 rows"));
  CHECK_THROWS_WITH(nn::compute_metrics(scores, {0, 2}), Contains("row 1 has label 2, outside 0..1"));
  CHECK_THROWS_WITH(nn::compute_metrics(scores, {-1, 0}), Contains("unlabelled"));
  CHECK_THROWS_WITH(nn::compute_metrics(matrix({{1, nan}}), {0}), Contains("NaN"));
  CHECK_THROWS_WITH(nn::compute_metrics(Tensor::empty({0, 2}), {}), Contains("at least one row"));
  CHECK_THROWS_AS(nn::compute_metrics(Tensor::empty({4}), {0, 0, 0, 0}), Error);
  CHECK_THROWS_AS(nn::compute_metrics(Tensor::zeros({2, 2}, DType::i32), {0, 0}), Error);
}

TEST_CASE("constant features have collapsed, whatever their length") {
  Tensor values = Tensor::empty({300, 33});
  float* x = values.data<float>();
  for (int i = 0; i < 300; ++i) {
    for (int d = 0; d < 33; ++d) x[33 * i + d] = 0.37f * static_cast<float>(d - 7) * static_cast<float>(1 + i % 5);
  }
  const nn::CollapseReport report = nn::check_collapse(values);
  CHECK(report.collapsed);
  CHECK(report.mean_std < 1e-6);
  CHECK(report.effective_rank == 0);
  CHECK_THAT(report.message, Contains("collapsed") && Contains("nearly the same vector"));
  CHECK(nn::check_collapse(Tensor::zeros({10, 4})).collapsed);
}

TEST_CASE("features along one direction have collapsed though they spread") {
  // +-v: rank 1, as far apart as unit vectors can be.
  const Tensor direction = test::random_tensor({40}, 1, DType::f32);
  Tensor values = Tensor::empty({100, 40});
  for (std::int64_t i = 0; i < 100; ++i) {
    for (std::int64_t d = 0; d < 40; ++d) {
      values.data<float>()[40 * i + d] = direction.data<float>()[d] * (i % 2 == 0 ? 1.0f : -2.0f);
    }
  }
  const nn::CollapseReport report = nn::check_collapse(values);
  CHECK(report.collapsed);
  CHECK(report.mean_std > 0.5);
  CHECK(report.effective_rank == Approx(1.0).epsilon(1e-6));
  CHECK_THAT(report.message, Contains("one direction"));
}

/// Rows [N,dimensions] that differ in `rank` directions at random, with noise of this deviation in all of them.
Tensor of_rank(std::int64_t rows, std::int64_t dimensions, std::int64_t rank, float noise) {
  const auto source = test::random_tensor({rows, rank}, 7, DType::f32).to_vector<float>();
  const auto basis = test::random_tensor({rank, dimensions}, 8, DType::f32).to_vector<float>();
  Tensor values = test::random_tensor({rows, dimensions}, 9, DType::f32);
  float* x = values.data<float>();
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t d = 0; d < dimensions; ++d) {
      float& value = x[i * dimensions + d];
      value *= noise;
      for (std::int64_t r = 0; r < rank; ++r) {
        value += source[static_cast<std::size_t>(i * rank + r)] * basis[static_cast<std::size_t>(r * dimensions + d)];
      }
    }
  }
  return values;
}

TEST_CASE("features in few of their dimensions have collapsed") {
  for (const float noise : {0.0f, 0.01f}) {
    const nn::CollapseReport report = nn::check_collapse(of_rank(500, 16, 2, noise));
    INFO(report.message);
    CHECK(report.collapsed);
    CHECK(report.mean_std > 0.5);
    CHECK_THAT(report.message, Contains("collapsed to 2 of 16 dimensions"));
    CHECK_FALSE(nn::check_collapse(of_rank(500, 16, 8, noise)).collapsed);
  }
  CHECK(nn::check_collapse(of_rank(600, 512, 20, 0)).collapsed);
  CHECK_FALSE(nn::check_collapse(of_rank(6, 16, 2, 0)).collapsed);  // six rows say little
}

TEST_CASE("a spectrum that falls steeply is no collapse") {
  // As of an encoder trained on Fashion-MNIST: effective rank 9 of 128, though no dimension is unused.
  Tensor values = test::random_tensor({2000, 128}, 5, DType::f32);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    values.data<float>()[i] *= static_cast<float>(std::pow(1 + static_cast<double>(i % 128), -0.85));
  }
  const nn::CollapseReport report = nn::check_collapse(values);
  INFO(report.message);
  CHECK(report.effective_rank < 12);
  CHECK_FALSE(report.collapsed);
}

TEST_CASE("the effective rank of equal directions is their number") {
  // +-e_d in turn over 8 of 20 dimensions: covariance I/8 on those, so rank 8; each of the 8 deviates by sqrt(1/8).
  Tensor values = Tensor::zeros({160, 20});
  for (std::int64_t i = 0; i < 160; ++i) values.data<float>()[20 * i + i % 8] = i % 16 < 8 ? 3.0f : -3.0f;
  const nn::CollapseReport report = nn::check_collapse(values);
  CHECK_FALSE(report.collapsed);
  CHECK(report.effective_rank == Approx(8.0).epsilon(1e-9));
  CHECK(report.mean_std == Approx(8.0 / 20 * std::sqrt(20.0 / 8)).epsilon(1e-9));
}

TEST_CASE("spread features are healthy, in few dimensions and in more than rows") {
  for (const Shape& shape : {Shape{5000, 64}, Shape{700, 4096}, Shape{30, 129}, Shape{2, 3}}) {
    const nn::CollapseReport report = nn::check_collapse(test::random_tensor(shape, 3, DType::f32));
    INFO(shape << " " << report.message);
    const double directions = static_cast<double>(std::min({shape[0] - 1, shape[1], std::int64_t{511}}));
    CHECK(report.effective_rank > 0.8 * directions);
    CHECK(report.effective_rank <= directions + 1e-6);
    CHECK_FALSE(report.collapsed);  // two rows are one direction, which says nothing of the encoder
    if (shape[0] >= 700) CHECK(report.mean_std == Approx(1.0).margin(0.02));
  }
}

TEST_CASE("NaN and infinite features are reported as collapsed") {
  Tensor values = test::random_tensor({50, 8}, 4, DType::f32);
  values.data<float>()[17] = std::numeric_limits<float>::quiet_NaN();
  values.data<float>()[18] = std::numeric_limits<float>::infinity();
  const nn::CollapseReport report = nn::check_collapse(values);
  CHECK(report.collapsed);
  CHECK_THAT(report.message, Contains("NaN or Inf (2 of 400"));
  CHECK_THROWS_WITH(nn::check_collapse(Tensor::zeros({1, 8})), Contains("two rows"));
  CHECK_THROWS_AS(nn::check_collapse(Tensor::zeros({4, 8}, DType::f64)), Error);
}
