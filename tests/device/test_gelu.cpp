#include "support/device.h"

#include <simclr/kernels/gelu.h>

using namespace simclr;
using test::agrees;
using test::Both;
using test::random_both;

DEVICE_TEST_CASE("GELU agrees with double on the device") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t n : {0, 1, 31, 32, 33, 127, 129, 1003, 9001}) {
      CAPTURE(dtype, n);
      const Both x = random_both({n}, 1, dtype, -6.0, 6.0), dy = random_both({n}, 2, dtype);
      CHECK(agrees(kernels::gelu_forward(x.on_device), kernels::gelu_forward(x.exact), 3e-7, 1.6e-5));
      CHECK(agrees(kernels::gelu_backward(dy.on_device, x.on_device), kernels::gelu_backward(dy.exact, x.exact), 5e-7,
                   1.6e-5));
    }
  }
}

DEVICE_TEST_CASE("GELU lets NaN and -Inf through as NaN on the device") {
  for (const DType dtype : test::device_dtypes) {
    const Tensor x = Tensor::from(std::vector<float>{NAN, -INFINITY, 1e30f, -1e30f}, {4}).to(dtype).to(test::device());
    const auto y = kernels::gelu_forward(x).to_vector<double>();
    CHECK(std::isnan(y[0]));
    CHECK(std::isnan(y[1]));
    CHECK(y[2] == Approx(1e30).epsilon(0.01));
    CHECK(y[3] == 0);
  }
}
