// Dropout: its mask against a plain loop, that it is a key's function alone, its statistics, its gradient.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/kernels/dropout.h>
#include <simclr/nn/layers.h>

#include <set>

using namespace simclr;
using Catch::Contains;
using kernels::dropout_apply;
using kernels::DropoutOptions;
using test::message_of;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

/// (sample, epoch, view) of some views, among them bits above 2^31.
Tensor keys_of(std::int64_t views) {
  std::vector<std::int32_t> keys;
  for (std::int64_t n = 0; n < views; ++n) {
    keys.insert(keys.end(), {static_cast<std::int32_t>(7 * n - 3), static_cast<std::int32_t>(n / 3),
                             static_cast<std::int32_t>(n % 2)});
  }
  return Tensor::from(keys, {views, 3});
}

/// Element by element, as dropout.h and random.h say it.
std::vector<double> reference(const Tensor& x, const Tensor& keys, const DropoutOptions& options) {
  auto values = x.to_vector<double>();
  const std::int64_t size = x.dim(0) == 0 ? 0 : x.numel() / x.dim(0);
  const double threshold = std::round(options.p * 65536);
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    const auto* key = reinterpret_cast<const std::uint32_t*>(keys.data<std::int32_t>() + 3 * n);
    const Random random(options.seed ^ std::uint64_t{options.layer} << 32, RandomPurpose::dropout, key[0], key[1],
                        key[2]);
    for (std::int64_t e = 0; e < size; ++e) {
      const std::uint32_t word = random.bits(static_cast<std::uint32_t>(e / 2));
      const std::uint32_t half = e % 2 == 0 ? word & 0xffff : word >> 16;
      values[n * size + e] *= half >= threshold ? 65536 / (65536 - threshold) : 0;
    }
  }
  return values;
}

/// Which elements are 0.
std::vector<bool> dropped(const Tensor& y) {
  std::vector<bool> out;
  for (const double value : y.to_vector<double>()) out.push_back(value == 0);
  return out;
}

Tensor ones(const Shape& shape) {
  return Tensor::full(shape, 1.0);
}

}  // namespace

TEST_CASE("dropout agrees with a loop over Philox's numbers") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const double p : {0.0, 0.1, 0.5, 0.9}) {
      for (const std::int64_t size : {1, 7, 8, 9, 31, 127, 129, 511, 512, 513, 1003, 5000}) {
        CAPTURE(dtype, p, size);
        const Tensor x = random_tensor({5, size}, 1, dtype, 0.5, 1.0), keys = keys_of(5);
        const DropoutOptions options = {.p = p, .seed = 0x123456789abcdefULL, .layer = 3};
        const Tensor expected = Tensor::from(reference(x, keys, options), x.shape());
        const Tensor y = dropout_apply(x, keys, options);
        CHECK(relative_error(y, expected) < (dtype == DType::f64 ? 1e-14 : 1e-7));
        CHECK(dropped(y) == dropped(expected));
      }
    }
    const Tensor none = Tensor::zeros({0, 4}, dtype);
    CHECK(dropout_apply(none, keys_of(0), {}).shape() == none.shape());
    CHECK(dropout_apply(Tensor::zeros({3, 0}, dtype), keys_of(3), {}).shape() == Shape{3, 0});
    CHECK(dropout_apply(Tensor::zeros({3}, dtype), keys_of(3), {}).shape() == Shape{3});
  }
}

TEST_CASE("a view's mask is its key's alone: its place, its padding and the threads do not matter") {
  const Tensor keys = keys_of(6), x = ones({6, 10, 33});
  const Tensor y = dropout_apply(x, keys, {.p = 0.3, .seed = 5});
  // 1 by itself, elsewhere in a batch
  for (std::int64_t n = 0; n < 6; ++n) {
    const Tensor alone = dropout_apply(x.narrow(n, 1), keys.narrow(n, 1), {.p = 0.3, .seed = 5});
    CHECK(same_bits(alone, y.narrow(n, 1).clone()));
  }
  // 2 padded to more steps
  const Tensor longer = dropout_apply(ones({6, 17, 33}), keys, {.p = 0.3, .seed = 5});
  for (std::int64_t n = 0; n < 6; ++n) {
    CHECK(dropped(longer.narrow(n, 1).reshape({17, 33}).narrow(0, 10)) == dropped(y.narrow(n, 1).reshape({10, 33})));
  }
  // 3 on any number of threads
  const int before = threads();
  const Tensor large = random_tensor({9, 30011}, 1, DType::f32), many = keys_of(9);
  set_threads(1);
  const Tensor one = dropout_apply(large, many, {});
  set_threads(5);
  CHECK(same_bits(dropout_apply(large, many, {}), one));
  set_threads(before);
}

