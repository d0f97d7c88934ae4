#include "exp2_rate.h"

#include <simclr/core/parallel.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace bench {
namespace {

/// 2^x as the CPU kernels compute it: the series of its fraction, and the integer part as an exponent.
inline float power_of_two(float x) {
  constexpr float series[] = {1.0f,          0.69314718f,   0.24022651f,    0.055504109f,
                              0.0096181291f, 0.0013333558f, 0.00015403530f, 0.000015252734f};
  const float n = std::rint(x), f = x - n;
  float p = series[7];
  for (int k = 6; k >= 0; --k) p = p * f + series[k];
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

}  // namespace

namespace detail {

void exp2_cpu(simclr::Tensor& values, int rounds) {
  constexpr std::int64_t block = 1024;  // stays in the first cache
  float* all = values.data<float>();
  simclr::parallel_for(values.numel(), block, [&](std::int64_t begin, std::int64_t end) {
    for (; begin < end; begin += block) {
      float* x = all + begin;
      const std::int64_t count = std::min(block, end - begin);
      for (int round = 0; round < rounds; ++round) {
        for (std::int64_t i = 0; i < count; ++i) x[i] = power_of_two(-x[i]);
      }
    }
  });
}

}  // namespace detail

bool has_exp2([[maybe_unused]] simclr::Device device) {
#ifndef SIMCLR_BENCH_CUDA
  if (device.type == simclr::DeviceType::cuda) return false;
#endif
  return true;
}

void exp2(simclr::Tensor& values, int rounds) {
  switch (values.device().type) {
#ifdef SIMCLR_BENCH_CUDA
    case simclr::DeviceType::cuda: return detail::exp2_cuda(values, rounds);
#endif
#ifdef SIMCLR_BENCH_EMU
    case simclr::DeviceType::emu: return detail::exp2_emu(values, rounds);
#endif
    default: return detail::exp2_cpu(values, rounds);
  }
}

}  // namespace bench
