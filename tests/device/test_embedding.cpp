#include "support/device.h"
#include "support/sequences.h"

#include <simclr/kernels/embedding.h>
#include <simclr/nn/layers.h>

using namespace simclr;
using namespace simclr::kernels;
using test::agrees;
using test::Both;
using test::random_both;
using test::random_ids;
using test::random_lengths;

namespace {

// One rounding: of the output in bf16, of an f64 sum in f32.
constexpr double f32_limit = 1e-7, bf16_limit = 1.6e-5;

Tensor on_device(const Tensor& tensor) {
  return tensor.defined() ? tensor.to(test::device()) : Tensor();
}

void check(const Shape& shape, std::int64_t entries, bool padded, DType dtype) {
  CAPTURE(dtype, to_string(shape), entries, padded);
  const Tensor ids = random_ids({shape[0], shape[1]}, 1, entries);
  const Tensor lengths = padded ? random_lengths(shape[0], 2, shape[1]) : Tensor();
  const Both table = random_both({entries, shape[2]}, 3, DType::f32), dy = random_both(shape, 4, dtype);
  CHECK(agrees(embedding_forward(table.on_device, on_device(ids), on_device(lengths), dtype),
               embedding_forward(table.exact, ids, lengths, DType::f64), f32_limit, bf16_limit));
  Tensor dtable = test::poisoned(table.exact.shape(), DType::f32), exact = Tensor::empty_like(table.exact);
  embedding_backward(dy.on_device, on_device(ids), on_device(lengths), dtable);
  embedding_backward(dy.exact, ids, lengths, exact);
  CHECK(agrees(dtable, exact, f32_limit));
}

}  // namespace

DEVICE_TEST_CASE("embedding agrees with double, forward and backward") {
  for (const DType dtype : test::device_dtypes) {
    for (const bool padded : {false, true}) {
      for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 3}, Shape{2, 7, 8}, Shape{5, 3, 33}, Shape{4, 31, 16}}) {
        for (const std::int64_t entries : {1, 5, 33}) check(shape, entries, padded, dtype);
      }
      check({0, 4, 8}, 3, padded, dtype);
      check({4, 0, 8}, 3, padded, dtype);
      check({3, 4, 0}, 3, padded, dtype);
    }
    for (const std::int64_t size : test::edge_sizes) {
      check({1, size, 2}, 7, false, dtype);
      check({size, 1, 8}, 3, false, dtype);
      check({1, 3, size}, 2, false, dtype);
      check({2, 3, 2}, size, false, dtype);
    }
    check({3, 601, 3}, 2, true, dtype);    // runs of several lengths, whole chunks and parts of some
    check({1, 2048, 1}, 1, false, dtype);  // chunks alone
  }
}

DEVICE_TEST_CASE("embedding gives the same bits twice, and serves rows that do not start at 16 bytes") {
  const Tensor ids = on_device(random_ids({7, 129}, 1, 40));
  const Both dy = random_both({7, 129, 8}, 2, DType::bf16);
  const Tensor flat = Tensor::zeros({dy.exact.numel() + 1}, DType::bf16, test::device());
  Tensor moved = flat.narrow(1, dy.exact.numel()).reshape(dy.exact.shape());
  moved.copy_from(dy.on_device);
  std::vector<std::vector<float>> results;
  for (const Tensor& gradient : {dy.on_device, dy.on_device, moved}) {
    Tensor dtable = test::poisoned({40, 8}, DType::f32);
    embedding_backward(gradient, ids, {}, dtable);
    results.push_back(dtable.to_vector<float>());
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

DEVICE_TEST_CASE("an impossible id or length shows as NaN, and does not reach the gradient") {
  const Tensor ids = Tensor::from(std::vector<std::int32_t>{0, 3, 1, -1, 2, 0, 1, 1}, {4, 2});
  const Tensor lengths = Tensor::from(std::vector<std::int32_t>{2, 1, 3, 0}, {4});
  const Tensor table = Tensor::full({3, 8}, 1.0, DType::f32, test::device());
  for (const DType dtype : test::device_dtypes) {
    const auto y = embedding_forward(table, on_device(ids), on_device(lengths), dtype).to_vector<double>();
    const std::vector<double> places = {1, NAN, 1, 0, NAN, NAN, 0, 0};
    for (std::size_t i = 0; i < y.size(); ++i) {
      CAPTURE(i);
      CHECK((y[i] == places[i / 8] || (std::isnan(y[i]) && std::isnan(places[i / 8]))));
    }
    Tensor dtable = test::poisoned({3, 8}, DType::f32);
    embedding_backward(Tensor::full({4, 2, 8}, 1.0, dtype, test::device()), on_device(ids), on_device(lengths), dtable);
    const auto gradient = dtable.to_vector<double>();
    for (std::size_t i = 0; i < gradient.size(); ++i) CHECK(gradient[i] == (i < 16 ? 1.0 : 0.0));
  }
}

DEVICE_TEST_CASE("the layer gives bf16 beside its f32 table, and an f32 gradient") {
  nn::Embedding layer({.entries = 9, .width = 8, .dtype = DType::bf16});
  layer.initialize(1);
  layer.to(test::device());
  const Tensor y = layer(on_device(random_ids({3, 4}, 2, 9)));
  CHECK(y.dtype() == DType::bf16);
  y.backward(Tensor::full(y.shape(), 1.0, DType::bf16, test::device()));
  CHECK(layer.parameters()[0].value.grad().dtype() == DType::f32);
}
