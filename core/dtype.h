#pragma once

#include <simclr/core/export.h>

#include <bit>
#include <cstdint>
#include <ostream>

namespace simclr {

/// Element types. f64 is a full CPU type, so that gradient checks run the code that ships. u16 is for storage alone:
/// samples may have it, and its values are copied and read, not converted or computed with.
enum class DType : std::uint8_t { f32, f64, bf16, u8, i32, u16 };

/// bfloat16: the upper half of an f32. Storage only; arithmetic widens to f32.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;

  /// Rounds to nearest, ties to even; a NaN stays a NaN.
  SIMCLR_HOST_DEVICE explicit BFloat16(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    bits = is_nan ? static_cast<std::uint16_t>((word >> 16) | 0x40u)
                  : static_cast<std::uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
  }

  SIMCLR_HOST_DEVICE explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

namespace detail {
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<std::uint16_t> {
  static constexpr DType value = DType::u16;
};
}  // namespace detail

template <class T>
inline constexpr DType dtype_of = detail::DTypeOf<T>::value;

/// Bytes of one element.
constexpr std::int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return 4;
    case DType::f64: return 8;
    case DType::bf16: return 2;
    case DType::u8: return 1;
    case DType::i32: return 4;
    case DType::u16: return 2;
  }
  return 0;
}

constexpr bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16;
}

/// "f32", "f64", "bf16", "u8", "i32" or "u16".
SIMCLR_API const char* name(DType dtype);
SIMCLR_API std::ostream& operator<<(std::ostream& out, DType dtype);

}  // namespace simclr
