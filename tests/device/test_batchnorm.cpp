#include "support/device.h"

#include <simclr/kernels/batchnorm.h>
#include <simclr/kernels/elementwise.h>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::both;
using test::random_both;
using test::same_bits;

namespace {

using Values = std::vector<double>;
constexpr double eps = 1e-5;

// f32: values near 1 and some ten roundings of 6e-8 on the way to a result; sums take at most 32 values in f32. bf16:
// one rounding, at most 2^-8 of the value, whose square is 1.53e-5.
constexpr double f32_limit = 2e-6, bf16_limit = 1.6e-5;

bool close(const Tensor& a, const Tensor& b) {
  return agrees(a, b, f32_limit, bf16_limit);
}

Tensor on_cpu(const Tensor& tensor) {
  return tensor.to(Device{});
}

Tensor exactly(const Tensor& tensor) {
  return on_cpu(tensor.to(DType::f64));
}

struct Inputs {
  Both x, gamma, beta, residual, dy;

  Inputs(std::int64_t rows, std::int64_t channels, DType dtype)
      : x(random_both({rows, channels}, 1, dtype)),
        gamma(random_both({channels}, 2, DType::f32, -1.0, 1.5)),
        beta(random_both({channels}, 3, DType::f32, -0.5, 0.5)),
        residual(random_both({rows, channels}, 4, dtype)),
        dy(random_both({rows, channels}, 5, dtype)) {}
};

BatchnormStatistics statistics_of(const Tensor& x) {
  return batchnorm_finalize(batchnorm_sums(x), x.numel() / x.dim(-1), x.dtype(), eps, 0.1, {}, {});
}

struct Gradients {
  Tensor dgamma, dbeta, masked;
};

Gradients gradients(const Tensor& dy, const BatchnormSaved& saved, bool with_masked) {
  const auto output = [](const Tensor& like) { return Tensor::full(like.shape(), NAN, like.dtype(), like.device()); };
  Gradients result{output(saved.gamma), output(saved.gamma), with_masked ? output(dy) : Tensor()};
  batchnorm_backward_sums(dy, saved, result.dgamma, result.dbeta, result.masked);
  return result;
}

void check_case(const Inputs& in, bool with_residual, bool relu) {
  const std::int64_t rows = in.x.exact.dim(0), channels = in.x.exact.dim(1);
  CAPTURE(in.x.on_device.dtype(), rows, channels, with_residual, relu);
  const Both residual = with_residual ? in.residual : Both{};
  const Tensor sums = batchnorm_sums(in.x.on_device), exact_sums = batchnorm_sums(in.x.exact);
  CHECK(same_bits(on_cpu(sums.narrow(0, 1)), exact_sums.narrow(0, 1)));
  CHECK(close(sums.narrow(1, 1), exact_sums.narrow(1, 1)));
  CHECK(close(sums.narrow(2, 1), exact_sums.narrow(2, 1)));
  const BatchnormStatistics statistics = statistics_of(in.x.on_device), exact_statistics = statistics_of(in.x.exact);
  CHECK(statistics.mean.dtype() == DType::f32);
  CHECK(close(statistics.mean, exact_statistics.mean));
  CHECK(close(statistics.rstd, exact_statistics.rstd));
  const Tensor y =
      batchnorm_apply(in.x.on_device, statistics, in.gamma.on_device, in.beta.on_device, residual.on_device, relu);
  CHECK(close(y, batchnorm_apply(in.x.exact, exact_statistics, in.gamma.exact, in.beta.exact, residual.exact, relu)));

  const BatchnormSaved saved{
      in.x.on_device, in.gamma.on_device, in.beta.on_device, statistics, with_residual && relu ? y : Tensor(), relu};
  // The mask is that of y on the device: a value that rounds to the other side of 0 was checked there.
  const BatchnormSaved exact_saved{in.x.exact, in.gamma.exact, in.beta.exact, exact_statistics, exactly(y), relu};
  const Gradients got = gradients(in.dy.on_device, saved, true), exact = gradients(in.dy.exact, exact_saved, true);
  CHECK(close(got.dgamma, exact.dgamma));
  CHECK(close(got.dbeta, exact.dbeta));
  CHECK(agrees(got.masked, exact.masked, 0, 0));
  const Gradients alone = gradients(in.dy.on_device, saved, false);
  CHECK(same_bits(on_cpu(alone.dgamma), on_cpu(got.dgamma)));
  CHECK(same_bits(on_cpu(alone.dbeta), on_cpu(got.dbeta)));

  const Tensor dx = batchnorm_backward_data(in.dy.on_device, false, saved, got.dgamma, got.dbeta, rows, true);
  CHECK(close(dx, batchnorm_backward_data(in.dy.exact, false, exact_saved, exact.dgamma, exact.dbeta, rows, true)));
  CHECK(same_bits(on_cpu(batchnorm_backward_data(got.masked, true, saved, got.dgamma, got.dbeta, rows, true)),
                  on_cpu(dx)));
  CHECK(close(batchnorm_backward_data(in.dy.on_device, false, saved, {}, {}, 0, false),
              batchnorm_backward_data(in.dy.exact, false, exact_saved, {}, {}, 0, false)));

  Tensor place = in.dy.on_device.clone();
  batchnorm_backward_data(place, false, saved, got.dgamma, got.dbeta, rows, true, place);
  CHECK(same_bits(on_cpu(place), on_cpu(dx)));
  place.copy_from(in.dy.on_device);
  Tensor dgamma = Tensor::empty_like(got.dgamma), dbeta = Tensor::empty_like(got.dbeta);
  batchnorm_backward_sums(place, saved, dgamma, dbeta, place);
  CHECK(same_bits(on_cpu(place), on_cpu(got.masked)));
  CHECK(same_bits(on_cpu(dgamma), on_cpu(got.dgamma)));
}

}  // namespace

