#pragma once

// Private: which copies a step may queue while it is captured. CUDA and the emulated device ask here.

#include <simclr/core/device.h>
#include <simclr/core/error.h>

namespace simclr::gpu {

/// Throws Error where a captured step must not copy so.
inline void check_captured_copy(Device to, Device from) {
  SIMCLR_CHECK(from.type != DeviceType::cpu,
               "copy: a captured step must not read host memory, which may hold other values when it is replayed; copy "
               "to ",
               to, " before the capture");
  SIMCLR_CHECK(to.type != DeviceType::cpu,
               "copy: a copy to the host waits for the device, which a captured step must not");
  SIMCLR_CHECK(to == from, "copy: a captured step works in one device's stream, it must not copy from ", from, " to ",
               to);
}

}  // namespace simclr::gpu
