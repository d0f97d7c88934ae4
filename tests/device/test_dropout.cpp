#include "support/device.h"

#include <simclr/kernels/dropout.h>

using namespace simclr;
using kernels::dropout_apply;
using test::agrees;
using test::Both;
using test::random_both;

namespace {

Tensor keys_of(std::int64_t views) {
  std::vector<std::int32_t> keys;
  for (std::int64_t n = 0; n < views; ++n) {
    const auto id = static_cast<std::int32_t>(n);
    keys.insert(keys.end(), {7 * id - 3, id / 3, id % 2});
  }
  return Tensor::from(keys, {views, 3});
}

}  // namespace

DEVICE_TEST_CASE("dropout drops what the CPU drops") {
  for (const DType dtype : test::device_dtypes) {
    for (const double p : {0.0, 0.1, 0.7}) {
      for (const std::int64_t size : {1, 7, 8, 12, 31, 127, 129, 1003, 1024}) {
        CAPTURE(dtype, p, size);
        const Both x = random_both({5, size}, 1, dtype, 0.5, 1.0);
        const Tensor keys = keys_of(5);
        const kernels::DropoutOptions options = {.p = p, .seed = 0x123456789abcdefULL, .layer = 3};
        const Tensor got = dropout_apply(x.on_device, keys.to(test::device()), options);
        const Tensor exact = dropout_apply(x.exact, keys, options);
        CHECK(agrees(got, exact, 2e-7, 1.6e-5));
        const auto a = got.to_vector<double>(), b = exact.to_vector<double>();
        CHECK(std::equal(a.begin(), a.end(), b.begin(), [](double v, double w) { return (v == 0) == (w == 0); }));
      }
    }
    CHECK(dropout_apply(Tensor::zeros({0, 3}, dtype, test::device()), keys_of(0).to(test::device()), {}).numel() == 0);
  }
}

DEVICE_TEST_CASE("dropout serves views that do not start at 16 bytes, and draws alike") {
  const Tensor keys = keys_of(4).to(test::device());
  for (const DType dtype : test::device_dtypes) {
    const Both x = random_both({4, 64}, 2, dtype);
    const Tensor flat = Tensor::zeros({4 * 64 + 1}, dtype, test::device());
    Tensor moved = flat.narrow(1, 4 * 64).reshape({4, 64});
    moved.copy_from(x.on_device);
    CHECK(dropout_apply(moved, keys, {}).to_vector<float>() == dropout_apply(x.on_device, keys, {}).to_vector<float>());
  }
}

DEVICE_TEST_CASE("a dropped NaN stays visible on the device") {
  const Tensor x = Tensor::full({1, 64}, NAN, DType::bf16, test::device());
  for (const double value : dropout_apply(x, keys_of(1).to(test::device()), {.p = 0.5}).to_vector<double>()) {
    CHECK(std::isnan(value));
  }
}
