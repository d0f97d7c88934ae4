// Every differentiable function against central differences in double, over at least 20 shapes each.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/nn/functional.h>
#include <simclr/nn/losses.h>

#include <array>
#include <numeric>

using namespace simclr;
using test::gradient_error;
using test::random_tensor;

namespace {

constexpr double bound = 1e-5;  // central differences with step 1e-5 in double err by about 1e-10 / 1e-5

/// Shapes of rank 1 to 4, from one element up, with odd and prime sizes.
const std::vector<Shape> any_shapes = {{1},          {2},          {3},          {31},      {33},         {1, 1},
                                       {1, 7},       {7, 1},       {3, 5},       {31, 3},   {5, 33},      {2, 3, 4},
                                       {1, 1, 9},    {3, 1, 5},    {7, 2, 3},    {1, 1, 1}, {2, 3, 3, 4}, {1, 5, 5, 3},
                                       {3, 1, 1, 7}, {2, 4, 1, 5}, {1, 2, 3, 31}};

/// Rows and columns: at least 20 pairs.
const std::vector<std::array<std::int64_t, 2>> matrix_shapes = {
    {1, 1}, {1, 2},  {2, 1},  {2, 3},  {3, 2},  {3, 31}, {31, 3},  {5, 5},  {7, 1},   {1, 7},  {9, 4},
    {4, 9}, {13, 6}, {6, 13}, {17, 2}, {2, 17}, {8, 8},  {11, 32}, {33, 5}, {12, 33}, {129, 2}};

/// Values at least 0.05 from zero, so that a difference never straddles a kink.
Tensor away_from_zero(const Shape& shape, std::uint64_t seed) {
  Tensor x = random_tensor(shape, seed);
  double* values = x.data<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] += values[i] < 0 ? -0.05 : 0.05;
  return x;
}

/// Distinct values at least 1e-3 apart, in a scattered order: no ties for a maximum.
Tensor distinct(const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  const std::size_t n = values.size();
  std::size_t stride = 7919 % n;
  while (n > 1 && std::gcd(stride, n) != 1) ++stride;
  for (std::size_t i = 0; i < n; ++i) values[i] = 0.002 * static_cast<double>(i * stride % n) - 1.0;
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("gradients of the elementwise functions") {
  for (const Shape& shape : any_shapes) {
    INFO(shape);
    const Tensor a = random_tensor(shape, 1), b = random_tensor(shape, 2);
    CHECK(gradient_error([](const auto& in) { return nn::add(in[0], in[1]); }, {a.clone(), b.clone()}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::multiply(in[0], in[1]); }, {a.clone(), b.clone()}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::multiply(in[0], in[0]); }, {a.clone()}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::scale(in[0], -2.5); }, {a.clone()}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::relu(in[0]); }, {away_from_zero(shape, 3)}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::sum(in[0]); }, {a.clone()}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::mean(in[0]); }, {a.clone()}) < bound);
    const Tensor bias = random_tensor({shape[-1]}, 4);
    CHECK(gradient_error([](const auto& in) { return nn::add_bias(in[0], in[1]); }, {a.clone(), bias}) < bound);
    CHECK(gradient_error([&](const auto& in) { return in[0].reshape({shape.numel()}); }, {a.clone()}) < bound);
    CHECK(gradient_error([&](const auto& in) { return in[0].narrow(shape[0] / 2, shape[0] - shape[0] / 2); },
                         {a.clone()}) < bound);
  }
}

