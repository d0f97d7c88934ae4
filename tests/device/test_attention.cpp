#include "support/device.h"
#include "support/sequences.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/attention.h>

using namespace simclr;
using namespace simclr::kernels;
using Size = test::AttentionSize;
using test::agrees;
using test::Both;
using test::both;
using test::random_both;

namespace {

/// Around a tile's 32 and 64 steps, the depths of the tensor cores, what they leave to the f32 cores, and vectors.
const std::vector<Size> sizes = {
    {1, 1, 1, 1},   {2, 3, 2, 5},   {3, 33, 1, 32}, {1, 65, 2, 8},   {3, 64, 1, 31},  {1, 130, 1, 16}, {2, 32, 3, 24},
    {2, 70, 1, 33}, {1, 63, 1, 64}, {3, 20, 1, 40}, {1, 66, 1, 128}, {2, 35, 1, 127}, {1, 66, 1, 129}, {2, 9, 1, 256},
};

/// An NMSE, of y or of a part of dqkv. p, ds and the results are rounded to bf16, which gave 1e-5 at most from 20 steps
/// on, and 2.4e-5 with fewer, whose sums of ds cancel the most: twice these, so that one lost key of many shows.
double bf16_limit(const Size& size) {
  return size.steps < 20 ? 5e-5 : 2e-5;
}

/// dq, dk or dv, of [N,T,3C].
Tensor part_of(const Tensor& dqkv, const Size& size, std::int64_t part) {
  const std::int64_t channels = size.heads * size.width;
  const auto all = dqkv.to_vector<double>();
  std::vector<double> own;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (static_cast<std::int64_t>(i) / channels % 3 == part) own.push_back(all[i]);
  }
  return Tensor::from(own, size.y()).to(dqkv.dtype());
}

void check_gradient(const Tensor& got, const Tensor& expected, const Size& size) {
  for (const std::int64_t part : {0, 1, 2}) {
    CAPTURE(part);
    CHECK(agrees(part_of(got, size, part), part_of(expected, size, part), 1e-5, bf16_limit(size)));
  }
}

void check(const Size& size, const Both& qkv, const Both& dy, const Tensor& lengths) {
  const Tensor there = lengths.defined() ? lengths.to(test::device()) : Tensor();
  const AttentionResult got = attention_forward(qkv.on_device, there, size.heads),
                        expected = attention_forward(qkv.exact, lengths, size.heads);
  CHECK(got.saved.log_sum.dtype() == DType::f32);
  CHECK(agrees(got.y, expected.y, 1e-5, bf16_limit(size)));
  CHECK(test::relative_error(got.saved.log_sum, expected.saved.log_sum) < 1e-5);
  check_gradient(attention_backward(dy.on_device, got.saved), attention_backward(dy.exact, expected.saved), size);
}

}  // namespace

DEVICE_TEST_CASE("attention and its gradient agree with double") {
  for (const DType dtype : test::device_dtypes) {
    for (const Size& size : sizes) {
      for (const std::uint64_t seed : {0, 5}) {
        CAPTURE(dtype, size, seed);
        const Tensor lengths = seed == 0 ? Tensor() : test::random_lengths(size.sequences, seed, size.steps);
        check(size, random_both(size.qkv(), 1, dtype, -2, 2), random_both(size.y(), 2, dtype), lengths);
      }
    }
  }
}

DEVICE_TEST_CASE("attention passes over whole tiles of padding, and looks at none of it") {
  const Size size{5, 140, 1, 8};
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{140, 64, 65, 3, 0}, {5});
  for (const DType dtype : test::device_dtypes) {
    Tensor values = test::random_tensor(size.qkv(), 1), gradients = test::random_tensor(size.y(), 2);
    test::spoil_padding(values, lengths);
    test::spoil_padding(gradients, lengths);
    check(size, both(values, dtype), both(gradients, dtype), lengths);
  }
}

DEVICE_TEST_CASE("attention of tensors that do not start at 16 bytes is the same") {
  const Size size{2, 70, 2, 8};
  const auto off = [](const Tensor& x) {
    Tensor moved = Tensor::empty({x.numel() + 1}, x.dtype(), x.device()).narrow(1, x.numel()).reshape(x.shape());
    moved.copy_from(x);
    return moved;
  };
  for (const DType dtype : test::device_dtypes) {
    const Tensor qkv = random_both(size.qkv(), 1, dtype).on_device, dy = random_both(size.y(), 2, dtype).on_device;
    const AttentionResult got = attention_forward(qkv, {}, size.heads),
                          moved = attention_forward(off(qkv), {}, size.heads);
    CHECK(test::same_bits(moved.y.to(Device{}), got.y.to(Device{})));
    const Tensor expected = attention_backward(dy, got.saved).to(Device{});
    CHECK(test::same_bits(attention_backward(off(dy), got.saved).to(Device{}), expected));
    CHECK(test::same_bits(attention_backward(dy, moved.saved).to(Device{}), expected));
  }
}