DEVICE_TEST_CASE("batchnorm agrees with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const std::int64_t rows : {31, 33, 129}) {
      for (const std::int64_t channels : {1, 3, 16, 31, 33, 64, 129}) {
        const Inputs in(rows, channels, dtype);
        for (const bool with_residual : {false, true}) {
          for (const bool relu : {false, true}) check_case(in, with_residual, relu);
        }
      }
    }
    check_case(Inputs(32, 8, dtype), true, true);
    check_case(Inputs(127, 24, dtype), false, true);
    check_case(Inputs(1003, 40, dtype), true, true);
    for (const std::int64_t channels : {32, 127, 1003}) check_case(Inputs(5, channels, dtype), true, true);
    check_case(Inputs(37, 1032, dtype), false, true);  // slices of the channels, the last one not full
  }
}

DEVICE_TEST_CASE("batchnorm agrees with double where threads sum several runs of rows") {
  check_case(Inputs(90001, 3, DType::f32), false, true);
  check_case(Inputs(70001, 16, DType::f32), true, true);
  check_case(Inputs(70001, 32, DType::bf16), false, true);
}

DEVICE_TEST_CASE("batchnorm serves rows that do not start at 16 bytes") {
  for (const DType dtype : test::device_dtypes) {
    Inputs in(33, 16, dtype);
    const auto moved = [&](Both& tensor) {
      const Tensor flat = Tensor::zeros({33 * 16 + 1}, dtype, test::device());
      Tensor inner = flat.narrow(1, 33 * 16).reshape({33, 16});
      inner.copy_from(tensor.on_device);
      tensor.on_device = inner;
    };
    for (Both* tensor : {&in.x, &in.residual, &in.dy}) {
      moved(*tensor);
      check_case(in, true, true);
    }
  }
}

