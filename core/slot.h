#pragma once

#include <simclr/core/device.h>
#include <simclr/core/error.h>
#include <simclr/core/profile.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace simclr {

/// A name as a template argument.
template <std::size_t size>
struct KernelName {
  char text[size];
  consteval KernelName(const char (&name)[size]) { std::copy_n(name, size, text); }
};

/// A device's entry point, called like the function it is made of. A Profile lists it by this name.
template <KernelName name, class Function>
class Kernel {
 public:
  constexpr Kernel(Function* run) : run_(run) {}

  template <class... Arguments>
  void operator()(Arguments&&... arguments) const {
    const ProfileScope scope(name.text);
    run_(std::forward<Arguments>(arguments)...);
  }

 private:
  Function* run_;
};

/// An op's entry points: one table of them a device, null where this build has none.
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
