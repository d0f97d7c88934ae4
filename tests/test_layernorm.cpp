// Layer normalisation against plain loops in double, its gradients against central differences.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/elementwise.h>
#include <simclr/kernels/layernorm.h>
#include <simclr/nn/layers.h>

using namespace simclr;
using Catch::Contains;
using test::message_of;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;
constexpr double eps = 1e-5;

struct Reference {
  Values s, y, dx, dgamma, dbeta;
};

/// Row by row; the gradient by the whole Jacobian of a row, ds_c' / dy_c, and not by its means.
Reference reference(const Values& x, const Values& residual, const Values& gamma, const Values& beta, const Values& dy,
                    const Values& ds) {
  const std::size_t width = gamma.size(), n = x.size();
  Reference out{x, Values(n), Values(n), Values(width), Values(width)};
  for (std::size_t i = 0; i < residual.size(); ++i) out.s[i] += residual[i];
  for (std::size_t first = 0; first < n; first += width) {
    const double* s = out.s.data() + first;
    double mean = 0, var = 0;
    for (std::size_t c = 0; c < width; ++c) mean += s[c] / double(width);
    for (std::size_t c = 0; c < width; ++c) var += (s[c] - mean) * (s[c] - mean) / double(width);
    const double deviation = std::sqrt(var + eps);
    for (std::size_t c = 0; c < width; ++c) {
      const double xhat = (s[c] - mean) / deviation;
      out.y[first + c] = gamma[c] * xhat + beta[c];
      out.dgamma[c] += dy[first + c] * xhat;
      out.dbeta[c] += dy[first + c];
      for (std::size_t k = 0; k < width; ++k) {
        const double other = (s[k] - mean) / deviation;
        const double jacobian = ((c == k ? 1.0 : 0.0) - (1 + xhat * other) / double(width)) / deviation;
        out.dx[first + k] += dy[first + c] * gamma[c] * jacobian;
      }
    }
    for (std::size_t c = 0; c < width && !ds.empty(); ++c) out.dx[first + c] += ds[first + c];
  }
  return out;
}

Values values_of(const Tensor& tensor) {
  return tensor.defined() ? tensor.to_vector<double>() : Values();
}

void check(const Shape& shape, bool residual, DType dtype, double low = -1, double high = 1, double f64_limit = 1e-12) {
  CAPTURE(dtype, to_string(shape), residual, low);
  const std::int64_t width = shape[shape.rank() - 1];
  const Tensor x = random_tensor(shape, 1, dtype, low, high), dy = random_tensor(shape, 3, dtype);
  const Tensor r = residual ? random_tensor(shape, 2, dtype) : Tensor();
  const Tensor ds = residual ? random_tensor(shape, 4, dtype) : Tensor();
  const Tensor gamma = random_tensor({width}, 5, dtype, 0.5, 1.5), beta = random_tensor({width}, 6, dtype);
  // The sum as the kernel keeps it, which is rounded in f32.
  const Tensor s = residual ? kernels::add(x, r) : x;
  const Reference expected =
      reference(values_of(s), {}, values_of(gamma), values_of(beta), values_of(dy), values_of(ds));
  const auto forward = kernels::layernorm_forward(x, r, gamma, beta, eps);
  Tensor dgamma = Tensor::full({width}, NAN, dtype), dbeta = dgamma.clone();
  const Tensor dx = kernels::layernorm_backward(dy, ds, forward.saved, gamma, dgamma, dbeta);
  // A few roundings of 6e-8 in f32. A row of two close values has a deviation that magnifies them.
  const double limit = dtype == DType::f64 ? f64_limit : 2e-6;
  CHECK(same_bits(forward.saved.s, s));
  CHECK(relative_error(forward.y, Tensor::from(expected.y, shape)) < limit);
  CHECK(relative_error(dx, Tensor::from(expected.dx, shape)) < limit);
  CHECK(relative_error(dgamma, Tensor::from(expected.dgamma, {width})) < limit);
  CHECK(relative_error(dbeta, Tensor::from(expected.dbeta, {width})) < limit);
}

}  // namespace

TEST_CASE("layer normalisation agrees with loops, forward and backward") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const bool residual : {false, true}) {
      for (const std::int64_t width : {4, 31, 32, 33, 127, 129}) {
        for (const std::int64_t rows : test::edge_sizes) check({rows, width}, residual, dtype);
      }
      check({3, 1003}, residual, dtype);
      check({7}, residual, dtype);
      check({2, 3, 5, 8}, residual, dtype);
      check({0, 5}, residual, dtype);
      check({5000, 8}, residual, dtype);
    }
  }
  check({31, 2}, true, DType::f64);
  check({31, 1}, true, DType::f64);
}

TEST_CASE("a large mean does not swallow the variance") {
  // Both round means of 1e6; a variance as the difference of squares would err by 1e-3.
  check({33, 129}, false, DType::f64, 1e6, 1e6 + 1, 1e-7);
  const Tensor x = random_tensor({7, 64}, 1, DType::f32, 1000.0, 1001.0), ones = Tensor::full({64}, 1.0);
  const auto y = kernels::layernorm_forward(x, {}, ones, Tensor::zeros({64}), eps).y;
  const auto exact =
      kernels::layernorm_forward(x.to(DType::f64), {}, ones.to(DType::f64), Tensor::zeros({64}, DType::f64), eps).y;
  CHECK(relative_error(y, exact) < 2e-4);  // the mean is rounded to f32: 6e-5 of a deviation of 0.3
}

