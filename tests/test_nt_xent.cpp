// NT-Xent against plain loops in double on the same values, against an unfused composition, and the
// properties that the contract states.
#include <simclr/core/context.h>
#include <simclr/core/parallel.h>
#include <simclr/kernels/nt_xent.h>
#include <simclr/kernels/similarity.h>
#include <simclr/kernels/softmax_xent.h>

#include "support/catch.h"
#include "support/nt_xent_reference.h"
#include "support/tensors.h"

#include <limits>

using namespace simclr;
using kernels::NtXentPairs;
using test::aligned;
using test::classes_of;
using test::one;
using test::random_tensor;
using test::Reference;
using test::reference;
using test::relative_error;

namespace {

/// Loss error over max(1, loss), and gradient errors over the largest gradient: the worse.
double square_error(const Tensor& z, double temperature, const NtXentPairs& pairs = {}) {
  const Reference expected = reference(z, z, temperature, pairs);
  const auto result = kernels::nt_xent_forward(z, z, temperature, pairs);
  REQUIRE(result.saved.square);
  const double loss_error = std::abs(result.loss.to(DType::f64).item() - expected.loss) / std::max(1.0, expected.loss);
  const auto gradient = kernels::nt_xent_backward(result.saved, one(z.dtype()));
  return std::max(loss_error, relative_error(gradient.danchors, expected.dz));
}

double rectangular_error(const Tensor& anchors, const Tensor& candidates, double temperature,
                         const NtXentPairs& pairs) {
  const Reference expected = reference(anchors, candidates, temperature, pairs);
  const auto result = kernels::nt_xent_forward(anchors, candidates, temperature, pairs);
  REQUIRE_FALSE(result.saved.square);
  const double loss_error = std::abs(result.loss.to(DType::f64).item() - expected.loss) / std::max(1.0, expected.loss);
  const auto gradient = kernels::nt_xent_backward(result.saved, one(anchors.dtype()));
  return std::max({loss_error, relative_error(gradient.danchors, expected.danchors),
                   relative_error(gradient.dcandidates, expected.dcandidates)});
}

Tensor groups(const std::vector<std::int32_t>& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

TEST_CASE("two orthogonal, identical pairs give the known loss") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor z = Tensor::from(std::vector<double>{1, 0, 0, 1, 1, 0, 0, 1}, {4, 2}).to(dtype);
    CHECK(kernels::nt_xent_forward(z, z, 0.5).loss.to(DType::f64).item() == Approx(0.23954).margin(5e-6));
  }
}

TEST_CASE("loss and gradient agree with loops in double") {
  // f32: values and kernel; the dots' rounding, 3e-8 where they are near 1, is what 1/tau multiplies.
  // Scales: max(1, loss) and the largest gradient.
  const std::vector<std::tuple<std::int64_t, std::int64_t>> shapes = {{4, 128}, {6, 3},     {32, 64},  {62, 2},
                                                                      {66, 16}, {254, 129}, {258, 16}, {1000, 128}};
  for (const auto& [rows, width] : shapes) {
    for (const double noise : {2.0, 0.05}) {
      const Tensor z = aligned(rows, width, noise);
      for (const double temperature : {0.02, 0.05, 0.07, 0.5, 1.0}) {
        if (rows == 1000 && temperature != 0.05) continue;  // the loops take their time
        INFO("M " << rows << " D " << width << " noise " << noise << " temperature " << temperature);
        CHECK(square_error(z.to(DType::f32), temperature) < (temperature < 0.05 ? 1e-4 : 1e-6));
        CHECK(square_error(z, temperature) < 1e-12);
      }
    }
  }
}

TEST_CASE("in one dimension every direction is a sign and the gradient is zero") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor z = random_tensor({62, 1}, 1, dtype);
    const auto result = kernels::nt_xent_forward(z, z, 0.1);
    CHECK(result.loss.to(DType::f64).item() == Approx(reference(z, z, 0.1).loss).epsilon(1e-6));
    const auto gradient = kernels::nt_xent_backward(result.saved, one(dtype));
    for (const double d : gradient.danchors.to_vector<double>()) CHECK(std::abs(d) < 1e-9);
  }
}

