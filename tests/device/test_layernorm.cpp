#include "support/device.h"

#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/layernorm.h>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::both;
using test::random_both;

namespace {

constexpr double eps = 1e-5;
// In f32 a few roundings, magnified where a row of few values has a small deviation. In bf16 one rounding of each
// output, of what is computed from the rounded sum.
constexpr double f32_limit = 5e-6, bf16_limit = 1.6e-5;

/// The same values, one element behind a 16-byte boundary.
Tensor moved(const Tensor& tensor) {
  const Tensor flat = Tensor::zeros({tensor.numel() + 1}, tensor.dtype(), tensor.device());
  Tensor inner = flat.narrow(1, tensor.numel()).reshape(tensor.shape());
  inner.copy_from(tensor);
  return inner;
}

struct Parts {
  Both x, residual, dy, ds, gamma, beta;
};

Parts parts_of(const Shape& shape, bool residual, DType dtype) {
  const std::int64_t width = shape[shape.rank() - 1];
  return {random_both(shape, 1, dtype),
          residual ? random_both(shape, 2, dtype) : Both(),
          random_both(shape, 3, dtype),
          residual ? random_both(shape, 4, dtype) : Both(),
          random_both({width}, 5, DType::f32, 0.5, 1.5),
          random_both({width}, 6, DType::f32)};
}

void check(const Parts& p) {
  const DType dtype = p.x.on_device.dtype();
  CAPTURE(dtype, to_string(p.x.exact.shape()), p.residual.exact.defined());
  const auto got = layernorm_forward(p.x.on_device, p.residual.on_device, p.gamma.on_device, p.beta.on_device, eps);
  // 1 the sum, and from there on what the device kept of it
  Tensor s = p.x.exact;
  if (p.residual.exact.defined()) {
    s = kernels::add(p.x.exact, p.residual.exact);
    CHECK(agrees(got.saved.s, s, 1e-7, bf16_limit));
    s = got.saved.s.to(Device{}).to(DType::f64);
  }
  const auto exact = layernorm_forward(s, {}, p.gamma.exact, p.beta.exact, eps);
  CHECK(agrees(got.y, exact.y, f32_limit, bf16_limit));
  // 2 gradients
  const Shape channels = p.gamma.exact.shape();
  Tensor dgamma = test::poisoned(channels, DType::f32), dbeta = test::poisoned(channels, DType::f32);
  Tensor exact_dgamma = Tensor::empty(channels, DType::f64), exact_dbeta = Tensor::empty(channels, DType::f64);
  const Tensor dx = layernorm_backward(p.dy.on_device, p.ds.on_device, got.saved, p.gamma.on_device, dgamma, dbeta);
  const Tensor exact_dx =
      layernorm_backward(p.dy.exact, p.ds.exact, exact.saved, p.gamma.exact, exact_dgamma, exact_dbeta);
  CHECK(agrees(dx, exact_dx, f32_limit, bf16_limit));
  CHECK(agrees(dgamma, exact_dgamma, f32_limit));
  CHECK(agrees(dbeta, exact_dbeta, f32_limit));
}

}  // namespace

DEVICE_TEST_CASE("layer normalisation agrees with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const bool residual : {false, true}) {
      for (const Shape& shape : {Shape{1, 8}, Shape{3, 5}, Shape{5, 33}, Shape{7, 32}, Shape{4, 127}, Shape{2, 3, 64},
                                 Shape{3, 1003}, Shape{2, 1024}, Shape{3, 1040}, Shape{2, 1029}}) {
        check(parts_of(shape, residual, dtype));
      }
      check(parts_of({0, 8}, residual, dtype));
    }
    for (const std::int64_t rows : test::edge_sizes) {
      check(parts_of({rows, 16}, true, dtype));
      check(parts_of({rows, 6}, false, dtype));
    }
  }
}

DEVICE_TEST_CASE("layer normalisation serves rows that do not start at 16 bytes") {
  for (const DType dtype : test::device_dtypes) {
    Parts p = parts_of({5, 32}, true, dtype);
    p.x.on_device = moved(p.x.on_device);
    p.dy.on_device = moved(p.dy.on_device);
    check(p);
    p = parts_of({5, 32}, true, dtype);
    p.residual.on_device = moved(p.residual.on_device);
    p.ds.on_device = moved(p.ds.on_device);
    check(p);
  }
}

DEVICE_TEST_CASE("fused with the residual addition and by itself give the same bits on the device") {
  for (const DType dtype : test::device_dtypes) {
    const Parts p = parts_of({5, 40}, true, dtype);
    const auto fused = layernorm_forward(p.x.on_device, p.residual.on_device, p.gamma.on_device, p.beta.on_device, eps);
    const Tensor sum = kernels::add(p.x.on_device, p.residual.on_device);
    const auto apart = layernorm_forward(sum, {}, p.gamma.on_device, p.beta.on_device, eps);
    CHECK(fused.saved.s.to_vector<float>() == sum.to_vector<float>());
    CHECK(fused.y.to_vector<float>() == apart.y.to_vector<float>());
  }
}
