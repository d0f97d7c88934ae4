#include "support/source_folder.h"

namespace simclr::test {

std::string source_folder() { return SIMCLR_TESTS_SOURCE; }

}  // namespace simclr::test
