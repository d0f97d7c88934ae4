// The emulated device itself: that it runs kernels as CUDA would, and that it sees what goes wrong.
#define SIMCLR_EMU
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/mma.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

using namespace simclr;
using namespace simclr::gpu;
using Catch::Contains;

namespace {

const Device emulated{DeviceType::emu, 0};

template <class... P, class... A>
void run(dim3 grid, unsigned threads, void (*kernel)(P...), const A&... arguments) {
  emu::set_checks(emu::Checks::thorough);
  launch("kernel", emulated, {grid, threads}, kernel, arguments...);
}

template <class... P, class... A>
std::string message(unsigned threads, void (*kernel)(P...), const A&... arguments) {
  return test::message_of([&] { run(1, threads, kernel, arguments...); });
}

Tensor filled(std::int64_t n, double value = 0) {
  return Tensor::full({n}, value, DType::f32, emulated);
}

__global__ void indices_kernel(float* out, int n) {
  const int i = static_cast<int>((blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x);
  if (i < n) out[i] = static_cast<float>(i);
}

__global__ void reverse_kernel(const float* in, float* out) {
  SIMCLR_SHARED(float, tile, [64]);
  tile[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void loop_kernel(float* out, int rounds) {
  SIMCLR_SHARED(float, value, [1]);
  for (int i = 0; i < rounds; ++i) {
    if (threadIdx.x == static_cast<unsigned>(i)) value[0] = static_cast<float>(i);
    __syncthreads();
    out[threadIdx.x] += value[0];
    __syncthreads();
  }
}

__global__ void dynamic_kernel(float* out) {
  SIMCLR_DYNAMIC_SHARED(float, buffer);
  buffer[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = buffer[(threadIdx.x + 1) % blockDim.x];
}

__global__ void shuffle_kernel(float* out) {
  const auto lane = static_cast<int>(threadIdx.x % 32);
  const auto value = static_cast<float>(lane);
  out[0 * 32 + lane] = __shfl_xor_sync(all_lanes, value, 5);
  out[1 * 32 + lane] = __shfl_down_sync(all_lanes, value, 3);
  out[2 * 32 + lane] = __shfl_up_sync(all_lanes, value, 3, 8);
  out[3 * 32 + lane] = __shfl_sync(all_lanes, value, 9, 8);
  out[4 * 32 + lane] = static_cast<float>(__popc(__ballot_sync(all_lanes, lane % 3 == 0)));
  out[5 * 32 + lane] = warp_sum(value);
  out[6 * 32 + lane] = warp_max(value);
  if (lane < 16) out[7 * 32 + lane] = __shfl_xor_sync(0xffffu, value, 1);
}

__global__ void block_sum_kernel(float* out) {
  const float first = block_sum<96>(static_cast<float>(threadIdx.x));
  out[threadIdx.x] = first + block_sum<96>(1.0f);
}

__global__ void mma_kernel(const BFloat16* a, const BFloat16* b, float* c) {
  const int lane = lane_index(), group = lane / 4, pair = lane % 4;
  const auto word = [](BFloat16 low, BFloat16 high) { return low.bits | static_cast<std::uint32_t>(high.bits) << 16; };
  FragmentA fa;
  for (int w = 0; w < 4; ++w) {
    const BFloat16* at = a + (group + 8 * (w % 2)) * 16 + 8 * (w / 2) + 2 * pair;
    fa.word[w] = word(at[0], at[1]);
  }
  FragmentB fb;
  for (int w = 0; w < 2; ++w) {
    const int row = 8 * w + 2 * pair;
    fb.word[w] = word(b[row * 8 + group], b[(row + 1) * 8 + group]);
  }
  FragmentC fc{};
  mma(fc, fa, fb);
  for (int v = 0; v < 4; ++v) c[(group + 8 * (v / 2)) * 8 + 2 * pair + v % 2] = fc.value[v];
}

/// The same product, fed by ldmatrix: A as four 8 x 8 matrices, B transposed on the way.
__global__ void ldmatrix_kernel(const BFloat16* a, const BFloat16* b, float* c) {
  SIMCLR_SHARED(BFloat16, shared_a, [16][16]);
  SIMCLR_SHARED(BFloat16, shared_b, [16][8]);
  const int lane = lane_index(), group = lane / 4, pair = lane % 4;
  copy_async16(&shared_a[lane / 2][8 * (lane % 2)], a + 8 * lane);
  copy_async_commit();
  if (lane < 16) copy_async16(&shared_b[lane][0], b + 8 * lane);
  copy_async_commit();
  copy_async_wait<0>();
  __syncwarp();
  FragmentA fa;
  load_matrices(fa.word, &shared_a[lane % 8 + 8 * (lane / 8 % 2)][8 * (lane / 16)]);
  std::uint32_t words[4];
  load_matrices_transposed(words, &shared_b[lane % 16][0]);
  const FragmentB fb{{words[0], words[1]}};
  FragmentC fc{};
  mma(fc, fa, fb);
  for (int v = 0; v < 4; ++v) c[(group + 8 * (v / 2)) * 8 + 2 * pair + v % 2] = fc.value[v];
}

// Kernels with a fault each.

__global__ void missing_barrier_kernel(float* out) {
  SIMCLR_SHARED(float, tile, [64]);
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void late_barrier_kernel(float* out) {  // right in the forward order
  SIMCLR_SHARED(float, tile, [64]);
  tile[threadIdx.x] = 1.0f;
  __syncthreads();
  if (threadIdx.x > 0) tile[threadIdx.x] = tile[threadIdx.x - 1] + 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ void missing_syncwarp_kernel(float* out) {
  SIMCLR_SHARED(float, tile, [32]);
  tile[threadIdx.x] = 0.0f;
  __syncwarp();
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

__global__ void divergent_kernel(float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1.0f;
}

__global__ void early_exit_kernel(float* out) {
  if (threadIdx.x == 7) return;
  __syncthreads();
  out[threadIdx.x] = 1.0f;
}

__global__ void divergent_warp_kernel(float* out) {
  out[threadIdx.x] = threadIdx.x < 16 ? __shfl_xor_sync(all_lanes, 1.0f, 1) : __shfl_down_sync(all_lanes, 1.0f, 1);
}

__global__ void outside_mask_kernel(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 20);
}

__global__ void uninitialised_kernel(int* out) {
  SIMCLR_SHARED(int, tile, [32]);
  if (threadIdx.x != 5) tile[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[31 - threadIdx.x] > 0 ? 1 : 0;
}

__global__ void copy_not_waited_kernel(const float* in, float* out) {
  SIMCLR_SHARED(float, tile, [128]);
  copy_async16(&tile[4 * threadIdx.x], in + 4 * threadIdx.x);
  copy_async_commit();
  out[threadIdx.x] = 0.0f;
}

__global__ void too_much_shared_kernel(float* out) {
  SIMCLR_SHARED(float, tile, [64 * 1024]);
  tile[threadIdx.x] = 0.0f;
  out[threadIdx.x] = tile[threadIdx.x];
}

#if !defined(__SANITIZE_ADDRESS__)  // which ends the program itself
__global__ void beyond_global_kernel(float* out, int n) {
  out[threadIdx.x] = 0.0f;
  if (threadIdx.x == 0) out[n] = 1.0f;
}

__global__ void before_global_kernel(float* out) {
  out[static_cast<int>(threadIdx.x) - 1] = 1.0f;
}

__global__ void beyond_shared_kernel(float* out) {
  SIMCLR_SHARED(float, tile, [32]);
  float* first = &tile[0];
  first[threadIdx.x + 1] = 1.0f;
  out[threadIdx.x] = 0.0f;
}
#endif

}  // namespace

TEST_CASE("threads, blocks and grids have their indices") {
  Tensor out = filled(7 * 3 * 50);
  run(dim3(7, 3), 50, indices_kernel, out.data<float>(), 7 * 3 * 50);
  const auto values = out.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == static_cast<double>(i));
}

TEST_CASE("a barrier shares a block's memory, in loops and in dynamic memory too") {
  const Tensor in = test::random_tensor({64}, 1, DType::f32).to(emulated);
  Tensor out = filled(64);
  run(1, 64, reverse_kernel, in.data<float>(), out.data<float>());
  const auto x = in.to_vector<double>(), y = out.to_vector<double>();
  for (std::size_t i = 0; i < 64; ++i) CHECK(y[i] == x[63 - i]);

  Tensor sums = filled(40);
  run(1, 40, loop_kernel, sums.data<float>(), 20);
  for (const double sum : sums.to_vector<double>()) CHECK(sum == 190);

  Tensor shifted = filled(48);
  launch("dynamic_kernel", emulated, {1, 48, 48 * sizeof(float)}, dynamic_kernel, shifted.data<float>());
  CHECK(shifted.to_vector<double>()[47] == 0);
  CHECK(shifted.to_vector<double>()[3] == 4);
}

TEST_CASE("warp operations honour masks and widths") {
  Tensor out = filled(8 * 32);
  run(1, 32, shuffle_kernel, out.data<float>());
  const auto values = out.to_vector<double>();
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const auto at = [&](std::size_t row) { return values[row * 32 + lane]; };
    CHECK(at(0) == static_cast<double>(lane ^ 5));
    CHECK(at(1) == static_cast<double>(lane + 3 < 32 ? lane + 3 : lane));
    CHECK(at(2) == static_cast<double>(lane % 8 >= 3 ? lane - 3 : lane));
    CHECK(at(3) == static_cast<double>(lane / 8 * 8 + 1));
    CHECK(at(4) == 11);
    CHECK(at(5) == 496);
    CHECK(at(6) == 31);
    CHECK(at(7) == (lane < 16 ? static_cast<double>(lane ^ 1) : 0.0));
  }
  Tensor sums = filled(96);
  run(1, 96, block_sum_kernel, sums.data<float>());
  for (const double sum : sums.to_vector<double>()) CHECK(sum == 95 * 96 / 2 + 96);
}

TEST_CASE("the tensor cores' lane layouts are those of the manual") {
  // Whole numbers: every order of summation gives the same bits.
  const auto whole = [](std::int64_t n, std::uint64_t seed) {
    auto values = test::random_tensor({n}, seed).to_vector<double>();
    for (double& v : values) v = std::round(8 * v);
    return values;
  };
  const auto a = whole(256, 1), b = whole(128, 2);
  const Tensor ta = Tensor::from(a, {16, 16}).to(DType::bf16).to(emulated);
  const Tensor tb = Tensor::from(b, {16, 8}).to(DType::bf16).to(emulated);
  for (const auto kernel : {mma_kernel, ldmatrix_kernel}) {
    Tensor c = filled(128);
    run(1, 32, kernel, ta.data<BFloat16>(), tb.data<BFloat16>(), c.data<float>());
    const auto values = c.to_vector<double>();
    for (std::size_t i = 0; i < 16; ++i) {
      for (std::size_t j = 0; j < 8; ++j) {
        double sum = 0;
        for (std::size_t k = 0; k < 16; ++k) sum += a[i * 16 + k] * b[k * 8 + j];
        CHECK(values[i * 8 + j] == sum);
      }
    }
  }
}

TEST_CASE("faults are reported with the kernel's name") {
  Tensor out = filled(64);
  float* y = out.data<float>();
  CHECK_THAT(message(64, missing_barrier_kernel, y),
             Contains("emu: kernel: reads shared memory that nobody has written"));
  CHECK_THAT(message(64, late_barrier_kernel, y), Contains("a barrier is missing (backward)"));
  CHECK_THAT(message(32, missing_syncwarp_kernel, y), Contains("a barrier is missing (backward)"));
  CHECK_THAT(message(64, divergent_kernel, y),
             Contains("divergent barrier: thread 0 waits in __syncthreads at test_emulator.cpp:"));
  CHECK_THAT(message(64, early_exit_kernel, y), Contains("1 of 64 threads have left the kernel"));
  CHECK_THAT(message(32, divergent_warp_kernel, y), Contains("divergent warp"));
  CHECK_THAT(message(32, outside_mask_kernel, y), Contains("reads lane 20, which is not in its mask"));
  Tensor flags = Tensor::zeros({32}, DType::i32, emulated);
  CHECK_THAT(message(32, uninitialised_kernel, flags.data<std::int32_t>()),
             Contains("reads shared memory that nobody has written"));
  const Tensor in = filled(128, 2.0);
  CHECK_THAT(message(32, copy_not_waited_kernel, in.data<float>(), y), Contains("never waited for"));
  CHECK_THAT(message(32, too_much_shared_kernel, y), Contains("more shared memory than"));
  // And the device goes on.
  const Tensor ordered = filled(64);
  run(1, 64, reverse_kernel, ordered.data<float>(), y);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("writes outside of a block's memory break its guards") {
  Tensor out = filled(32);
  CHECK_THAT(message(32, beyond_global_kernel, out.data<float>(), 32),
             Contains("wrote out of bounds, to byte 128 of a block of 128 bytes of global memory"));
  CHECK_THAT(message(32, before_global_kernel, out.data<float>()), Contains("out of bounds, to byte -"));
  CHECK_THAT(message(32, beyond_shared_kernel, out.data<float>()), Contains("bytes of shared memory"));
  CHECK(message(32, indices_kernel, out.data<float>(), 32) == "no error");  // the guards were mended
}
#endif