DEVICE_TEST_CASE("large scores stay finite on the device") {
  for (const DType dtype : test::device_dtypes) {
    for (const double scale : {1e3, -1e3}) {
      for (const bool one_sign : {false, true}) {  // all of them far from 0, where padding's would be 0
        CAPTURE(dtype, scale, one_sign);
        std::vector<double> values;
        for (int t = 0; t < 70; ++t) {
          const double part = static_cast<double>(t % 13 + 1) / 13;
          const double x = one_sign ? (part + 1) / 2 : t % 2 == 0 ? part : -part;
          values.insert(values.end(), {x * scale, x, static_cast<double>(t)});
        }
        const Both qkv = both(Tensor::from(values, {1, 70, 3}), dtype), dy = random_both({1, 70, 1}, 2, dtype);
        const AttentionResult got = attention_forward(qkv.on_device, {}, 1),
                              expected = attention_forward(qkv.exact, {}, 1);
        // A score's own rounding, 1e3 times 2^-24, is an error of its exponential.
        CHECK(agrees(got.y, expected.y, 1e-3));
        const Tensor dqkv = attention_backward(dy.on_device, got.saved);
        for (const double v : dqkv.to_vector<double>()) REQUIRE(std::isfinite(v));
        CHECK(agrees(dqkv, attention_backward(dy.exact, expected.saved), 1e-3));
      }
    }
  }
}

DEVICE_TEST_CASE("attention gives the same bits each time, and replayed with other lengths") {
  for (const DType dtype : test::device_dtypes) {
    const Size size{4, 140, 1, 8};
    const Tensor qkv = random_both(size.qkv(), 1, dtype).on_device, dy = random_both(size.y(), 2, dtype).on_device;
    const Tensor first = test::random_lengths(4, 3, 140).to(test::device()),
                 others = test::random_lengths(4, 9, 140).to(test::device());
    REQUIRE(others.to_vector<int>() != first.to_vector<int>());
    Tensor lengths = others.clone();
    std::vector<Tensor> results;
    const auto all = [&] {
      const AttentionResult got = attention_forward(qkv, lengths, size.heads);
      results = {got.y, got.saved.log_sum, attention_backward(dy, got.saved)};
    };
    const auto bits = [&] {
      std::vector<Tensor> host;
      for (const Tensor& result : results) host.push_back(result.to(Device{}));
      return host;
    };
    all();
    const auto expected = bits();
    all();
    CHECK(test::same_bits(bits(), expected));
    lengths.copy_from(first);
    CapturedStep captured(test::device(), all);
    lengths.copy_from(others);
    captured.replay();
    CHECK(test::same_bits(bits(), expected));
  }
}

DEVICE_TEST_CASE("an impossible length gives NaN in its sequence's attention alone") {
  for (const DType dtype : test::device_dtypes) {
    for (const int wrong : {-1, 71, 1 << 30}) {
      const Size size{3, 70, 1, 5};
      const Tensor lengths = Tensor::from(std::vector<std::int32_t>{70, wrong, 2}, {3}).to(test::device());
      const AttentionResult got = attention_forward(random_both(size.qkv(), 1, dtype).on_device, lengths, 1);
      const Tensor dqkv = attention_backward(random_both(size.y(), 2, dtype).on_device, got.saved);
      const auto y = got.y.to_vector<double>(), dx = dqkv.to_vector<double>();
      for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(std::isnan(y[i]) == (i / 350 == 1));
      for (std::size_t i = 0; i < dx.size(); ++i) REQUIRE(std::isnan(dx[i]) == (i / 1050 == 1));
    }
  }
}

DEVICE_TEST_CASE("no sequences, and none of a step, are nothing to do") {
  for (const DType dtype : test::device_dtypes) {
    for (const Size& size : {Size{0, 4, 2, 5}, Size{3, 0, 2, 5}}) {
      const AttentionResult got = attention_forward(random_both(size.qkv(), 1, dtype).on_device, {}, 2);
      CHECK(got.y.shape() == size.y());
      CHECK(attention_backward(random_both(size.y(), 2, dtype).on_device, got.saved).shape() == size.qkv());
    }
  }
}
