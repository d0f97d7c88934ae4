#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/sequences.h"
#include "support/tensors.h"

#include <simclr/core/context.h>
#include <simclr/core/parallel.h>
#include <simclr/kernels/attention.h>
#include <simclr/nn/functional.h>

using namespace simclr;
using namespace simclr::kernels;
using Catch::Matchers::Contains;
using Size = test::AttentionSize;
using test::message_of;
using test::random_lengths;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

namespace {

using Values = std::vector<double>;

/// Around the sizes at which the loops change their path: a block's 64 steps, vectors, one value.
const std::vector<Size> sizes = {
    {1, 1, 1, 1},  {2, 3, 1, 1},   {2, 3, 2, 4},   {3, 5, 3, 7},   {1, 31, 2, 8},  {3, 32, 1, 16},  {3, 33, 4, 15},
    {2, 63, 2, 5}, {2, 64, 1, 32}, {3, 65, 2, 33}, {3, 127, 1, 3}, {2, 129, 2, 9}, {4, 7, 12, 64},  {1, 200, 1, 17},
    {9, 4, 5, 6},  {2, 16, 1, 96}, {2, 5, 1, 127}, {1, 66, 3, 31}, {5, 20, 8, 32}, {2, 70, 1, 256}, {33, 2, 2, 2},
};

/// Where lengths_seed is 0 none are given.
Tensor lengths_of(const Size& size, std::uint64_t lengths_seed) {
  return lengths_seed == 0 ? Tensor() : random_lengths(size.sequences, lengths_seed, size.steps);
}

std::int64_t length_at(const Tensor& lengths, std::int64_t i, std::int64_t steps) {
  return lengths.defined() ? lengths.data<std::int32_t>()[i] : steps;
}

/// The formulas of the header, one score after the other.
struct Reference {
  Values y, log_sum, dqkv;

  Reference(const Size& size, const Tensor& qkv_tensor, const Tensor& lengths, const Tensor& dy_tensor)
      : qkv(qkv_tensor.to_vector<double>()), dy(dy_tensor.to_vector<double>()), of(size) {
    y.assign(dy.size(), 0.0);
    dqkv.assign(qkv.size(), 0.0);
    log_sum.assign(static_cast<std::size_t>(size.sequences * size.heads * size.steps), 0.0);
    for (std::int64_t n = 0; n < size.sequences; ++n) {
      const std::int64_t length = length_at(lengths, n, size.steps);
      for (std::int64_t h = 0; h < size.heads; ++h) {
        for (std::int64_t i = 0; i < length; ++i) add_query(n, h, i, length);
      }
    }
  }

 private:
  /// `part`: q, k or v.
  std::size_t at(std::int64_t n, std::int64_t t, std::int64_t part, std::int64_t h, std::int64_t d) const {
    return static_cast<std::size_t>((((n * of.steps + t) * 3 + part) * of.heads + h) * of.width + d);
  }
  std::size_t out(std::int64_t n, std::int64_t t, std::int64_t h, std::int64_t d) const {
    return static_cast<std::size_t>(((n * of.steps + t) * of.heads + h) * of.width + d);
  }

  void add_query(std::int64_t n, std::int64_t h, std::int64_t i, std::int64_t length) {
    const double root = std::sqrt(static_cast<double>(of.width));
    Values s(static_cast<std::size_t>(length), 0.0), dp = s;
    double most = -INFINITY, sum = 0, delta = 0;
    for (std::size_t j = 0; j < s.size(); ++j) {
      const auto key = static_cast<std::int64_t>(j);
      for (std::int64_t d = 0; d < of.width; ++d) {
        s[j] += qkv[at(n, i, 0, h, d)] * qkv[at(n, key, 1, h, d)] / root;
        dp[j] += dy[out(n, i, h, d)] * qkv[at(n, key, 2, h, d)];
      }
      most = std::max(most, s[j]);
    }
    for (const double score : s) sum += std::exp(score - most);
    log_sum[static_cast<std::size_t>((n * of.heads + h) * of.steps + i)] = (most + std::log(sum)) / std::log(2.0);
    for (std::size_t j = 0; j < s.size(); ++j) delta += std::exp(s[j] - most) / sum * dp[j];
    for (std::size_t j = 0; j < s.size(); ++j) {
      const auto key = static_cast<std::int64_t>(j);
      const double p = std::exp(s[j] - most) / sum, ds = p * (dp[j] - delta) / root;
      for (std::int64_t d = 0; d < of.width; ++d) {
        y[out(n, i, h, d)] += p * qkv[at(n, key, 2, h, d)];
        dqkv[at(n, i, 0, h, d)] += ds * qkv[at(n, key, 1, h, d)];
        dqkv[at(n, key, 1, h, d)] += ds * qkv[at(n, i, 0, h, d)];
        dqkv[at(n, key, 2, h, d)] += p * dy[out(n, i, h, d)];
      }
    }
  }