TEST_CASE("rectangles with groups agree with loops") {
  const auto& sizes = test::edge_sizes;
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    const std::int64_t count = sizes[n], others = sizes[(n + 3) % sizes.size()];
    for (const std::int64_t width : {3, 64}) {
      const Tensor a = random_tensor({count, width}, 1), b = random_tensor({others, width}, 2);
      // two towers: one positive or several, for some anchors none
      const NtXentPairs towers = {-1, classes_of(count, others + 2), classes_of(others, others)};
      const NtXentPairs classes = {-1, classes_of(count, 5), classes_of(others, 4)};
      for (const NtXentPairs& pairs : {towers, classes}) {
        INFO("A " << count << " M " << others << " D " << width);
        CHECK(rectangular_error(a.to(DType::f32), b.to(DType::f32), 0.1, pairs) < 1e-6);
        CHECK(rectangular_error(a, b, 0.1, pairs) < 1e-12);
      }
    }
  }
}

TEST_CASE("supervised contrastive loss: several positives by groups") {
  for (const std::int64_t rows : {33, 129, 300}) {
    for (const std::int64_t classes : {std::int64_t{3}, std::int64_t{10}, rows - 1}) {
      // rows - 1 classes: one pair, and anchors without a positive, which stay negatives of the others
      const Tensor group = classes_of(rows, classes);
      const NtXentPairs pairs = {.anchor_group = group, .candidate_group = group};
      const Tensor z = random_tensor({rows, 32}, 3);
      CHECK(square_error(z.to(DType::f32), 0.1, pairs) < 1e-6);
      CHECK(square_error(z, 0.07, pairs) < 1e-12);
      // Two group tensors are not known to be one grouping: the rectangular path gives the same.
      const NtXentPairs apart = {.anchor_group = group, .candidate_group = group.clone()};
      CHECK(rectangular_error(z, z, 0.07, apart) < 1e-12);
    }
  }
}

TEST_CASE("-1 equals nothing, not even another -1") {
  for (const std::int64_t rows : {9, 130, 300}) {
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < rows; ++i) values.push_back(i % 3 == 0 ? -1 : static_cast<std::int32_t>(i % 4) - 3);
    const Tensor group = groups(values), z = random_tensor({rows, 32}, 3), other = random_tensor({rows, 32}, 4);
    for (const double temperature : {0.1, 0.005}) {
      INFO("rows " << rows << " temperature " << temperature);
      CHECK(square_error(z, temperature, {.anchor_group = group, .candidate_group = group}) < 1e-9);
      CHECK(rectangular_error(z, other, temperature, {-1, group, group.clone()}) < 1e-9);
      if (temperature < 0.1) continue;
      CHECK(square_error(z.to(DType::f32), temperature, {.anchor_group = group, .candidate_group = group}) < 1e-6);
      CHECK(rectangular_error(z.to(DType::f32), other.to(DType::f32), temperature, {-1, group, group.clone()}) < 1e-6);
    }
  }
  // All unknown: no anchor has a positive. Two of one group beside them: those two alone are counted.
  const Tensor unknown = groups({-1, -1, -1, -1}), two = groups({-1, 5, -1, 5}), z = random_tensor({4, 3}, 5);
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 1.0, {.anchor_group = unknown, .candidate_group = unknown}),
                    Catch::Contains("no anchor has a positive"));
  const auto result = kernels::nt_xent_forward(z, z, 1.0, {.anchor_group = two, .candidate_group = two});
  CHECK(result.saved.counted == 2);
  CHECK(result.saved.positives.to_vector<double>() == std::vector<double>{0, 1, 0, 1});
}

TEST_CASE("gathered over devices, the parts add up to the whole") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-13;  // of one loss against another
    const std::int64_t rows = 260, parts = 4, share = rows / parts;
    const Tensor z = random_tensor({rows, 20}, 4, dtype);
    const auto whole = kernels::nt_xent_forward(z, z, 0.2);
    const Tensor expected = kernels::nt_xent_backward(whole.saved, one(dtype)).danchors;
    std::vector<double> dz(static_cast<std::size_t>(z.numel()), 0.0);
    double loss = 0;
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t first = part * share;
      const auto result = kernels::nt_xent_forward(z.narrow(first, share), z, 0.2, {.self_offset = first});
      REQUIRE_FALSE(result.saved.square);
      loss += result.loss.to(DType::f64).item() / parts;
      const auto gradient = kernels::nt_xent_backward(result.saved, Tensor::full({}, 1.0 / parts, dtype));
      const auto own = gradient.danchors.to_vector<double>(), others = gradient.dcandidates.to_vector<double>();
      for (std::size_t i = 0; i < others.size(); ++i) dz[i] += others[i];
      for (std::size_t i = 0; i < own.size(); ++i) dz[static_cast<std::size_t>(first * 20) + i] += own[i];
    }
    CHECK(loss == Approx(whole.loss.to(DType::f64).item()).epsilon(tolerance));
    CHECK(relative_error(Tensor::from(dz, z.shape()), expected) < tolerance);
  }
}

