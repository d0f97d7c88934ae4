// DCL, DCLW, the debiased and the hard-negative loss against plain loops in long double, against central differences,
// and where they are NT-Xent itself.
#include <simclr/core/parallel.h>
#include <simclr/kernels/nt_xent.h>

#include "support/catch.h"
#include "support/nt_xent_form_reference.h"
#include "support/tensors.h"

#include <limits>

using namespace simclr;
using kernels::NtXentForm;
using kernels::NtXentPairs;
using test::aligned;
using test::classes_of;
using test::form_reference;
using test::forms;
using test::one;
using test::random_tensor;
using test::Reference;
using test::relative_error;

namespace {

kernels::NtXentResult forward(const Tensor& a, const Tensor& b, double temperature, const NtXentForm& form,
                              const NtXentPairs& pairs = {}) {
  return kernels::nt_xent_forward(a, b, temperature, pairs, false, form);
}

/// Loss error over max(1, |loss|), and gradient errors over the largest gradient: the worse.
double form_error(const Tensor& a, const Tensor& b, double temperature, const NtXentForm& form,
                  const NtXentPairs& pairs = {}) {
  const Reference expected = form_reference(a, b, temperature, form, pairs);
  const auto result = forward(a, b, temperature, form, pairs);
  const double loss = result.loss.to(DType::f64).item();
  const double loss_error = std::abs(loss - expected.loss) / std::max(1.0, std::abs(expected.loss));
  const auto gradient = kernels::nt_xent_backward(result.saved, one(a.dtype()));
  if (result.saved.square) return std::max(loss_error, relative_error(gradient.danchors, expected.dz));
  return std::max({loss_error, relative_error(gradient.danchors, expected.danchors),
                   relative_error(gradient.dcandidates, expected.dcandidates)});
}

bool is_clamped(const kernels::NtXentResult& result) {
  return result.saved.log_divisors.to_vector<double>()[0] == std::numeric_limits<double>::infinity();
}

}  // namespace

TEST_CASE("each loss of the family agrees with loops in long double") {
  // f32: as NT-Xent, the dots' rounding over tau; a hardness multiplies it by 1 + hardness.
  const std::vector<std::tuple<std::int64_t, std::int64_t>> shapes = {{4, 128}, {6, 3},     {32, 64},
                                                                      {66, 16}, {254, 129}, {258, 16}};
  for (const auto& [name, form] : forms) {
    for (const auto& [rows, width] : shapes) {
      for (const double noise : {2.0, 0.3}) {
        const Tensor z = aligned(rows, width, noise);
        for (const double temperature : {0.05, 0.1, 0.5, 1.0}) {
          INFO(name << ", M " << rows << " D " << width << " noise " << noise << " temperature " << temperature);
          CHECK(form_error(z.to(DType::f32), z.to(DType::f32), temperature, form) < 1e-5);
          const Tensor exact = z.to(DType::f32).to(DType::f64);
          CHECK(form_error(exact, exact, temperature, form) < 1e-12);
        }
      }
    }
  }
}

TEST_CASE("sums that could overflow are shifted, each by its own") {
  const Tensor z = aligned(66, 16, 2.0);
  for (const auto& [name, form] : forms) {
    for (const double temperature : {0.02, 0.01, 0.001}) {
      INFO(name << ", temperature " << temperature);
      CHECK(form_error(z, z, temperature, form) < 1e-10);
      const Tensor single = z.to(DType::f32);
      CHECK(form_error(single, single, temperature, form) < 1e-6 / temperature);  // the dots' rounding over tau
    }
  }
}

TEST_CASE("a hardness is counted where sums could overflow: rows that are nearly all alike") {
  const Tensor z = random_tensor({66, 16}, 5, DType::f32, 0.9, 1.1);  // e^{2 s} of s = 50 is beyond f32
  const auto result = forward(z, z, 0.02, {.hardness = 1});
  CHECK(result.loss.item() == Approx(form_reference(z, z, 0.02, {.hardness = 1}).loss).epsilon(1e-4));
  for (const double d : kernels::nt_xent_backward(result.saved, one(DType::f32)).danchors.to_vector<double>()) {
    REQUIRE(std::isfinite(d));
  }
}

