#include "support/device.h"

#include <simclr/kernels/sum_along.h>

using namespace simclr;
using test::agrees;
using test::Both;
using test::random_both;

DEVICE_TEST_CASE("sums along a dimension agree with double on the device, and the way back") {
  const auto check = [](const Shape& shape, DType dtype) {
    CAPTURE(dtype, to_string(shape));
    const Both x = random_both(shape, 1, dtype);
    const Tensor y = kernels::sum_along(x.on_device, 1);
    CHECK(y.dtype() == DType::f32);
    CHECK(agrees(y, kernels::sum_along(x.exact, 1), 1.2e-7));  // rounded once
    const Both dy = random_both({shape[0], shape[2]}, 2, DType::f32);
    // A copy in f32, one rounding in bf16.
    CHECK(agrees(kernels::spread_along(dy.on_device, shape, 1, dtype),
                 kernels::spread_along(dy.exact, shape, 1, DType::f64), 0, 1.6e-5));
  };
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t n : test::edge_sizes) {
      for (const Shape& shape : {Shape{n, 5, 3}, {3, n, 5}, {2, 3, n}, {1, n, 4}, {n, 4, 1}, {4, n, 1}}) {
        check(shape, dtype);
      }
    }
    for (const Shape& shape : {Shape{3, 0, 2}, {3, 0, 1}, {0, 3, 2}, {2, 64, 64}, {3, 2000, 1}, {8, 16, 1}}) {
      check(shape, dtype);
    }
  }
}