TEST_CASE("the gradient agrees with central differences") {
  const auto check = [](Tensor a, Tensor b, const NtXentPairs& pairs) {
    const auto loss = [&] { return kernels::nt_xent_forward(a, b, 0.3, pairs).loss.item() * 1.7; };
    const auto result = kernels::nt_xent_forward(a, b, 0.3, pairs);
    const auto gradient = kernels::nt_xent_backward(result.saved, Tensor::full({}, 1.7, DType::f64));
    const auto agrees = [&](Tensor& z, const Tensor& dz) {
      const double step = 1e-5;
      std::vector<double> differences;
      for (std::int64_t i = 0; i < z.numel(); ++i) {
        double& value = z.data<double>()[i];
        const double original = value;
        value = original + step;
        const double above = loss();
        value = original - step;
        differences.push_back((above - loss()) / (2 * step));
        value = original;
      }
      CHECK(relative_error(dz, Tensor::from(differences, z.shape())) < 1e-7);
    };
    agrees(a, gradient.danchors);
    if (gradient.dcandidates.defined()) agrees(b, gradient.dcandidates);
  };
  for (const std::int64_t rows : {4, 10}) {
    for (const std::int64_t width : {2, 5}) {
      const Tensor z = random_tensor({rows, width}, 7), other = random_tensor({rows + 3, width}, 8);
      check(z, z, {});
      const Tensor halves = classes_of(rows, 2);
      check(z, z, {.anchor_group = halves, .candidate_group = halves});
      check(z, other, {-1, classes_of(rows, 3), classes_of(rows + 3, 4)});
      check(z, other, {2, classes_of(rows, 3), classes_of(rows + 3, 3)});
    }
  }
}

TEST_CASE("a learned temperature gives a fixed one's loss and gradients, and its own is that of central differences") {
  const auto check = [](const Tensor& a, const Tensor& b, const NtXentPairs& pairs, double tau) {
    CAPTURE(a.dim(0), b.dim(0), a.dim(1), pairs.self_offset, tau);
    Tensor scale = Tensor::full({}, std::log(1 / tau), DType::f64);
    const auto loss = [&] { return kernels::nt_xent_forward(a, b, scale, pairs).loss.item() * 1.7; };
    const Tensor dloss = Tensor::full({}, 1.7, DType::f64);
    const auto learned = kernels::nt_xent_forward(a, b, scale, pairs);
    const auto gradient = kernels::nt_xent_backward(learned.saved, dloss);
    const auto fixed = kernels::nt_xent_forward(a, b, tau, pairs);
    const auto expected = kernels::nt_xent_backward(fixed.saved, dloss);
    CHECK(learned.loss.item() == Approx(fixed.loss.item()).epsilon(1e-13));
    CHECK(relative_error(gradient.danchors, expected.danchors) < 1e-12);
    CHECK_FALSE(expected.dlogit_scale.defined());
    if (expected.dcandidates.defined()) CHECK(relative_error(gradient.dcandidates, expected.dcandidates) < 1e-12);
    const double middle = scale.item(), step = 1e-6;
    scale.fill(middle + step);
    const double above = loss();
    scale.fill(middle - step);
    const double difference = (above - loss()) / (2 * step);
    CHECK(gradient.dlogit_scale.item() == Approx(difference).epsilon(3e-7).margin(1e-7));
    // f32 takes sums without a shift where the temperature is fixed, and with one here: alike but for rounding.
    const Tensor a32 = a.to(DType::f32), b32 = a.same_as(b) ? a32 : b.to(DType::f32);
    const auto single = kernels::nt_xent_forward(a32, b32, Tensor::full({}, middle), pairs);
    const auto plain = kernels::nt_xent_forward(a32, b32, tau, pairs);
    CHECK(single.loss.item() == Approx(plain.loss.item()).epsilon(3e-6));
    CHECK(relative_error(kernels::nt_xent_backward(single.saved, one(DType::f32)).danchors,
                         kernels::nt_xent_backward(plain.saved, one(DType::f32)).danchors) < 1e-6 + 3e-7 / tau);
    CHECK(kernels::nt_xent_backward(single.saved, one(DType::f32)).dlogit_scale.item() * 1.7 ==
          Approx(difference).epsilon(2e-5).margin(5e-6 / tau));
  };
  for (const double tau : {0.5, 0.07, 0.011}) {
    const Tensor z = aligned(66, 16, 2.0), near = aligned(130, 5, 0.3), other = random_tensor({70, 16}, 8);
    check(z, z, {}, tau);
    check(near, near, {}, tau);
    const Tensor halves = classes_of(66, 2);
    check(z, z, {.anchor_group = halves, .candidate_group = halves}, tau);
    check(z, other, {-1, classes_of(66, 72, 10), classes_of(70, 70)}, tau);  // some anchors have no positive
    check(z, other, {2, classes_of(66, 3), classes_of(70, 3)}, tau);
    check(z.narrow(7, 20), z, {.self_offset = 7}, tau);  // gathered negatives
  }
}

