#include "support/device.h"

#include <simclr/kernels/softmax_xent.h>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::both;
using test::random_both;

namespace {

// The arithmetic is f64: one rounding to f32, at most 2^-24, or to bf16, at most 2^-8, squared 1.53e-5.
constexpr double f32_limit = 1.2e-7, bf16_limit = 1.6e-5;

Tensor labels_of(std::int64_t rows, std::int64_t classes) {
  return test::classes_of(rows, classes, 3, 7);
}

void check_case(const Both& x, const Tensor& labels) {
  const DType dtype = x.on_device.dtype();
  CAPTURE(dtype, to_string(x.exact.shape()));
  const Tensor there = labels.to(test::device());
  const auto got = softmax_xent_forward(x.on_device, there), exact = softmax_xent_forward(x.exact, labels);
  CHECK(got.loss.dtype() == DType::f32);
  CHECK(got.loss.item() == Approx(exact.loss.item()).epsilon(f32_limit).margin(1e-14));
  CHECK(agrees(got.log_sum, exact.log_sum, 1e-14));
  const Both dloss = both(Tensor::full({}, 2.5), DType::f32);
  const Tensor dx = softmax_xent_backward(x.on_device, there, got.log_sum, dloss.on_device);
  const Tensor expected = softmax_xent_backward(x.exact, labels, exact.log_sum, dloss.exact);
  // With one class nothing is left but the last bit of log_sum.
  if (x.exact.dim(1) > 1) CHECK(agrees(dx, expected, f32_limit, bf16_limit));
}

}  // namespace

DEVICE_TEST_CASE("softmax cross-entropy and its gradient agree with double") {
  for (const DType dtype : test::device_dtypes) {
    for (const double range : {1.0, 30.0}) {
      for (const std::int64_t rows : {1, 31, 32, 33, 127, 129}) {
        for (const std::int64_t classes : {1, 2, 10, 33, 129}) {
          check_case(random_both({rows, classes}, 1, dtype, -range, range), labels_of(rows, classes));
        }
      }
      check_case(random_both({1003, 10}, 1, dtype, -range, range), labels_of(1003, 10));
      for (const std::int64_t classes : {31, 32, 127, 511, 512, 1003}) {
        check_case(random_both({3, classes}, 1, dtype, -range, range), labels_of(3, classes));
      }
    }
  }
}

DEVICE_TEST_CASE("large logits neither overflow nor lose the sure prediction's gradient") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t classes : {3, 600}) {  // a warp and a block
      std::vector<double> row(static_cast<std::size_t>(classes), -1e4);
      row[0] = 9984;  // bf16 has both values exactly
      row[1] = 9984 - 64;
      row[2] = 9984 - 1e6;
      const Both x = both(Tensor::from(row, {1, classes}), dtype);
      check_case(x, Tensor::from(std::vector<std::int32_t>{0}, {1}));
      check_case(x, Tensor::from(std::vector<std::int32_t>{2}, {1}));
    }
    for (std::size_t at = 5; at < 600; at += 32) {  // in each warp once
      std::vector<double> row(600, 0.0);
      row[at] = 9984;
      check_case(both(Tensor::from(row, {1, 600}), dtype), labels_of(1, 600));
    }
    // One class: nothing to decide.
    const Tensor single = Tensor::full({2, 1}, 7.0, dtype, test::device());
    const Tensor zero = labels_of(2, 1).to(test::device());
    const auto sure = softmax_xent_forward(single, zero);
    CHECK(sure.loss.item() == 0);
    const Tensor dx =
        softmax_xent_backward(single, zero, sure.log_sum, Tensor::full({}, 1.0, DType::f32, test::device()));
    CHECK(dx.to_vector<double>() == std::vector<double>{0, 0});
  }
}

DEVICE_TEST_CASE("a sure prediction keeps a gradient that p - 1 would lose") {
  for (const double gap : {20.0, 40.0}) {  // at 20, log_sum's last bit is 2e-6 of the gradient
    const Both x = both(Tensor::from(std::vector<double>{gap, 0}, {1, 2}), DType::f32);
    const Tensor labels = Tensor::from(std::vector<std::int32_t>{0}, {1}), there = labels.to(test::device());
    const auto forward = softmax_xent_forward(x.on_device, there);
    const Tensor dx =
        softmax_xent_backward(x.on_device, there, forward.log_sum, Tensor::full({}, 1.0, DType::f32, test::device()));
    const auto exact = softmax_xent_forward(x.exact, labels);
    const Tensor expected = softmax_xent_backward(x.exact, labels, exact.log_sum, Tensor::full({}, 1.0, DType::f64));
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(dx.to_vector<double>()[k] == Approx(expected.to_vector<double>()[k]).epsilon(4e-6).margin(1e-30));
    }
  }
}

DEVICE_TEST_CASE("a NaN logit or a label that does not fit gives a NaN loss, and NaN in its row alone") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t classes : {4, 700}) {
      const Tensor one = Tensor::full({}, 1.0, DType::f32, test::device());
      const auto check = [&](const Tensor& x, std::vector<std::int32_t> labels) {
        const Tensor there = Tensor::from(labels, {3}).to(test::device());
        const auto got = softmax_xent_forward(x.to(dtype).to(test::device()), there);
        CHECK(std::isnan(got.loss.item()));
        const auto dx =
            softmax_xent_backward(x.to(dtype).to(test::device()), there, got.log_sum, one).to_vector<double>();
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < dx.size(); ++i)
          wrong += std::isnan(dx[i]) != (i / static_cast<std::size_t>(classes) == 1);
        CHECK(wrong == 0);
      };
      const Tensor x = test::random_tensor({3, classes}, 1);
      for (const int label : {-1, static_cast<int>(classes), 1 << 30, -(1 << 30)}) check(x, {0, label, 1});
      for (const std::int64_t at : {0, 2}) {
        Tensor bad = x.clone();
        bad.data<double>()[classes + at] = NAN;
        check(bad, {0, 1, 1});
      }
    }
  }
}

DEVICE_TEST_CASE("softmax cross-entropy wants f32 or bf16, and f32 gradients of the loss") {
  using Catch::Contains;
  const Tensor x = Tensor::zeros({3, 4}, DType::bf16, test::device()), labels = labels_of(3, 4).to(test::device());
  CHECK_THROWS_WITH(softmax_xent_forward(x.to(DType::f64), labels), Contains("wants f32 or bf16"));
  CHECK_THROWS_WITH(softmax_xent_forward(x, labels_of(3, 4)), Contains("labels must be i32 [3] on"));
  const auto forward = softmax_xent_forward(x, labels);
  CHECK_THROWS_WITH(softmax_xent_backward(x, labels, forward.log_sum, Tensor::zeros({}, DType::bf16, test::device())),
                    Contains("of bf16 activations are f32"));
  CHECK_THROWS_WITH(softmax_xent_backward(x, labels, forward.log_sum.to(Device{}), forward.loss),
                    Contains("log_sum must be the forward pass's f64 [3]"));
}
