// The losses of NT-Xent's family on the device, beside the CPU's f64 op on the same rounded embeddings.
#include "support/device.h"

#include <simclr/kernels/nt_xent.h>

#include "support/nt_xent_form_reference.h"

#include <cstdlib>
#include <limits>

using namespace simclr;
using kernels::NtXentForm;
using kernels::NtXentPairs;
using test::Both;
using test::classes_of;
using test::forms;
using test::one;
using test::relative_error;

namespace {

/// As in test_nt_xent.cpp; a hardness has no such tiles.
bool by_wgmma(const Tensor& z, const NtXentForm& form) {
  return std::getenv("SIMCLR_TEST_WGMMA") != nullptr && z.dtype() == DType::bf16 && z.dim(1) <= 256 &&
         form.hardness == 0;
}

kernels::NtXentResult forward(const Tensor& a, const Tensor& b, const kernels::NtXentTemperature& temperature,
                              const NtXentForm& form, const NtXentPairs& pairs = {}) {
  const auto result = kernels::nt_xent_forward(a, b, temperature, pairs, by_wgmma(a, form), form);
  REQUIRE(result.saved.anchor_u.rank() == (by_wgmma(a, form) ? 3 : 2));  // panels
  return result;
}

NtXentPairs on_device(const NtXentPairs& pairs) {
  if (!pairs.anchor_group.defined()) return pairs;
  return {pairs.self_offset, pairs.anchor_group.to(test::device()), pairs.candidate_group.to(test::device())};
}

/// f32: what a dot's rounding costs, over the smallest temperature that it meets, beside the largest value. bf16: 2^-9
/// of unit vectors over it in the loss, and an NMSE of the gradient.
void check(const Both& a, const Both& b, double temperature, const NtXentForm& form, const NtXentPairs& pairs = {},
           double nmse = 2e-4) {
  const auto exact = kernels::nt_xent_forward(a.exact, b.exact, temperature, pairs, false, form);
  const auto result = forward(a.on_device, b.on_device, temperature, form, on_device(pairs));
  const auto expected = kernels::nt_xent_backward(exact.saved, one(DType::f64));
  const auto gradient = kernels::nt_xent_backward(result.saved, one(DType::f32, test::device()));
  const bool half = a.on_device.dtype() == DType::bf16;
  const double least = temperature / (1 + form.hardness), limit = std::max(3e-6, 4e-7 / least);
  const double value = exact.loss.item(), scale = std::max(1.0, std::abs(value));
  CAPTURE(a.on_device.dtype(), a.exact.dim(0), b.exact.dim(0), a.exact.dim(1), temperature);
  CHECK(std::abs(result.loss.item() - value) / scale <= (half ? std::max(3e-3, 6e-4 / least) : limit));
  const auto agrees = [&](const Tensor& got, const Tensor& wanted) {
    REQUIRE(got.shape() == wanted.shape());
    if (half)
      CHECK(test::nmse(got, wanted) <= nmse);
    else
      CHECK(relative_error(got, wanted) <= limit);
  };
  agrees(gradient.danchors, expected.danchors);
  if (expected.dcandidates.defined()) agrees(gradient.dcandidates, expected.dcandidates);
}

Both aligned(std::int64_t rows, std::int64_t width, double noise, DType dtype) {
  return test::both(test::aligned(rows, width, noise), dtype);
}

}  // namespace

DEVICE_TEST_CASE("loss and gradient of each loss agree with double, in all tiles") {
  // Depths of 64, 128 and 256 on the tensor cores, slices of one and two parts and wide rows on the f32 cores.
  const std::vector<std::tuple<std::int64_t, std::int64_t>> shapes = {
      {4, 31}, {66, 64}, {130, 100}, {66, 129}, {34, 300}};
  for (const auto& [name, form] : forms) {
    for (const DType dtype : test::device_dtypes) {
      for (const auto& [rows, width] : shapes) {
        INFO(name);
        const Both z = aligned(rows, width, 2.0, dtype);
        check(z, z, 0.5, form);
        if (width <= 129) check(z, z, 0.1, form);
      }
    }
  }
}

DEVICE_TEST_CASE("sums that could overflow are shifted, each by its own") {
  for (const auto& [name, form] : forms) {
    for (const DType dtype : test::device_dtypes) {
      // There a prior takes one large number off another, and bf16's rounding decides which rows are at their least.
      if (dtype == DType::bf16 && form.class_prior > 0) continue;
      for (const std::int64_t width : {32, 100, 130}) {
        INFO(name);
        const Both z = aligned(66, width, 2.0, dtype);
        check(z, z, 0.01, form, {}, 2e-3);
      }
    }
  }
}

