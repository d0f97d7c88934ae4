#pragma once

// Private: the loops of logmel.h on the CPU. A call makes several frames beside one another, one in each lane of the
// vectors, so that every step of the FFT is a vector's, whatever its factors are.

#include <cstdint>

namespace simclr::kernels {

/// The factors of the FFT's complex points, in the order of its passes: at most 9, of 4 * 3^8 points say.
struct FftPasses {
  int count;
  int radix[16];
};

template <class T>
struct LogmelTables {
  FftPasses passes;
  std::int64_t fft, taps, mels;
  /// [taps]: the window's values that are not 0, halved; then of each pass, with n points left, radix r, and for p < n
  /// / r, the r - 1 rotations e^(-2 pi i j p / n), 0 < j < r; then e^(-2 pi i k / fft), k <= fft / 4. Complex numbers
  /// are cosine and sine.
  const T* transform;
  const std::int32_t* bands;  // [mels,3] and their weights, see LogmelPlan
  const T* weights;
  T floor;
};

template <class T>
struct LogmelFunctions {
  std::int64_t frames;  // that a call makes at most
  /// In T, of a call.
  std::int64_t (*scratch)(std::int64_t fft, std::int64_t mels);
  /// Row `to[i]` [mels] of the `taps` samples from from[i] on, i < count. All `frames` of `from` are read.
  void (*run)(const LogmelTables<T>& tables, const T* const* from, T* const* to, std::int64_t count, T* scratch);
};

struct LogmelLoops {
  LogmelFunctions<float> f32;
  LogmelFunctions<double> f64;
};

const LogmelLoops& logmel_loops();

}  // namespace simclr::kernels
