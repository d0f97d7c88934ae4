// Pooling over time against plain loops in double, its gradients against central differences.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/time_pool.h>
#include <simclr/nn/layers.h>

using namespace simclr;
using namespace simclr::kernels;
using Catch::Contains;
using test::message_of;
using test::random_lengths;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;

struct Reference {
  Values mean, max, mean_dx, max_dx;
  std::vector<std::int32_t> argmax;
};

/// Channel by channel.
Reference reference(const Tensor& x, const Tensor& lengths, const Tensor& dy) {
  const auto in = x.to_vector<double>(), gradient = dy.to_vector<double>();
  const std::int64_t steps = x.dim(1), channels = x.dim(2);
  Reference out{{}, {}, Values(in.size()), Values(in.size()), {}};
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    const std::int64_t own = lengths.defined() ? lengths.data<std::int32_t>()[n] : steps;
    for (std::int64_t c = 0; c < channels; ++c) {
      double sum = 0, best = 0;
      std::int64_t winner = -1;
      for (std::int64_t t = 0; t < own; ++t) {
        double value = in[(n * steps + t) * channels + c];
        sum += value;
        if (value == -INFINITY) value = NAN;
        if (winner < 0 || value > best || std::isnan(value)) best = value, winner = t;
      }
      out.mean.push_back(own > 0 ? sum / double(own) : 0);
      out.max.push_back(best);
      out.argmax.push_back(static_cast<std::int32_t>(winner));
      for (std::int64_t t = 0; t < own; ++t) {
        const std::int64_t at = (n * steps + t) * channels + c;
        out.mean_dx[at] = gradient[n * channels + c] / double(own);
        out.max_dx[at] = t == winner ? gradient[n * channels + c] : 0;
      }
    }
  }
  return out;
}

void check(const Tensor& x, const Tensor& lengths) {
  CAPTURE(x.dtype(), to_string(x.shape()), lengths.defined());
  const Shape pooled = {x.dim(0), x.dim(2)};
  const Tensor dy = random_tensor(pooled, 2, x.dtype());
  const Reference expected = reference(x, lengths, dy);
  const double limit = x.dtype() == DType::f64 ? 1e-12 : 1e-7;  // f64 sums, one rounding at the end
  CHECK(relative_error(mean_over_time_forward(x, lengths), Tensor::from(expected.mean, pooled)) < limit);
  CHECK(relative_error(mean_over_time_backward(dy, lengths, x.dim(1)), Tensor::from(expected.mean_dx, x.shape())) <
        limit);
  const MaxOverTimeResult max = max_over_time_forward(x, lengths);
  CHECK(relative_error(max.y, Tensor::from(expected.max, pooled)) == 0);
  CHECK(max.argmax.to_vector<std::int32_t>() == expected.argmax);
  CHECK(relative_error(max_over_time_backward(dy, max.argmax, x.dim(1)), Tensor::from(expected.max_dx, x.shape())) ==
        0);
}

/// Distinct values, at least 1e-3 apart, so that a difference never changes a winner.
Tensor distinct(const Shape& shape) {
  Values values(static_cast<std::size_t>(shape.numel()));
  std::int64_t k = 0;
  for (double& value : values) value = 0.002 * double(++k * 7919 % 100003) - 100;
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("pooling over time agrees with loops, forward and backward") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Shape& shape : test::sequence_shapes) {
      check(random_tensor(shape, 1, dtype), random_lengths(shape[0], 3, shape[1]));
      check(random_tensor(shape, 1, dtype), {});
    }
    for (const Shape& shape : {Shape{3, 1003, 5}, Shape{65, 33, 129}, Shape{0, 4, 3}, Shape{4, 0, 3}, Shape{4, 3, 0}}) {
      check(random_tensor(shape, 1, dtype), random_lengths(shape[0], 3, shape[1]));
    }
  }
}

