// The steps of docs/nt-xent-kernel.md, taken from its blocks: each agrees with its plain loops in double, and with one
// line changed it does not. The values are compared anchor by anchor.
#define SIMCLR_EMU
#include <simclr/kernels/nt_xent.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

// clang-format off
#include "nt_xent_ladder/definition.h"
#include "nt_xent_ladder/naive.h"
#include "nt_xent_ladder/tiles.h"
#include "nt_xent_ladder/positives.h"
#include "nt_xent_ladder/backward.h"
#include "nt_xent_ladder/tensor_cores.h"
#include "nt_xent_ladder/hopper.h"

// The same with a fault each (tests/CMakeLists.txt says which), as namespaces.
#include "faults/self_in_the_sum.h"
#include "faults/missing_barrier.h"
#include "faults/positive_in_the_sum.h"
#include "faults/weights_before_barrier.h"
#include "faults/one_sided_weights.h"
#include "faults/wrong_fragment_word.h"
#include "faults/wrong_left_side.h"
#include "faults/early_release.h"
#include "faults/wrong_phase.h"
// clang-format on

#include <functional>
#include <string>

using namespace simclr;
using Catch::Contains;
using ladder::positives::Forward;

namespace {

const Device emulated{DeviceType::emu, 0};

struct Errors {
  double loss = 0, gradient = 0;  // the largest, over the largest value
};

/// A step's losses [rows], and, from the backward step on, its dz.
struct Step {
  std::function<Forward(const Tensor& z, double temperature)> forward;
  std::function<Tensor(const Forward&)> gradient = nullptr;
};

Step losses_alone(const std::function<Tensor(const Tensor&, double)>& losses) {
  return {[losses](const Tensor& z, double temperature) {
    Forward f = {z, temperature};
    f.loss = losses(z, temperature);
    return f;
  }};
}

Errors errors(const Step& step, const Tensor& z, double temperature) {
  const int rows = static_cast<int>(z.dim(0)), width = static_cast<int>(z.dim(1));
  const ladder::Values expected = ladder::definition(z.to_vector<double>(), rows, width, temperature);
  const Forward f = step.forward(z.to(emulated), temperature);
  Errors found = {test::relative_error(f.loss, Tensor::from(expected.loss, {rows}))};
  if (step.gradient) {
    found.gradient = test::relative_error(step.gradient(f), Tensor::from(expected.dz, {rows, width}));
  }
  return found;
}

/// Two views of each sample that differ by `noise`.
Tensor views(std::int64_t rows, std::int64_t width, double noise = 2.0) {
  return test::aligned(rows, width, noise).to(DType::f32);
}

struct Limits {
  double loss, gradient;
};
constexpr Limits f32 = {1e-6, 2e-6}, bf16 = {2e-3, 1e-2};

void check_step(const Step& step, const Limits& limits) {
#ifdef __SANITIZE_ADDRESS__  // as in support/device.h
  emu::set_checks(emu::Checks::once);
#else
  emu::set_checks(emu::Checks::thorough);
#endif
  for (const auto& [rows, width] : {std::tuple{2, 7}, {32, 64}, {34, 33}, {130, 31}}) {
    const Tensor z = views(rows, width);
    for (const double temperature : {0.5, 0.07}) {
      CAPTURE(rows, width, temperature);
      const Errors found = errors(step, z, temperature);
      CHECK(found.loss <= limits.loss);
      CHECK(found.gradient <= limits.gradient);
    }
  }
}

/// What gives a faulty step away: an Error's text, or that its values are wrong.
std::string given_away(const Step& step, const Limits& limits, std::int64_t rows = 130) {
  emu::set_checks(emu::Checks::thorough);
  std::string message = "nothing";
  const std::string error = test::message_of([&] {
    const Errors found = errors(step, views(rows, 64), 0.5);
    if (found.loss > limits.loss) message = "wrong losses";
    if (found.gradient > limits.gradient) message = "wrong gradients";
  });
  return error == "no error" ? message : error;
}

const Step naive = losses_alone(ladder::naive::losses), tiles = losses_alone(ladder::tiles::losses);
const Step positives = {ladder::positives::forward},
           backward = {ladder::positives::forward, ladder::backward::gradient};
const Step tensor_cores = {ladder::tensor_cores::forward, ladder::tensor_cores::gradient};
const Step hopper = {ladder::hopper::forward};

}  // namespace