TEST_CASE("another seed, layer, sample, epoch or view gives another mask") {
  const auto mask = [](std::vector<std::int32_t> key, const DropoutOptions& options) {
    return dropped(dropout_apply(ones({1, 200}), Tensor::from(key, {1, 3}), options));
  };
  std::set<std::vector<bool>> masks = {mask({1, 2, 0}, {.p = 0.5})};
  masks.insert(mask({2, 2, 0}, {.p = 0.5}));
  masks.insert(mask({1, 3, 0}, {.p = 0.5}));
  masks.insert(mask({1, 2, 1}, {.p = 0.5}));
  masks.insert(mask({1, 2, 0}, {.p = 0.5, .seed = 1}));
  masks.insert(mask({1, 2, 0}, {.p = 0.5, .layer = 1}));
  masks.insert(mask({1, 2, 0}, {.p = 0.5, .seed = std::uint64_t{1} << 33}));
  CHECK(masks.size() == 7);
}

TEST_CASE("dropout keeps the mean and drops the share that it is asked for") {
  for (const double p : {0.01, 0.1, 0.5, 0.75}) {
    CAPTURE(p);
    const std::int64_t views = 40, size = 10000;
    const Tensor y = dropout_apply(ones({views, size}), keys_of(views), {.p = p, .seed = 9});
    double sum = 0, zeros = 0;
    for (const double value : y.to_vector<double>()) sum += value, zeros += value == 0;
    const double n = double(views * size), deviation = std::sqrt(p * (1 - p) / n);
    CHECK(std::abs(zeros / n - p) < 5 * deviation + 1e-5);
    CHECK(std::abs(sum / n - 1) < 5 * deviation / (1 - p) + 1e-5);
  }
}

TEST_CASE("dropout's gradient goes through the same mask") {
  for (const Shape& shape : test::sequence_shapes) {
    CAPTURE(to_string(shape));
    const Tensor keys = keys_of(shape[0]);
    CHECK(test::gradient_error([&](const auto& in) { return nn::dropout(in[0], keys, {.p = 0.4, .seed = 2}); },
                               {random_tensor(shape, 3)}) < 1e-8);
  }
}

TEST_CASE("a dropped NaN or Inf stays visible") {
  const Tensor x = Tensor::from(std::vector<float>(64, INFINITY), {1, 64}), keys = keys_of(1);
  for (const double value : dropout_apply(x, keys, {.p = 0.5}).to_vector<double>()) CHECK_FALSE(std::isfinite(value));
}

TEST_CASE("the layer drops in training alone, and wants keys then") {
  nn::Dropout layer({.p = 0.5, .seed = 3, .layer = 2});
  const Tensor x = random_tensor({4, 6}, 1, DType::f32), keys = keys_of(4);
  CHECK(same_bits(layer(Input(x, {}, keys)), dropout_apply(x, keys, {.p = 0.5, .seed = 3, .layer = 2})));
  CHECK_THAT(message_of([&] { layer(x); }), Contains("the input has no keys") && Contains("call eval()"));
  layer.eval();
  CHECK(layer(x).same_as(x));
  nn::Dropout none({.p = 0});
  CHECK(none(x).same_as(x));
  CHECK_THAT(message_of([] { nn::Dropout({.p = 1.0}); }), Contains("p 1"));
  CHECK_THAT(message_of([] { nn::Dropout({.p = 0.999999}); }), Contains("p 0.999999 is outside"));  // 1 in 16 bits
  nn::Dropout most({.p = 0.99998});
  CHECK(most(Input(x, {}, keys)).shape() == x.shape());
}

TEST_CASE("dropout refuses what does not fit and says why") {
  const Tensor x = Tensor::zeros({2, 3});
  const auto apply = [&](const Tensor& in, const Tensor& keys, double p) {
    return message_of([&] { dropout_apply(in, keys, {.p = p}); });
  };
  CHECK(apply(x, keys_of(2), 0.5) == "no error");
  CHECK_THAT(apply(x, keys_of(3), 0.5), Contains("keys must be i32 [2,3]"));
  CHECK_THAT(apply(x, keys_of(2).to(DType::f32), 0.5), Contains("keys must be i32 [2,3]"));
  CHECK_THAT(apply(x, keys_of(2), -0.1), Contains("p -0.1 is outside"));
  CHECK_THAT(apply(x, keys_of(2), 1.0), Contains("is outside"));
  CHECK_THAT(apply(x, keys_of(2), NAN), Contains("is outside"));
  CHECK_THAT(apply(Tensor::zeros({}), keys_of(1), 0.5), Contains("wants views"));
  CHECK_THAT(apply(Tensor::zeros({2, 3}, DType::i32), keys_of(2), 0.5), Contains("wants f32 or f64"));
}