TEST_CASE("gradients of the matrix functions") {
  std::uint64_t seed = 10;
  for (const auto& [m, n] : matrix_shapes) {
    const std::int64_t k = 1 + (m * 3 + n) % 7;
    INFO(m << " x " << n << ", inner " << k);
    const Tensor a = random_tensor({m, k}, seed++), b = random_tensor({k, n}, seed++);
    const Tensor w = random_tensor({n, k}, seed++), bias = random_tensor({n}, seed++);
    CHECK(gradient_error([](const auto& in) { return nn::matmul(in[0], in[1]); }, {a.clone(), b}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::linear(in[0], in[1], in[2]); }, {a.clone(), w, bias}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::linear(in[0], in[1]); }, {a.clone(), w.clone()}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::normalize(in[0]); }, {away_from_zero({m, n}, seed++)}) <
          bound);
    CHECK(gradient_error([](const auto& in) { return nn::similarity(in[0], in[1], 0.3); },
                         {away_from_zero({m, k}, seed++), away_from_zero({n, k}, seed++)}) < bound);
  }
}

TEST_CASE("gradients of convolution") {
  struct Case {
    std::int64_t n, h, w, in, out;
    int kernel_h, kernel_w;
    kernels::PerAxis stride, padding;
  };
  const std::vector<Case> cases = {{1, 1, 1, 1, 1, 1, 1, 1, 0},           {1, 3, 3, 1, 1, 3, 3, 1, 0},
                                   {1, 3, 3, 1, 2, 3, 3, 1, 1},           {2, 4, 4, 3, 2, 3, 3, 1, 1},
                                   {1, 5, 7, 2, 3, 3, 3, 1, 1},           {1, 5, 7, 2, 3, 3, 3, 2, 1},
                                   {2, 7, 5, 3, 4, 3, 3, 2, 1},           {1, 8, 8, 4, 4, 1, 1, 1, 0},
                                   {2, 8, 8, 3, 5, 1, 1, 2, 0},           {1, 9, 9, 2, 2, 1, 1, 2, 0},
                                   {1, 7, 7, 3, 2, 7, 7, 2, 3},           {1, 9, 11, 3, 2, 7, 7, 2, 3},
                                   {1, 6, 6, 1, 1, 5, 5, 1, 2},           {3, 5, 5, 2, 1, 5, 5, 1, 0},
                                   {1, 4, 4, 2, 2, 2, 2, 2, 0},           {1, 5, 5, 2, 2, 2, 2, 1, 1},
                                   {2, 6, 4, 1, 3, 3, 1, 1, 1},           {2, 4, 6, 1, 3, 1, 3, 1, 1},
                                   {1, 7, 7, 2, 2, 3, 3, 3, 0},           {1, 10, 7, 2, 2, 3, 3, 3, 2},
                                   {1, 3, 3, 5, 7, 3, 3, 2, 3},           {5, 2, 2, 3, 3, 2, 2, 1, 0},
                                   {1, 2, 9, 3, 31, 1, 1, 1, 0},          {1, 4, 4, 33, 2, 3, 3, 1, 1},
                                   {1, 4, 6, 2, 3, 3, 1, 1, {1, 0}},      {2, 6, 5, 3, 2, 3, 1, {2, 1}, {1, 0}},
                                   {2, 1, 9, 3, 2, 1, 3, {1, 2}, {0, 1}}, {1, 7, 5, 2, 2, 3, 2, {1, 3}, {2, 0}},
                                   {1, 5, 7, 2, 2, 2, 3, {3, 1}, {0, 2}}, {2, 5, 4, 2, 3, 5, 3, {2, 1}, {2, 1}}};
  REQUIRE(cases.size() >= 20);
  std::uint64_t seed = 100;
  for (const Case& c : cases) {
    INFO(c.n << "x" << c.h << "x" << c.w << "x" << c.in << " -> " << c.out << ", kernel " << c.kernel_h << "x"
             << c.kernel_w << ", stride " << c.stride << ", padding " << c.padding);
    const Tensor x = random_tensor({c.n, c.h, c.w, c.in}, seed++);
    const Tensor w = random_tensor({c.out, c.kernel_h, c.kernel_w, c.in}, seed++);
    CHECK(gradient_error(
              [&](const auto& in) {
                return nn::conv2d(in[0], in[1], {c.stride, c.padding});
              },
              {x, w}) < bound);
  }
}

