#include "support/device.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/gemm.h>

using namespace simclr;
using namespace simclr::kernels;
using test::Both;
using test::random_both;

namespace {

/// A sum of k products in f32: its rounding grows about like the square root of k, relative to the largest element.
/// TF32, with 10 bits of mantissa, is 100 times off.
double f32_limit(std::int64_t k) {
  return 1.2e-7 * (4 + std::sqrt(static_cast<double>(k)));
}

/// One rounding to bf16 of an f32 sum.
constexpr double bf16_limit = 1.6e-5;

/// `c` is f32 or the dtype of a and b.
void check(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, DType c_dtype, const GemmOptions& options) {
  CAPTURE(m, n, k, dtype, c_dtype, options.transpose_a, options.transpose_b, options.alpha, options.beta);
  const Both a = random_both(options.transpose_a ? Shape{k, m} : Shape{m, k}, 1, dtype);
  const Both b = random_both(options.transpose_b ? Shape{n, k} : Shape{k, n}, 2, dtype);
  Both c = random_both({m, n}, 3, c_dtype);
  if (options.beta == 0) c.on_device = test::poisoned({m, n}, c_dtype);
  gemm(a.on_device, b.on_device, c.on_device, options);
  gemm(a.exact, b.exact, c.exact, options);
  CHECK(test::agrees(c.on_device, c.exact, f32_limit(k), bf16_limit));
}

struct Types {
  DType operands, result;
};

const std::vector<Types> all_types = {{DType::f32, DType::f32}, {DType::bf16, DType::bf16}, {DType::bf16, DType::f32}};

}  // namespace

DEVICE_TEST_CASE("gemm agrees with double over transposes, sizes and factors") {
  for (const auto [dtype, c_dtype] : all_types) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        for (const std::int64_t m : {1, 31, 129}) {
          for (const std::int64_t n : {1, 33, 127}) {
            for (const std::int64_t k : {1, 32, 129}) check(m, n, k, dtype, c_dtype, {ta, tb});
          }
        }
        const auto& sizes = test::edge_sizes;
        for (std::size_t i = 0; i < sizes.size(); ++i) {
          check(sizes[i], sizes[(i + 2) % sizes.size()], sizes[(i + 4) % sizes.size()], dtype, c_dtype, {ta, tb});
        }
        check(1003, 33, 31, dtype, c_dtype, {ta, tb, -0.5, 0.0});
        check(33, 1003, 127, dtype, c_dtype, {ta, tb, 2.0, 1.0});
        check(31, 33, 1003, dtype, c_dtype, {ta, tb, 1.5, -0.25});
        check(64, 128, 512, dtype, c_dtype, {ta, tb});
      }
    }
  }
}

DEVICE_TEST_CASE("gemm with nothing to sum leaves beta c, and with no rows or columns does nothing") {
  for (const auto [dtype, c_dtype] : all_types) {
    const Tensor a = Tensor::empty({3, 0}, dtype, test::device()), b = Tensor::empty({0, 2}, dtype, test::device());
    Tensor c = Tensor::full({3, 2}, 4.0, c_dtype, test::device());
    gemm(a, b, c, {.beta = 0.5});
    CHECK(c.to_vector<double>() == std::vector<double>(6, 2.0));
    gemm(a, b, c, {.beta = 1.0});
    CHECK(c.to_vector<double>() == std::vector<double>(6, 2.0));
    c.fill(NAN);
    gemm(a, b, c);
    CHECK(c.to_vector<double>() == std::vector<double>(6, 0.0));
    Tensor no_rows = Tensor::empty({0, 2}, c_dtype, test::device());
    CHECK_NOTHROW(
        gemm(Tensor::empty({0, 3}, dtype, test::device()), Tensor::zeros({3, 2}, dtype, test::device()), no_rows));
  }
}

DEVICE_TEST_CASE("gemm takes rows that do not start at 16 bytes, and writes nothing else") {
  for (const auto [dtype, c_dtype] : all_types) {
    const Both a = random_both({35, 33}, 1, dtype), b = random_both({34, 31}, 2, dtype);
    Tensor whole = Tensor::full({36, 31}, 77.0, c_dtype, test::device()), exact = Tensor::empty({34, 31}, DType::f64);
    Tensor c = whole.narrow(1, 34);
    gemm(a.on_device.narrow(1, 34), b.on_device.narrow(1, 33), c);
    gemm(a.exact.narrow(1, 34), b.exact.narrow(1, 33), exact);
    CHECK(test::agrees(c, exact, f32_limit(33), bf16_limit));
    CHECK(whole.narrow(0, 1).to_vector<double>() == std::vector<double>(31, 77.0));
    CHECK(whole.narrow(35, 1).to_vector<double>() == std::vector<double>(31, 77.0));
  }
}

DEVICE_TEST_CASE("gemm gives the same bits each time, and replayed") {
  for (const auto [dtype, c_dtype] : all_types) {
    const Tensor a = random_both({129, 1003}, 1, dtype).on_device, b = random_both({1003, 65}, 2, dtype).on_device;
    Tensor first = test::poisoned({129, 65}, c_dtype), again = test::poisoned({129, 65}, c_dtype);
    gemm(a, b, first);
    gemm(a, b, again);
    CHECK(test::same_bits(first.to(Device{}), again.to(Device{})));
    CapturedStep step(test::device(), [&] { gemm(a, b, again); });
    again.fill(NAN);
    step.replay();
    CHECK(test::same_bits(first.to(Device{}), again.to(Device{})));
  }
}
