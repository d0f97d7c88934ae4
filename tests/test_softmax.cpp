// Softmax against a loop in double, its gradient against central differences.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/softmax.h>
#include <simclr/nn/functional.h>
#include <simclr/nn/losses.h>

using namespace simclr;
using test::random_tensor;
using test::relative_error;
using test::same_bits;
using Values = std::vector<double>;

namespace {

/// y, and from it dx of dy.
struct Reference {
  Values y, dx;

  Reference(const Tensor& x, const Tensor& dy) : y(x.to_vector<double>()), dx(dy.to_vector<double>()) {
    const auto width = static_cast<std::size_t>(x.dim(-1));
    for (std::size_t first = 0; first < y.size(); first += width) {
      long double sum = 0, dot = 0;
      for (std::size_t i = first; i < first + width; ++i) sum += y[i] = std::exp(y[i]);
      for (std::size_t i = first; i < first + width; ++i) dot += (y[i] = static_cast<double>(y[i] / sum)) * dx[i];
      for (std::size_t i = first; i < first + width; ++i) dx[i] = static_cast<double>(y[i] * (dx[i] - dot));
    }
  }
};

}  // namespace

TEST_CASE("softmax agrees with a loop in double, forward and backward") {
  const auto check = [](std::int64_t rows, std::int64_t width, DType dtype) {
    CAPTURE(dtype, rows, width);
    // A few roundings against the largest probability, x - m's the largest of them; with one column the gradient is
    // nothing but them.
    const double limit = dtype == DType::f64 ? 4e-15 : 1e-6;
    const Tensor x = random_tensor({rows, width}, 1, dtype, -6.0, 6.0), dy = random_tensor({rows, width}, 2, dtype);
    const Reference exact(x, dy);
    const Tensor y = kernels::softmax_forward(x);
    CHECK(relative_error(y, Tensor::from(exact.y, x.shape())) < limit);
    if (width > 1) {
      CHECK(relative_error(kernels::softmax_backward(dy, y), Tensor::from(exact.dx, x.shape())) < limit);
    }
  };
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const std::int64_t size : test::edge_sizes) {
      for (const std::int64_t rows : {1, 5, 33}) check(rows, size, dtype);
      check(size, 10, dtype);
    }
    check(1003, 129, dtype);
  }
}

TEST_CASE("softmax's gradient agrees with central differences") {
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(to_string(shape));
    CHECK(test::gradient_error([](const auto& in) { return nn::softmax(in[0]); },
                               {random_tensor(shape, 3, DType::f64, -3.0, 3.0)}) < 1e-7);
  }
  CHECK(test::gradient_error([](const auto& in) { return nn::softmax(in[0]); }, {random_tensor({7}, 3)}) < 1e-7);
}

TEST_CASE("minus the logarithm of a softmax is the cross-entropy") {
  const Tensor x = random_tensor({5, 7}, 4), labels = test::classes_of(5, 7, 2, 3);
  const Values p = nn::log(nn::softmax(x)).to_vector<double>();
  double loss = 0;
  for (std::size_t row = 0; row < 5; ++row) {
    loss -= p[row * 7 + static_cast<std::size_t>(labels.data<std::int32_t>()[row])] / 5;
  }
  CHECK(nn::cross_entropy(x, labels).item() == Approx(loss).epsilon(1e-14));
}

TEST_CASE("softmax neither overflows nor hides faults") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto of = [&](const Values& row) {
      return kernels::softmax_forward(Tensor::from(row, {static_cast<std::int64_t>(row.size())}).to(dtype))
          .to_vector<double>();
    };
    CHECK(of({3e38, 3e38}) == Values{0.5, 0.5});
    CHECK(of({-3e38, 0, -INFINITY}) == Values{0, 1, 0});
    for (const Values& bad : {Values{1, NAN, 2}, Values{1, INFINITY, 2}, Values{-INFINITY, -INFINITY}}) {
      for (const double value : of(bad)) CHECK(std::isnan(value));
    }
  }
  CHECK(kernels::softmax_forward(Tensor::zeros({0, 3})).shape() == Shape{0, 3});
  CHECK(kernels::softmax_forward(Tensor::zeros({3, 0})).shape() == Shape{3, 0});
}

TEST_CASE("softmax gives the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_tensor({1003, 133}, 5, DType::f32, -6.0, 6.0), dy = random_tensor({1003, 133}, 6, DType::f32);
  set_threads(1);
  const Tensor y = kernels::softmax_forward(x), dx = kernels::softmax_backward(dy, y);
  set_threads(5);
  CHECK(same_bits(kernels::softmax_forward(x), y));
  CHECK(same_bits(kernels::softmax_backward(dy, y), dx));
  set_threads(before);
}

TEST_CASE("softmax refuses scalars, integers and shapes that differ") {
  CHECK_THROWS_AS(kernels::softmax_forward(Tensor::zeros({})), Error);
  CHECK_THROWS_AS(kernels::softmax_forward(Tensor::zeros({2}, DType::i32)), Error);
  CHECK_THROWS_AS(kernels::softmax_backward(Tensor::zeros({2}), Tensor::zeros({3})), Error);
}