TEST_CASE("gradients of batch norm, alone and fused, in training and in evaluation") {
  const std::vector<Shape> shapes = {
      {2, 1},       {2, 3},       {3, 2},       {5, 7},       {31, 3},      {33, 2},       {127, 2},
      {9, 31},      {4, 33},      {2, 1, 1, 1}, {1, 2, 1, 3}, {1, 1, 2, 3}, {2, 3, 3, 4},  {1, 5, 7, 3},
      {3, 2, 5, 1}, {2, 4, 4, 8}, {1, 8, 8, 2}, {5, 1, 1, 6}, {2, 7, 3, 5}, {3, 3, 3, 16}, {2, 2, 2, 33}};
  REQUIRE(shapes.size() >= 20);
  for (const Shape& shape : shapes) {
    for (const bool training : {true, false}) {
      for (const bool relu : {false, true}) {
        for (const bool add : {false, true}) {
          INFO(shape << " training " << training << " relu " << relu << " residual " << add);
          const Shape channels{shape[-1]};
          const Tensor mean = random_tensor(channels, 7), var = random_tensor(channels, 8, DType::f64, 0.5, 2.0);
          // A step of 1e-6 keeps most ReLU inputs on their side of zero; the rest are moved off it by the shift of
          // beta.
          const auto f = [&](const std::vector<Tensor>& in) {
            return nn::batchnorm(in[0], in[1], in[2], mean.clone(), var.clone(), add ? in[3] : Tensor(),
                                 {.training = training, .relu = relu});
          };
          std::vector<Tensor> inputs = {random_tensor(shape, 1), random_tensor(channels, 2, DType::f64, 0.5, 1.5),
                                        random_tensor(channels, 3)};
          if (add) inputs.push_back(random_tensor(shape, 4));
          CHECK(gradient_error(f, inputs, 20, 1e-6) < bound);
        }
      }
    }
  }
}

TEST_CASE("gradients of pooling") {
  struct Case {
    std::int64_t n, h, w, c;
    int kernel, stride, padding;
  };
  const std::vector<Case> cases = {{1, 1, 1, 1, 1, 1, 0},  {1, 2, 2, 1, 2, 2, 0},  {1, 3, 3, 2, 3, 2, 1},
                                   {2, 4, 4, 3, 2, 2, 0},  {1, 5, 7, 2, 3, 2, 1},  {1, 7, 5, 2, 3, 2, 1},
                                   {2, 8, 8, 4, 3, 2, 1},  {1, 9, 9, 1, 3, 3, 0},  {1, 6, 6, 5, 3, 1, 1},
                                   {3, 5, 5, 2, 2, 1, 0},  {1, 4, 9, 3, 2, 2, 1},  {1, 9, 4, 3, 2, 2, 1},
                                   {2, 7, 7, 1, 5, 2, 2},  {1, 11, 5, 2, 5, 3, 1}, {1, 3, 3, 31, 3, 1, 1},
                                   {1, 2, 3, 33, 2, 1, 0}, {5, 2, 2, 2, 2, 2, 0},  {1, 13, 2, 2, 2, 2, 0},
                                   {1, 6, 8, 3, 4, 4, 0},  {2, 8, 6, 3, 4, 2, 2},  {1, 10, 10, 2, 3, 2, 0}};
  REQUIRE(cases.size() >= 20);
  for (const Case& c : cases) {
    INFO(c.n << "x" << c.h << "x" << c.w << "x" << c.c << " kernel " << c.kernel << " stride " << c.stride
             << " padding " << c.padding);
    const Tensor x = distinct({c.n, c.h, c.w, c.c});
    CHECK(gradient_error(
              [&](const auto& in) {
                return nn::max_pool(in[0], {c.kernel, c.stride, c.padding});
              },
              {x.clone()}) < bound);
    CHECK(gradient_error([](const auto& in) { return nn::global_average_pool(in[0]); }, {x.clone()}) < bound);
  }
}