TEST_CASE("rectangles, groups and several positives of each loss") {
  for (const auto& [name, form] : forms) {
    const Tensor a = random_tensor({33, 20}, 1), b = random_tensor({129, 20}, 2), z = random_tensor({130, 20}, 3);
    const Tensor halves = classes_of(130, 9);
    INFO(name);
    CHECK(form_error(a, b, 0.2, form, {-1, classes_of(33, 131), classes_of(129, 129)}) < 1e-12);  // some without
    CHECK(form_error(a, b, 0.2, form, {-1, classes_of(33, 5), classes_of(129, 4)}) < 1e-12);
    CHECK(form_error(a, b, 0.2, form, {2, classes_of(33, 7), classes_of(129, 7)}) < 1e-12);
    CHECK(form_error(z, z, 0.2, form, {.anchor_group = halves, .candidate_group = halves}) < 1e-12);
    if (form.sigma > 0) continue;  // its weights are of all anchors of a call
    // Gathered over devices, the parts add up to the whole.
    const auto whole = forward(z, z, 0.2, form);
    double loss = 0;
    for (const std::int64_t first : {0, 65}) {
      loss += forward(z.narrow(first, 65), z, 0.2, form, {.self_offset = first}).loss.item() / 2;
    }
    CHECK(loss == Approx(whole.loss.item()).epsilon(1e-13));
  }
}

TEST_CASE("the gradient of each loss agrees with central differences") {
  const auto check = [](const NtXentForm& form, Tensor a, Tensor b, const NtXentPairs& pairs, double temperature) {
    const auto result = forward(a, b, temperature, form, pairs);
    const auto gradient = kernels::nt_xent_backward(result.saved, Tensor::full({}, 1.7, DType::f64));
    std::vector<test::Real> weights;  // DCLW's stay
    form_reference(a, b, temperature, form, pairs, &weights);
    const auto loss = [&] {
      const double value = form.sigma > 0 ? form_reference(a, b, temperature, form, pairs, &weights).loss
                                          : forward(a, b, temperature, form, pairs).loss.item();
      return 1.7 * value;
    };
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
  for (const auto& [name, form] : forms) {
    for (const auto& [rows, width] : {std::tuple{4, 2}, {10, 5}, {6, 33}}) {
      INFO(name << ", M " << rows << " D " << width);
      const Tensor z = random_tensor({rows, width}, 7), other = random_tensor({rows + 3, width}, 8);
      check(form, z, z, {}, 0.5);
      check(form, z, other, {-1, classes_of(rows, 3), classes_of(rows + 3, 4)}, 0.5);
    }
  }
}

TEST_CASE("without a prior and a hardness, or with hardly any, it is NT-Xent") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor z = aligned(130, 16, 1.0).to(dtype), group = classes_of(130, 9);
    const double limit = dtype == DType::f32 ? 1e-6 : 1e-12;
    for (const NtXentPairs& pairs : {NtXentPairs{}, NtXentPairs{.anchor_group = group, .candidate_group = group}}) {
      for (const double temperature : {0.5, 0.1, 0.01}) {
        const auto plain = kernels::nt_xent_forward(z, z, temperature, pairs);
        const Tensor expected = kernels::nt_xent_backward(plain.saved, one(dtype)).danchors;
        // 1e-15 is below what either sum can tell, so these go through all that a prior and a hardness do.
        for (const NtXentForm& form : {NtXentForm{.class_prior = 1e-15}, NtXentForm{.hardness = 1e-15},
                                       NtXentForm{.class_prior = 1e-15, .hardness = 1e-15}}) {
          INFO(dtype << " temperature " << temperature << " prior " << form.class_prior << " hardness "
                     << form.hardness);
          const auto result = forward(z, z, temperature, form, pairs);
          CHECK(relative_error(result.loss, plain.loss) < limit);
          CHECK(relative_error(kernels::nt_xent_backward(result.saved, one(dtype)).danchors, expected) <
                limit / std::min(1.0, 10 * temperature));
        }
      }
    }
    const auto same = forward(z, z, 0.5, {}), plain = kernels::nt_xent_forward(z, z, 0.5);
    CHECK(test::same_bits(same.loss, plain.loss));
  }
}

