#include "support/device.h"

#include <simclr/core/graph.h>
#include <simclr/kernels/optimizer_step.h>

#include <cmath>

using namespace simclr;
using test::random_tensor;
using test::relative_error;
using test::same_bits;

// Fewer elements than a block has threads, several blocks, and more pieces than a block has threads.
DEVICE_TEST_CASE("clipping gives the CPU's norm and gradients") {
  for (const std::int64_t n : {1, 31, 257, 20000, 257 * 4096 + 3}) {
    const Tensor given = random_tensor({n}, 3, DType::f32);
    Tensor exact = given.to(DType::f64), norm = Tensor::zeros({1}, DType::f64);
    kernels::clip_gradient_norm(exact, 0.4, norm);
    Tensor clipped = given.to(test::device()), found = Tensor::zeros({1}, DType::f64, test::device());
    kernels::clip_gradient_norm(clipped, 0.4, found);
    CAPTURE(n);
    CHECK(found.item() == Approx(norm.item()).epsilon(1e-13));  // sums of doubles
    CHECK(relative_error(clipped.to(Device{}), exact) < 2e-7);
    Tensor kept = given.to(test::device());
    kernels::clip_gradient_norm(kept, 2 * norm.item(), found);
    CHECK(same_bits(kept.to(Device{}), given));
  }
}

DEVICE_TEST_CASE("clipping replays with other gradients, to the same bits") {
  Tensor gradients = Tensor::zeros({5000}, DType::f32, test::device());
  Tensor norm = Tensor::zeros({1}, DType::f64, test::device());
  const auto clip = [&] { kernels::clip_gradient_norm(gradients, 1, norm); };
  const auto given = [](std::uint64_t seed) { return random_tensor({5000}, seed, DType::f32).to(test::device()); };
  std::vector<Tensor> wanted;
  for (const std::uint64_t seed : {1, 2}) {
    gradients.copy_from(given(seed));
    clip();
    wanted.push_back(gradients.to(Device{}));
  }
  CapturedStep step(test::device(), clip);
  for (const std::uint64_t seed : {1, 2}) {
    gradients.copy_from(given(seed));
    step.replay();
    CHECK(same_bits(gradients.to(Device{}), wanted[seed - 1]));
  }
}