TEST_CASE("the first of equals wins, and NaN and -Inf show as NaN, but not those of padding") {
  check(Tensor::full({3, 5, 2}, -1.5), random_lengths(3, 1, 5));
  Tensor x = random_tensor({2, 4, 3}, 1, DType::f32);
  x.data<float>()[1 * 3 + 0] = NAN;
  x.data<float>()[2 * 3 + 1] = -INFINITY;
  x.data<float>()[(4 + 3) * 3] = NAN;  // the second sequence's last step
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{4, 3}, {2});
  const auto max = max_over_time_forward(x, lengths).y.to_vector<double>();
  const auto mean = mean_over_time_forward(x, lengths).to_vector<double>();
  CHECK(std::isnan(max[0]));
  CHECK(std::isnan(max[1]));
  CHECK(std::isfinite(max[2]));
  CHECK(std::isnan(mean[0]));
  for (int c = 3; c < 6; ++c) CHECK((std::isfinite(max[c]) && std::isfinite(mean[c])));
}

TEST_CASE("a maximum's gradient is NaN where the length was impossible, and 0 where it was 0") {
  // Winners as a GPU gives them, which cannot refuse a length.
  const Tensor argmax = Tensor::from(std::vector<std::int32_t>{-2, -2, 1, 0, -1, -1}, {3, 2});
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto dx = max_over_time_backward(Tensor::full({3, 2}, 5.0, dtype), argmax, 2).to_vector<double>();
    for (std::size_t i = 0; i < 4; ++i) CHECK(std::isnan(dx[i]));
    CHECK(Values(dx.begin() + 4, dx.end()) == Values{0, 5, 5, 0, 0, 0, 0, 0});
  }
}

TEST_CASE("gradients of pooling over time agree with central differences") {
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(to_string(shape));
    for (const Tensor& lengths : {random_lengths(shape[0], 4, shape[1]), Tensor()}) {
      CHECK(test::gradient_error([&](const auto& in) { return nn::mean_over_time(in[0], lengths); },
                                 {random_tensor(shape, 5)}) < 1e-8);
      CHECK(test::gradient_error([&](const auto& in) { return nn::max_over_time(in[0], lengths); }, {distinct(shape)}) <
            1e-6);
    }
  }
}

TEST_CASE("pooling over time gives the same bits for any number of threads") {
  const int before = threads();
  const Tensor x = random_tensor({65, 127, 33}, 6, DType::f32), lengths = random_lengths(65, 7, 127);
  const auto run = [&](int count) {
    set_threads(count);
    const auto max = max_over_time_forward(x, lengths);
    return std::vector<Tensor>{max.y, max.argmax, max_over_time_backward(max.y, max.argmax, 127),
                               mean_over_time_forward(x, lengths), mean_over_time_backward(max.y, lengths, 127)};
  };
  const auto one = run(1);
  for (const int count : {2, 5}) CHECK(same_bits(run(count), one));
  set_threads(before);
}

TEST_CASE("pooling over time refuses what does not fit, and is a layer") {
  const Tensor x = Tensor::zeros({2, 3, 4});
  const auto lengths = [](std::vector<std::int32_t> values) {
    return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
  };
  CHECK_THAT(message_of([&] {
               mean_over_time_forward(x, lengths({1, 4}));
             }),
             Contains("length 4 of sequence 1 is outside 0..3"));
  CHECK_THAT(message_of([&] { max_over_time_forward(x, lengths({-1, 3})); }), Contains("length -1 of sequence 0"));
  CHECK_THAT(message_of([&] { max_over_time_forward(x, lengths({1})); }), Contains("lengths must be i32 [2]"));
  CHECK_THAT(message_of([&] { mean_over_time_forward(Tensor::zeros({2, 3}), {}); }), Contains("3 dimensions"));
  CHECK_THAT(message_of([&] {
               max_over_time_backward(Tensor::zeros({2, 4}), Tensor::zeros({2, 4}), 3);
             }),
             Contains("argmax must be i32"));
  CHECK_THAT(message_of([&] {
               mean_over_time_backward(Tensor::zeros({2, 4}), lengths({1, 4}), 3);
             }),
             Contains("length 4"));
  nn::MeanOverTime mean;
  nn::MaxOverTime max;
  const Input input(random_tensor({2, 3, 4}, 1), lengths({1, 3}));
  CHECK(same_bits(mean(input), mean_over_time_forward(input.x, input.lengths)));
  CHECK(same_bits(max(input), max_over_time_forward(input.x, input.lengths).y));
}
