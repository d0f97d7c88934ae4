#include "support/device.h"
#include "support/sequences.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/gru.h>
#include <simclr/nn/recurrent.h>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::random_both;

namespace {

/// The same layer on the device, and in f64 on the CPU; biases are f32 beside bf16.
struct Layer {
  Both x;
  Tensor lengths, lengths_there;
  std::vector<GruWeights> there, exact;

  /// lengths 0: none are given.
  Layer(const Shape& shape, std::int64_t size, int count, std::uint64_t lengths_seed, DType dtype)
      : x(random_both(shape, 1, dtype)) {
    if (lengths_seed != 0) {
      lengths = test::random_lengths(shape[0], lengths_seed, shape[1]);
      lengths_there = lengths.to(test::device());
    }
    for (int i = 0; i < count; ++i) {
      const auto seed = static_cast<std::uint64_t>(10 * (i + 1));
      const double bound = 1 / std::sqrt(static_cast<double>(size));
      const Both w_ih = random_both({3 * size, shape[2]}, seed, dtype, -bound, bound),
                 w_hh = random_both({3 * size, size}, seed + 1, dtype, -bound, bound),
                 b_ih = random_both({3 * size}, seed + 2, DType::f32),
                 b_hh = random_both({3 * size}, seed + 3, DType::f32);
      there.push_back({w_ih.on_device, w_hh.on_device, b_ih.on_device, b_hh.on_device});
      exact.push_back({w_ih.exact, w_hh.exact, b_ih.exact, b_hh.exact});
    }
  }
};

/// As test::agrees, but the gradients of weights are f32 beside bf16 too, made of values that have been bf16.
bool close(const Tensor& got, const Tensor& expected, DType dtype) {
  if (dtype == DType::f32) return agrees(got, expected);
  INFO("NMSE " << test::nmse(got, expected));
  CHECK(test::nmse(got, expected) <= 1e-4);
  return got.shape() == expected.shape() && test::nmse(got, expected) <= 1e-4;
}

std::vector<Tensor> gradients_of(const GruSaved& saved, const Tensor& dy, const Tensor& dlast) {
  GruGradients out;
  const Device device = saved.x.device();
  const DType dtype = saved.directions[0].b_ih.dtype();
  out.dx = Tensor::full(saved.x.shape(), NAN, saved.x.dtype(), device);
  for (const GruWeights& w : saved.directions) {
    const auto like = [&](const Tensor& t) { return Tensor::full(t.shape(), NAN, dtype, device); };
    out.directions.push_back({like(w.w_ih), like(w.w_hh), like(w.b_ih), like(w.b_hh)});
  }
  gru_backward(dy, dlast, saved, out);
  std::vector<Tensor> all = {out.dx};
  for (const GruWeights& w : out.directions) all.insert(all.end(), {w.w_ih, w.w_hh, w.b_ih, w.b_hh});
  return all;
}

}  // namespace

DEVICE_TEST_CASE("a GRU and its gradients agree with double") {
  // N, T, I, H: around the block's 128 values and the vectors', odd and prime.
  const std::vector<std::pair<Shape, std::int64_t>> sizes = {
      {{1, 1, 1}, 1},   {{2, 3, 5}, 4},   {{5, 4, 3}, 31},  {{3, 6, 8}, 32},  {{4, 2, 7}, 33},
      {{2, 3, 4}, 127}, {{2, 2, 9}, 128}, {{3, 2, 2}, 129}, {{1, 11, 16}, 8}, {{33, 2, 3}, 5},
  };
  for (const DType dtype : test::device_dtypes) {
    for (const auto& [shape, size] : sizes) {
      for (const int count : {1, 2}) {
        for (const std::uint64_t lengths : {0, 5}) {
          CAPTURE(dtype, shape, size, count, lengths);
          const Layer layer(shape, size, count, lengths, dtype);
          const GruResult got = gru_forward(layer.x.on_device, layer.lengths_there, layer.there),
                          expected = gru_forward(layer.x.exact, layer.lengths, layer.exact);
          CHECK(got.y.dtype() == dtype);
          CHECK(agrees(got.y, expected.y));
          CHECK(agrees(got.last, expected.last));
          const Both dy = random_both(expected.y.shape(), 4, dtype),
                     dlast = random_both(expected.last.shape(), 5, dtype);
          for (const bool with_y : {true, false}) {
            const auto there = gradients_of(got.saved, with_y ? dy.on_device : Tensor(), dlast.on_device);
            const auto exact = gradients_of(expected.saved, with_y ? dy.exact : Tensor(), dlast.exact);
            for (std::size_t i = 0; i < there.size(); ++i) {
              CAPTURE(with_y, i);
              CHECK(close(there[i], exact[i], dtype));
            }
          }
        }
      }
    }
  }
}

