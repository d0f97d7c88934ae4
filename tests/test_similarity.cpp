// Cosine similarity against plain loops in double.
#include <simclr/core/parallel.h>
#include <simclr/kernels/similarity.h>

#include "support/catch.h"
#include "support/tensors.h"

using namespace simclr;
using test::random_tensor;
using test::relative_error;

namespace {

struct Reference {
  Tensor s, da, db;
};

Reference reference(const Tensor& ds, const Tensor& a, const Tensor& b, double temperature) {
  const std::int64_t count = a.dim(0), others = b.dim(0), width = a.dim(1);
  const auto x = a.to_vector<double>(), y = b.to_vector<double>(), g = ds.to_vector<double>();
  const auto norm = [&](const std::vector<double>& z, std::int64_t i) {
    double sum = 0;
    for (std::int64_t d = 0; d < width; ++d) sum += z[i * width + d] * z[i * width + d];
    return std::sqrt(sum);
  };
  std::vector<double> s(g.size(), 0.0), dx(x.size(), 0.0), dy(y.size(), 0.0);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t k = 0; k < others; ++k) {
      const double nx = norm(x, i), ny = norm(y, k);
      if (nx == 0 || ny == 0) continue;
      double cosine = 0;
      for (std::int64_t d = 0; d < width; ++d) cosine += x[i * width + d] * y[k * width + d] / (nx * ny);
      s[i * others + k] = cosine / temperature;
      const double weight = g[i * others + k] / temperature;
      for (std::int64_t d = 0; d < width; ++d) {
        const double u = x[i * width + d] / nx, v = y[k * width + d] / ny;
        dx[i * width + d] += weight * (v - cosine * u) / nx;
        dy[k * width + d] += weight * (u - cosine * v) / ny;
      }
    }
  }
  return {Tensor::from(s, ds.shape()), Tensor::from(dx, a.shape()), Tensor::from(dy, b.shape())};
}

}  // namespace

TEST_CASE("similarity and its gradients agree with loops") {
  const auto& sizes = test::edge_sizes;
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    const std::int64_t count = sizes[n], others = sizes[(n + 2) % sizes.size()];
    for (const std::int64_t width : {1, 3, 33}) {
      for (const DType dtype : {DType::f32, DType::f64}) {
        // f32: sums of up to 1003 products, each rounded
        const double tolerance = dtype == DType::f32 ? 3e-6 : 1e-13;
        const Tensor a = random_tensor({count, width}, 1, dtype), b = random_tensor({others, width}, 2, dtype);
        const Tensor ds = random_tensor({count, others}, 3, dtype);
        const Reference expected = reference(ds, a, b, 0.3);
        INFO("A " << count << " M " << others << " D " << width << " " << name(dtype));
        CHECK(relative_error(kernels::similarity_forward(a, b, 0.3), expected.s) < tolerance);
        if (width == 1) continue;  // the gradient is 0, and what is left is rounding
        const auto gradient = kernels::similarity_backward(ds, a, b, 0.3);
        CHECK(relative_error(gradient.da, expected.da) < tolerance);
        CHECK(relative_error(gradient.db, expected.db) < tolerance);
      }
    }
  }
}

TEST_CASE("a zero row is similar to nothing and gets no gradient") {
  Tensor a = random_tensor({4, 3}, 1);
  a.narrow(2, 1).fill(0);
  const Tensor s = kernels::similarity_forward(a, a, 0.5);
  CHECK(s.narrow(2, 1).to_vector<double>() == std::vector<double>(4, 0.0));
  const auto gradient = kernels::similarity_backward(random_tensor({4, 4}, 2), a, a, 0.5);
  CHECK(gradient.da.narrow(2, 1).to_vector<double>() == std::vector<double>(3, 0.0));
  CHECK(relative_error(gradient.db, reference(random_tensor({4, 4}, 2), a, a, 0.5).db) < 1e-13);
}

TEST_CASE("similarity's bits do not depend on the thread count") {
  const int before = threads();
  const Tensor a = random_tensor({300, 40}, 1, DType::f32), b = random_tensor({129, 40}, 2, DType::f32);
  set_threads(1);
  const Tensor serial = kernels::similarity_forward(a, b, 0.1);
  const auto gradient = kernels::similarity_backward(serial, a, b, 0.1);
  set_threads(2);
  CHECK(test::same_bits(kernels::similarity_forward(a, b, 0.1), serial));
  CHECK(test::same_bits(kernels::similarity_backward(serial, a, b, 0.1).db, gradient.db));
  set_threads(before);
}

TEST_CASE("similarity refuses what does not fit") {
  const Tensor a = random_tensor({4, 3}, 1);
  CHECK_THROWS_WITH(kernels::similarity_forward(a, random_tensor({4, 2}, 1), 1.0), Catch::Contains("[4,2]"));
  CHECK_THROWS_WITH(kernels::similarity_forward(a, a, -1.0), Catch::Contains("temperature -1"));
  CHECK(std::isfinite(kernels::similarity_forward(a.to(DType::f32), a.to(DType::f32), 1e-38).to_vector<double>()[1]));
  CHECK_THROWS_WITH(kernels::similarity_forward(a.to(DType::f32), a.to(DType::f32), 1e-39),
                    Catch::Contains("f32 cannot hold similarities over it"));
  CHECK_THROWS_WITH(kernels::similarity_forward(a, a, 1e-310), Catch::Contains("f64 cannot hold"));
  CHECK_THROWS_WITH(kernels::similarity_forward(a, a.to(DType::f32), 1.0), Catch::Contains("dtypes"));
  CHECK_THROWS_WITH(kernels::similarity_backward(a, a, a, 1.0), Catch::Contains("ds must be [4,4]"));
}
