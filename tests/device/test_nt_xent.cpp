// NT-Xent on the device, beside the CPU's f64 op on the same rounded embeddings.
#include "support/device.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/nt_xent.h>

#include <cstdlib>
#include <limits>

using namespace simclr;
using kernels::NtXentPairs;
using test::Both;
using test::classes_of;
using test::one;
using test::relative_error;

namespace {

struct Errors {
  double loss = 0;      // over max(1, loss)
  double gradient = 0;  // f32: the largest, over the largest gradient; bf16: NMSE
};

/// Whether the tiles for Hopper are to be tested, as tests/CMakeLists.txt does in a run of its own.
bool by_wgmma() {
  return std::getenv("SIMCLR_TEST_WGMMA") != nullptr;
}

/// On the device, by the tiles that are to be tested where they take such rows.
kernels::NtXentResult forward(const Tensor& anchors, const Tensor& candidates,
                              const kernels::NtXentTemperature& temperature, const NtXentPairs& pairs = {}) {
  const bool wgmma = by_wgmma() && anchors.dtype() == DType::bf16 && anchors.dim(1) <= 256;
  const auto result = kernels::nt_xent_forward(anchors, candidates, temperature, pairs, wgmma);
  REQUIRE(result.saved.anchor_u.rank() == (wgmma ? 3 : 2));  // panels
  return result;
}

NtXentPairs on_device(const NtXentPairs& pairs) {
  if (!pairs.anchor_group.defined()) return pairs;
  const Tensor anchors = pairs.anchor_group.to(test::device());
  const bool shared = pairs.anchor_group.same_as(pairs.candidate_group);
  return {pairs.self_offset, anchors, shared ? anchors : pairs.candidate_group.to(test::device())};
}

double gradient_error(const Tensor& got, const Tensor& expected) {
  REQUIRE(got.shape() == expected.shape());
  return got.dtype() == DType::bf16 ? test::nmse(got, expected) : relative_error(got, expected);
}

/// f32: what a dot's rounding costs, 1/tau multiplies; from a temperature of 0.02 on it stays below 1e-5.
double f32_limit(double temperature) {
  return std::max(2e-6, 2e-7 / temperature);
}

bool close(const Errors& found, double f32, double bf16_gradient, DType dtype) {
  INFO("loss " << found.loss << " gradient " << found.gradient);
  const bool half = dtype == DType::bf16;
  CHECK(found.loss <= (half ? 2e-3 : f32));
  CHECK(found.gradient <= (half ? bf16_gradient : f32));
  return found.loss <= (half ? 2e-3 : f32) && found.gradient <= (half ? bf16_gradient : f32);
}

/// `a` and `b` may be handles of one tensor each.
Errors errors(const Both& a, const Both& b, double temperature, const NtXentPairs& pairs = {}) {
  const auto exact = kernels::nt_xent_forward(a.exact, b.exact, temperature, pairs);
  const auto result = forward(a.on_device, b.on_device, temperature, on_device(pairs));
  REQUIRE(result.saved.square == exact.saved.square);
  REQUIRE(result.loss.dtype() == DType::f32);
  const auto expected = kernels::nt_xent_backward(exact.saved, one(DType::f64));
  const auto gradient = kernels::nt_xent_backward(result.saved, one(DType::f32, test::device()));
  REQUIRE(gradient.danchors.dtype() == a.on_device.dtype());
  Errors found = {std::abs(result.loss.item() - exact.loss.item()) / std::max(1.0, exact.loss.item()),
                  gradient_error(gradient.danchors, expected.danchors)};
  if (!exact.saved.square) {
    found.gradient = std::max(found.gradient, gradient_error(gradient.dcandidates, expected.dcandidates));
  }
  return found;
}

Both aligned(std::int64_t rows, std::int64_t width, double noise, DType dtype) {
  return test::both(test::aligned(rows, width, noise), dtype);
}

}  // namespace

DEVICE_TEST_CASE("two orthogonal, identical pairs give the known loss") {
  for (const DType dtype : test::device_dtypes) {
    const Both z = test::both(Tensor::from(std::vector<double>{1, 0, 0, 1, 1, 0, 0, 1}, {4, 2}), dtype);
    const auto result = forward(z.on_device, z.on_device, 0.5);
    CHECK(result.loss.item() == Approx(0.23954).margin(dtype == DType::f32 ? 5e-6 : 2e-3));
  }
}

