#pragma once

// Private: what public functions of padded sequences check before they call a device's kernel.

#include <simclr/kernels/shared/check.h>

#include <cstdint>

namespace simclr::kernels {

/// Lengths of `sequences` sequences of `steps` steps beside x: i32 [N] on its device, or undefined. The values are
/// looked at on the CPU alone: another device cannot be read in a captured step.
inline void check_lengths(const char* op, const Tensor& x, const Tensor& lengths, std::int64_t sequences,
                          std::int64_t steps) {
  if (!lengths.defined()) return;
  SIMCLR_CHECK(lengths.dtype() == DType::i32 && lengths.device() == x.device() && lengths.shape() == Shape({sequences}),
               op, ": lengths must be i32 [", sequences, "] on ", x.device(), ", got ", describe(lengths));
  if (x.device().type != DeviceType::cpu) return;
  const std::int32_t* length = lengths.data<std::int32_t>();
  for (std::int64_t n = 0; n < sequences; ++n) {
    SIMCLR_CHECK(length[n] >= 0 && length[n] <= steps, op, ": length ", length[n], " of sequence ", n,
                 " is outside 0..", steps);
  }
}

}  // namespace simclr::kernels
