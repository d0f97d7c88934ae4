// Powers of two and nothing else: x <- 2^-x, again and again, in registers. Four values a thread, so that the special
// function units need not wait for each other's results; 256 threads a block.
#include "exp2_rate.h"

#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>

namespace bench::detail {
namespace {

using namespace simclr::gpu;

constexpr unsigned block_threads = 256;
constexpr int each = 4;

__global__ void exp2_kernel(float* values, std::int64_t count, int rounds) {
  const std::int64_t first = std::int64_t{blockIdx.x} * block_threads * each + threadIdx.x;
  float x[each];
#pragma unroll
  for (int i = 0; i < each; ++i) {
    const std::int64_t at = first + i * std::int64_t{block_threads};
    x[i] = at < count ? values[at] : 0;
  }
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int i = 0; i < each; ++i) x[i] = fast_exp2(-x[i]);
  }
#pragma unroll
  for (int i = 0; i < each; ++i) {
    const std::int64_t at = first + i * std::int64_t{block_threads};
    if (at < count) values[at] = x[i];
  }
}

}  // namespace

#ifdef SIMCLR_EMU
void exp2_emu
#else
void exp2_cuda
#endif
    (simclr::Tensor& values, int rounds) {
  launch("exp2_kernel", values.device(), {blocks_for(values.numel(), block_threads * each), block_threads}, exp2_kernel,
         values.data<float>(), values.numel(), rounds);
}

}  // namespace bench::detail