DEVICE_TEST_CASE("random embeddings: loss and gradient agree with double") {
  // Heights around the tiles of 64 and 128, widths around the depths that kernels are made for: 64, 128 and 256 on the
  // tensor cores, multiples of 32 and slices of 128 in f32.
  const std::vector<std::tuple<std::int64_t, std::int64_t>> shapes = {{2, 128},   {32, 31},  {62, 1003}, {64, 32},
                                                                      {66, 33},   {66, 64},  {128, 16},  {130, 65},
                                                                      {254, 127}, {258, 40}, {34, 257},  {4, 2100}};
  for (const DType dtype : test::device_dtypes) {
    for (const auto& [rows, width] : shapes) {
      const Both z = aligned(rows, width, 2.0, dtype);
      for (const double temperature : {0.5, 0.07, 0.02}) {
        if (width > 256 && temperature != 0.07) continue;  // emulated products take their time
        CAPTURE(dtype, rows, width, temperature);
        CHECK(close(errors(z, z, temperature), f32_limit(temperature), 1e-4, dtype));
      }
    }
    const Both many = aligned(1006, 16, 2.0, dtype), wide = aligned(258, 129, 2.0, dtype);
    for (const double temperature : {0.5, 0.05}) {
      CAPTURE(dtype, temperature);
      CHECK(close(errors(many, many, temperature), f32_limit(temperature), 1e-4, dtype));
    }
    CHECK(close(errors(wide, wide, 0.07), f32_limit(0.07), 1e-4, dtype));
  }
}

DEVICE_TEST_CASE("blocks of more tiles than a ring has stages") {
  // On as many multiprocessors as a GPU has, or on the emulated four, where two stages go round in the cases above.
  const bool on_gpu = test::device().type == DeviceType::cuda;
  if (!on_gpu && !by_wgmma()) return;
  const std::int64_t rows = on_gpu ? 4300 : 1006, part = rows / 2;
  for (const std::int64_t width : {64, 128, 129}) {
    if (!on_gpu && width == 129) continue;  // its tiles are half as wide: 258 rows went round
    const Both z = aligned(rows, width, 2.0, DType::bf16);
    for (const double temperature : {0.07, 0.005}) {
      CAPTURE(width, temperature);
      CHECK(close(errors(z, z, temperature), 0, 1e-4, DType::bf16));
    }
    if (!on_gpu) continue;
    CHECK(close(errors({z.on_device.narrow(1, part), z.exact.narrow(1, part)}, z, 0.07, {.self_offset = 1}), 0, 1e-4,
                DType::bf16));
  }
}

DEVICE_TEST_CASE("aligned pairs: what is left of the gradient is right") {
  // 1 % in bf16, and 4 % at 0.02, where 1/tau multiplies the rounding of the unit vectors.
  for (const DType dtype : test::device_dtypes) {
    for (const auto& [rows, width] : {std::tuple{66, 64}, {128, 128}, {130, 129}}) {
      const Both z = aligned(rows, width, 0.05, dtype);
      for (const double temperature : {0.5, 0.1, 0.07, 0.02}) {
        CAPTURE(dtype, rows, width, temperature);
        const double percent = temperature < 0.05 ? 0.04 : 0.01;
        CHECK(close(errors(z, z, temperature), f32_limit(temperature), percent * percent, dtype));
      }
    }
  }
}

