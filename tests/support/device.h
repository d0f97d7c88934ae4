#pragma once

// The device that this run of a test is for, and the way there. Device tests compare with the CPU's f64 kernels, which
// the unit tests compare with plain loops, on the same values rounded to the device's dtype.

#include <simclr/core/runtime.h>
#include <simclr/core/tensor.h>

#ifdef SIMCLR_EMU_CHECKS
#include <simclr/kernels/emu/device.h>
#endif

#include "support/catch.h"
#include "support/tensors.h"

#include <cstdlib>
#include <string>

namespace simclr::test {

/// From SIMCLR_TEST_DEVICE. On the emulated device every launch runs under all schedules, but one under the sanitizers.
inline Device device() {
  static const Device chosen = [] {
    const char* name = std::getenv("SIMCLR_TEST_DEVICE");
    const Device device = parse_device(name != nullptr ? name : "emu");
#if defined(SIMCLR_EMU_CHECKS) && !defined(__SANITIZE_ADDRESS__)  // there one run is slow enough, and sees other things
    if (device.type == DeviceType::emu) emu::set_checks(emu::Checks::thorough);
#endif
    return device;
  }();
  return chosen;
}

/// False, and the program counts as skipped, where there is no such device.
inline bool has_device() {
  const std::string problem = device_problem(device().type);
  if (!problem.empty()) skip(problem);
  return problem.empty();
}

/// A test case of a device test: `if (!has_device()) return;` comes first.
#define DEVICE_TEST_CASE(title)                                              \
  static void SIMCLR_CONCAT(device_case_, __LINE__)();                       \
  TEST_CASE(title) {                                                         \
    if (simclr::test::has_device()) SIMCLR_CONCAT(device_case_, __LINE__)(); \
  }                                                                          \
  static void SIMCLR_CONCAT(device_case_, __LINE__)()
#define SIMCLR_CONCAT_(a, b) a##b
#define SIMCLR_CONCAT(a, b) SIMCLR_CONCAT_(a, b)

/// Both dtypes of a GPU.
inline const std::vector<DType> device_dtypes = {DType::f32, DType::bf16};

/// Random values of `dtype` on the device, and the same values in f64 on the CPU.
struct Both {
  Tensor on_device, exact;
};

inline Both both(const Tensor& values, DType dtype) {
  const Tensor rounded = values.to(dtype);
  return {rounded.to(device()), rounded.to(DType::f64)};
}

inline Both random_both(const Shape& shape, std::uint64_t seed, DType dtype, double low = -1.0, double high = 1.0) {
  return both(random_tensor(shape, seed, DType::f64, low, high), dtype);
}

/// An output to be written over: NaN everywhere.
inline Tensor poisoned(const Shape& shape, DType dtype) {
  return Tensor::full(shape, NAN, dtype, device());
}

/// sum |a - b|^2 / sum |b|^2.
inline double nmse(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  if (x.size() != y.size()) return INFINITY;
  double error = 0, scale = 1e-300;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += (x[i] - y[i]) * (x[i] - y[i]);
    scale += y[i] * y[i];
  }
  return std::isnan(error) ? INFINITY : error / scale;
}

/// What the issue of every kernel promises: relative error 1e-5 in f32, NMSE 1e-4 in bf16. Kernels that round once do
/// far better, and say so by a limit of their own: in f32 a few 2^-24, in bf16 an NMSE of 2^-16 at most for one
/// rounding.
inline bool agrees(const Tensor& a, const Tensor& b, double f32_limit = 1e-5, double bf16_limit = 1e-4) {
  if (a.shape() != b.shape()) return false;
  const bool half = a.dtype() == DType::bf16;
  const double error = half ? nmse(a, b) : relative_error(a, b);
  INFO((half ? "NMSE " : "relative error ") << error);
  CHECK(error <= (half ? bf16_limit : f32_limit));
  return error <= (half ? bf16_limit : f32_limit);
}

}  // namespace simclr::test
