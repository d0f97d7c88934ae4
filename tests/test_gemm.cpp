#include <simclr/core/parallel.h>
#include <simclr/kernels/gemm.h>

#include "support/catch.h"
#include "support/tensors.h"

using namespace simclr;
using namespace simclr::test;
using kernels::gemm;
using kernels::GemmOptions;

namespace {

/// The definition, in double, with the sum over k innermost.
Tensor reference(const Tensor& a, const Tensor& b, const Tensor& c, const GemmOptions& options) {
  const auto pa = a.to_vector<double>(), pb = b.to_vector<double>();
  auto pc = c.to_vector<double>();
  const std::int64_t m = c.dim(0), n = c.dim(1), k = a.dim(options.transpose_a ? 0 : 1);
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t e = 0; e < k; ++e) {
        sum += pa[static_cast<std::size_t>(options.transpose_a ? e * m + i : i * k + e)] *
               pb[static_cast<std::size_t>(options.transpose_b ? j * k + e : e * n + j)];
      }
      double& out = pc[static_cast<std::size_t>(i * n + j)];
      out = options.alpha * sum + (options.beta == 0 ? 0.0 : options.beta * out);
    }
  }
  return Tensor::from(pc, c.shape());
}

/// Rounding grows like the square root of the number of terms, about; relative to the largest element.
double tolerance(DType dtype, std::int64_t k) {
  return (dtype == DType::f64 ? 2.3e-16 : 1.2e-7) * (4 + std::sqrt(static_cast<double>(k)));
}

void check(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, const GemmOptions& options) {
  INFO("m " << m << " n " << n << " k " << k << " " << name(dtype) << " transposes " << options.transpose_a
            << options.transpose_b << " alpha " << options.alpha << " beta " << options.beta);
  const Tensor a = random_tensor(options.transpose_a ? Shape{k, m} : Shape{m, k}, 1, dtype);
  const Tensor b = random_tensor(options.transpose_b ? Shape{n, k} : Shape{k, n}, 2, dtype);
  Tensor c = options.beta == 0 ? Tensor::full({m, n}, NAN, dtype) : random_tensor({m, n}, 3, dtype);
  const Tensor a_before = a.clone(), b_before = b.clone();
  const Tensor expected = reference(a, b, c, options);
  gemm(a, b, c, options);
  CHECK(relative_error(c, expected) < tolerance(dtype, k));
  CHECK(same_bits(a, a_before));
  CHECK(same_bits(b, b_before));
}

}  // namespace

TEST_CASE("gemm agrees with the definition over transposes, sizes and factors") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        for (const std::int64_t m : {1, 31, 33}) {
          for (const std::int64_t n : {1, 33, 127}) {
            for (const std::int64_t k : {1, 31, 129}) check(m, n, k, dtype, {ta, tb});
          }
        }
        check(127, 129, 33, dtype, {ta, tb, -0.5, 0.0});
        check(129, 127, 31, dtype, {ta, tb, 2.0, 1.0});
        check(33, 31, 127, dtype, {ta, tb, 1.5, -0.25});
        check(1003, 33, 129, dtype, {ta, tb});
        check(31, 1003, 129, dtype, {ta, tb, 1.0, 1.0});
        check(33, 31, 1003, dtype, {ta, tb});
        check(1003, 1, 1003, dtype, {ta, tb});
        check(1, 1003, 1003, dtype, {ta, tb});
        check(199, 330, 519, dtype, {ta, tb, 0.5, 2.0});  // more than one block each way
      }
    }
  }
}

TEST_CASE("gemm with nothing to sum leaves beta c") {
  const Tensor a = Tensor::empty({3, 0}), b = Tensor::empty({0, 2});
  Tensor c = Tensor::full({3, 2}, 4.0);
  gemm(a, b, c, {.beta = 0.5});
  CHECK(c.to_vector<double>() == std::vector<double>(6, 2.0));
  gemm(a, b, c);
  CHECK(c.to_vector<double>() == std::vector<double>(6, 0.0));
}

TEST_CASE("gemm takes few outputs of many terms") {  // where a part's work is less than a column of c
  check(24, 300, 50000, DType::f32, {});
  check(8, 64, 200000, DType::f32, {.transpose_a = true});
}

TEST_CASE("gemm gives the same bits however many threads there are, and inside a SerialScope") {
  for (const auto& [m, n] : {std::pair{257, 131}, std::pair{131, 257}}) {
    const Tensor a = random_tensor({m, 519}, 1, DType::f32), b = random_tensor({519, n}, 2, DType::f32);
    Tensor first = Tensor::empty({m, n}), other = Tensor::empty({m, n});
    const int before = threads();
    set_threads(1);
    gemm(a, b, first);
    for (const int count : {2, 3, 7}) {
      set_threads(count);
      gemm(a, b, other);
      CHECK(same_bits(first, other));
    }
    set_threads(before);
    const SerialScope serial;
    gemm(a, b, other);
    CHECK(same_bits(first, other));
  }
}

TEST_CASE("gemm says what does not fit") {
  const Tensor a = Tensor::zeros({3, 4}), b = Tensor::zeros({4, 5});
  Tensor c = Tensor::zeros({3, 5});
  CHECK_THROWS_WITH(gemm(a, b, c, {.transpose_a = true}), Catch::Matchers::Contains("a's columns must be as many"));
  CHECK_THROWS_WITH(gemm(a, b, c, {.transpose_b = true}), Catch::Matchers::Contains("[4,5] on cpu transposed"));
  Tensor wrong = Tensor::zeros({5, 3});
  CHECK_THROWS_WITH(gemm(a, b, wrong), Catch::Matchers::Contains("c must be [3,5], got f32 [5,3]"));
  CHECK_THROWS_WITH(gemm(Tensor::zeros({12}), b, c), Catch::Matchers::Contains("a must have 2 dimensions"));
  CHECK_THROWS_WITH(gemm(a.to(DType::f64), b, c), Catch::Matchers::Contains("dtypes and devices must be the same"));
  Tensor bytes = Tensor::zeros({3, 5}, DType::u8);
  CHECK_THROWS_WITH(gemm(a, b, bytes), Catch::Matchers::Contains("wants f32 or f64, got u8"));
  Tensor square = Tensor::zeros({4, 4});
  Tensor rows = square.narrow(0, 3);
  CHECK_THROWS_WITH(gemm(Tensor::zeros({3, 4}), square, rows), Catch::Matchers::Contains("shares memory"));
}