TEST_CASE("gradients of the losses") {
  std::uint64_t seed = 1000;
  for (const std::int64_t n : {1, 2, 3, 5, 16, 33, 64}) {
    for (const std::int64_t d : {1, 3, 32}) {
      for (const double temperature : {0.1, 0.5, 1.0}) {
        INFO("nt_xent of " << n << " images, " << d << " dimensions, temperature " << temperature);
        const Tensor z = away_from_zero({2 * n, d}, seed++);
        CHECK(gradient_error([&](const auto& in) { return nn::nt_xent(in[0], {temperature}); }, {z}) < bound);
      }
    }
  }
  for (const auto& [m, k] : matrix_shapes) {
    INFO("cross entropy " << m << " x " << k);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(m));
    for (std::int64_t i = 0; i < m; ++i) labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i * 5 % k);
    const Tensor truth = Tensor::from(labels, {m});
    CHECK(gradient_error([&](const auto& in) { return nn::cross_entropy(in[0], truth); },
                         {random_tensor({m, k}, seed++)}) < bound);
  }
}

TEST_CASE("gradients of the rectangular NT-Xent: anchors among more candidates, and two towers") {
  std::uint64_t seed = 2000;
  for (const std::int64_t anchors : {1, 2, 5, 17, 33}) {
    for (const std::int64_t candidates : {34, 40, 65, 129}) {
      INFO(anchors << " anchors, " << candidates << " candidates");
      std::vector<std::int32_t> a(static_cast<std::size_t>(anchors)), c(static_cast<std::size_t>(candidates));
      for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::int32_t>(i % 7);
      for (std::size_t i = 0; i < c.size(); ++i) c[i] = static_cast<std::int32_t>(i % 7);
      for (const std::int64_t offset : {std::int64_t{-1}, std::int64_t{0}, candidates - anchors}) {
        const kernels::NtXentPairs pairs{offset, Tensor::from(a, {anchors}), Tensor::from(c, {candidates})};
        CHECK(gradient_error([&](const auto& in) { return nn::nt_xent(in[0], in[1], pairs, {0.4}); },
                             {away_from_zero({anchors, 6}, seed++), away_from_zero({candidates, 6}, seed++)},
                             20) < bound);
      }
    }
  }
}

namespace {

/// `views` equal rows for each of n images, which are orthogonal.
Tensor ideal_views(std::int64_t n, std::int64_t views) {
  Tensor z = Tensor::zeros({views * n, n}, DType::f64);
  for (std::int64_t row = 0; row < views * n; ++row) z.data<double>()[row * n + row % n] = 1;
  return z;
}

}  // namespace