  const Values qkv, dy;
  const Size of;
};

}  // namespace

TEST_CASE("attention and its gradient agree with loops in double, with lengths and without") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Size& size : sizes) {
      for (const std::uint64_t lengths_seed : {0, 5}) {
        CAPTURE(dtype, size, lengths_seed);
        const Tensor lengths = lengths_of(size, lengths_seed);
        const Tensor qkv = random_tensor(size.qkv(), 1, dtype, -2, 2), dy = random_tensor(size.y(), 2, dtype);
        const Reference expected(size, qkv, lengths, dy);
        const AttentionResult got = attention_forward(qkv, lengths, size.heads);
        const double limit = dtype == DType::f64 ? 1e-13 : 5e-6;
        CHECK(relative_error(got.y, Tensor::from(expected.y, size.y())) < limit);
        CHECK(relative_error(got.saved.log_sum, Tensor::from(expected.log_sum, got.saved.log_sum.shape())) < limit);
        CHECK(relative_error(attention_backward(dy, got.saved), Tensor::from(expected.dqkv, size.qkv())) < limit);
      }
    }
  }
}

TEST_CASE("gradients of attention") {
  REQUIRE(sizes.size() >= 20);
  std::uint64_t seed = 3;
  for (const Size& size : sizes) {
    const Tensor lengths = lengths_of(size, ++seed % 3 == 0 ? 0 : seed);
    CAPTURE(size, lengths.defined());
    const auto run = [&](const std::vector<Tensor>& in) { return nn::attention(in[0], size.heads, lengths); };
    CHECK(test::gradient_error(run, {random_tensor(size.qkv(), seed, DType::f64, -2, 2)}, 30) < 1e-7);
  }
}

TEST_CASE("large scores stay finite, and a large one takes all") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const double size : {1e3, -1e3}) {
      CAPTURE(dtype, size);
      // Scores of steps i and j: x_i x_j size, x of both signs and many sizes; two blocks of keys.
      constexpr std::int64_t steps = 90;
      Values values;
      for (std::int64_t t = 0; t < steps; ++t) {
        const double x = (t % 2 == 0 ? 1 : -1) * static_cast<double>(t % 13 + 1) / 13;
        values.insert(values.end(), {x * size, x, static_cast<double>(t)});
      }
      const Size of{1, steps, 1, 1};
      const Tensor qkv = Tensor::from(values, of.qkv()).to(dtype), dy = random_tensor(of.y(), 2, dtype);
      const AttentionResult got = attention_forward(qkv, {}, 1);
      const Tensor dqkv = attention_backward(dy, got.saved);
      for (const Tensor& t : {got.y, dqkv}) {
        for (const double v : t.to_vector<double>()) REQUIRE(std::isfinite(v));
      }
      const Reference expected(of, qkv, {}, dy);
      // A score's own rounding, 1e3 times 2^-24, is an error of its exponential.
      const double limit = dtype == DType::f64 ? 1e-11 : 1e-3;
      CHECK(relative_error(got.y, Tensor::from(expected.y, of.y())) < limit);
      CHECK(relative_error(dqkv, Tensor::from(expected.dqkv, of.qkv())) < limit);
    }
    // The first key's score is 1e3 above the others', or 1e3 below them.
    for (const double first : {1e3, -1e3}) {
      Values values;
      for (int t = 0; t < 70; ++t) values.insert(values.end(), {1.0, t == 0 ? first : 0.0, t == 0 ? 5.0 : 3.0});
      const Tensor y = attention_forward(Tensor::from(values, {1, 70, 3}).to(dtype), {}, 1).y;
      for (const double v : y.to_vector<double>()) CHECK(v == Approx(first > 0 ? 5.0 : 3.0).epsilon(1e-6));
    }
  }
}

