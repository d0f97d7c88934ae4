#pragma once

// Private: memory of the host for large arrays.

#include <cstddef>

namespace simclr {

/// Memory for std::free(), aligned to 256 bytes; null where there is none. From 2 MiB up on huge pages where the system
/// grants them: the first touch of pages of 4 KiB takes several times as long.
void* take_host_memory(std::size_t bytes);

}  // namespace simclr