TEST_CASE("a learned 1/tau is at most 100, and at the cap a step leads back only") {
  // Both views alike: a larger scale lowers the loss. Each nearer to others than to its own: it raises it.
  const Tensor near = aligned(34, 16, 0.0);
  std::vector<double> opposite = near.to_vector<double>();
  for (std::size_t i = opposite.size() / 2; i < opposite.size(); ++i) opposite[i] = -opposite[i];
  const Tensor far = Tensor::from(opposite, near.shape());
  const double cap = std::log(100.0);
  const auto run = [](const Tensor& z, double logit_scale) {
    const auto result = kernels::nt_xent_forward(z, z, Tensor::full({}, logit_scale, DType::f64));
    return std::pair(result.loss.item(), kernels::nt_xent_backward(result.saved, one(DType::f64)).dlogit_scale.item());
  };
  CHECK(run(near, 1.0).second < 0);
  CHECK(run(far, 1.0).second > 0);
  const auto below = run(far, cap - 1e-9);
  for (const double logit_scale : {cap + 1e-9, cap + 1, 1000.0}) {
    CAPTURE(logit_scale);
    CHECK(run(far, logit_scale).first == Approx(kernels::nt_xent_forward(far, far, 0.01).loss.item()).epsilon(1e-12));
    CHECK(run(near, logit_scale).first ==
          Approx(kernels::nt_xent_forward(near, near, 0.01).loss.item()).epsilon(1e-12));
    CHECK(run(near, logit_scale).second == 0);
    CHECK(run(far, logit_scale).second == Approx(below.second).epsilon(1e-6));
  }
  const auto lost = run(near, std::numeric_limits<double>::quiet_NaN());
  CHECK(std::isnan(lost.first));
  CHECK(std::isnan(lost.second));
}

TEST_CASE("a logit_scale is one value beside the embeddings") {
  const Tensor z = random_tensor({4, 3}, 1, DType::f32);
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, Tensor::zeros({2})),
                    Catch::Contains("logit_scale must be one value"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, Tensor::zeros({}, DType::f64)),
                    Catch::Contains("dtypes and devices must be the same"));
}

TEST_CASE("the fused op agrees with similarity, a mask and softmax cross-entropy") {
  const std::int64_t rows = 66;
  const Tensor z = random_tensor({rows, 16}, 9);
  Tensor s = kernels::similarity_forward(z, z, 0.2);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < rows; ++i) {
    s.data<double>()[i * rows + i] = -std::numeric_limits<double>::infinity();
    labels.push_back(static_cast<std::int32_t>((i + rows / 2) % rows));
  }
  const auto unfused = kernels::softmax_xent_forward(s, groups(labels));
  const Tensor ds = kernels::softmax_xent_backward(s, groups(labels), unfused.log_sum, one(DType::f64));
  const auto parts = kernels::similarity_backward(ds, z, z, 0.2);
  auto dz = parts.da.to_vector<double>();
  const auto db = parts.db.to_vector<double>();
  for (std::size_t i = 0; i < dz.size(); ++i) dz[i] += db[i];

  const auto fused = kernels::nt_xent_forward(z, z, 0.2);
  CHECK(fused.loss.item() == Approx(unfused.loss.item()).epsilon(1e-13));
  CHECK(relative_error(kernels::nt_xent_backward(fused.saved, one(DType::f64)).danchors, Tensor::from(dz, z.shape())) <
        1e-12);
}

