#include "support/device.h"
#include "support/sequences.h"

#include <simclr/nn/transformer.h>

using namespace simclr;
using test::Both;
using test::random_both;

namespace {

/// NMSEs in bf16: twice the worst that was seen, 1.8e-5 of features and 9.2e-5 of gradients. Each layer rounds what it
/// hands on, forward and backward. In f32 1e-10 is a relative error of 1e-5.
constexpr double features_limit = 4e-5, gradients_limit = 2e-4;

/// The gradients of a module and a copy in f64 after `there` and `exact` went back.
void check_gradients(const nn::Module& there, const nn::Module& exact, DType dtype) {
  const auto got = there.parameters(), wanted = exact.parameters();
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(got[i].name);
    CHECK(got[i].value.grad().dtype() == DType::f32);
    // Gradients of the biases of keys are 0: a shift of all scores of a query changes nothing.
    CHECK(test::nmse(got[i].value.grad(), wanted[i].value.grad()) <= (dtype == DType::f32 ? 1e-10 : gradients_limit));
  }
}

}  // namespace

DEVICE_TEST_CASE("a TransformerEncoder trains beside bf16 inputs with f32 parameters") {
  for (const DType dtype : test::device_dtypes) {
    CAPTURE(dtype);
    const nn::TransformerOptions options = {
        .width = 16, .layers = 2, .heads = 2, .positions = 9, .dropout = {.p = 0.1}};
    nn::TransformerEncoder there(options), exact(options);
    there.initialize(1);
    exact.load_state(there.state());
    exact.to(DType::f64);
    there.to(test::device());
    const Both x = random_both({4, 7, 16}, 1, dtype), dy = random_both({4, 16}, 2, dtype);
    const Tensor lengths = test::random_lengths(4, 3, 7), keys = test::random_ids({4, 3}, 4, 100);
    const Tensor y = there({x.on_device, lengths.to(test::device()), keys.to(test::device())}),
                 expected = exact({x.exact, lengths, keys});
    CHECK(y.dtype() == dtype);
    CHECK(test::agrees(y, expected, 1e-5, features_limit));
    y.backward(dy.on_device);
    expected.backward(dy.exact);
    check_gradients(there, exact, dtype);
  }
}

DEVICE_TEST_CASE("a VisionTransformer trains beside bf16 pictures with f32 parameters") {
  for (const DType dtype : test::device_dtypes) {
    CAPTURE(dtype);
    const nn::VisionTransformerOptions options = {
        .size = 8, .patch = 4, .width = 16, .layers = 1, .heads = 2, .seed = 3};
    nn::VisionTransformer there(options), exact(options);
    exact.to(DType::f64);
    there.to(test::device());
    const Both x = random_both({3, 8, 8, 3}, 1, dtype), dy = random_both({3, 16}, 2, dtype);
    const Tensor y = there(x.on_device), expected = exact(x.exact);
    CHECK(test::agrees(y, expected, 1e-5, features_limit));
    y.backward(dy.on_device);
    expected.backward(dy.exact);
    check_gradients(there, exact, dtype);
  }
}
