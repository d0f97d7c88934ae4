#include "support/device.h"

#include <simclr/kernels/unary.h>

using namespace simclr;
using kernels::Unary;
using test::agrees;
using test::Both;
using test::random_both;

namespace {

constexpr Unary all[] = {Unary::exp, Unary::log, Unary::sqrt, Unary::reciprocal, Unary::sigmoid, Unary::tanh};

}  // namespace

DEVICE_TEST_CASE("functions of one value agree with double on the device") {
  for (const Unary f : all) {
    for (const DType dtype : test::device_dtypes) {
      for (const std::int64_t n : {0, 1, 31, 32, 33, 127, 129, 1003, 9001}) {
        CAPTURE(static_cast<int>(f), dtype, n);
        const Both x = random_both({n}, 1, dtype, 0.25, 4.0), dy = random_both({n}, 2, dtype);
        const Tensor y = kernels::unary_forward(f, x.on_device);
        // A few roundings in f32, one in bf16.
        CHECK(agrees(y, kernels::unary_forward(f, x.exact), 4e-7, 1.6e-5));
        // From the device's own y: what is checked is this kernel. 1 - y of sigmoid and tanh is exact.
        const Tensor saved = f == Unary::log ? x.on_device : y, exact = saved.to(Device{}).to(DType::f64);
        CHECK(agrees(kernels::unary_backward(f, dy.on_device, saved), kernels::unary_backward(f, dy.exact, exact), 4e-7,
                     1.6e-5));
      }
    }
  }
}

DEVICE_TEST_CASE("functions of one value at the ends of numbers on the device") {
  constexpr double inf = INFINITY;
  for (const DType dtype : test::device_dtypes) {
    const Tensor x = Tensor::from(std::vector<double>{NAN, -inf, inf, 0, -1}, {5}).to(dtype).to(test::device());
    const auto of = [&](Unary f) { return kernels::unary_forward(f, x).to_vector<double>(); };
    for (const Unary f : all) CHECK(std::isnan(of(f)[0]));
    CHECK((of(Unary::exp)[1] == 0 && of(Unary::exp)[2] == inf && of(Unary::exp)[3] == 1));
    CHECK((std::isnan(of(Unary::log)[1]) && of(Unary::log)[2] == inf && of(Unary::log)[3] == -inf));
    CHECK((std::isnan(of(Unary::log)[4]) && std::isnan(of(Unary::sqrt)[4]) && of(Unary::sqrt)[2] == inf));
    CHECK((of(Unary::reciprocal)[2] == 0 && of(Unary::reciprocal)[3] == inf && of(Unary::reciprocal)[4] == -1));
    CHECK((of(Unary::sigmoid)[1] == 0 && of(Unary::sigmoid)[2] == 1 && of(Unary::sigmoid)[3] == 0.5));
    CHECK((of(Unary::tanh)[1] == -1 && of(Unary::tanh)[2] == 1 && of(Unary::tanh)[3] == 0));
  }
}
