#pragma once

// What sm_90a has for a block of several warpgroups (four warps, 128 threads) that work at different things: barriers
// that count arrivals and copied bytes, bulk copies that one thread starts, and products whose right side, and left
// side if wanted, the tensor cores read from shared memory while the warpgroup goes on. PTX manual: "mbarrier",
// "cp.async.bulk", "setmaxnreg", "Asynchronous Warpgroup Level Matrix Instructions". Only files that are compiled for
// sm_90a alone include this.

#include <simclr/core/dtype.h>
#include <simclr/kernels/cuda/mma.h>
#include <simclr/kernels/cuda/panel.h>

#ifdef SIMCLR_EMU
#include <simclr/kernels/emu/warpgroup.h>
#endif

#include <cstdint>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

inline constexpr int warpgroup_threads = 128;

/// In shared memory. Its phases end when as many threads have arrived as it was made for, and all bytes that they
/// announced have been copied.
struct alignas(8) CopyBarrier {
  std::uint64_t state;
};

#ifndef SIMCLR_EMU

namespace detail {

__device__ inline unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

}  // namespace detail

/// One thread makes the barriers, calls barriers_made(), and a __syncthreads() follows.
__device__ inline void barrier_init(CopyBarrier& barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(detail::shared_address(&barrier)), "r"(arrivals)
               : "memory");
}
__device__ inline void barriers_made() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");  // bulk copies see them, too
}

__device__ inline void barrier_arrive(CopyBarrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(detail::shared_address(&barrier)) : "memory");
}
/// Arrives, and announces `bytes` of bulk copies.
__device__ inline void barrier_expect(CopyBarrier& barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(detail::shared_address(&barrier)),
               "r"(bytes)
               : "memory");
}
/// Waits until the phase of this parity has ended; the first phase has parity 0, so 1 does not wait before it.
__device__ inline void barrier_wait(CopyBarrier& barrier, unsigned parity) {
  unsigned done = 0;
  while (done == 0) {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}"
        : "=r"(done)
        : "r"(detail::shared_address(&barrier)), "r"(parity)
        : "memory");
  }
}

/// Starts a copy from global to shared memory, both aligned to 16 bytes, whose bytes `barrier` counts.
__device__ inline void copy_bulk(void* to, const void* from, unsigned bytes, CopyBarrier& barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   detail::shared_address(to)),
               "l"(from), "r"(bytes), "r"(detail::shared_address(&barrier))
               : "memory");
}

/// Before this thread lets a bulk copy overwrite what it has read by plain loads.
__device__ inline void loads_before_copies() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// A warpgroup gives registers away or takes them: a multiple of 8 a thread, up to 65,536 a block together.
template <int registers>
__device__ void release_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

/// A matrix in panels as the tensor cores' descriptor: bits 0-13 address, 16-29 leading, 32-45 stride offset, all in
/// units of 16 bytes, 62-63 the swizzle of 128 bytes.
class SharedMatrix {
 public:
  /// Rows of a panel are rows of the left side or columns of the right one, 16 values from `panel` on.
  __device__ static SharedMatrix of_rows(const BFloat16* panel) { return {panel, 16}; }
  /// 16 rows from `panel` on are those of the right side; its columns go on in panels `panel_bytes` apart.
  __device__ static SharedMatrix of_columns(const BFloat16* panel, unsigned panel_bytes) {
    return {panel, panel_bytes};
  }
  /// The same, so many values further on: a multiple of 16 columns or of 16 rows.
  __device__ SharedMatrix at(int values) const { return SharedMatrix(bits + static_cast<std::uint64_t>(values / 8)); }

  std::uint64_t bits;

 private:
  __device__ explicit SharedMatrix(std::uint64_t all) : bits(all) {}
  __device__ SharedMatrix(const BFloat16* start, unsigned leading)
      : bits((detail::shared_address(start) & 0x3ffffu) >> 4 | std::uint64_t{leading >> 4} << 16 |
             std::uint64_t{panel_alignment >> 4} << 32 | std::uint64_t{1} << 62) {}
};

/// Before the first product, and after registers that products use were written.
__device__ inline void warpgroup_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Ends a group of products.
__device__ inline void warpgroup_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits for all products but those of the last `groups_left` groups; hand what they were added to to settle() then.
template <int groups_left>
__device__ void warpgroup_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups_left) : "memory");
}

/// Keeps the compiler from reading registers before the wait above this call.
template <int count>
__device__ void settle(FragmentC (&d)[count]) {
#pragma unroll
  for (int i = 0; i < 4 * count; ++i) asm volatile("" : "+f"(d[i / 4].value[i % 4])::"memory");
}

// clang-format off
#define SIMCLR_FRAGMENT(d, n) "+f"(d[n].value[0]), "+f"(d[n].value[1]), "+f"(d[n].value[2]), "+f"(d[n].value[3])
#define SIMCLR_FRAGMENTS(d, n) \
  SIMCLR_FRAGMENT(d, n), SIMCLR_FRAGMENT(d, n + 1), SIMCLR_FRAGMENT(d, n + 2), SIMCLR_FRAGMENT(d, n + 3)
