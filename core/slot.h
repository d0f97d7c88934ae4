#pragma once

#include <simclr/core/device.h>
#include <simclr/core/error.h>

#include <array>

namespace simclr {

/// An op's entry points: one table of function pointers a device, null where this build has none.
/// `simclr_add_op(X)` in the build files generates the constant `X_slot`.
template <class Kernels>
struct Slot {
  const char* op;
  std::array<const Kernels*, device_type_count> tables;  // indexed by DeviceType

  const Kernels& on(Device device) const {
    const Kernels* table = tables[static_cast<std::size_t>(device.type)];
    SIMCLR_CHECK(table != nullptr, op, ": no ", name(device.type), " kernel in this build");
    return *table;
  }
};

}  // namespace simclr
