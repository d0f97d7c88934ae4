#include "support/device.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/conv2d.h>

using namespace simclr;
using namespace simclr::kernels;
using test::Both;
using test::random_both;

namespace {

struct Case {
  std::int64_t n, h, w, c, o, k, l;
  PerAxis stride, padding;

  Shape x_shape() const { return {n, h, w, c}; }
  Shape w_shape() const { return {o, k, l, c}; }
  Conv2dGeometry geometry() const { return {stride, padding}; }
  Shape y_shape() const { return conv2d_output_shape(x_shape(), w_shape(), geometry()); }
};

/// ResNet-18's with the CIFAR stem, and ImageNet's stem.
const std::vector<Case> resnet = {
    {2, 32, 32, 3, 64, 3, 3, 1, 1},   {2, 32, 32, 64, 64, 3, 3, 1, 1}, {2, 32, 32, 64, 128, 3, 3, 2, 1},
    {2, 32, 32, 64, 128, 1, 1, 2, 0}, {1, 8, 8, 256, 256, 3, 3, 1, 1}, {2, 4, 4, 256, 512, 1, 1, 2, 0},
    {2, 4, 4, 512, 512, 3, 3, 1, 1},  {1, 64, 64, 3, 64, 7, 7, 2, 3},
};

/// Every size odd, sides that differ, one channel, images smaller than the kernel, padding wider than it.
const std::vector<Case> odd = {
    {1, 1, 1, 1, 1, 1, 1, 1, 0},      {1, 5, 7, 3, 4, 3, 3, 1, 1},      {2, 7, 5, 3, 31, 3, 3, 2, 1},
    {3, 9, 9, 1, 33, 5, 5, 1, 2},     {2, 9, 7, 64, 31, 1, 1, 2, 0},    {2, 10, 6, 31, 33, 3, 3, 3, 1},
    {1, 3, 3, 64, 3, 3, 3, 1, 0},     {1, 15, 4, 3, 2, 5, 5, 3, 3},     {1, 1, 17, 31, 3, 1, 3, 1, 1},
    {2, 13, 1, 3, 33, 5, 1, 2, 2},    {7, 5, 5, 1, 64, 1, 1, 3, 0},     {33, 4, 4, 64, 33, 3, 3, 2, 1},
    {150, 3, 2, 5, 6, 2, 2, 1, 1},    {1, 12, 10, 8, 8, 3, 5, 2, 2},    {32, 2, 3, 127, 129, 1, 1, 1, 0},
    {127, 2, 2, 129, 32, 1, 1, 1, 0}, {129, 3, 2, 32, 127, 3, 3, 1, 1}, {1003, 1, 2, 3, 31, 1, 1, 1, 0},
    {1, 127, 3, 3, 5, 3, 3, 1, 1},    {1, 3, 129, 3, 5, 3, 3, 2, 1},    {1, 2, 1003, 2, 3, 3, 3, 1, 1},
    {1, 2, 1, 1003, 3, 1, 1, 1, 0},   {1, 2, 1, 3, 1003, 1, 1, 1, 0},
};

/// 3 x 1 over time, 1 x K along a sequence, and strides and paddings that differ.
const std::vector<Case> uneven = {
    {2, 5, 12, 16, 24, 3, 1, 1, {1, 0}},      {3, 8, 9, 32, 16, 3, 1, {2, 1}, {1, 0}},
    {4, 1, 21, 40, 32, 1, 5, {1, 2}, {0, 2}}, {2, 7, 9, 3, 4, 3, 3, {1, 2}, {2, 0}},
    {2, 9, 7, 3, 4, 3, 3, {2, 1}, {0, 2}},    {1, 11, 6, 33, 31, 5, 3, {3, 2}, {2, 1}},
    {2, 12, 10, 16, 32, 3, 3, 1, {1, 2}},     {2, 8, 8, 16, 16, 1, 1, {2, 1}, 0},
    {2, 13, 4, 3, 8, 7, 2, {4, 1}, {3, 1}},
};

/// A sum of `terms` products in f32: its rounding grows about like the square root of their number, relative to the
/// largest element. TF32, with 10 bits of mantissa, is 100 times off.
double f32_limit(std::int64_t terms) {
  return 1.2e-7 * (4 + std::sqrt(static_cast<double>(terms)));
}

/// One rounding to bf16 of an f32 sum; dw, which is f32, has been bf16 on its way.
constexpr double bf16_limit = 1.6e-5;

bool close(const Tensor& got, const Tensor& expected, DType dtype, std::int64_t terms) {
  if (dtype == DType::f32) return test::agrees(got, expected, f32_limit(terms));
  INFO("NMSE " << test::nmse(got, expected));
  CHECK(test::nmse(got, expected) <= bf16_limit);
  return got.shape() == expected.shape() && test::nmse(got, expected) <= bf16_limit;
}

void check(const Case& one, DType dtype) {
  CAPTURE(one.x_shape(), one.w_shape(), one.stride, one.padding, dtype);
  const Both x = random_both(one.x_shape(), 1, dtype), w = random_both(one.w_shape(), 2, dtype),
             dy = random_both(one.y_shape(), 3, dtype);
  const Conv2dGeometry geometry = one.geometry();

  const Tensor y = conv2d_forward(x.on_device, w.on_device, geometry);
  CHECK(y.dtype() == dtype);
  CHECK(close(y, conv2d_forward(x.exact, w.exact, geometry), dtype, one.k * one.l * one.c));

  const Tensor dx = conv2d_backward_data(dy.on_device, w.on_device, one.x_shape(), geometry);
  CHECK(dx.dtype() == dtype);
  CHECK(close(dx, conv2d_backward_data(dy.exact, w.exact, one.x_shape(), geometry), dtype, one.k * one.l * one.o));

  Tensor dw = test::poisoned(one.w_shape(), DType::f32), exact = Tensor::empty(one.w_shape(), DType::f64);
  conv2d_backward_weights(x.on_device, dy.on_device, dw, geometry);
  conv2d_backward_weights(x.exact, dy.exact, exact, geometry);
  CHECK(close(dw, exact, dtype, one.n * one.y_shape()[1] * one.y_shape()[2]));
}

}  // namespace

