#include "support/device.h"

#include <simclr/kernels/softmax.h>

using namespace simclr;
using test::agrees;
using test::Both;
using test::random_both;

DEVICE_TEST_CASE("softmax agrees with double on the device") {
  const auto check = [](std::int64_t rows, std::int64_t width, DType dtype) {
    CAPTURE(dtype, rows, width);
    const Both x = random_both({rows, width}, 1, dtype, -6.0, 6.0), dy = random_both({rows, width}, 2, dtype);
    const Tensor y = kernels::softmax_forward(x.on_device);
    // A few roundings in f32, x - m's among them; one in bf16.
    CHECK(agrees(y, kernels::softmax_forward(x.exact), 1e-6, 1.6e-5));
    if (width == 1) return;  // the gradient's terms cancel to nothing
    const Tensor same = y.to(Device{}).to(DType::f64);
    CHECK(agrees(kernels::softmax_backward(dy.on_device, y), kernels::softmax_backward(dy.exact, same), 1e-6, 1.6e-5));
  };
  for (const DType dtype : test::device_dtypes) {
    check(0, 3, dtype);
    for (const std::int64_t size : test::edge_sizes) {
      check(3, size, dtype);
      check(size, 10, dtype);
    }
    check(2, 2500, dtype);
  }
}

DEVICE_TEST_CASE("softmax neither overflows nor hides faults on the device") {
  for (const DType dtype : test::device_dtypes) {
    const std::vector<double> rows = {3e38, 3e38,     -INFINITY, 1,         NAN,       2,
                                      1,    INFINITY, 0,         -INFINITY, -INFINITY, -INFINITY};
    const auto y =
        kernels::softmax_forward(Tensor::from(rows, {4, 3}).to(dtype).to(test::device())).to_vector<double>();
    CHECK((y[0] == 0.5 && y[1] == 0.5 && y[2] == 0));
    for (std::size_t i = 3; i < y.size(); ++i) CHECK(std::isnan(y[i]));
  }
}