TEST_CASE("where the debiased sum is at its least the negatives have no gradient") {
  // Views alike and a large prior: the positive takes more off than the negatives hold.
  const Tensor z = aligned(34, 8, 0.01);
  for (const NtXentForm& form : {NtXentForm{.class_prior = 0.5}, NtXentForm{.class_prior = 0.5, .hardness = 0.5}}) {
    const auto result = forward(z, z, 0.2, form);
    REQUIRE(is_clamped(result));
    REQUIRE_FALSE(is_clamped(forward(z, z, 0.2, {.class_prior = 1e-4})));
    CHECK(form_error(z, z, 0.2, form) < 1e-12);
    // A negative that moves a little moves nothing: two anchors against candidates of which the last is no positive.
    const Tensor a = z.narrow(0, 1), b = z.narrow(16, 3);  // row 17 is the other view of row 0
    const NtXentPairs pairs = {-1, Tensor::from(std::vector<std::int32_t>{1}, {1}),
                               Tensor::from(std::vector<std::int32_t>{0, 1, 2}, {3})};
    const auto apart = forward(a, b, 0.2, form, pairs);
    REQUIRE(is_clamped(apart));
    const Tensor db = kernels::nt_xent_backward(apart.saved, one(DType::f64)).dcandidates;
    for (const std::int64_t row : {0, 2}) CHECK(db.narrow(row, 1).to_vector<double>() == std::vector<double>(8, 0.0));
    CHECK(relative_error(db.narrow(1, 1), Tensor::zeros({1, 8}, DType::f64)) > 0);
  }
}

