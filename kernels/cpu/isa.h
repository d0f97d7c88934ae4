#pragma once

// Private, for files of loops: kernels/cpu/X.cpp, which simclr_add_loops(X) compiles once for each instruction set,
// each time with another SIMCLR_ISA. Such a file keeps all it defines in namespace simclr::kernels::SIMCLR_ISA and
// uses no function of the standard library and no Tensor: a template or inline function compiled for AVX-512 that
// shares its name with the ordinary one would be taken by the linker for both, and end the program on an older
// processor. tests/test_isa.py looks for such names.

#include <cstdint>

#ifndef SIMCLR_ISA
#error "simclr_add_loops() compiles this file"
#endif

namespace simclr::kernels::SIMCLR_ISA {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
inline constexpr int vector_registers = 32;
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
inline constexpr int vector_registers = 16;
#else
inline constexpr int vector_bytes = 16;
inline constexpr int vector_registers = 16;
#endif

/// A vector register of T, f32 or f64; arithmetic goes lane by lane.
template <class T>
struct VectorOf {
  using Type __attribute__((vector_size(vector_bytes))) = T;
};
template <class T>
using Vector = typename VectorOf<T>::Type;

/// Lanes of a Vector<T>.
template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

/// `count` values, filled up to whole vectors.
template <class T>
constexpr std::int64_t whole_vectors(std::int64_t count) {
  return (count + lanes<T> - 1) / lanes<T> * lanes<T>;
}

/// `from` and `to` need no alignment.
template <class T>
[[gnu::always_inline]] inline Vector<T> load(const T* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
[[gnu::always_inline]] inline void store(T* to, Vector<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}

template <class T>
[[gnu::always_inline]] inline Vector<T> broadcast(T value) {
  return value - Vector<T>{};  // and not +, which would make 0 of -0 and so cost an addition
}

}  // namespace simclr::kernels::SIMCLR_ISA
