#pragma once

#include <simclr/core/export.h>

#include <cstddef>
#include <cstdint>

namespace simclr {

/// CRC-64/XZ (ECMA-182's polynomial, reflected): finds every change within 64 neighbouring bits, and any other but for
/// one in 2^64. It does not stop somebody who means to deceive.
class SIMCLR_API Crc64 {
 public:
  void update(const void* data, std::size_t bytes);
  /// Of all bytes so far. Of "123456789" it is 995dc9bbdf1939fa.
  std::uint64_t value() const { return ~state_; }

 private:
  std::uint64_t state_ = ~std::uint64_t{0};
};

}  // namespace simclr