TEST_CASE("known values: four orthogonal directions") {
  // u_i.v_k is 1 for both views, 0 for all others: N = 6 negatives of e^0.
  const Tensor z = Tensor::from(std::vector<double>{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1,
                                                    1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
                                {8, 4});
  const auto loss = [&](const NtXentForm& form) { return forward(z, z, 0.5, form).loss.item(); };
  CHECK(loss({.decoupled = true}) == Approx(std::log(6.0) - 2).epsilon(1e-14));
  CHECK(loss({.decoupled = true, .sigma = 0.5}) == Approx(std::log(6.0) - 2).epsilon(1e-14));  // equal pairs: w = 1
  const double debiased = 6 * (1 - 0.1 * std::exp(2.0)) / 0.9;
  CHECK(loss({.class_prior = 0.1}) == Approx(std::log(1 + debiased * std::exp(-2.0))).epsilon(1e-14));
  CHECK(loss({.class_prior = 0.1, .hardness = 2}) == Approx(std::log(1 + debiased * std::exp(-2.0))).epsilon(1e-14));
  CHECK(loss({.class_prior = 0.3}) == Approx(std::log1p(6 * std::exp(-4.0))).epsilon(1e-14));  // at its least
}

TEST_CASE("a learned temperature of a loss that may have one has the gradient of central differences") {
  const Tensor z = aligned(66, 16, 1.0), group = classes_of(66, 9);
  for (const NtXentForm& form :
       {NtXentForm{.decoupled = true}, NtXentForm{.decoupled = true, .sigma = 0.5}, NtXentForm{.inside = true}}) {
    NtXentPairs pairs;
    if (form.inside) pairs = {.anchor_group = group, .candidate_group = group};  // with one positive it is NT-Xent
    Tensor scale = Tensor::full({}, std::log(1 / 0.2), DType::f64);
    const auto run = [&] { return kernels::nt_xent_forward(z, z, scale, pairs, false, form); };
    const double gradient = kernels::nt_xent_backward(run().saved, one(DType::f64)).dlogit_scale.item();
    CHECK(run().loss.item() == Approx(forward(z, z, 0.2, form, pairs).loss.item()).epsilon(1e-13));
    const double middle = scale.item(), step = 1e-6;
    scale.fill(middle + step);
    const double above = run().loss.item();
    scale.fill(middle - step);
    CHECK(gradient == Approx((above - run().loss.item()) / (2 * step)).epsilon(1e-6));
  }
}

TEST_CASE("a zero row and a NaN are defined for each loss, and bits do not depend on the thread count") {
  for (const auto& [name, form] : forms) {
    INFO(name);
    for (const DType dtype : {DType::f32, DType::f64}) {
      Tensor z = random_tensor({8, 5}, 11, dtype);
      z.narrow(3, 1).fill(0);
      CHECK(form_error(z, z, 0.5, form) < 1e-6);
      z.narrow(5, 1).fill(std::numeric_limits<double>::quiet_NaN());
      for (const double temperature : {0.5, 0.001}) {
        const auto poisoned = forward(z, z, temperature, form);
        CHECK(std::isnan(poisoned.loss.to(DType::f64).item()));
        CHECK(std::isnan(kernels::nt_xent_backward(poisoned.saved, one(dtype)).danchors.to_vector<double>()[25]));
      }
    }
    const int before = threads();
    const Tensor z = random_tensor({600, 32}, 13, DType::f32);
    std::vector<Tensor> first;
    for (const int count : {1, 3}) {
      set_threads(count);
      const auto result = forward(z, z, 0.1, form);
      const std::vector<Tensor> now = {result.loss, kernels::nt_xent_backward(result.saved, one(DType::f32)).danchors};
      if (first.empty()) first = now;
      CHECK(test::same_bits(now, first));
    }
    set_threads(before);
  }
}

TEST_CASE("inside: of one positive NT-Xent, of several below the form with the log inside of the mean") {
  const Tensor z = aligned(40, 8, 1.0), group = classes_of(40, 4);
  CHECK(forward(z, z, 0.2, {.inside = true}).loss.item() ==
        Approx(kernels::nt_xent_forward(z, z, 0.2).loss.item()).epsilon(1e-14));
  const NtXentPairs classes = {.anchor_group = group, .candidate_group = group};
  CHECK(forward(z, z, 0.2, {.inside = true}, classes).loss.item() <
        kernels::nt_xent_forward(z, z, 0.2, classes).loss.item() - 0.1);
  // Where all are positives there is nothing to push: the loss is log P, and no gradient is left.
  const Tensor one_group = Tensor::zeros({40}, DType::i32);
  const auto alike = forward(z, z, 0.2, {.inside = true}, {.anchor_group = one_group, .candidate_group = one_group});
  CHECK(alike.loss.item() == Approx(std::log(39.0)).epsilon(1e-14));
  for (const double d : kernels::nt_xent_backward(alike.saved, one(DType::f64)).danchors.to_vector<double>()) {
    REQUIRE(d == 0);
  }
}

TEST_CASE("options of the family that make no sense are refused") {
  const Tensor z = random_tensor({4, 3}, 1, DType::f32);
  const auto refused = [&](const NtXentForm& form, const char* why, double temperature = 0.5) {
    CHECK_THROWS_WITH(forward(z, z, temperature, form), Catch::Contains(why));
  };
  refused({.class_prior = 1}, "class prior of 1");
  refused({.class_prior = -0.1}, "class prior of -0.1");
  refused({.hardness = -1}, "hardness of -1");
  refused({.hardness = 1e-46}, "hardness of 1e-46");
  refused({.hardness = std::numeric_limits<double>::infinity()}, "hardness of inf");
  refused({.sigma = 0.5}, "it is for the decoupled loss");
  refused({.decoupled = true, .sigma = 0.001}, "0.01 or more");
  refused({.decoupled = true, .hardness = 1}, "choose one of them");
  refused({.decoupled = true, .inside = true}, "inside stands alone");
  refused({.inside = true, .class_prior = 0.1}, "inside stands alone");
  refused({.hardness = 1}, "over 1 + hardness 1", 1.5e-5);
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, Tensor::zeros({}), {}, false, {.class_prior = 0.1}),
                    Catch::Contains("needs a fixed temperature"));
}
