// What is composed of single functions, on the device: the loss of docs/your-own-loss.md in short.
#include "support/device.h"

#include <simclr/core/graph.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using test::agrees;
using test::Both;
using test::random_both;

namespace {

Tensor standardize(const Tensor& z) {
  const Tensor centred = nn::subtract(z, nn::mean(z, 0));
  const Tensor variance = nn::mean(nn::multiply(centred, centred), 0);
  const Tensor eps = Tensor::full(variance.shape(), 1e-5, variance.dtype(), variance.device());
  return nn::divide(centred, nn::sqrt(nn::add(variance, eps)));
}

/// The sum of what two views' columns have in common, beyond the diagonal too.
Tensor loss_of(const Tensor& a, const Tensor& b) {
  const Tensor c = nn::matmul(nn::transpose(standardize(a)), standardize(b));
  return nn::subtract(nn::sum(nn::multiply(c, c)), nn::sum(nn::diagonal(c)));
}

}  // namespace

DEVICE_TEST_CASE("a loss of single functions agrees with double on the device, with its gradients") {
  for (const DType dtype : test::device_dtypes) {
    for (const Shape& shape : {Shape{31, 7}, {33, 32}, {127, 3}, {5, 33}}) {
      CAPTURE(dtype, to_string(shape));
      Both a = random_both(shape, 1, dtype), b = random_both(shape, 2, dtype);
      for (Tensor* leaf : {&a.on_device, &a.exact, &b.on_device, &b.exact}) leaf->set_requires_grad();
      const Tensor loss = loss_of(a.on_device, b.on_device), exact = loss_of(a.exact, b.exact);
      loss.backward();
      exact.backward();
      CHECK(loss.dtype() == DType::f32);
      CHECK(loss.item() == Approx(exact.item()).epsilon(dtype == DType::f32 ? 1e-5 : 2e-2));
      // Each of some ten steps rounds to bf16, an NMSE of 1.5e-5 at most each.
      CHECK(agrees(a.on_device.grad(), a.exact.grad(), 1e-5, 5e-4));
      CHECK(agrees(b.on_device.grad(), b.exact.grad(), 1e-5, 5e-4));
    }
  }
}

DEVICE_TEST_CASE("a loss of single functions can be captured, and so can all functions of values") {
  for (const DType dtype : test::device_dtypes) {
    CAPTURE(dtype);
    Tensor x = random_both({33, 32}, 1, dtype, 0.25, 2.0).on_device;
    const Tensor other = random_both({33, 32}, 2, dtype).on_device;
    x.set_requires_grad();
    const auto step = [&] {
      x.zero_grad();
      const Tensor rows = nn::softmax(nn::log(nn::sqrt(nn::exp(nn::tanh(nn::sigmoid(nn::reciprocal(x)))))));
      nn::add(loss_of(x, other), nn::sum(nn::mean(nn::multiply(rows, other), 1))).backward();
    };
    step();
    const Tensor first = x.grad().to(Device{}).clone();
    CapturedStep captured(test::device(), step);
    captured.replay();
    CHECK(test::same_bits(x.grad().to(Device{}), first));
    x.copy_from(random_both({33, 32}, 3, dtype, 0.25, 2.0).on_device);
    captured.replay();
    CHECK_FALSE(test::same_bits(x.grad().to(Device{}), first));
  }
}
