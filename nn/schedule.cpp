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

double warmup_rate(const WarmupCosineOptions& o, std::int64_t step) {
  const double w = static_cast<double>(o.warmup_steps), s = static_cast<double>(step);
  switch (o.warmup) {
    case Warmup::above_zero: return o.peak * (s + 1) / w;
    case Warmup::from_zero: return o.peak * s / w;
    case Warmup::from_start: break;
  }
  return o.warmup_steps == 1 ? o.peak : o.start + (o.peak - o.start) * s / (w - 1);
}

}  // namespace

float Schedule::at(std::int64_t step) const {
  SIMCLR_CHECK(!rates.empty(), "schedule: no learning rates; make one with warmup_cosine() or constant()");
  SIMCLR_CHECK(step >= 0, "schedule: step ", step, " is negative");
  return rates[static_cast<std::size_t>(std::min(step, static_cast<std::int64_t>(rates.size()) - 1))];
}

Schedule warmup_cosine(const WarmupCosineOptions& options) {
  const auto& [peak, steps, warmup, final, rule, start, hold] = options;
  check_rate("the peak", peak);
  check_rate("the final rate", final);
  check_rate("the first rate of the warm-up", start);
  SIMCLR_CHECK(hold >= 1, "schedule: a rate held for ", hold, " steps; at least 1 is needed");
  SIMCLR_CHECK(steps >= 1 && steps <= std::numeric_limits<std::int32_t>::max(), "schedule: a run of ", steps,
               " steps; it must have 1 to 2147483647");
  SIMCLR_CHECK(warmup >= 0 && warmup <= steps, "schedule: ", warmup, " warm-up steps in a run of ", steps,
               "; shorten the warm-up or train longer");
  Schedule schedule;
  schedule.rates.reserve(static_cast<std::size_t>(steps));
  for (std::int64_t each = 0; each < steps; ++each) {
    const std::int64_t step = each - each % hold;
    double rate = 0;
    if (step < warmup) {
      rate = warmup_rate(options, step);
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