DEVICE_TEST_CASE("temperatures whose exponentials overflow") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t width : {32, 100, 130}) {  // each depth of the tensor cores' kernels
      const Both z = aligned(130, width, 2.0, dtype);
      for (const double temperature : {0.015, 0.005, 0.001}) {
        CAPTURE(dtype, width, temperature);
        CHECK(close(errors(z, z, temperature), f32_limit(temperature), temperature < 0.002 ? 1e-3 : 1e-4, dtype));
      }
    }
    const Both b = test::random_both({66, 32}, 8, dtype), a = test::random_both({33, 32}, 9, dtype);
    // Several positives: p - 1/|P| keeps the rounding of bf16 vectors, times 1/tau.
    CHECK(close(errors(a, b, 0.005, {-1, classes_of(33, 5), classes_of(66, 4)}), f32_limit(0.005), 1e-3, dtype));
    // Nothing but opposites: sums far below 1.
    const Both poles = test::both(Tensor::from(std::vector<double>{1, 0, -1, 0.1, 1, 0, -1, 0}, {4, 2}), dtype);
    CHECK(close(errors(poles, poles, 0.004), 1e-4, 1e-3, dtype));
  }
}

DEVICE_TEST_CASE("a learned temperature is read on the device, and gets its gradient there") {
  for (const DType dtype : test::device_dtypes) {
    const auto check = [&](const Both& a, const Both& b, double logit_scale, const NtXentPairs& pairs = {}) {
      CAPTURE(dtype, a.exact.dim(0), b.exact.dim(0), a.exact.dim(1), logit_scale);
      const Tensor scale = Tensor::full({}, logit_scale);
      const auto exact = kernels::nt_xent_forward(a.exact, b.exact, scale.to(DType::f64), pairs);
      const auto result = forward(a.on_device, b.on_device, scale.to(test::device()), on_device(pairs));
      const auto expected = kernels::nt_xent_backward(exact.saved, Tensor::full({}, 1.7, DType::f64));
      const auto gradient = kernels::nt_xent_backward(result.saved, Tensor::full({}, 1.7, DType::f32, test::device()));
      Errors found = {std::abs(result.loss.item() - exact.loss.item()) / std::max(1.0, exact.loss.item()),
                      gradient_error(gradient.danchors, expected.danchors)};
      if (expected.dcandidates.defined()) {
        found.gradient = std::max(found.gradient, gradient_error(gradient.dcandidates, expected.dcandidates));
      }
      const double tau = 1 / std::min(std::exp(logit_scale), 100.0), own = expected.dlogit_scale.item();
      CHECK(close(found, f32_limit(tau), 1e-3, dtype));
      REQUIRE(gradient.dlogit_scale.dtype() == DType::f32);
      CHECK(std::abs(gradient.dlogit_scale.item() - own) <=
            (dtype == DType::bf16 ? 5e-3 : 10 * f32_limit(tau)) * std::max(1.0, std::abs(own)));
    };
    for (const double tau : {0.5, 0.07, 0.005}) {  // the last is beyond the cap
      for (const std::int64_t width : {32, 130}) {
        const Both z = aligned(130, width, 2.0, dtype);
        check(z, z, std::log(1 / tau));
      }
      const Both a = test::random_both({33, 65}, 1, dtype), b = test::random_both({129, 65}, 2, dtype);
      check(a, b, std::log(1 / tau), {-1, classes_of(33, 131), classes_of(129, 129)});
      check(a, b, std::log(1 / tau), {-1, classes_of(33, 5), classes_of(129, 4)});
    }
    const Both wide = aligned(66, 300, 2.0, dtype);  // on the f32 cores in both types
    check(wide, wide, std::log(1 / 0.1));
    const Both alike = aligned(34, 16, 0.0, dtype);
    const Tensor beyond = Tensor::full({}, 5.0, DType::f32, test::device());
    const auto capped = forward(alike.on_device, alike.on_device, beyond);
    CHECK(kernels::nt_xent_backward(capped.saved, one(DType::f32, test::device())).dlogit_scale.item() == 0);
    const Tensor unknown = Tensor::full({}, NAN, DType::f32, test::device());
    const auto lost = forward(alike.on_device, alike.on_device, unknown);
    CHECK(std::isnan(lost.loss.item()));
    CHECK(std::isnan(kernels::nt_xent_backward(lost.saved, one(DType::f32, test::device())).dlogit_scale.item()));
  }
}

