#pragma once

// Private: the loops of gru.h on the CPU. A call is one step of one sequence; `size` is H, and the gates stand one
// behind the other, H values each.

#include <cstdint>

namespace simclr::kernels {

template <class T>
struct GruFunctions {
  /// From W_i x, W_h h [3H] and the biases: the gates [4H], and h', which may be written over h.
  void (*forward)(const T* product, const T* hidden, const T* b_ih, const T* b_hh, const T* h, std::int64_t size,
                  T* gates, T* next);
  /// From the gates and the state h before the step: the gradients of W_i x and of W_h h + b_h [3H], and over dh', the
  /// gradient of the new state, that of the old one but for what goes through W_h.
  void (*backward)(const T* gates, const T* h, std::int64_t size, T* dh, T* dproduct, T* dhidden);
};

struct GruLoops {
  GruFunctions<float> f32;
  GruFunctions<double> f64;
};

const GruLoops& gru_loops();

}  // namespace simclr::kernels
