// The loops of gru.h.
#include "gru.h"

#include "exp.h"

namespace simclr::kernels::SIMCLR_ISA {
namespace {

template <class T>
struct Whole {
  [[gnu::always_inline]] Vector<T> load(const T* from) const { return kernels::SIMCLR_ISA::load(from); }
  [[gnu::always_inline]] void store(T* to, Vector<T> v) const { kernels::SIMCLR_ISA::store(to, v); }
};

/// The first `count` lanes of a vector; the others are 0.
template <class T>
struct Part {
  std::int64_t count;

  [[gnu::always_inline]] Vector<T> load(const T* from) const {
    Vector<T> v = {};
    for (std::int64_t k = 0; k < count; ++k) v[k] = from[k];
    return v;
  }
  [[gnu::always_inline]] void store(T* to, Vector<T> v) const {
    for (std::int64_t k = 0; k < count; ++k) to[k] = v[k];
  }
};

/// body(memory, i) for the vectors that begin with value i.
template <class T, class Body>
[[gnu::always_inline]] inline void for_vectors(std::int64_t size, Body body) {
  std::int64_t i = 0;
  for (; size - i >= lanes<T>; i += lanes<T>) body(Whole<T>{}, i);
  if (i < size) body(Part<T>{size - i}, i);
}

template <class T>
void forward(const T* product, const T* hidden, const T* b_ih, const T* b_hh, const T* h, std::int64_t size, T* gates,
             T* next) {
  for_vectors<T>(
      size, [=](auto memory, std::int64_t i) __attribute__((always_inline)) {
        const auto input = [&](std::int64_t at) { return memory.load(product + at) + memory.load(b_ih + at); };
        const auto recurrent = [&](std::int64_t at) { return memory.load(hidden + at) + memory.load(b_hh + at); };
        const std::int64_t i_r = i, i_z = size + i, i_n = 2 * size + i;
        const Vector<T> r = sigmoid<T>(input(i_r) + recurrent(i_r)), z = sigmoid<T>(input(i_z) + recurrent(i_z));
        const Vector<T> q = recurrent(i_n), n = tanh<T>(input(i_n) + r * q);
        memory.store(gates + i_r, r);
        memory.store(gates + i_z, z);
        memory.store(gates + i_n, n);
        memory.store(gates + 3 * size + i, q);
        memory.store(next + i, n + z * (memory.load(h + i) - n));
      });
}

template <class T>
void backward(const T* gates, const T* h, std::int64_t size, T* dh, T* dproduct, T* dhidden) {
  for_vectors<T>(
      size, [=](auto memory, std::int64_t i) __attribute__((always_inline)) {
        const std::int64_t i_r = i, i_z = size + i, i_n = 2 * size + i;
        const Vector<T> r = memory.load(gates + i_r), z = memory.load(gates + i_z), n = memory.load(gates + i_n);
        const Vector<T> q = memory.load(gates + 3 * size + i), d = memory.load(dh + i);
        const Vector<T> dn = d * (T(1) - z) * (T(1) - n * n), dr = dn * q * r * (T(1) - r);
        const Vector<T> dz = d * (memory.load(h + i) - n) * z * (T(1) - z);
        memory.store(dproduct + i_r, dr);
        memory.store(dproduct + i_z, dz);
        memory.store(dproduct + i_n, dn);
        memory.store(dhidden + i_r, dr);
        memory.store(dhidden + i_z, dz);
        memory.store(dhidden + i_n, dn * r);
        memory.store(dh + i, d * z);
      });
}

template <class T>
constexpr GruFunctions<T> functions = {forward<T>, backward<T>};

}  // namespace

extern const GruLoops gru_loops;
const GruLoops gru_loops = {functions<float>, functions<double>};

}  // namespace simclr::kernels::SIMCLR_ISA
