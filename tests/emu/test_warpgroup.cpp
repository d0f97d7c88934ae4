// Warpgroups on the emulated device: barriers, bulk copies and products do what sm_90a's do, and what goes wrong shows.
// The values are small integers, which bf16 and f32 hold exactly.
#define SIMCLR_EMU
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/cuda/vector.h>
#include <simclr/kernels/cuda/warp.h>
#include <simclr/kernels/cuda/warpgroup.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

using namespace simclr;
using namespace simclr::gpu;
using Catch::Contains;

namespace {

const Device emulated{DeviceType::emu, 0};

constexpr int tile_rows = 64, tiles = 5, ring = 2, tile_values = tile_rows * panel_width;
constexpr unsigned tile_bytes = tile_values * sizeof(BFloat16);
constexpr std::size_t shared = panel_alignment + (1 + ring) * tile_bytes + 5 * sizeof(CopyBarrier);

enum class Fault { none, read_before_copy, release_before_product, read_before_product, lost_arrival, no_barrier };

/// out [64,64] = sum over tiles of (own tile^T) tile; all in panels. A warpgroup computes, a fifth warp copies.
template <Fault fault>
__global__ void squares_kernel(const BFloat16* own, const BFloat16* others, float* out) {
  SIMCLR_DYNAMIC_SHARED(unsigned char, memory);
  auto* const own_tile = reinterpret_cast<BFloat16*>((reinterpret_cast<std::uintptr_t>(memory) + panel_alignment - 1) /
                                                     panel_alignment * panel_alignment);
  BFloat16* const stages = own_tile + tile_values;
  auto* const own_there = reinterpret_cast<CopyBarrier*>(stages + ring * tile_values);
  CopyBarrier *const there = own_there + 1, *const free = there + ring;
  if (threadIdx.x == 0) {
    if (fault != Fault::no_barrier) barrier_init(*own_there, 1);
    for (int s = 0; s < ring; ++s) {
      barrier_init(there[s], 1);
      barrier_init(free[s], warpgroup_threads);
    }
    barriers_made();
  }
  __syncthreads();
  if (threadIdx.x >= warpgroup_threads) {
    if (threadIdx.x != warpgroup_threads) return;
    barrier_expect(*own_there, tile_bytes);
    copy_bulk(own_tile, own, tile_bytes, *own_there);
    for (int t = 0; t < tiles; ++t) {
      barrier_wait(free[t % ring], (t / ring + 1) % 2);
      barrier_expect(there[t % ring], tile_bytes);
      copy_bulk(stages + t % ring * tile_values, others + t * tile_values, tile_bytes, there[t % ring]);
    }
    return;
  }
  FragmentC sum[8] = {};
  barrier_wait(*own_there, 0);
  for (int t = 0; t < tiles; ++t) {
    const BFloat16* tile = stages + t % ring * tile_values;
    if (fault != Fault::read_before_copy || t > 0) barrier_wait(there[t % ring], t / ring % 2);
    FragmentC x[8];
    warpgroup_fence();
    for (int k = 0; k < panel_width; k += 16) {
      warpgroup_multiply(x, SharedMatrix::of_rows(own_tile).at(k), SharedMatrix::of_rows(tile).at(k), k > 0);
    }
    warpgroup_commit();
    warpgroup_wait<fault == Fault::read_before_product ? 1 : 0>();
    settle(x);
    FragmentA left[4];
    for (int n = 0; n < 8; n += 2) {
      const float *a = x[n].value, *b = x[n + 1].value;
      left[n / 2] = {{pack_bf16(a[0], a[1]), pack_bf16(a[2], a[3]), pack_bf16(b[0], b[1]), pack_bf16(b[2], b[3])}};
    }
    warpgroup_fence();
    for (int c = 0; c < tile_rows; c += 16) {
      warpgroup_multiply(sum, left[c / 16], SharedMatrix::of_columns(tile, tile_bytes).at(c * panel_width));
    }
    warpgroup_commit();
    if (fault == Fault::release_before_product) barrier_arrive(free[t % ring]);
    warpgroup_wait<0>();
    settle(sum);
    if (fault == Fault::release_before_product) continue;
    if (fault != Fault::lost_arrival || threadIdx.x != 77) barrier_arrive(free[t % ring]);
  }
  const int row = static_cast<int>(threadIdx.x) / 32 * 16 + lane_index() / 4, column = lane_index() % 4 * 2;
  for (int n = 0; n < 8; ++n) {
    for (int v = 0; v < 4; ++v) out[(row + v / 2 * 8) * 64 + 8 * n + column + v % 2] = sum[n].value[v];
  }
}

/// Integers of [-2, 2] of rows of 64.
std::vector<double> integers(std::int64_t rows, std::uint64_t seed) {
  auto values = test::random_tensor({rows, panel_width}, seed, DType::f64, -2.5, 2.5).to_vector<double>();
  for (double& value : values) value = std::round(value);
  return values;
}

Tensor in_panels(const std::vector<double>& values) {
  std::vector<double> moved(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto row = static_cast<int>(i) / panel_width, d = static_cast<int>(i) % panel_width;
    moved[static_cast<std::size_t>(panel_offset(row, d))] = values[i];
  }
  return Tensor::from(moved, {static_cast<std::int64_t>(moved.size())}).to(DType::bf16).to(emulated);
}

const std::vector<double> own = integers(tile_rows, 1), others = integers(tile_rows * tiles, 2);

template <Fault fault>
Tensor squares() {
  emu::set_checks(emu::Checks::thorough);
  const Tensor out = Tensor::full({64, 64}, NAN, DType::f32, emulated);
  launch("squares_kernel", emulated, {1, warpgroup_threads + 32, shared}, squares_kernel<fault>,
         in_panels(own).data<const BFloat16>(), in_panels(others).data<const BFloat16>(), out.data<float>());
  return out;
}

std::vector<double> expected() {
  const auto at = [](const std::vector<double>& m, int row, int d) {
    return m[static_cast<std::size_t>(row * panel_width + d)];
  };
  std::vector<double> sums(64 * 64);
  for (int row = 0; row < 64; ++row) {
    for (int other = 0; other < tile_rows * tiles; ++other) {
      double dot = 0;
      for (int d = 0; d < panel_width; ++d) dot += at(own, row, d) * at(others, other, d);
      REQUIRE(std::abs(dot) <= 256);  // what bf16 holds
      for (int d = 0; d < panel_width; ++d) sums[static_cast<std::size_t>(row * 64 + d)] += dot * at(others, other, d);
    }
  }
  return sums;
}

/// Whether the launch failed, or gave other numbers.
template <Fault fault>
bool shows() {
  Tensor out;
  const std::string message = test::message_of([&] { out = squares<fault>(); });
  return message != "no error" || out.to_vector<double>() != expected();
}

}  // namespace