TEST_CASE("temperatures whose exponentials overflow") {
  for (const double noise : {2.0, 0.1}) {
    const Tensor z = aligned(258, 16, noise);
    for (const double temperature : {0.005, 0.001, 0.0003}) {
      INFO("noise " << noise << " temperature " << temperature);
      CHECK(square_error(z, temperature) < 1e-9);
      CHECK(square_error(z.to(DType::f32), temperature) < 3e-7 / temperature);  // the dots' rounding over tau
      const NtXentPairs pairs = {-1, classes_of(258, 5), classes_of(258, 5)};
      CHECK(rectangular_error(z, z, temperature, pairs) < 1e-9);
    }
  }
}

TEST_CASE("the smallest temperatures are right, and what is below them is refused") {
  for (const double noise : {2.0, 0.1}) {
    const Tensor z = aligned(66, 16, noise), single = z.to(DType::f32);
    for (const double temperature : {1e-5, 1e-8, 1e-13}) {
      INFO("noise " << noise << " temperature " << temperature);
      CHECK(square_error(z, temperature) < std::max(1e-9, 1e-15 / temperature));
    }
    CHECK(square_error(single, 1e-5) < 0.03);  // the dots' rounding over tau
    for (const double temperature : {0.99e-5, 1e-6, 3e-9, 1e-9, 1e-40, 1e-320}) {
      CHECK_THROWS_WITH(kernels::nt_xent_forward(single, single, temperature),
                        Catch::Contains("below 1e-05 the rounding of f32"));
    }
    for (const double temperature : {0.99e-13, 1e-20, 1e-320}) {
      CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, temperature), Catch::Contains("the rounding of f64"));
    }
  }
}

TEST_CASE("a zero row, a NaN, and a batch of one image are defined") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tensor z = random_tensor({8, 5}, 11, dtype);
    z.narrow(3, 1).fill(0);
    CHECK(square_error(z, 0.5) < 1e-6);
    const auto result = kernels::nt_xent_forward(z, z, 0.5);
    for (const double d :
         kernels::nt_xent_backward(result.saved, one(dtype)).danchors.narrow(3, 1).to_vector<double>()) {
      CHECK(d == 0);
    }
    const Tensor zeros = Tensor::zeros({8, 5}, dtype);
    CHECK(kernels::nt_xent_forward(zeros, zeros, 0.5).loss.to(DType::f64).item() == Approx(std::log(7.0)));

    z.narrow(5, 1).fill(std::numeric_limits<double>::quiet_NaN());
    for (const double temperature : {0.5, 0.001}) {
      const auto poisoned = kernels::nt_xent_forward(z, z, temperature);
      CHECK(std::isnan(poisoned.loss.to(DType::f64).item()));
      CHECK(std::isnan(kernels::nt_xent_backward(poisoned.saved, one(dtype)).danchors.to_vector<double>()[0]));
    }

    const Tensor pair = random_tensor({2, 7}, 12, dtype);
    const auto single = kernels::nt_xent_forward(pair, pair, 0.1);
    CHECK(single.loss.to(DType::f64).item() == 0);
    for (const double d : kernels::nt_xent_backward(single.saved, one(dtype)).danchors.to_vector<double>())
      CHECK(d == 0);
  }
}

TEST_CASE("rows of any length count alike") {
  const std::int64_t width = 33;
  const auto loss_and_gradient = [&](int exponent, DType dtype) {  // every other row is so much longer
    auto values = random_tensor({130, width}, 16, DType::f64, -8, 8).to_vector<double>();
    for (std::size_t i = 0; i < values.size(); ++i) {  // of few bits, which the smallest numbers keep
      values[i] = std::ldexp(std::rint(values[i]), i / width % 2 == 1 ? exponent : 0);
    }
    const Tensor z = Tensor::from(values, {130, width}).to(dtype);
    const auto result = kernels::nt_xent_forward(z, z, 0.05);
    return std::pair(result.loss, kernels::nt_xent_backward(result.saved, one(dtype)).danchors.narrow(0, 1));
  };
  for (const DType dtype : {DType::f32, DType::f64}) {
    const auto [loss, gradient] = loss_and_gradient(0, dtype);
    for (const int exponent : {-140, -100, 100, 122}) {
      INFO(dtype << ", 2^" << exponent);
      const auto [same_loss, same_gradient] = loss_and_gradient(exponent, dtype);
      CHECK(relative_error(same_loss, loss) < 1e-6);
      CHECK(relative_error(same_gradient, gradient) < 1e-6);
    }
  }
}

