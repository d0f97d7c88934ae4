#include "support/device.h"
#include "support/sequences.h"

#include <simclr/kernels/time_pool.h>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::random_both;
using test::random_lengths;

namespace {

// One rounding to f32 after short sums in f32; one to bf16.
constexpr double f32_limit = 3e-7, bf16_limit = 1.6e-5;

Tensor on_device(const Tensor& tensor) {
  return tensor.defined() ? tensor.to(test::device()) : Tensor();
}

void check(const Both& x, const Tensor& lengths) {
  const DType dtype = x.on_device.dtype();
  CAPTURE(dtype, to_string(x.exact.shape()), lengths.defined());
  const std::int64_t steps = x.exact.dim(1);
  const Tensor there = on_device(lengths);
  const Both dy = random_both({x.exact.dim(0), x.exact.dim(2)}, 2, dtype);
  CHECK(agrees(mean_over_time_forward(x.on_device, there), mean_over_time_forward(x.exact, lengths), f32_limit,
               bf16_limit));
  CHECK(agrees(mean_over_time_backward(dy.on_device, there, steps), mean_over_time_backward(dy.exact, lengths, steps),
               f32_limit, bf16_limit));
  const auto got = max_over_time_forward(x.on_device, there), exact = max_over_time_forward(x.exact, lengths);
  CHECK(agrees(got.y, exact.y, 0, 0));
  CHECK(got.argmax.to_vector<std::int32_t>() == exact.argmax.to_vector<std::int32_t>());
  CHECK(agrees(max_over_time_backward(dy.on_device, got.argmax, steps),
               max_over_time_backward(dy.exact, exact.argmax, steps), 0, 0));
}

}  // namespace

DEVICE_TEST_CASE("pooling over time agrees with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 3}, Shape{2, 7, 8}, Shape{5, 3, 33}, Shape{4, 31, 16},
                               Shape{3, 130, 2}, Shape{0, 4, 8}, Shape{4, 0, 8}, Shape{4, 3, 0}}) {
      for (const bool padded : {false, true}) {
        check(random_both(shape, 1, dtype), padded ? random_lengths(shape[0], 3, shape[1]) : Tensor());
      }
    }
    for (const std::int64_t size : test::edge_sizes) {
      for (const Shape& shape : {Shape{size, 2, 3}, Shape{1, size, 2}, Shape{2, 3, size}}) {
        check(random_both(shape, 1, dtype), random_lengths(shape[0], 3, shape[1]));
      }
    }
    Both x = random_both({3, 5, 16}, 4, dtype);  // not at 16 bytes
    const Tensor flat = Tensor::zeros({x.exact.numel() + 1}, dtype, test::device());
    Tensor moved = flat.narrow(1, x.exact.numel()).reshape(x.exact.shape());
    moved.copy_from(x.on_device);
    x.on_device = moved;
    check(x, random_lengths(3, 5, 5));
  }
}

DEVICE_TEST_CASE("an impossible length shows as NaN") {
  const Tensor lengths = on_device(Tensor::from(std::vector<std::int32_t>{2, 4, -1}, {3}));
  const Tensor x = Tensor::full({3, 3, 8}, 2.0, DType::bf16, test::device());
  const auto max = max_over_time_forward(x, lengths);
  const Tensor mean = mean_over_time_forward(x, lengths);
  const auto dx = mean_over_time_backward(mean, lengths, 3).to_vector<double>();
  for (const auto& y : {mean.to_vector<double>(), max.y.to_vector<double>()}) {
    for (std::size_t i = 0; i < y.size(); ++i) CHECK((i < 8 ? y[i] == 2.0 : std::isnan(y[i])));
  }
  const auto max_dx = max_over_time_backward(max.y, max.argmax, 3).to_vector<double>();
  CHECK(max.argmax.to_vector<std::int32_t>()[23] == -2);
  CHECK(dx[0] == 1.0);
  CHECK(max_dx[0] == 2.0);
  CHECK(max_dx[8] == 0.0);
  for (std::size_t i = 3 * 8; i < dx.size(); ++i) CHECK((std::isnan(dx[i]) && std::isnan(max_dx[i])));
}