TEST_CASE("products of shared matrices, by rows and by columns, are the plain sums") {
  CHECK(squares<Fault::none>().to_vector<double>() == expected());
}

TEST_CASE("a panel's pieces keep their row and take all its places") {
  for (int row = 0; row < 16; ++row) {
    std::vector<bool> taken(panel_width);
    for (int d = 0; d < panel_width; ++d) {
      const int at = panel_offset(row, d);
      REQUIRE(at / panel_width == row);
      CHECK(at % 8 == d % 8);
      taken[static_cast<std::size_t>(at % panel_width)] = true;
    }
    CHECK(std::count(taken.begin(), taken.end(), true) == panel_width);
  }
}

TEST_CASE("what is read or overwritten too soon shows") {
  CHECK_FALSE(shows<Fault::none>());
  CHECK(shows<Fault::read_before_copy>());
  CHECK(shows<Fault::release_before_product>());
  CHECK(shows<Fault::read_before_product>());
}

TEST_CASE("a wait that never ends and a barrier that nobody made are reported") {
  CHECK_THAT(test::message_of(squares<Fault::lost_arrival>),
             Contains("waits for ever") && Contains("for a barrier's arrivals and bytes"));
  CHECK_THAT(test::message_of(squares<Fault::no_barrier>), Contains("a barrier that no thread has initialised"));
}

