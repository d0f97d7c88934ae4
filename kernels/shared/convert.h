#pragma once

// Private: conversions between dtypes, shared by the CPU and CUDA: to nearest, and whole numbers saturate.

#include <simclr/core/dtype.h>
#include <simclr/core/error.h>
#include <simclr/kernels/shared/target.h>

#include <cmath>
#include <limits>
#include <type_traits>

namespace simclr {
inline namespace SIMCLR_TARGET {

/// The whole number nearest to `value`, ties to even; 0 for NaN.
template <class To>
SIMCLR_HOST_DEVICE inline To to_whole(double value) {
  const double low = std::numeric_limits<To>::min(), high = std::numeric_limits<To>::max();
  const double rounded = std::rint(value);
  return rounded != rounded ? To{0} : static_cast<To>(rounded < low ? low : rounded > high ? high : rounded);
}

/// Between any two dtypes, on the host.
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, BFloat16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return BFloat16(static_cast<float>(value));
  } else if constexpr (std::is_integral_v<To>) {
    return to_whole<To>(static_cast<double>(value));
  } else {
    return static_cast<To>(value);
  }
}

/// Calls body(T{}) with the type of the dtype's elements. Throws Error for u16, which is for storage alone: Tensor
/// refuses it first, and an op that forgets to must not leave its output as it was.
template <class Body>
void dispatch_dtype(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32: return body(float{});
    case DType::f64: return body(double{});
    case DType::bf16: return body(BFloat16{});
    case DType::u8: return body(std::uint8_t{});
    case DType::i32: return body(std::int32_t{});
    case DType::u16: fail("dispatch_dtype: u16 is for storage alone; read its values and convert them");
  }
}

}  // namespace SIMCLR_TARGET
}  // namespace simclr