DEVICE_TEST_CASE("convolutions of ResNets agree with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const Case& one : resnet) check(one, dtype);
  }
}

DEVICE_TEST_CASE("convolutions of odd sizes agree with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const Case& one : odd) check(one, dtype);
  }
}

DEVICE_TEST_CASE("convolutions whose strides and paddings differ by axis agree with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const Case& one : uneven) check(one, dtype);
  }
}

DEVICE_TEST_CASE("tensors that do not start at 16 bytes are convolved too, and nothing else is written") {
  const Case one = {2, 5, 7, 3, 5, 3, 3, 1, 1};
  const Conv2dGeometry geometry = one.geometry();
  for (const DType dtype : test::device_dtypes) {
    CAPTURE(dtype);
    const auto part = [](const Tensor& whole) { return whole.narrow(1, whole.dim(0) - 2); };
    const Both x = random_both(one.x_shape().with_first(4), 1, dtype),
               w = random_both(one.w_shape().with_first(7), 2, dtype),
               dy = random_both(one.y_shape().with_first(4), 3, dtype);
    const Tensor y = conv2d_forward(part(x.on_device), part(w.on_device), geometry);
    CHECK(close(y, conv2d_forward(part(x.exact), part(w.exact), geometry), dtype, 27));
    const Tensor dx = conv2d_backward_data(part(dy.on_device), part(w.on_device), one.x_shape(), geometry);
    CHECK(close(dx, conv2d_backward_data(part(dy.exact), part(w.exact), one.x_shape(), geometry), dtype, 45));

    Tensor whole = Tensor::full(one.w_shape().with_first(7), 77.0, DType::f32, test::device());
    Tensor dw = part(whole), exact = Tensor::empty(one.w_shape(), DType::f64);
    conv2d_backward_weights(part(x.on_device), part(dy.on_device), dw, geometry);
    conv2d_backward_weights(part(x.exact), part(dy.exact), exact, geometry);
    CHECK(close(dw, exact, dtype, 70));
    for (const std::int64_t row : {0, 6}) {
      CHECK(whole.narrow(row, 1).to_vector<double>() == std::vector<double>(27, 77.0));
    }
  }
}

DEVICE_TEST_CASE("a convolution gives the same bits each time, and replayed") {
  const Case one = {4, 16, 16, 64, 32, 3, 3, 1, 1};
  for (const DType dtype : test::device_dtypes) {
    const Tensor x = random_both(one.x_shape(), 1, dtype).on_device, w = random_both(one.w_shape(), 2, dtype).on_device,
                 dy = random_both(one.y_shape(), 3, dtype).on_device;
    Tensor y, dx, dw = Tensor::empty(one.w_shape(), DType::f32, test::device());
    const auto all = [&] {
      y = conv2d_forward(x, w, one.geometry());
      dx = conv2d_backward_data(dy, w, one.x_shape(), one.geometry());
      conv2d_backward_weights(x, dy, dw, one.geometry());
    };
    const auto bits = [&] { return std::vector<Tensor>{y.to(Device{}), dx.to(Device{}), dw.to(Device{})}; };
    all();
    const std::vector<Tensor> first = bits();
    all();
    const std::vector<Tensor> again = bits();
    CapturedStep step(test::device(), all);
    dw.fill(NAN);
    step.replay();
    const std::vector<Tensor> replayed = bits();
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(test::same_bits(first[i], again[i]));
      CHECK(test::same_bits(first[i], replayed[i]));
    }
  }
}