TEST_CASE("the bits do not depend on the thread count") {
  const int before = threads();
  for (const std::int64_t rows : {66, 1000}) {
    const Tensor z = random_tensor({rows, 64}, 13, DType::f32);
    std::vector<Tensor> results;
    for (const int count : {1, 2, 3}) {
      set_threads(count);
      const auto square = kernels::nt_xent_forward(z, z, 0.1);
      const auto part = kernels::nt_xent_forward(z.narrow(0, 33), z, 0.1);
      const auto gradient = kernels::nt_xent_backward(part.saved, one(DType::f32));
      const std::vector<Tensor> values = {square.loss,
                                          kernels::nt_xent_backward(square.saved, one(DType::f32)).danchors, part.loss,
                                          gradient.danchors, gradient.dcandidates};
      if (results.empty()) results = values;
      for (std::size_t i = 0; i < values.size(); ++i) CHECK(test::same_bits(values[i], results[i]));
    }
  }
  set_threads(before);
}

TEST_CASE("the square and the rectangular path agree on thousands of rows") {
  for (const std::int64_t rows : {2050, 2178}) {  // the largest tiles, in an odd and in an even number of blocks
    const Tensor z = aligned(rows, 12, 0.3).to(DType::f32), group = classes_of(rows, rows / 2);
    const auto square = kernels::nt_xent_forward(z, z, 0.2);
    REQUIRE(square.saved.square);
    const auto apart = kernels::nt_xent_forward(z, z, 0.2, {.anchor_group = group, .candidate_group = group.clone()});
    REQUIRE_FALSE(apart.saved.square);
    CHECK(square.loss.item() == Approx(apart.loss.item()).epsilon(1e-6));
    const Tensor whole = kernels::nt_xent_backward(square.saved, one(DType::f32)).danchors;
    const auto parts = kernels::nt_xent_backward(apart.saved, one(DType::f32));
    auto sum = parts.danchors.to_vector<double>();
    const auto more = parts.dcandidates.to_vector<double>();
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
    CHECK(relative_error(whole, Tensor::from(sum, z.shape())) < 1e-6);
  }
}

TEST_CASE("besides z and its gradient there are some numbers a row and a tile a thread") {
  const Tensor z = random_tensor({8192, 128}, 14, DType::f32);
  Allocator& allocator = Context::of({}).allocator();
  allocator.reset_peak();
  const std::size_t before = allocator.stats().in_use;
  const auto result = kernels::nt_xent_forward(z, z, 0.5);
  const auto gradient = kernels::nt_xent_backward(result.saved, one(DType::f32));
  CHECK(allocator.stats().peak - before < z.bytes() + z.bytes() / 8 + static_cast<std::size_t>(threads()) * 256 * 1024);
  CHECK(result.loss.to(DType::f64).item() == Approx(std::log(8191.0)).epsilon(0.01));  // near chance
}

TEST_CASE("what does not fit is refused in one line") {
  using Catch::Contains;
  const Tensor z = random_tensor({6, 4}, 15), wide = random_tensor({6, 5}, 15), odd = random_tensor({5, 4}, 15);
  const Tensor six = classes_of(6, 3);
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 0.0), Contains("temperature 0"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, std::nan("")), Contains("temperature"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, wide, 1.0), Contains("[6,5]"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z.to(DType::f32), 1.0), Contains("f32"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(odd, odd, 1.0), Contains("two views"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 1.0, {.self_offset = 1}), Contains("do not fit"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 1.0, {.self_offset = -1}), Contains("need groups"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 1.0, {.anchor_group = six}), Contains("one is missing"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 1.0, {0, six, classes_of(5, 2)}), Contains("candidate_group"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 1.0, {0, classes_of(6, 6), classes_of(6, 6)}),
                    Contains("no anchor has a positive"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(Tensor::zeros({0, 4}), Tensor::zeros({0, 4}), 1.0), Contains("[0,4]"));
  const auto result = kernels::nt_xent_forward(z, z, 1.0);
  CHECK_THROWS_WITH(kernels::nt_xent_backward(result.saved, z), Contains("scalar"));
}