DEVICE_TEST_CASE("a logit_scale that is not one f32 value on the device is refused") {
  const Tensor z = test::random_both({6, 4}, 15, DType::f32).on_device;
  for (const DType dtype : test::device_dtypes) {
    const Tensor rows = z.to(dtype);
    CHECK_THROWS_WITH(forward(rows, rows, Tensor::zeros({2}, DType::f32, test::device())),
                      Catch::Contains("logit_scale must be one value"));
    CHECK_THROWS_WITH(forward(rows, rows, Tensor::zeros({}, DType::bf16, test::device())), Catch::Contains("bf16"));
    CHECK_THROWS_WITH(forward(rows, rows, Tensor::zeros({})),
                      Catch::Contains("on their device") || Catch::Contains("devices"));
  }
}

DEVICE_TEST_CASE("a captured step takes the learned temperature as it is at each replay") {
  for (const DType dtype : test::device_dtypes) {
    const Tensor z = aligned(130, 32, 2.0, dtype).on_device, dloss = one(DType::f32, test::device());
    Tensor scale = Tensor::full({}, 0.5, DType::f32, test::device());
    Tensor loss, dz, dscale;
    const auto step = [&] {
      const auto result = forward(z, z, scale);
      const auto gradient = kernels::nt_xent_backward(result.saved, dloss);
      loss = result.loss, dz = gradient.danchors, dscale = gradient.dlogit_scale;
    };
    const auto values = [&] { return std::vector<Tensor>{loss.to(Device{}), dz.to(Device{}), dscale.to(Device{})}; };
    step();
    step();
    CapturedStep captured(test::device(), step);
    std::vector<std::vector<Tensor>> replayed;
    for (const double logit_scale : {1.0, 3.0}) {
      scale.fill(logit_scale);
      captured.replay();
      replayed.push_back(values());
    }
    scale.fill(1.0);
    step();
    CHECK(test::same_bits(values(), replayed[0]));
    scale.fill(3.0);
    step();
    CHECK(test::same_bits(values(), replayed[1]));
    CHECK(loss.item() != replayed[0][0].item());
  }
}

DEVICE_TEST_CASE("the smallest temperature is finite, and what is below it is refused") {
  for (const DType dtype : test::device_dtypes) {
    const Tensor z = aligned(66, 32, 2.0, dtype).on_device;
    const auto result = forward(z, z, kernels::nt_xent_least_temperature(dtype));
    CHECK(std::isfinite(result.loss.item()));
    const auto gradient = kernels::nt_xent_backward(result.saved, one(DType::f32, test::device()));
    for (const double d : gradient.danchors.to_vector<double>()) REQUIRE(std::isfinite(d));
    CHECK_THROWS_WITH(forward(z, z, 3e-9), Catch::Contains("temperature 3e-09"));
  }
}

DEVICE_TEST_CASE("f32 exponents keep what one number would round away") {
  // Rows that point much the same way: arguments near 72. Rounded to one f32 they move the loss by 3e-7, in two parts
  // by 5e-9, beside what the special function unit's exponential adds.
  const Both z = test::random_both({66, 3}, 16, DType::f32, 0.5, 1.0);
  const Errors found = errors(z, z, 0.02);
  CHECK(found.loss < 1.5e-7);
  CHECK(found.gradient < 3e-6);
}

DEVICE_TEST_CASE("rectangles: offsets, groups and anchors without a positive") {
  for (const DType dtype : test::device_dtypes) {
    const auto check = [&](const Both& a, const Both& b, const NtXentPairs& pairs) {
      CAPTURE(dtype, a.exact.dim(0), b.exact.dim(0), a.exact.dim(1), pairs.self_offset);
      CHECK(close(errors(a, b, 0.1, pairs), f32_limit(0.1), 1e-4, dtype));
    };
    // A part of the anchors beside all candidates, in SimCLR's order: gathered negatives.
    const Both z = test::random_both({258, 31}, 4, dtype);
    for (const auto& [first, share] : {std::tuple{0, 129}, {1, 33}, {100, 158}, {257, 1}}) {
      check({z.on_device.narrow(first, share), z.exact.narrow(first, share)}, z, {.self_offset = first});
    }
    // Two towers: one positive or several, for some anchors none.
    const std::vector<std::tuple<std::int64_t, std::int64_t>> shapes = {{1, 129}, {33, 1003}, {129, 1}, {127, 66}};
    for (const auto& [count, others] : shapes) {
      const Both a = test::random_both({count, 65}, 1, dtype), b = test::random_both({others, 65}, 2, dtype);
      check(a, b, {-1, classes_of(count, others + 2), classes_of(others, others)});
      check(a, b, {-1, classes_of(count, 5), classes_of(others, 4)});
    }
    const Both a = test::random_both({31, 3}, 1, dtype), b = test::random_both({66, 3}, 2, dtype);
    check(a, b, {7, classes_of(31, 6), classes_of(66, 6)});
  }
}