TEST_CASE("NT-Xent of any number of views: all of an image are positives") {
  for (const std::int64_t n : {3, 4}) {
    for (const int views : {2, 3, 4, 5}) {
      INFO(n << " images, " << views << " views");
      // Each of the V - 1 positives has the same share of a sum that holds them and V (n - 1) negatives.
      const double count = views - 1, negatives = views * static_cast<double>(n - 1) * std::exp(-1 / 0.1);
      CHECK(nn::nt_xent(ideal_views(n, views), {.temperature = 0.1, .views = views}).item() ==
            Approx(std::log(count + negatives)).epsilon(1e-12));
      // Groups say the same.
      std::vector<std::int32_t> image;
      for (std::int64_t row = 0; row < views * n; ++row) image.push_back(static_cast<std::int32_t>(row % n));
      const Tensor groups = Tensor::from(image, {views * n}), z = random_tensor({views * n, 3}, 7);
      const kernels::NtXentPairs pairs = {.anchor_group = groups, .candidate_group = groups};
      CHECK(nn::nt_xent(z, {.temperature = 0.3, .views = views}).item() ==
            Approx(nn::nt_xent(z, z, pairs, {.temperature = 0.3}).item()).epsilon(1e-13));
      CHECK(gradient_error([&](const auto& in) { return nn::nt_xent(in[0], {.temperature = 0.3, .views = views}); },
                           {z.clone()}) < bound);
      CHECK(gradient_error([&](const auto& in) { return nn::nt_xent(in[0], in[0], pairs, {.temperature = 0.3}); },
                           {z.clone()}) < bound);
    }
  }
  const auto message = [](std::int64_t rows, int views) {
    return test::message_of([&] { nn::nt_xent(random_tensor({rows, 4}, 1), {.views = views}); });
  };
  CHECK_THAT(message(8, 3), Catch::Contains("[8,4] on cpu is not 3 views of each sample") && Catch::Contains("groups"));
  CHECK_THAT(message(9, 2), Catch::Contains("not two views of each sample") && Catch::Contains("groups"));
  CHECK_THAT(message(8, 1), Catch::Contains("views 1; at least 2"));
  const Tensor z = random_tensor({6, 4}, 1), groups = Tensor::zeros({6}, DType::i32);
  CHECK_THAT(test::message_of([&] {
               nn::nt_xent(z, z, {0, groups, groups}, {.views = 3});
             }),
             Catch::Contains("views 3 is for z alone"));
}

TEST_CASE("every form of NT-Xent hands the wish for Hopper's tiles on, which the CPU refuses") {
  const Tensor z = random_tensor({6, 4}, 1, DType::f32), groups = Tensor::zeros({6}, DType::i32);
  // Named, as Catch2 2's && points to both.
  const auto op = Catch::Contains("nt_xent: wgmma multiplies bf16 rows"),
             given = Catch::Contains("got f32 [6,4] on cpu");
  const auto refused = op && given;
  CHECK_THROWS_WITH(nn::nt_xent(z, {.wgmma = true}), refused);
  CHECK_THROWS_WITH(nn::nt_xent(z, {.views = 3, .wgmma = true}), refused);
  CHECK_THROWS_WITH(nn::nt_xent(z, z, {0, groups, groups}, {.wgmma = true}), refused);
  CHECK_THROWS_WITH(nn::nt_xent(z, z.clone(), {-1, groups, groups}, {.wgmma = true}), refused);
}

TEST_CASE("the losses' reference values: chance and lower bound") {
  // 512 images, temperature 0.5: 6.93 and 4.93.
  CHECK(nn::nt_xent_chance(512) == Approx(6.9305).margin(1e-4));
  CHECK(nn::nt_xent_bound(512, 0.5) == Approx(4.9345).margin(5e-3));
  CHECK(nn::nt_xent_bound(1, 0.5) == 0.0);
  CHECK(nn::nt_xent_bound(1, 2, 1, 0.5, {.decoupled = true}) == nn::nt_xent_chance(1, 2, 1, {.decoupled = true}));
  CHECK(std::isfinite(nn::nt_xent_bound(512, 1e-3)));
  // The bound is reached: identical pairs on a simplex of three directions.
  const Tensor simplex = Tensor::from(std::vector<double>{1, 0, -0.5, std::sqrt(0.75), -0.5, -std::sqrt(0.75), 1, 0,
                                                          -0.5, std::sqrt(0.75), -0.5, -std::sqrt(0.75)},
                                      {6, 2});
  CHECK(nn::nt_xent(simplex, {0.5}).item() == Approx(nn::nt_xent_bound(3, 0.5)).epsilon(1e-12));
}