DEVICE_TEST_CASE("the recomputed ReLU mask is the forward pass's to the last value") {
  for (const DType dtype : test::device_dtypes) {
    // Coarse values and beta = -(x - mean) scale of row 0 put many results at or beside 0.
    const Tensor values = test::random_tensor({1003, 24}, 8, DType::f64, 0.0, 16.0).to(DType::i32).to(DType::f64);
    const Both x = both(values, dtype), gamma = random_both({24}, 2, DType::f32, -1.0, 1.5);
    const auto statistics = statistics_of(x.on_device);
    const auto mean = statistics.mean.to_vector<double>(), rstd = statistics.rstd.to_vector<double>(),
               scale = gamma.exact.to_vector<double>(), first = x.exact.to_vector<double>();
    Values shift(24);
    for (std::size_t c = 0; c < 24; ++c) shift[c] = -(first[c] - mean[c]) * rstd[c] * scale[c];
    const Both beta = both(Tensor::from(shift, {24}), DType::f32);
    const Tensor y = batchnorm_apply(x.on_device, statistics, gamma.on_device, beta.on_device, {}, true);
    const BatchnormSaved saved{x.on_device, gamma.on_device, beta.on_device, statistics, {}, true};
    const Tensor ones = Tensor::full(values.shape(), 1.0, dtype, test::device());
    const Tensor expected = on_cpu(relu_backward(ones, y));
    CHECK(same_bits(on_cpu(gradients(ones, saved, true).masked), expected));
    const Values dx = batchnorm_backward_data(ones, false, saved, {}, {}, 0, false).to_vector<double>();
    const Values kept = expected.to_vector<double>();
    std::size_t disagreeing = 0;
    for (std::size_t i = 0; i < dx.size(); ++i) disagreeing += (dx[i] != 0) != (kept[i] != 0);
    CHECK(disagreeing == 0);
  }
}

DEVICE_TEST_CASE("a huge mean does not swallow the variance") {
  const std::int64_t rows = 1003, channels = 8;
  const auto check = [&](DType dtype, double offset, double limit) {
    CAPTURE(dtype, offset);
    auto values = test::random_tensor({rows, channels}, 6, DType::f64, -1.7, 1.7).to_vector<double>();
    for (double& v : values) v += offset;
    const Both x = both(Tensor::from(values, {rows, channels}), dtype);
    const auto of = [&](const Tensor& tensor) {
      return batchnorm_finalize(batchnorm_sums(tensor), rows, tensor.dtype(), 0.0, 0.1, {}, {});
    };
    const BatchnormStatistics got = of(x.on_device), exact = of(x.exact);
    CHECK(agrees(got.mean, exact.mean, 1e-7));
    CHECK(agrees(got.rstd, exact.rstd, limit));
    // y is as exact as the mean is: the difference comes before the product.
    const Both one = both(Tensor::full({channels}, 1.0), DType::f32),
               zero = both(Tensor::zeros({channels}), DType::f32);
    const BatchnormStatistics same = {exactly(got.mean), exactly(got.rstd)};
    CHECK(agrees(batchnorm_apply(x.on_device, got, one.on_device, zero.on_device, {}, false),
                 batchnorm_apply(x.exact, same, one.exact, zero.exact, {}, false), 2e-7, bf16_limit));
  };
  check(DType::f32, 1e4, 1e-6);
  check(DType::f32, -1e6, 1e-6);
  check(DType::bf16, 200, 1e-6);  // steps of 1: some three values are left
}

DEVICE_TEST_CASE("the fused ReLU hides nothing that is not finite, forward or backward") {
  const Tensor one = Tensor::full({2}, 1.0, DType::f32, test::device());
  const Tensor zero = Tensor::zeros({2}, DType::f32, test::device());
  const BatchnormStatistics unit{zero, one};
  for (const DType dtype : test::device_dtypes) {
    const auto rows = [&](const Values& values) { return both(Tensor::from(values, {2, 2}), dtype).on_device; };
    const Tensor nothing = rows({0, 0, 0, 0}), closed = rows({-1, -1, 3, 3});
    for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)}) {
      for (const Tensor& residual : {Tensor(), nothing}) {
        const Values y = batchnorm_apply(rows({-1, bad, 3, -2}), unit, one, zero, residual, true).to_vector<double>();
        CHECK(std::isnan(y[1]) == (bad != INFINITY));
        CHECK_FALSE(std::isfinite(y[1]));
        CHECK((y[0] == 0 && y[2] == 3 && y[3] == 0));
      }
      const Tensor dy = rows({bad, 1, 1, 1});
      for (const Tensor& y : {Tensor(), batchnorm_apply(closed, unit, one, zero, nothing, true)}) {
        const BatchnormSaved saved{closed, one, zero, unit, y, true};
        const Gradients found = gradients(dy, saved, true);
        CHECK(std::isnan(found.dbeta.to_vector<double>()[0]));
        CHECK(found.dbeta.to_vector<double>()[1] == 1);
        const Values g = found.masked.to_vector<double>();
        CHECK(std::isnan(g[0]));
        CHECK((g[1] == 0 && g[2] == 1 && g[3] == 1));
        const Values dx =
            batchnorm_backward_data(dy, false, saved, found.dgamma, found.dbeta, 2, false).to_vector<double>();
        CHECK(std::isnan(dx[0]));
        CHECK((dx[1] == 0 && dx[3] == 1));
      }
    }
  }
}

