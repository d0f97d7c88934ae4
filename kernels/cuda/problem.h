#pragma once

// Private: why CUDA cannot be used, in one line. Apart from the runtime, so that every case can be tested anywhere.

#include <sstream>
#include <string>

namespace simclr::cuda {

/// What the CUDA runtime says when it is asked.
struct DriverState {
  int driver = 0;            // cudaDriverGetVersion, 1000 major + 10 minor; 0 without a driver
  int runtime = 0;           // cudaRuntimeGetVersion
  int devices = 0;           // cudaGetDeviceCount
  std::string error = {};    // of cudaGetDeviceCount; empty where it succeeded or found no device
  std::string visible = {};  // CUDA_VISIBLE_DEVICES, as "=1,2"; empty where it is not set
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

/// Empty where one of the architectures that were compiled for ("80 90") serves a device of the given compute
/// capability (75 for 7.5): code for an older one is translated by the driver, code for a newer one cannot run.
inline std::string describe_architecture(const std::string& device, int capability, const std::string& compiled) {
  std::istringstream words(compiled);
  std::string names;
  for (int architecture; words >> architecture;) {
    if (architecture <= capability) return "";
    names += (names.empty() ? "sm_" : ", sm_") + std::to_string(architecture);
  }
  if (names.empty()) return "";  // "native" and the like
  const std::string own = std::to_string(capability);
  return device + " is of sm_" + own + ", this build's kernels are for " + names +
         " and newer; build with -DCMAKE_CUDA_ARCHITECTURES=" + own + ", or use the CPU";
}

}  // namespace simclr::cuda