DEVICE_TEST_CASE("supervised contrastive loss: several positives by groups") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t rows : {33, 129}) {
      const Both z = test::random_both({rows, 32}, 3, dtype);
      for (const std::int64_t classes : {std::int64_t{3}, std::int64_t{10}, rows - 1}) {
        // rows - 1 classes: one pair, and anchors without a positive, which stay negatives of the others
        CAPTURE(dtype, rows, classes);
        const Tensor group = classes_of(rows, classes);
        CHECK(close(errors(z, z, 0.1, {0, group, group}), f32_limit(0.1), 1e-4, dtype));
        // Two group tensors are not known to be one grouping: the rectangular path, whose tiles the case above fills.
        if (rows < 128) CHECK(close(errors(z, z, 0.1, {0, group, group.clone()}), f32_limit(0.1), 1e-4, dtype));
      }
    }
    const Tensor alone = classes_of(6, 6).to(test::device()), six = test::random_both({6, 4}, 1, dtype).on_device;
    const auto none = forward(six, six, 1.0, {0, alone, alone});
    CHECK(std::isnan(none.loss.item()));  // the CPU throws; a GPU's host does not wait to know
  }
}

DEVICE_TEST_CASE("-1 equals nothing, not even another -1") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t rows : {33, 130}) {
      std::vector<std::int32_t> values;
      for (std::int64_t i = 0; i < rows; ++i) values.push_back(i % 3 == 0 ? -1 : static_cast<std::int32_t>(i % 4) - 3);
      const Tensor group = Tensor::from(values, {rows});
      const Both z = test::random_both({rows, 32}, 3, dtype);
      for (const double temperature : {0.1, 0.01}) {
        CAPTURE(dtype, rows, temperature);
        CHECK(close(errors(z, z, temperature, {0, group, group}), f32_limit(temperature), 1e-3, dtype));
        if (rows < 128) {
          CHECK(close(errors(z, z, temperature, {0, group, group.clone()}), f32_limit(temperature), 1e-3, dtype));
        }
      }
    }
  }
}

DEVICE_TEST_CASE("one dimension, a zero row, a NaN and a batch of one image are defined") {
  for (const DType dtype : test::device_dtypes) {
    const Both signs = test::random_both({62, 1}, 1, dtype);
    const auto line = forward(signs.on_device, signs.on_device, 0.1);
    CHECK(line.loss.item() ==
          Approx(kernels::nt_xent_forward(signs.exact, signs.exact, 0.1).loss.item()).epsilon(2e-3));
    const Tensor dloss = one(DType::f32, test::device());
    for (const double d : kernels::nt_xent_backward(line.saved, dloss).danchors.to_vector<double>()) {
      CHECK(std::abs(d) < 1e-9);
    }

    Both z = test::random_both({8, 5}, 11, dtype);
    z.on_device.narrow(3, 1).fill(0);
    z.exact.narrow(3, 1).fill(0);
    CHECK(close(errors(z, z, 0.5), f32_limit(0.5), 1e-4, dtype));
    const auto result = forward(z.on_device, z.on_device, 0.5);
    const Tensor dz = kernels::nt_xent_backward(result.saved, dloss).danchors;
    CHECK(dz.narrow(3, 1).to_vector<double>() == std::vector<double>(5, 0.0));
    const Tensor zeros = Tensor::zeros({8, 5}, dtype, test::device());
    CHECK(forward(zeros, zeros, 0.5).loss.item() == Approx(std::log(7.0)));

    z.on_device.narrow(5, 1).fill(std::numeric_limits<double>::quiet_NaN());
    for (const double temperature : {0.5, 0.001}) {
      const auto poisoned = forward(z.on_device, z.on_device, temperature);
      CHECK(std::isnan(poisoned.loss.item()));
      CHECK(std::isnan(kernels::nt_xent_backward(poisoned.saved, dloss).danchors.to_vector<double>()[0]));
    }

    const Tensor pair = test::random_both({2, 7}, 12, dtype).on_device;
    const auto single = forward(pair, pair, 0.1);
    CHECK(single.loss.item() == 0);
    CHECK(kernels::nt_xent_backward(single.saved, dloss).danchors.to_vector<double>() == std::vector<double>(14, 0.0));
  }
}

