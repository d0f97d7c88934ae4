#pragma once

#include <string>

namespace simclr::test {

/// The folder of the tests' sources, fixtures/ and fuzz/corpus/ among them. One object alone is compiled with its path:
/// checkouts share the other objects in the compiler's cache.
std::string source_folder();

}  // namespace simclr::test
