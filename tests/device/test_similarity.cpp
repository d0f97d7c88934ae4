// Cosine similarity on the device, beside the CPU's f64 op on the same rounded rows.
#include "support/device.h"

#include <simclr/kernels/similarity.h>

using namespace simclr;
using test::agrees;
using test::Both;
using test::random_both;

namespace {

/// s is f32 beside bf16 rows, but what it was made of was rounded to bf16.
bool similar(const Tensor& s, const Tensor& expected, DType dtype) {
  CHECK(s.dtype() == DType::f32);
  if (dtype == DType::f32) return agrees(s, expected, 3e-6);  // sums of up to 2048 products, each rounded
  CHECK(s.shape() == expected.shape());
  return test::nmse(s, expected) < 2e-5;
}

}  // namespace

DEVICE_TEST_CASE("similarity and its gradients agree with double") {
  struct Sizes {
    std::int64_t count, others, width;
  };
  std::vector<Sizes> all = {{5, 34, 31}, {5, 34, 32}, {5, 34, 127}, {5, 34, 1003}};
  const auto& sizes = test::edge_sizes;
  const std::vector<std::int64_t> widths = {1, 3, 16, 33, 64, 128, 129};
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    for (const std::size_t w : {n, (n + 3) % widths.size()}) {
      all.push_back({sizes[n], sizes[(n + 2) % sizes.size()], widths[w]});
    }
  }
  for (const auto [count, others, width] : all) {
    for (const DType dtype : test::device_dtypes) {
      CAPTURE(dtype, count, others, width);
      const Both a = random_both({count, width}, 1, dtype), b = random_both({others, width}, 2, dtype);
      const Both ds = random_both({count, others}, 3, DType::f32);
      CHECK(similar(kernels::similarity_forward(a.on_device, b.on_device, 0.3),
                    kernels::similarity_forward(a.exact, b.exact, 0.3), dtype));
      if (width == 1) continue;  // the gradient is 0, and what is left is rounding
      const auto gradient = kernels::similarity_backward(ds.on_device, a.on_device, b.on_device, 0.3);
      const auto expected = kernels::similarity_backward(ds.exact, a.exact, b.exact, 0.3);
      // f32: sums of up to 1003 products, each rounded; bf16: the last rounding, for the sums are f32.
      CHECK(agrees(gradient.da, expected.da, 3e-6, 1.6e-5));
      CHECK(agrees(gradient.db, expected.db, 3e-6, 1.6e-5));
    }
  }
}

DEVICE_TEST_CASE("similarity of features as wide as an encoder's") {
  for (const DType dtype : test::device_dtypes) {
    const Both a = random_both({5, 2048}, 1, dtype), b = random_both({66, 2048}, 2, dtype);
    const Both ds = random_both({5, 66}, 3, DType::f32);
    CHECK(similar(kernels::similarity_forward(a.on_device, b.on_device, 1.0),
                  kernels::similarity_forward(a.exact, b.exact, 1.0), dtype));
    const auto gradient = kernels::similarity_backward(ds.on_device, a.on_device, b.on_device, 1.0);
    const auto expected = kernels::similarity_backward(ds.exact, a.exact, b.exact, 1.0);
    CHECK(agrees(gradient.da, expected.da, 3e-6, 1.6e-5));
    CHECK(agrees(gradient.db, expected.db, 3e-6, 1.6e-5));
  }
}

DEVICE_TEST_CASE("rows of norm 0 are similar to nothing, NaN to NaN, and none to none") {
  for (const DType dtype : test::device_dtypes) {
    Both a = random_both({4, 3}, 1, dtype);
    a.on_device.narrow(2, 1).fill(0);
    a.exact.narrow(2, 1).fill(0);
    const Tensor s = kernels::similarity_forward(a.on_device, a.on_device, 0.5);
    CHECK(s.narrow(2, 1).to_vector<double>() == std::vector<double>(4, 0.0));
    const Both ds = random_both({4, 4}, 2, DType::f32);
    const auto gradient = kernels::similarity_backward(ds.on_device, a.on_device, a.on_device, 0.5);
    CHECK(gradient.da.narrow(2, 1).to_vector<double>() == std::vector<double>(3, 0.0));
    CHECK(agrees(gradient.db, kernels::similarity_backward(ds.exact, a.exact, a.exact, 0.5).db, 3e-6, 1.6e-5));

    a.on_device.narrow(1, 1).fill(NAN);
    const auto values = kernels::similarity_forward(a.on_device, a.on_device, 0.5).to_vector<double>();
    for (int i = 0; i < 4; ++i) {
      CHECK(std::isnan(values[static_cast<std::size_t>(4 + i)]));
      CHECK(std::isnan(values[static_cast<std::size_t>(4 * i + 1)]));
    }
    CHECK(std::isfinite(values[0]));

    const Tensor none = Tensor::empty({0, 3}, dtype, test::device());
    const Tensor nothing = kernels::similarity_forward(none, a.on_device, 0.5);
    CHECK(nothing.shape() == Shape({0, 4}));
    const auto zero = kernels::similarity_backward(nothing, none, a.on_device, 0.5);
    CHECK(zero.da.shape() == Shape({0, 3}));
    CHECK(zero.db.narrow(0, 1).to_vector<double>() == std::vector<double>(3, 0.0));
  }
}

DEVICE_TEST_CASE("similarity's bits repeat, from rows at any address") {
  for (const DType dtype : test::device_dtypes) {
    const Both a = random_both({34, 33}, 1, dtype);
    const Tensor rows = a.on_device.narrow(1, 33), copy = rows.clone();
    const Tensor s = kernels::similarity_forward(rows, a.on_device, 0.1).to(Device{});
    CHECK(test::same_bits(s, kernels::similarity_forward(copy, a.on_device, 0.1).to(Device{})));
    CHECK_THROWS_WITH(kernels::similarity_backward(a.on_device.to(DType::bf16), rows, rows, 0.1),
                      Catch::Contains("bf16"));
  }
}