TEST_CASE("a NaN stays visible in attention") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Size size{1, 70, 1, 20};
    for (const std::int64_t part : {0, 1, 2}) {  // of step 3's q, k or v
      CAPTURE(dtype, part);
      Tensor qkv = random_tensor(size.qkv(), 1);
      qkv.data<double>()[3 * 60 + 20 * part + 7] = NAN;
      const Values y = attention_forward(qkv.to(dtype), {}, 1).y.to_vector<double>();
      for (std::size_t i = 0; i < y.size(); ++i) {
        const bool hit = part == 0 ? i / 20 == 3 : part == 1 || i % 20 == 7;
        REQUIRE(std::isnan(y[i]) == hit);
      }
    }
  }
}

TEST_CASE("a sequence's attention does not depend on its neighbours, nor on what padding holds") {
  const Size size{6, 75, 2, 10};
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{0, 1, 75, 64, 65, 20}, {6});
  const Tensor qkv = random_tensor(size.qkv(), 1), dy = random_tensor(size.y(), 2);
  Tensor spoiled = qkv.clone(), spoiled_dy = dy.clone();
  test::spoil_padding(spoiled, lengths);
  test::spoil_padding(spoiled_dy, lengths);
  const AttentionResult all = attention_forward(spoiled, lengths, size.heads);
  const Tensor dqkv = attention_backward(spoiled_dy, all.saved);
  for (std::int64_t n = 0; n < size.sequences; ++n) {
    CAPTURE(n);
    const std::int64_t length = length_at(lengths, n, size.steps);
    const auto rows = [&](const Tensor& t) { return t.narrow(n, 1).reshape({size.steps, t.dim(2)}); };
    const auto own = [&](const Tensor& t) { return rows(t).narrow(0, length).reshape({1, length, t.dim(2)}); };
    for (const Tensor& t : {all.y, dqkv}) {
      const Values padding = rows(t).narrow(length, size.steps - length).to_vector<double>();
      CHECK(padding == Values(padding.size(), 0.0));
    }
    const AttentionResult alone = attention_forward(own(qkv).clone(), {}, size.heads);
    CHECK(same_bits(alone.y, own(all.y)));
    CHECK(same_bits(attention_backward(own(dy).clone(), alone.saved), own(dqkv)));
  }
}

TEST_CASE("attention without positions: steps in another order give outputs in that order") {
  const Size size{1, 70, 2, 9};
  const Tensor qkv = random_tensor(size.qkv(), 1);
  const Values before = qkv.to_vector<double>(), y = attention_forward(qkv, {}, 2).y.to_vector<double>();
  Values turned(before.size()), expected(y.size());
  for (std::size_t t = 0; t < 70; ++t) {
    const std::size_t to = t * 27 % 70;
    std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(54 * t), 54,
                turned.begin() + static_cast<std::ptrdiff_t>(54 * to));
    std::copy_n(y.begin() + static_cast<std::ptrdiff_t>(18 * t), 18,
                expected.begin() + static_cast<std::ptrdiff_t>(18 * to));
  }
  const Tensor got = attention_forward(Tensor::from(turned, size.qkv()), {}, 2).y;
  CHECK(relative_error(got, Tensor::from(expected, size.y())) < 1e-14);
}

TEST_CASE("attention gives the same bits for any thread count") {
  const int before = threads();
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Size size{9, 150, 3, 20};
    const Tensor lengths = lengths_of(size, 4);
    const Tensor qkv = random_tensor(size.qkv(), 1, dtype), dy = random_tensor(size.y(), 2, dtype);
    std::vector<std::vector<Tensor>> runs;
    for (const int count : {1, 2, 3, 7}) {
      set_threads(count);
      const AttentionResult got = attention_forward(qkv, lengths, size.heads);
      runs.push_back({got.y, got.saved.log_sum, attention_backward(dy, got.saved)});
    }
    for (const auto& run : runs) CHECK(same_bits(run, runs[0]));
  }
  set_threads(before);
}

