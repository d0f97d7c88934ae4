#pragma once

// Private: why CUDA cannot be used, in one line. Apart from the runtime, so that every case can be tested anywhere.

#include <string>

namespace simclr::cuda {

/// What the CUDA runtime says when it is asked.
struct DriverState {
  int driver = 0;       // cudaDriverGetVersion, 1000 major + 10 minor; 0 without a driver
  int runtime = 0;      // cudaRuntimeGetVersion
  int devices = 0;      // cudaGetDeviceCount
  std::string error;    // of cudaGetDeviceCount; empty where it succeeded or found no device
  std::string visible;  // CUDA_VISIBLE_DEVICES, as "=1,2"; empty where it is not set
};

/// Empty where there is a usable device. Without any driver cudaGetDeviceCount says "driver version is insufficient",
/// so versions are looked at first.
inline std::string describe_problem(const DriverState& state) {
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  if (state.driver == 0) return "no NVIDIA driver is loaded; install one (nvidia-smi shows it), or use the CPU";
  if (state.driver / 1000 < state.runtime / 1000) {
    return "the NVIDIA driver is too old: it supports CUDA " + version(state.driver) + ", this build needs " +
           version(state.runtime) + "; update the driver, or use the CPU";
  }
  if (!state.error.empty()) return "CUDA does not start: " + state.error + "; see nvidia-smi, or use the CPU";
  if (state.devices == 0) {
    return state.visible.empty()
               ? "there is a driver, but no CUDA device; see nvidia-smi, or use the CPU"
               : "CUDA_VISIBLE_DEVICES" + state.visible + " leaves no CUDA device; unset it, or use the CPU";
  }
  return "";
}

}  // namespace simclr::cuda