DEVICE_TEST_CASE("rectangles, groups and several positives of each loss") {
  for (const auto& [name, form] : forms) {
    for (const DType dtype : test::device_dtypes) {
      INFO(name);
      const Both a = test::random_both({33, 65}, 1, dtype), b = test::random_both({129, 65}, 2, dtype);
      check(a, b, 0.2, form, {-1, classes_of(33, 131), classes_of(129, 129)});
      check(a, b, 0.2, form, {-1, classes_of(33, 5), classes_of(129, 4)});  // some anchors have no positive
      check(a, b, 0.2, form, {2, classes_of(33, 7), classes_of(129, 7)});
    }
  }
}

DEVICE_TEST_CASE("where the debiased sum is at its least the tiles give nothing") {
  for (const DType dtype : test::device_dtypes) {
    for (const NtXentForm& form : {NtXentForm{.class_prior = 0.5}, NtXentForm{.class_prior = 0.5, .hardness = 0.5}}) {
      const Both z = aligned(34, 8, 0.3, dtype);
      const auto result = forward(z.on_device, z.on_device, 0.2, form);
      const auto terms = result.saved.device_terms.to(Device{}).to_vector<double>();
      const std::int64_t width = result.saved.device_terms.dim(1);
      int clamped = 0;
      for (std::int64_t row = 0; row < 34; ++row) clamped += terms[static_cast<std::size_t>(row * width + 1)] == 0;
      CHECK(clamped > 0);  // anchors at the least have no share
      check(z, z, 0.2, form, {}, 1e-3);
    }
  }
}

DEVICE_TEST_CASE("where all are of one group the decoupled loss has no negatives, and only its positives pull") {
  for (const DType dtype : test::device_dtypes) {
    const Both a = test::random_both({34, 16}, 1, dtype), b = test::random_both({34, 16}, 2, dtype);
    const NtXentPairs pairs{-1, classes_of(34, 1), classes_of(34, 1)};
    const NtXentForm form{.decoupled = true};
    const auto exact = kernels::nt_xent_forward(a.exact, b.exact, 0.2, pairs, false, form);
    const auto result = forward(a.on_device, b.on_device, 0.2, form, on_device(pairs));
    CHECK(result.loss.item() == -std::numeric_limits<double>::infinity());
    const auto expected = kernels::nt_xent_backward(exact.saved, one(DType::f64));
    const auto gradient = kernels::nt_xent_backward(result.saved, one(DType::f32, test::device()));
    CHECK(test::nmse(gradient.danchors, expected.danchors) <= 2e-4);
    CHECK(test::nmse(gradient.dcandidates, expected.dcandidates) <= 2e-4);
  }
}

DEVICE_TEST_CASE("a learned temperature of a decoupled loss gets its gradient on the device") {
  for (const DType dtype : test::device_dtypes) {
    for (const NtXentForm& form : {NtXentForm{.decoupled = true}, NtXentForm{.decoupled = true, .sigma = 0.5}}) {
      const Both z = aligned(130, 32, 1.0, dtype);
      const Tensor scale = Tensor::full({}, std::log(1 / 0.2));
      const auto exact = kernels::nt_xent_forward(z.exact, z.exact, scale.to(DType::f64), {}, false, form);
      const auto result = forward(z.on_device, z.on_device, scale.to(test::device()), form);
      CHECK(result.loss.item() == Approx(exact.loss.item()).epsilon(dtype == DType::bf16 ? 3e-3 : 3e-6));
      const double own = kernels::nt_xent_backward(exact.saved, one(DType::f64)).dlogit_scale.item();
      CHECK(kernels::nt_xent_backward(result.saved, one(DType::f32, test::device())).dlogit_scale.item() ==
            Approx(own).epsilon(dtype == DType::bf16 ? 5e-3 : 2e-5));
    }
  }
}

DEVICE_TEST_CASE("zero rows, NaN and repeated bits of each loss") {
  for (const auto& [name, form] : forms) {
    for (const DType dtype : test::device_dtypes) {
      INFO(name << " " << dtype);
      Both z = test::random_both({8, 5}, 11, dtype);
      z.on_device.narrow(3, 1).fill(0);
      z.exact.narrow(3, 1).fill(0);
      check(z, z, 0.5, form);
      const auto run = [&] {
        const auto result = forward(z.on_device, z.on_device, 0.5, form);
        const Tensor dz = kernels::nt_xent_backward(result.saved, one(DType::f32, test::device())).danchors;
        return std::vector<Tensor>{result.loss.to(Device{}), dz.to(Device{})};
      };
      CHECK(test::same_bits(run(), run()));
      CHECK(run()[1].narrow(3, 1).to_vector<double>() == std::vector<double>(5, 0.0));
      z.on_device.narrow(5, 1).fill(std::numeric_limits<double>::quiet_NaN());
      CHECK(std::isnan(run()[0].item()));
    }
  }
}

DEVICE_TEST_CASE("a hardness has no tiles for Hopper") {
  const Tensor z = test::random_both({6, 4}, 15, DType::bf16).on_device;
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z, z, 0.5, {}, true, {.hardness = 1}),
                    Catch::Contains("wgmma has no tiles for a hardness"));
}