#define SIMCLR_REGISTERS_32 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define SIMCLR_REGISTERS_64 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
// clang-format on

/// d [64,64 or 128] = a [64,16] b [16,columns], plus d where `accumulate`; a and b of_rows(). A warp has 16 rows of d,
/// which its lanes share as after mma(), in fragments of eight columns. The product is there after a wait.
__device__ inline void warpgroup_multiply(FragmentC (&d)[8], SharedMatrix a, SharedMatrix b, bool accumulate) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SIMCLR_REGISTERS_32
      "}, %32, %33, p, 1, 1, 0, 0;\n"
      "}"
      : SIMCLR_FRAGMENTS(d, 0), SIMCLR_FRAGMENTS(d, 4)
      : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(accumulate)));
}
__device__ inline void warpgroup_multiply(FragmentC (&d)[16], SharedMatrix a, SharedMatrix b, bool accumulate) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SIMCLR_REGISTERS_64
      "}, %64, %65, p, 1, 1, 0, 0;\n"
      "}"
      : SIMCLR_FRAGMENTS(d, 0), SIMCLR_FRAGMENTS(d, 4), SIMCLR_FRAGMENTS(d, 8), SIMCLR_FRAGMENTS(d, 12)
      : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(accumulate)));
}

/// d [64,64 or 128] += a [64,16] b [16,columns]; a in registers, each warp its 16 rows, untouched until the wait; b
/// of_columns().
__device__ inline void warpgroup_multiply(FragmentC (&d)[8], const FragmentA& a, SharedMatrix b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SIMCLR_REGISTERS_32
               "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 1;\n"
               : SIMCLR_FRAGMENTS(d, 0), SIMCLR_FRAGMENTS(d, 4)
               : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "l"(b.bits));
}
__device__ inline void warpgroup_multiply(FragmentC (&d)[16], const FragmentA& a, SharedMatrix b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SIMCLR_REGISTERS_64
               "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 1;\n"
               : SIMCLR_FRAGMENTS(d, 0), SIMCLR_FRAGMENTS(d, 4), SIMCLR_FRAGMENTS(d, 8), SIMCLR_FRAGMENTS(d, 12)
               : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "l"(b.bits));
}

#undef SIMCLR_FRAGMENT
#undef SIMCLR_FRAGMENTS
#undef SIMCLR_REGISTERS_32
#undef SIMCLR_REGISTERS_64

#else

inline void barrier_init(CopyBarrier& barrier, unsigned arrivals, const emu::Site& site = emu::Site::current()) {
  emu::barrier_init(&barrier, arrivals, site);
}
inline void barriers_made() {}
inline void barrier_arrive(CopyBarrier& barrier, const emu::Site& site = emu::Site::current()) {
  emu::barrier_arrive(&barrier, 0, site);
}
inline void barrier_expect(CopyBarrier& barrier, unsigned bytes, const emu::Site& site = emu::Site::current()) {
  emu::barrier_arrive(&barrier, bytes, site);
}
inline void barrier_wait(CopyBarrier& barrier, unsigned parity, const emu::Site& site = emu::Site::current()) {
  emu::barrier_wait(&barrier, parity, site);
}
inline void copy_bulk(void* to, const void* from, unsigned bytes, CopyBarrier& barrier,
                      const emu::Site& site = emu::Site::current()) {
  emu::copy_bulk(to, from, bytes, &barrier, site);
}

inline void loads_before_copies() {}

template <int registers>
void release_registers() {}
template <int registers>
void take_registers() {}

struct SharedMatrix : emu::SharedMatrix {
  static SharedMatrix of_rows(const BFloat16* panel) { return of_columns(panel, 16); }
  static SharedMatrix of_columns(const BFloat16* panel, unsigned panel_bytes) {
    return {{reinterpret_cast<const std::byte*>(panel), panel_bytes, panel_alignment}};
  }
  SharedMatrix at(int values) const { return {{start + 2 * values, leading, stride}}; }
};

inline void warpgroup_fence() {}
inline void warpgroup_commit() {
  emu::warpgroup_commit();
}
template <int groups_left>
void warpgroup_wait(const emu::Site& site = emu::Site::current()) {
  emu::warpgroup_wait(groups_left, site);
}
template <int count>
void settle(FragmentC (&)[count]) {}

template <int count>
void warpgroup_multiply(FragmentC (&d)[count], SharedMatrix a, SharedMatrix b, bool accumulate) {
  static_assert(count == 8 || count == 16);
  emu::warpgroup_product({d[0].value, 8 * count, nullptr, a, b, false, accumulate});
}
template <int count>
void warpgroup_multiply(FragmentC (&d)[count], const FragmentA& a, SharedMatrix b) {
  static_assert(count == 8 || count == 16);
  emu::warpgroup_product({d[0].value, 8 * count, a.word, {}, b, true, true});
}

#endif

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
