#pragma once

// Catch2 2 (Debian 12) and 3 spell their header differently.
#ifdef SIMCLR_CATCH2_V3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <string>

namespace simclr::test {
/// Counts this program as skipped, unless one of its tests fails. Catch2 2 has no way of its own.
void skip(const std::string& reason);
}  // namespace simclr::test
