#pragma once

// Private to the emulated device: guard zones, and a copy of all its memory, to run a launch again from.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace simclr::emu {

inline constexpr std::size_t guard_bytes = 256;

/// Fills a guard zone, and hides it from AddressSanitizer where that is on.
void set_guard(std::byte* zone, std::size_t bytes = guard_bytes);
/// The offset of the first byte that has changed; -1 where none has.
std::ptrdiff_t broken_guard(const std::byte* zone, std::size_t bytes = guard_bytes);
/// Ends a guard zone, so that its memory can be used again.
void clear_guard(std::byte* zone, std::size_t bytes = guard_bytes);

/// One line about the first block whose guards a kernel wrote to, and the guards mended; empty where there is none.
std::string damaged_block();

/// The step that this thread captures; 0 where it captures none.
std::uint64_t captured_graph();
/// What was allocated during its capture is memory like any other from now on. Before, a released block stays: replays
/// write into it.
void end_graph(std::uint64_t graph) noexcept;

/// The contents of all blocks of the emulated device.
class Snapshot {
 public:
  Snapshot();
  void restore() const;
  /// "byte 12 of a block of 400 bytes" for the first byte that differs now; empty where nothing does.
  std::string difference() const;

 private:
  struct Copy {
    std::byte* block;
    std::vector<std::byte> bytes;
  };
  std::vector<Copy> copies_;
};

}  // namespace simclr::emu