DEVICE_TEST_CASE("bits repeat, and the gradient is dloss times as large") {
  for (const DType dtype : test::device_dtypes) {
    const Tensor z = test::random_both({130, 40}, 13, dtype).on_device;
    const auto run = [&](double dloss) {
      const auto result = forward(z, z, 0.1);
      const Tensor scale = Tensor::full({}, dloss, DType::f32, test::device());
      const Tensor dz = kernels::nt_xent_backward(result.saved, scale).danchors;
      return std::pair{result.loss.to(Device{}), dz.to(Device{})};
    };
    const auto first = run(1.0), second = run(1.0), scaled = run(-4.0);
    CHECK(test::same_bits(first.first, second.first));
    CHECK(test::same_bits(first.second, second.second));
    auto expected = first.second.to_vector<double>();
    for (double& d : expected) d *= -4;
    CHECK(scaled.second.to_vector<double>() == expected);  // a power of two moves no rounding
  }
}

DEVICE_TEST_CASE("working memory grows with the rows, not with their square") {
#ifdef SIMCLR_EMU_CHECKS
  test::device();
  emu::set_checks(emu::Checks::once);
#endif
  const std::int64_t rows = 2048;
  Allocator& allocator = Context::of(test::device()).allocator();
  for (const DType dtype : test::device_dtypes) {
    const Tensor z = test::random_both({rows, 16}, 14, dtype).on_device;
    allocator.reset_peak();
    const std::size_t before = allocator.stats().in_use;
    const auto result = forward(z, z, 0.5);
    const auto gradient = kernels::nt_xent_backward(result.saved, one(DType::f32, test::device()));
    if (test::device().type == DeviceType::emu) {  // more processors take more, until each has a block
      CHECK(allocator.stats().peak - before < static_cast<std::size_t>(rows * rows));  // a quarter of a matrix in f32
    }
    CHECK(result.loss.item() == Approx(std::log(2047.0)).epsilon(0.02));  // near chance
  }
#ifdef SIMCLR_EMU_CHECKS
  if (test::device().type == DeviceType::emu) emu::set_checks(emu::Checks::thorough);
#endif
}

DEVICE_TEST_CASE("what a GPU does not compute with is refused") {
  const Tensor z = test::random_both({6, 4}, 15, DType::f32).on_device;
  const auto result = forward(z, z, 1.0);
  CHECK_THROWS_WITH(kernels::nt_xent_backward(result.saved, one(DType::bf16, test::device())), Catch::Contains("bf16"));
  CHECK_THROWS_WITH(kernels::nt_xent_forward(z.to(DType::f64), z.to(DType::f64), 1.0), Catch::Contains("f64"));
}

DEVICE_TEST_CASE("the tiles for Hopper must be asked for, with rows that they take") {
  const Tensor f32 = test::random_both({6, 4}, 15, DType::f32).on_device;
  const Tensor wide = test::random_both({6, 257}, 15, DType::bf16).on_device;
  for (const Tensor& z : {f32, wide}) {
    CHECK_THROWS_WITH(
        kernels::nt_xent_forward(z, z, 0.5, {}, true),
        Catch::Contains("wgmma multiplies bf16 rows of up to 256 values") && Catch::Contains("leave it off"));
  }
  if (test::device().type != DeviceType::emu) return;  // a GPU may be none of sm_90
  const Tensor z = f32.to(DType::bf16);
  CHECK(kernels::nt_xent_forward(z, z, 0.5, {}, true).saved.anchor_u.rank() == 3);
  CHECK(kernels::nt_xent_forward(z, z, 0.5).saved.anchor_u.rank() == 2);
}
