#include <simclr/core/error.h>
#include <simclr/nn/schedule.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace simclr::nn {
namespace {

void check_rate(const char* what, double rate) {
  SIMCLR_CHECK(rate >= 0 && rate <= double{std::numeric_limits<float>::max()}, "schedule: ", what, " is ", rate,
               ", it must be finite and at least 0");
}

}  // namespace

float Schedule::at(std::int64_t step) const {
  SIMCLR_CHECK(!rates.empty(), "schedule: no learning rates; make one with warmup_cosine() or constant()");
  SIMCLR_CHECK(step >= 0, "schedule: step ", step, " is negative");
  return rates[static_cast<std::size_t>(std::min(step, static_cast<std::int64_t>(rates.size()) - 1))];
}

Schedule warmup_cosine(const WarmupCosineOptions& options) {
  const auto [peak, steps, warmup, final] = options;
  check_rate("the peak", peak);
  check_rate("the final rate", final);
  SIMCLR_CHECK(steps >= 1 && steps <= std::numeric_limits<std::int32_t>::max(), "schedule: a run of ", steps,
               " steps; it must have 1 to 2147483647");
  SIMCLR_CHECK(warmup >= 0 && warmup <= steps, "schedule: ", warmup, " warm-up steps in a run of ", steps,
               "; shorten the warm-up or train longer");
  Schedule schedule;
  schedule.rates.reserve(static_cast<std::size_t>(steps));
  for (std::int64_t step = 0; step < steps; ++step) {
    double rate = 0;
    if (step < warmup) {
      rate = peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
    } else {
      const double progress = static_cast<double>(step - warmup) / static_cast<double>(steps - warmup);
      rate = final + (peak - final) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    }
    schedule.rates.push_back(static_cast<float>(rate));
  }
  return schedule;
}

Schedule constant(double learning_rate) {
  check_rate("the learning rate", learning_rate);
  return {{static_cast<float>(learning_rate)}};
}

}  // namespace simclr::nn