TEST_CASE("attention's memory grows with T, and not with its square") {
  const int before = threads();
  set_threads(1);
  Allocator& allocator = Context::of({}).allocator();
  const auto peak = [&](std::int64_t steps) {
    const Size size{1, steps, 1, 8};
    Tensor qkv = random_tensor(size.qkv(), 1, DType::f32);
    qkv.set_requires_grad();
    const Tensor dy = random_tensor(size.y(), 2, DType::f32);
    const std::size_t in_use = allocator.stats().in_use;
    allocator.reset_peak();
    nn::attention(qkv, 1).backward(dy);
    return static_cast<double>(allocator.stats().peak - in_use);
  };
  const double short_peak = peak(512), long_peak = peak(4096);
  CAPTURE(short_peak, long_peak);
  CHECK(long_peak < 8.5 * short_peak);
  CHECK(long_peak < 4096.0 * 4096 * 4 / 50);
  set_threads(before);
}

TEST_CASE("sequences without a step give 0 and no gradient, and so do no sequences") {
  for (const Size& size : {Size{3, 4, 2, 5}, Size{0, 4, 2, 5}, Size{3, 0, 2, 5}}) {
    CAPTURE(size);
    const Tensor lengths = Tensor::zeros({size.sequences}, DType::i32);
    const AttentionResult got = attention_forward(random_tensor(size.qkv(), 1), lengths, 2);
    const Tensor dqkv = attention_backward(random_tensor(size.y(), 2), got.saved);
    CHECK(got.y.shape() == size.y());
    CHECK(got.y.to_vector<double>() == Values(static_cast<std::size_t>(got.y.numel()), 0.0));
    CHECK(dqkv.to_vector<double>() == Values(static_cast<std::size_t>(dqkv.numel()), 0.0));
  }
}

TEST_CASE("attention says what does not fit") {
  const Tensor qkv = Tensor::zeros({2, 4, 12});
  const auto forward = [](const Tensor& x, const Tensor& lengths, std::int64_t heads) {
    return message_of([&] { attention_forward(x, lengths, heads); });
  };
  CHECK(forward(qkv, {}, 2) == "no error");
  CHECK_THAT(forward(Tensor::zeros({4, 12}), {}, 2), Contains("qkv must have 3 dimensions, got f32 [4,12]"));
  CHECK_THAT(forward(qkv, {}, 3), Contains("C in 3 heads of the same width, got f32 [2,4,12]"));
  CHECK_THAT(forward(qkv, {}, 0), Contains("C in 0 heads"));
  CHECK_THAT(forward(Tensor::zeros({2, 4, 0}), {}, 1), Contains("C in 1 heads"));
  CHECK(forward(Tensor::zeros({1, 1, 768}), {}, 1) == "no error");
  CHECK_THAT(forward(Tensor::zeros({1, 1, 771}), {}, 1),
             Contains("heads of 257 values; at most 256 are supported, take more heads"));
  CHECK_THAT(forward(qkv.to(DType::bf16), {}, 2), Contains("wants f32 or f64"));
  CHECK_THAT(forward(qkv, Tensor::zeros({3}, DType::i32), 2), Contains("lengths must be i32 [2]"));
  CHECK_THAT(forward(qkv, Tensor::full({2}, 5, DType::i32), 2), Contains("length 5 of sequence 0 is outside 0..4"));

  const AttentionResult got = attention_forward(qkv, {}, 2);
  const auto backward = [&](const Tensor& dy, auto change) {
    AttentionSaved wrong = got.saved;
    change(wrong);
    return message_of([&] { attention_backward(dy, wrong); });
  };
  const auto nothing = [](AttentionSaved&) {};
  const Tensor dy = Tensor::zeros({2, 4, 4});
  CHECK(backward(dy, nothing) == "no error");
  CHECK_THAT(backward(Tensor::zeros({2, 4, 5}), nothing), Contains("dy must be [2,4,4], got f32 [2,4,5]"));
  CHECK_THAT(backward(dy.to(DType::f64), nothing), Contains("must be the same"));
  CHECK_THAT(backward(dy, [](AttentionSaved& s) { s.heads = 1; }), Contains("log_sum must be [2,1,4]"));
  CHECK_THAT(backward(dy, [](AttentionSaved& s) { s.y = Tensor(); }), Contains("must be the same"));
  CHECK_THAT(backward(dy, [](AttentionSaved& s) { s.y = Tensor::zeros({2, 4, 5}); }), Contains("y must be [2,4,4]"));
  CHECK_THAT(backward(dy, [](AttentionSaved& s) { s.log_sum = s.log_sum.to(DType::f64); }),
             Contains("must be the same"));
}
