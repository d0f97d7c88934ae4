// Dropout on a GPU. x [N,E]: y[n,e] = x[n,e] / (1 - p) or 0, by 16 random bits of the view's key and e
// (shared/dropout.h). Backward is the same function of dy; it needs the keys, and draws the mask again.
// Launch: one pass, 16 bytes a thread (cuda/map.h): in bf16 a thread's eight elements take all bits of one block of
// random numbers. Tests: tests/device/test_dropout.cpp compares with the CPU; tests/test_dropout.cpp has the plain
// loop.
#include <simclr/kernels/cuda/map.h>
#include <simclr/kernels/dropout.h>
#include <simclr/kernels/shared/dropout.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

/// The 16 bits of element j of a block. Chosen, for an array that is indexed so lies in memory.
__device__ inline std::uint32_t half_of(const Philox::Block& block, unsigned j) {
  const std::uint32_t low = j / 2 % 2 == 0 ? block.x[0] : block.x[1], high = j / 2 % 2 == 0 ? block.x[2] : block.x[3];
  const std::uint32_t word = j < 4 ? low : high;
  return j % 2 == 0 ? word & 0xffffu : word >> 16;
}

template <class T>
struct Apply {
  const T* x;
  const std::int32_t* keys;
  T* y;
  std::int64_t size;  // of a view
  DropoutSource source;
  std::uint32_t threshold;
  float scale;

  template <int N>
  __device__ void at(std::int64_t i) const {
    // 1 the random numbers of N elements of one view: its size is a multiple of N, and N divides a block
    const std::int64_t view = i / size;
    const auto element = static_cast<unsigned>(i - view * size), first = element % dropout_block;
    const Philox::Block block = source.view(keys + 3 * view).block(element / dropout_block);
    // 2 kept or dropped
    Pack<N> value = load<N>(x + i);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      value[k] = dropped_or_kept(value[k], half_of(block, first + static_cast<unsigned>(k)), threshold, scale);
    }
    store<N>(y + i, value);
  }
};

void apply_gpu(const Tensor& x, const Tensor& keys, const DropoutOptions& options, Tensor& y) {
  if (x.numel() == 0) return;
  dispatch_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    static_assert(dropout_block % vector_width<T> == 0);
    const std::uint32_t threshold = dropout_threshold(options.p);
    const Apply<T> f{x.data<T>(),
                     keys.data<std::int32_t>(),
                     y.data<T>(),
                     x.numel() / x.dim(0),
                     {options.seed, options.layer},
                     threshold,
                     static_cast<float>(dropout_scale(threshold))};
    map<vector_width<T>>(y.device(), y.numel(), f.size % vector_width<T> == 0 && aligned16(f.x, f.y), f);
  });
}

}  // namespace

extern const DropoutKernels SIMCLR_KERNELS(dropout);
const DropoutKernels SIMCLR_KERNELS(dropout) = {apply_gpu};

}  // namespace simclr::kernels