TEST_CASE("the ladder's definition is the library's loss and gradient") {
  const int rows = 34, width = 9;
  const Tensor z = test::random_tensor({rows, width}, 1);
  for (const double temperature : {0.5, 0.05}) {
    const ladder::Values values = ladder::definition(z.to_vector<double>(), rows, width, temperature);
    double mean = 0;
    for (const double loss : values.loss) mean += loss / rows;
    const auto result = kernels::nt_xent_forward(z, z, temperature);
    CHECK(result.loss.item() == Approx(mean).epsilon(1e-12));
    const Tensor dz = kernels::nt_xent_backward(result.saved, Tensor::full({}, 1.0, DType::f64)).danchors;
    CHECK(test::relative_error(dz, Tensor::from(values.dz, {rows, width})) < 1e-10);
  }
}

TEST_CASE("step 1, naive") {
  check_step(naive, f32);
}
TEST_CASE("step 2, tiles") {
  check_step(tiles, f32);
}
TEST_CASE("step 3, positives apart") {
  check_step(positives, f32);
}
TEST_CASE("step 4, backward") {
  check_step(backward, f32);
}
TEST_CASE("step 5, tensor cores") {
  check_step(tensor_cores, bf16);
}
TEST_CASE("step 6, Hopper") {
  check_step(hopper, bf16);
  CHECK(errors(hopper, views(400, 64), 0.5).loss <= bf16.loss);  // more tiles a block than the ring has
}

TEST_CASE("aligned pairs: a sum that holds the positive rounds the loss away, one of negatives does not") {
  const Tensor z = views(66, 64, 0.01);
  CHECK(errors(naive, z, 0.05).loss > 0.01);
  CHECK(errors(tiles, z, 0.05).loss > 0.01);
  const Errors apart = errors(backward, z, 0.05);
  CHECK(apart.loss < 1e-5);
  CHECK(apart.gradient < 1e-5);
}

TEST_CASE("the naive step alone keeps a matrix of all pairs") {
  emu::set_checks(emu::Checks::once);
  const std::size_t rows = 512, matrix = rows * rows * sizeof(float);
  const Tensor z = views(rows, 64).to(emulated);
  Allocator& allocator = Context::of(emulated).allocator();
  const auto peak = [&](const Step& step) {
    allocator.reset_peak();
    const std::size_t before = allocator.stats().in_use;
    const Forward f = step.forward(z, 0.5);
    if (step.gradient) step.gradient(f);
    return allocator.stats().peak - before;
  };
  CHECK(peak(naive) > matrix);
  for (const Step& step : {tiles, positives, backward, tensor_cores, hopper}) CHECK(peak(step) < matrix / 2);
}

TEST_CASE("what is planted into a step is seen") {
  CHECK(given_away(losses_alone(self_in_the_sum::ladder::naive::losses), f32) == "wrong losses");
  CHECK_THAT(given_away(losses_alone(missing_barrier::ladder::tiles::losses), f32),
             Contains("nobody has written") || Contains("depends on the order"));
  const Step counted_twice = losses_alone([](const Tensor& z, double temperature) {
    return positive_in_the_sum::ladder::positives::forward(z, temperature).loss;
  });
  CHECK(given_away(counted_twice, f32) == "wrong losses");
  const auto with_gradient = [](Tensor (*gradient)(const Forward&)) { return Step{positives.forward, gradient}; };
  CHECK_THAT(given_away(with_gradient(weights_before_barrier::ladder::backward::gradient), f32),
             Contains("nobody has written") || Contains("depends on the order"));
  CHECK(given_away(with_gradient(one_sided_weights::ladder::backward::gradient), f32) == "wrong gradients");
  CHECK(given_away({wrong_fragment_word::ladder::tensor_cores::forward}, bf16) == "wrong losses");
  CHECK(given_away({tensor_cores.forward, wrong_left_side::ladder::tensor_cores::gradient}, bf16) == "wrong gradients");
  CHECK_THAT(given_away({early_release::ladder::hopper::forward}, bf16, 400), Contains("depends on the order"));
  CHECK_THAT(given_away({wrong_phase::ladder::hopper::forward}, bf16, 400), Contains("waits"));
}