DEVICE_TEST_CASE("a value that is not finite spoils its own channel and no other") {
  for (const DType dtype : test::device_dtypes) {
    for (const double bad : {double(INFINITY), double(NAN)}) {
      for (const std::size_t row : {0, 7}) {
        auto values = test::random_tensor({40, 8}, 7).to_vector<double>();
        values[row * 8 + 1] = bad;
        const Tensor x = both(Tensor::from(values, {40, 8}), dtype).on_device;
        const Inputs in(40, 8, dtype);
        const BatchnormStatistics statistics = statistics_of(x);
        const Values rstd = statistics.rstd.to_vector<double>();
        CHECK_FALSE(std::isfinite(rstd[1]));
        const Values y =
            batchnorm_apply(x, statistics, in.gamma.on_device, in.beta.on_device, {}, true).to_vector<double>();
        const BatchnormSaved saved{x, in.gamma.on_device, in.beta.on_device, statistics, {}, true};
        const Values masked = gradients(in.dy.on_device, saved, true).masked.to_vector<double>();
        for (std::size_t i = 0; i < y.size(); ++i) {
          CHECK(std::isnan(y[i]) == (i % 8 == 1));  // the ReLU does not hide it
          if (i % 8 == 1) CHECK(masked[i] == 0);
        }
      }
    }
  }
}

DEVICE_TEST_CASE("in evaluation x has no say in its gradient") {
  for (const DType dtype : test::device_dtypes) {
    const Inputs in(4, 8, dtype);
    const Tensor x = Tensor::full({4, 8}, INFINITY, dtype, test::device());
    const auto statistics = [](const Tensor& any) { return BatchnormStatistics{any, any}; };
    const BatchnormSaved saved{x, in.gamma.on_device, in.beta.on_device, statistics(in.beta.on_device), {}, false};
    const BatchnormSaved exact{exactly(x), in.gamma.exact, in.beta.exact, statistics(in.beta.exact), {}, false};
    CHECK(close(batchnorm_backward_data(in.dy.on_device, false, saved, {}, {}, 0, false),
                batchnorm_backward_data(in.dy.exact, false, exact, {}, {}, 0, false)));
  }
}