namespace {

__global__ void arrivals_kernel(float* out) {
  SIMCLR_SHARED(CopyBarrier, barrier, [1]);
  if (threadIdx.x == 0) barrier_init(barrier[0], 2);
  __syncthreads();
  barrier_arrive(barrier[0]);
  barrier_wait(barrier[0], 0);
  out[threadIdx.x] = 1;
}

__global__ void unaligned_copy_kernel(const float* from, float* out) {
  SIMCLR_SHARED(float, to, [8]);
  SIMCLR_SHARED(CopyBarrier, barrier, [1]);
  barrier_init(barrier[0], 1);
  barrier_expect(barrier[0], 16);
  copy_bulk(to, from + 1, 16, barrier[0]);
  barrier_wait(barrier[0], 0);
  out[0] = to[0];
}

/// Half of a warpgroup goes to another wait.
__global__ void divergent_kernel() {
  if (threadIdx.x < 64) {
    warpgroup_wait<0>();
  } else {
    warpgroup_wait<1>();
  }
}

/// One thread reads another matrix.
__global__ void different_products_kernel(float* out) {
  SIMCLR_DYNAMIC_SHARED(BFloat16, memory);
  for (unsigned i = threadIdx.x; i < 2 * 64 * 64; i += blockDim.x) memory[i] = BFloat16{};
  __syncthreads();
  FragmentC x[8];
  const SharedMatrix left = SharedMatrix::of_rows(memory);
  warpgroup_multiply(x, left, left.at(threadIdx.x == 5 ? 16 : 0), false);
  warpgroup_commit();
  warpgroup_wait<0>();
  out[threadIdx.x] = x[0].value[0];
}

/// One thread asks for one more.
__global__ void more_products_kernel(float* out) {
  SIMCLR_DYNAMIC_SHARED(BFloat16, memory);
  for (unsigned i = threadIdx.x; i < 2 * 64 * 64; i += blockDim.x) memory[i] = BFloat16{};
  __syncthreads();
  FragmentC x[8];
  const SharedMatrix left = SharedMatrix::of_rows(memory);
  for (int i = 0; i < (threadIdx.x == 5 ? 2 : 1); ++i) warpgroup_multiply(x, left, left, false);
  warpgroup_commit();
  warpgroup_wait<0>();
  out[threadIdx.x] = x[0].value[0];
}

template <class... P, class... A>
std::string message(unsigned threads, void (*kernel)(P...), const A&... arguments) {
  return test::message_of([&] { launch("kernel", emulated, {1, threads, 16384}, kernel, arguments...); });
}

}  // namespace

TEST_CASE("barriers, copies and products that CUDA does not allow are reported") {
  const Tensor out = Tensor::full({128}, 0, DType::f32, emulated);
  CHECK(message(2, arrivals_kernel, out.data<float>()) == "no error");
  CHECK_THAT(message(1, arrivals_kernel, out.data<float>()), Contains("waits for ever"));
  CHECK_THAT(message(1, unaligned_copy_kernel, out.data<float>(), out.data<float>()),
             Contains("multiples of 16 bytes"));
  CHECK_THAT(message(128, divergent_kernel), Contains("divergent warpgroup"));
  CHECK_THAT(message(96, divergent_kernel), Contains("less than 128 threads"));
  CHECK_THAT(message(128, different_products_kernel, out.data<float>()), Contains("ask for different products"));
  CHECK_THAT(message(128, more_products_kernel, out.data<float>()), Contains("ask for different products"));
}