TEST_CASE("a function whose backward pass reads a tensor refuses when that was written since") {
  using Inputs = std::vector<Tensor>;
  const auto message = [](const Inputs& inputs, std::size_t changed, const auto& f) {
    Inputs leaves;
    for (const Tensor& input : inputs) leaves.push_back(input.clone());
    for (Tensor& x : leaves) x.set_requires_grad();
    const Tensor y = f(leaves);
    leaves[changed].fill(1.0);
    return test::message_of([&] { y.backward(Tensor::zeros(y.shape(), y.dtype())); });
  };
  const Tensor a = random_tensor({4, 4}, 1), b = random_tensor({4, 4}, 2), row = random_tensor({4}, 3),
               image = random_tensor({2, 5, 5, 3}, 4), filters = random_tensor({2, 3, 3, 3}, 5);
  const Tensor labels = Tensor::zeros({4}, DType::i32);
  const auto batchnorm = [](const Inputs& in) { return nn::batchnorm(in[0], in[1], in[2], {}, {}, {}, {}); };
  const auto conv2d = [](const Inputs& in) { return nn::conv2d(in[0], in[1], {}); };
  const auto linear = [](const Inputs& in) { return nn::linear(in[0], in[1], in[2]); };
  const auto matmul = [](const Inputs& in) { return nn::matmul(in[0], in[1]); };
  const auto multiply = [](const Inputs& in) { return nn::multiply(in[0], in[1]); };
  const auto similarity = [](const Inputs& in) { return nn::similarity(in[0], in[1], 0.5); };
  const auto two_towers = [](const Inputs& in) {
    const Tensor groups = Tensor::from(std::vector<std::int32_t>{0, 1, 2, 3}, {4});
    return nn::nt_xent(in[0], in[1], {-1, groups, groups.clone()}, {0.5});
  };
  for (const std::size_t i : {0, 1}) {
    CHECK_THAT(message({a, b}, i, multiply), Catch::StartsWith("multiply: f64 [4,4]"));
    CHECK_THAT(message({a, b}, i, matmul), Catch::StartsWith("matmul: "));
    CHECK_THAT(message({a, b}, i, similarity), Catch::StartsWith("similarity: "));
    CHECK_THAT(message({a, b}, i, two_towers), Catch::StartsWith("nt_xent: "));
    CHECK_THAT(message({a, b, row}, i, linear), Catch::StartsWith("linear: "));
    CHECK_THAT(message({image, filters}, i, conv2d), Catch::StartsWith("conv2d: "));
  }
  for (const std::size_t i : {0, 1, 2})
    CHECK_THAT(message({a, row, row}, i, batchnorm), Catch::StartsWith("batchnorm: "));
  CHECK_THAT(message({a}, 0, [](const Inputs& in) { return nn::nt_xent(in[0], {0.5}); }),
             Catch::StartsWith("nt_xent: "));
  CHECK_THAT(message({a}, 0, [&](const Inputs& in) { return nn::cross_entropy(in[0], labels); }),
             Catch::StartsWith("cross_entropy: "));

  // Of these the backward pass reads the output,
  const auto with_output = [&](const auto& f) {
    Tensor x = a.clone();
    x.set_requires_grad();
    Tensor y = f(x);
    y.fill(1.0);
    return test::message_of([&] { y.backward(b); });
  };
  CHECK_THAT(with_output([](const Tensor& x) { return nn::relu(x); }), Catch::StartsWith("relu: "));
  CHECK_THAT(with_output([](const Tensor& x) { return nn::normalize(x); }), Catch::StartsWith("normalize: "));
  // and of these, nothing: their inputs' memory may be used again.
  CHECK(message({a}, 0, [](const Inputs& in) { return nn::relu(in[0]); }) == "no error");
  CHECK(message({a, b}, 0, [](const Inputs& in) { return nn::add(in[0], in[1]); }) == "no error");
  CHECK(message({a, row}, 0, [](const Inputs& in) { return nn::add_bias(in[0], in[1]); }) == "no error");
  CHECK(message({a}, 0, [](const Inputs& in) { return nn::mean(in[0]); }) == "no error");
  CHECK(message({image}, 0, [](const Inputs& in) { return nn::max_pool(in[0], {}); }) == "no error");
}
