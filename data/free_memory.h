#pragma once

#include <simclr/core/export.h>

#include <cstdint>
#include <string>

namespace simclr::data {

/// Bytes of memory that this process may still take without swapping: what the system has available, or less where the
/// process's control groups (a container, a batch job; versions 1 and 2, and those above them) allow less. Linux tells;
/// elsewhere half of the memory counts as free. `root` stands before /proc and /sys, for tests.
SIMCLR_API std::int64_t free_memory(const std::string& root = "");

}  // namespace simclr::data
