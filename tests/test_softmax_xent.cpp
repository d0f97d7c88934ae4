// Softmax cross-entropy against plain loops in double.
#include <simclr/kernels/softmax_xent.h>

#include "support/catch.h"
#include "support/tensors.h"

#include <limits>

using namespace simclr;
using test::random_tensor;
using test::relative_error;

namespace {

Tensor labels_of(std::int64_t rows, std::int64_t classes) {
  return test::classes_of(rows, classes, 3, 7);
}

struct Reference {
  double loss = 0;
  Tensor dx;
};

Reference reference(const Tensor& x, const Tensor& labels, double dloss) {
  const std::int64_t rows = x.dim(0), classes = x.dim(1);
  const auto values = x.to_vector<double>();
  std::vector<double> dx(values.size());
  double total = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    const double* row = values.data() + i * classes;
    const std::int64_t label = labels.data<std::int32_t>()[i];
    double sum = 0, others = 0;  // of e^{x_k - x_label}
    for (std::int64_t k = 0; k < classes; ++k) {
      sum += std::exp(row[k] - row[label]);
      if (k != label) others += std::exp(row[k] - row[label]);
    }
    total += std::log1p(others);
    for (std::int64_t k = 0; k < classes; ++k) {
      const double weight = k == label ? -others / sum : std::exp(row[k] - row[label]) / sum;
      dx[i * classes + k] = weight * dloss / static_cast<double>(rows);
    }
  }
  return {total / static_cast<double>(rows), Tensor::from(dx, x.shape())};
}

}  // namespace

TEST_CASE("softmax cross-entropy and its gradient agree with loops") {
  for (const std::int64_t rows : test::edge_sizes) {
    for (const std::int64_t classes : {1, 2, 10, 129}) {
      for (const double range : {1.0, 30.0}) {
        for (const DType dtype : {DType::f32, DType::f64}) {
          // the arithmetic is double; f32 rounds once, at the end
          const double tolerance = dtype == DType::f32 ? 1e-7 : 1e-13;
          const Tensor x = random_tensor({rows, classes}, 1, dtype, -range, range), labels = labels_of(rows, classes);
          const Reference expected = reference(x, labels, 2.5);
          const auto result = kernels::softmax_xent_forward(x, labels);
          INFO("N " << rows << " K " << classes << " range " << range << " " << name(dtype));
          CHECK(result.loss.to(DType::f64).item() == Approx(expected.loss).epsilon(tolerance).margin(1e-14));
          const Tensor dx = kernels::softmax_xent_backward(x, labels, result.log_sum, Tensor::full({}, 2.5, dtype));
          if (classes > 1) CHECK(relative_error(dx, expected.dx) < tolerance);
        }
      }
    }
  }
}

TEST_CASE("large logits neither overflow nor lose the sure prediction's gradient") {
  const Tensor x = Tensor::from(std::vector<float>{1e4f, 1e4f - 40.f, -1e4f}, {1, 3});
  const Tensor labels = Tensor::from(std::vector<std::int32_t>{0}, {1});
  const auto result = kernels::softmax_xent_forward(x, labels);
  CHECK(result.loss.to(DType::f64).item() == Approx(0).margin(1e-11));
  const Tensor far = Tensor::from(std::vector<std::int32_t>{2}, {1});
  CHECK(kernels::softmax_xent_forward(x, far).loss.to(DType::f64).item() == Approx(2e4));
  // one class: nothing to decide
  const Tensor single = Tensor::full({2, 1}, 7.0);
  const Tensor zero = labels_of(2, 1);
  const auto sure = kernels::softmax_xent_forward(single, zero);
  CHECK(sure.loss.to(DType::f64).item() == 0);
  const Tensor dx = kernels::softmax_xent_backward(single, zero, sure.log_sum, Tensor::full({}, 1.0));
  CHECK(dx.to_vector<double>() == std::vector<double>{0, 0});
}

TEST_CASE("a NaN logit gives a NaN loss") {
  Tensor x = random_tensor({3, 4}, 1);
  x.data<double>()[5] = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(kernels::softmax_xent_forward(x, labels_of(3, 4)).loss.item()));
}

TEST_CASE("softmax cross-entropy refuses labels that do not fit") {
  using Catch::Contains;
  const Tensor x = random_tensor({3, 4}, 1);
  const auto with = [](std::vector<std::int32_t> labels) {
    return Tensor::from(labels, {static_cast<std::int64_t>(labels.size())});
  };
  CHECK_THROWS_WITH(kernels::softmax_xent_forward(x, with({0, 4, 1})), Contains("label 4 in row 1"));
  CHECK_THROWS_WITH(kernels::softmax_xent_forward(x, with({0, 3, -1})), Contains("label -1 in row 2"));
  CHECK_THROWS_WITH(kernels::softmax_xent_forward(x, with({0, 1})), Contains("i32 [3]"));
  CHECK_THROWS_WITH(kernels::softmax_xent_forward(x, Tensor::zeros({3})), Contains("i32 [3]"));
  CHECK_THROWS_WITH(kernels::softmax_xent_forward(Tensor::zeros({0, 4}), with({})), Contains("empty"));
}