DEVICE_TEST_CASE("a GRU gives the same bits each time, and replayed with other lengths") {
  for (const DType dtype : test::device_dtypes) {
    const Layer layer({4, 5, 6}, 10, 2, 5, dtype);
    const Tensor dy = random_both({4, 5, 20}, 4, dtype).on_device;
    Tensor lengths = layer.lengths_there.clone();
    std::vector<Tensor> results;
    const auto all = [&] {
      const GruResult got = gru_forward(layer.x.on_device, lengths, layer.there);
      results = gradients_of(got.saved, dy, {});
      results.push_back(got.y);
      results.push_back(got.last);
    };
    const auto bits = [&] {
      std::vector<Tensor> host;
      for (const Tensor& result : results) host.push_back(result.to(Device{}));
      return host;
    };
    const Tensor others = test::random_lengths(4, 9, 5).to(test::device());
    REQUIRE(others.to_vector<int>() != lengths.to_vector<int>());
    lengths.copy_from(others);
    all();
    const auto expected = bits();
    all();
    CHECK(test::same_bits(bits(), expected));
    lengths.copy_from(layer.lengths_there);
    CapturedStep captured(test::device(), all);
    lengths.copy_from(others);
    captured.replay();
    CHECK(test::same_bits(bits(), expected));
  }
}

DEVICE_TEST_CASE("a Gru module trains beside bf16 inputs with f32 parameters") {
  for (const DType dtype : test::device_dtypes) {
    CAPTURE(dtype);
    nn::Gru there({.in = 6, .width = 9, .layers = 2, .bidirectional = true}),
        exact({.in = 6, .width = 9, .layers = 2, .bidirectional = true});
    there.initialize(1);
    exact.load_state(there.state());
    exact.to(DType::f64);
    there.to(test::device());
    Both x = random_both({5, 4, 6}, 1, dtype), dy = random_both({5, 4, 18}, 2, dtype);
    const Tensor lengths = test::random_lengths(5, 3, 4);
    const Tensor y = there({x.on_device, lengths.to(test::device())}), expected = exact({x.exact, lengths});
    CHECK(y.dtype() == dtype);
    CHECK(agrees(y, expected));
    y.backward(dy.on_device);
    expected.backward(dy.exact);
    const auto got = there.parameters(), wanted = exact.parameters();
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(got[i].name);
      CHECK(got[i].value.grad().dtype() == DType::f32);
      CHECK(test::nmse(got[i].value.grad(), wanted[i].value.grad()) <= (dtype == DType::f32 ? 1e-10 : 1e-4));
    }
  }
}

DEVICE_TEST_CASE("an impossible length gives NaN in its sequence alone") {
  for (const DType dtype : test::device_dtypes) {
    for (const int wrong : {-1, 5, 1 << 30}) {
      const Layer layer({3, 4, 2}, 5, 2, 0, dtype);
      const Tensor lengths = Tensor::from(std::vector<std::int32_t>{4, wrong, 2}, {3}).to(test::device());
      const GruResult got = gru_forward(layer.x.on_device, lengths, layer.there);
      const auto y = got.y.to_vector<double>(), last = got.last.to_vector<double>();
      for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(std::isnan(y[i]) == (i / 40 == 1));
      for (std::size_t i = 0; i < last.size(); ++i) REQUIRE(std::isnan(last[i]) == (i / 10 == 1));
    }
  }
}

DEVICE_TEST_CASE("a GRU wants f32 or bf16, and f32 biases") {
  using Catch::Contains;
  const Layer layer({2, 3, 4}, 5, 1, 0, DType::bf16);
  auto weights = layer.there;
  weights[0].b_ih = weights[0].b_ih.to(DType::bf16);
  CHECK_THROWS_WITH(gru_forward(layer.x.on_device, {}, weights), Contains("parameters of bf16 activations are f32"));
  CHECK_THROWS_WITH(gru_forward(layer.x.on_device.to(DType::f64), {}, layer.there), Contains("wants f32 or bf16"));
  CHECK_THROWS_WITH(gru_forward(layer.x.on_device, Tensor::zeros({2}, DType::i32), layer.there),
                    Contains("lengths must be i32 [2] on"));
}