DEVICE_TEST_CASE("running statistics move by momentum, and serve evaluation") {
  for (const DType dtype : test::device_dtypes) {
    const Both x = both(Tensor::from(Values{1, 10, 3, 20, 8, 60}, {3, 2}), dtype);
    const Both start_mean = both(Tensor::from(Values{2, -1}, {2}), DType::f32);
    const Both start_var = both(Tensor::from(Values{1, 4}, {2}), DType::f32);
    const Tensor sums = batchnorm_sums(x.on_device), exact_sums = batchnorm_sums(x.exact);
    for (const bool with_mean : {false, true}) {
      for (const bool with_var : {false, true}) {
        const Tensor mean = start_mean.on_device.clone(), var = start_var.on_device.clone();
        const Tensor exact_mean = start_mean.exact.clone(), exact_var = start_var.exact.clone();
        batchnorm_finalize(sums, 3, dtype, eps, 0.25, with_mean ? mean : Tensor(), with_var ? var : Tensor());
        batchnorm_finalize(exact_sums, 3, DType::f64, eps, 0.25, with_mean ? exact_mean : Tensor(),
                           with_var ? exact_var : Tensor());
        CHECK(agrees(mean, exact_mean, 1.2e-7));
        CHECK(agrees(var, exact_var, 1.2e-7));
      }
    }
    const Both one = random_both({1, 2}, 9, dtype), gamma = random_both({2}, 10, DType::f32);
    const auto evaluation = batchnorm_from_running(start_mean.on_device, start_var.on_device, eps);
    const auto exact = batchnorm_from_running(start_mean.exact, start_var.exact, eps);
    CHECK(same_bits(on_cpu(evaluation.mean), on_cpu(start_mean.on_device)));
    CHECK(agrees(evaluation.rstd, exact.rstd, 1.2e-7));
    CHECK(close(batchnorm_apply(one.on_device, evaluation, gamma.on_device, gamma.on_device, {}, false),
                batchnorm_apply(one.exact, exact, gamma.exact, gamma.exact, {}, false)));
  }
}

DEVICE_TEST_CASE("merged sums of parts are the sums of the whole") {
  for (const DType dtype : test::device_dtypes) {
    const Both x = random_both({300, 7}, 12, dtype, 2.0, 4.0);
    for (const std::int64_t parts : {1, 2, 3, 300}) {
      CAPTURE(dtype, parts);
      const std::int64_t count = 300 / parts;
      const Tensor sums = Tensor::empty({parts, 3, 7}, DType::f64, x.on_device.device());
      for (std::int64_t p = 0; p < parts; ++p) {
        sums.narrow(p, 1).copy_from(batchnorm_sums(x.on_device.narrow(p * count, count)).reshape({1, 3, 7}));
      }
      CHECK(agrees(batchnorm_merge(sums, count), batchnorm_sums(x.exact), 1e-6));
    }
  }
}

DEVICE_TEST_CASE("no rows are no work: sums are 0") {
  for (const DType dtype : test::device_dtypes) {
    const Inputs in(0, 8, dtype);
    CHECK(batchnorm_sums(in.x.on_device).to_vector<double>() == Values(24, 0.0));
    const BatchnormStatistics statistics{in.gamma.on_device, in.gamma.on_device};
    const BatchnormSaved saved{in.x.on_device, in.gamma.on_device, in.beta.on_device, statistics, {}, true};
    const Gradients got = gradients(in.dy.on_device, saved, true);
    CHECK(got.dgamma.to_vector<double>() == Values(8, 0.0));
    CHECK(got.dbeta.to_vector<double>() == Values(8, 0.0));
    CHECK(batchnorm_backward_data(in.dy.on_device, false, saved, got.dgamma, got.dbeta, 1, true).numel() == 0);
  }
}

DEVICE_TEST_CASE("batchnorm wants f32 or bf16, and f32 parameters") {
  using Catch::Contains;
  const Inputs in(8, 4, DType::bf16);
  const BatchnormStatistics statistics = statistics_of(in.x.on_device);
  const Tensor half = in.gamma.on_device.to(DType::bf16);
  CHECK_THROWS_WITH(batchnorm_apply(in.x.on_device, statistics, half, in.beta.on_device, {}, false),
                    Contains("parameters of bf16 activations are f32"));
  CHECK_THROWS_WITH(batchnorm_sums(in.x.on_device.to(DType::f64)), Contains("wants f32 or bf16"));
  CHECK_THROWS_WITH(batchnorm_finalize(batchnorm_sums(in.x.on_device), 8, DType::f64, eps, 0.1, {}, {}),
                    Contains("wants f32 or bf16"));
  CHECK_THROWS_WITH(batchnorm_finalize(batchnorm_sums(in.x.on_device), 8, DType::bf16, eps, 0.1, half, {}),
                    Contains("got bf16 [4]"));
  CHECK_THROWS_WITH(batchnorm_from_running(half, half, eps), Contains("f32"));
}
