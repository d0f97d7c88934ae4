#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace simclr {

/// Where a tensor lives. `emu` runs the CUDA kernels' source on the CPU; development builds have it.
enum class DeviceType : std::uint8_t { cpu, cuda, emu };
inline constexpr int device_type_count = 3;

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;

  bool operator==(const Device&) const = default;
};

/// Whether the host can read the device's memory directly.
constexpr bool is_host_memory(Device device) {
  return device.type != DeviceType::cuda;
}

/// "cpu", "cuda:0" or "emu".
SIMCLR_API std::string to_string(Device device);
/// Reads "cpu", "cuda", "cuda:1" or "emu"; throws Error for anything else.
SIMCLR_API Device parse_device(std::string_view text);
SIMCLR_API const char* name(DeviceType type);
SIMCLR_API std::ostream& operator<<(std::ostream& out, Device device);

}  // namespace simclr
