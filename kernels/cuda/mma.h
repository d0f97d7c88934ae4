#pragma once

// The tensor cores' matrix product of a warp, and the ways to feed it. Lane layouts are those of the PTX manual,
// "Matrix Fragments for mma.m16n8k16 with floating point type": with group = lane / 4 and pair = lane % 4,
//   A [16,16] bf16, 4 words: (row group, columns 2 pair..), (row group + 8, same), (row group, columns 8 + 2 pair..),
//             (row group + 8, same)
//   B [16,8] bf16, 2 words: (rows 2 pair.., column group), (rows 8 + 2 pair.., column group)
//   C, D [16,8] f32, 4 values: (row group, columns 2 pair, 2 pair + 1), (row group + 8, same)

#include <simclr/core/dtype.h>
#include <simclr/kernels/cuda/language.h>

#include <cstdint>

namespace simclr::gpu {
inline namespace SIMCLR_TARGET {

struct FragmentA {
  std::uint32_t word[4];
};
struct FragmentB {
  std::uint32_t word[2];
};
struct FragmentC {
  float value[4];
};

#ifndef SIMCLR_EMU

/// c += a b.
__device__ inline void mma(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c.value[0]), "+f"(c.value[1]), "+f"(c.value[2]), "+f"(c.value[3])
      : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]), "r"(b.word[1]));
}

/// Four 8 x 8 bf16 matrices from shared memory: lane l hands in the address of row l % 8 of matrix l / 8 (16 bytes,
/// aligned), and gets of each matrix the two values at row lane / 4, columns 2 (lane % 4) and the next.
__device__ inline void load_matrices(std::uint32_t (&words)[4], const void* row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

/// The same, each matrix transposed: the two values at rows 2 (lane % 4) and the next, column lane / 4.
__device__ inline void load_matrices_transposed(std::uint32_t (&words)[4], const void* row) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

/// Starts a copy of 16 bytes from global to shared memory, both aligned.
__device__ inline void copy_async16(void* to, const void* from) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
}
/// Ends a group of copies.
__device__ inline void copy_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits for this thread's copies but those of the last `groups_left` groups. A barrier must follow, for the others'.
template <int groups_left>
__device__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
}

#else

namespace detail {

inline float half_of(std::uint32_t word, unsigned half) {
  return std::bit_cast<float>((half == 0 ? word << 16 : word & 0xffff0000u));
}

struct Mma {
  FragmentC* c;
  const FragmentA* a;
  const FragmentB* b;

  static void resolve(void* const* operands) {
    float a[16][16], b[16][8];
    for (unsigned lane = 0; lane < 32; ++lane) {
      const auto* mine = static_cast<const Mma*>(operands[lane]);
      if (mine == nullptr) emu::report("mma without all 32 lanes");
      const unsigned group = lane / 4, pair = lane % 4;
      for (unsigned half = 0; half < 2; ++half) {
        for (unsigned w = 0; w < 4; ++w) {
          a[group + 8 * (w % 2)][8 * (w / 2) + 2 * pair + half] = half_of(mine->a->word[w], half);
        }
        for (unsigned w = 0; w < 2; ++w) b[8 * w + 2 * pair + half][group] = half_of(mine->b->word[w], half);
      }
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
      const auto* mine = static_cast<const Mma*>(operands[lane]);
      for (unsigned v = 0; v < 4; ++v) {
        const unsigned row = lane / 4 + 8 * (v / 2), column = 2 * (lane % 4) + v % 2;
        float sum = mine->c->value[v];
        for (unsigned k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
        mine->c->value[v] = sum;
      }
    }
  }
};

struct LoadMatrices {
  std::uint32_t (*words)[4];
  const void* row;

  template <bool transposed>
  static void resolve(void* const* operands) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      const auto* mine = static_cast<const LoadMatrices*>(operands[lane]);
      if (mine == nullptr) emu::report("ldmatrix without all 32 lanes");
      if (reinterpret_cast<std::uintptr_t>(mine->row) % 16 != 0) emu::report("ldmatrix wants rows aligned to 16 bytes");
    }
    const auto value = [&](unsigned matrix, unsigned row, unsigned column) -> std::uint32_t {
      const auto* from = static_cast<const LoadMatrices*>(operands[8 * matrix + row])->row;
      return static_cast<const BFloat16*>(from)[column].bits;
    };
    for (unsigned lane = 0; lane < 32; ++lane) {
      auto& words = *static_cast<const LoadMatrices*>(operands[lane])->words;
      const unsigned group = lane / 4, pair = lane % 4;
      for (unsigned m = 0; m < 4; ++m) {
        words[m] = transposed ? value(m, 2 * pair, group) | value(m, 2 * pair + 1, group) << 16
                              : value(m, group, 2 * pair) | value(m, group, 2 * pair + 1) << 16;
      }
    }
  }
};

inline void check_copy(const void* to, const void* from) {
  if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % 16 != 0) {
    emu::report("cp.async wants addresses aligned to 16 bytes");
  }
}

}  // namespace detail

inline void mma(FragmentC& c, const FragmentA& a, const FragmentB& b, const emu::Site& site = emu::Site::current()) {
  detail::Mma operand{&c, &a, &b};
  emu::collective(0xffffffffu, site, detail::Mma::resolve, &operand);
}

inline void load_matrices(std::uint32_t (&words)[4], const void* row, const emu::Site& site = emu::Site::current()) {
  detail::LoadMatrices operand{&words, row};
  emu::collective(0xffffffffu, site, detail::LoadMatrices::resolve<false>, &operand);
}

inline void load_matrices_transposed(std::uint32_t (&words)[4], const void* row,
                                     const emu::Site& site = emu::Site::current()) {
  detail::LoadMatrices operand{&words, row};
  emu::collective(0xffffffffu, site, detail::LoadMatrices::resolve<true>, &operand);
}

inline void copy_async16(void* to, const void* from) {
  detail::check_copy(to, from);
  emu::copy_async(to, from, 16);
}
inline void copy_async_commit() {
  emu::copy_async_commit();
}
template <int groups_left>
void copy_async_wait() {
  emu::copy_async_wait(groups_left);
}

#endif

}  // namespace SIMCLR_TARGET
}  // namespace simclr::gpu