TEST_CASE("layer normalisation's gradients agree with central differences") {
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(to_string(shape));
    const Tensor x = random_tensor(shape, 1), r = random_tensor(shape, 2), gamma = random_tensor({shape[2]}, 3),
                 beta = random_tensor({shape[2]}, 4);
    const auto by_itself = [](const auto& in) { return nn::layernorm(in[0], in[1], in[2]); };
    CHECK(test::gradient_error(by_itself, {x.clone(), gamma.clone(), beta.clone()}) < 1e-5);
    const auto fused = [](const auto& in) { return nn::add_layernorm(in[0], in[1], in[2], in[3]); };
    const std::vector<Tensor> all = {x, r, gamma, beta};
    const auto copies = [&] {
      std::vector<Tensor> out;
      for (const Tensor& tensor : all) out.push_back(tensor.clone());
      return out;
    };
    CHECK(test::gradient_error([&](const auto& in) { return fused(in).y; }, copies()) < 1e-5);
    CHECK(test::gradient_error([&](const auto& in) { return fused(in).sum; }, copies()) < 1e-5);
    CHECK(test::gradient_error(
              [&](const auto& in) {
                const auto both = fused(in);
                return nn::multiply(both.y, both.sum);
              },
              copies()) < 1e-5);
  }
}

TEST_CASE("fused with the residual addition and by itself give the same bits") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    std::vector<std::vector<Tensor>> results;
    for (const bool fused : {true, false}) {
      std::vector<Tensor> in = {random_tensor({33, 65}, 1, dtype), random_tensor({33, 65}, 2, dtype),
                                random_tensor({65}, 3, dtype), random_tensor({65}, 4, dtype)};
      for (Tensor& tensor : in) tensor.set_requires_grad();
      nn::ResidualNorm out;
      if (fused) {
        out = nn::add_layernorm(in[0], in[1], in[2], in[3]);
      } else {
        out.sum = nn::add(in[0], in[1]);
        out.y = nn::layernorm(out.sum, in[2], in[3]);
      }
      nn::add(out.y, nn::scale(out.sum, 2.0)).backward(random_tensor({33, 65}, 5, dtype));
      results.push_back({out.y.detach(), out.sum.detach()});
      for (const Tensor& tensor : in) results.back().push_back(tensor.grad());
    }
    CHECK(same_bits(results[0], results[1]));
  }
}

TEST_CASE("layer normalisation gives the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_tensor({1003, 129}, 1, DType::f32), r = random_tensor({1003, 129}, 2, DType::f32),
               gamma = random_tensor({129}, 3, DType::f32), beta = random_tensor({129}, 4, DType::f32);
  const auto run = [&](int count) {
    set_threads(count);
    const auto forward = kernels::layernorm_forward(x, r, gamma, beta, eps);
    Tensor dgamma = Tensor::empty({129}), dbeta = Tensor::empty({129});
    const Tensor dx = kernels::layernorm_backward(r, {}, forward.saved, gamma, dgamma, dbeta);
    return std::vector<Tensor>{forward.y, forward.saved.s, dx, dgamma, dbeta};
  };
  const auto one = run(1);
  for (const int count : {2, 5}) CHECK(same_bits(run(count), one));
  set_threads(before);
}

TEST_CASE("layer normalisation refuses what does not fit and says why") {
  const Tensor x = Tensor::zeros({2, 3}), gamma = Tensor::zeros({3});
  const auto forward = [&](const Tensor& in, const Tensor& r, const Tensor& g) {
    return message_of([&] { kernels::layernorm_forward(in, r, g, gamma, eps); });
  };
  CHECK(forward(x, {}, gamma) == "no error");
  CHECK_THAT(forward(x, Tensor::zeros({3, 2}), gamma), Contains("residual must be [2,3]"));
  CHECK_THAT(forward(x, {}, Tensor::zeros({2})), Contains("gamma must be [3]"));
  CHECK_THAT(forward(x, {}, Tensor::zeros({3}, DType::f64)), Contains("dtypes and devices must be the same"));
  CHECK_THAT(forward(Tensor::zeros({2, 0}), {}, gamma), Contains("at least one channel"));
  CHECK_THAT(message_of([&] { nn::add_layernorm(x, {}, gamma, gamma); }), Contains("no residual"));
  CHECK_THAT(message_of([] { nn::LayerNorm(0); }), Contains("0 channels"));
}

TEST_CASE("the layer has PyTorch's parameters, and adds a residual") {
  nn::LayerNorm layer({.channels = 6, .eps = 1e-6});
  layer.initialize(1);
  const auto parameters = layer.parameters();
  REQUIRE(parameters.size() == 2);
  CHECK(parameters[0].name == "weight");
  CHECK(parameters[1].name == "bias");
  CHECK(parameters[0].role == nn::Role::norm);
  CHECK(parameters[0].value.to_vector<double>() == Values(6, 1.0));
  CHECK(parameters[1].value.to_vector<double>() == Values(6, 0.0));
  const Tensor x = random_tensor({4, 6}, 2, DType::f32), r = random_tensor({4, 6}, 3, DType::f32);
  const nn::ResidualNorm both = layer.add(x, r);
  CHECK(same_bits(both.sum, kernels::add(x, r)));
  CHECK(same_bits(both.y, layer(both.sum)));
  CHECK_THAT(message_of([&] { layer(Tensor::zeros({4, 5})); }), Contains("has 5 channels, this layer 6"));
  CHECK_THAT(message_of([&] { nn::LayerNorm(6).add(x, r); }), Contains("weight [6] is NaN throughout"));
}
