#ifndef SIMCLR_CATCH2_V3
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.h"

#include <cstdio>

namespace simclr::test {
namespace {
bool skipped = false;
}

void skip(const std::string& reason) {
  skipped = true;
  std::printf("skipped: %s\n", reason.c_str());
}
}  // namespace simclr::test

int main(int argc, char** argv) {
  const int result = Catch::Session().run(argc, argv);
  constexpr int skip_code = 77;  // ctest counts the program as skipped; a failure goes first
  if (result != 0) return 1;     // Catch counts the failures, of which there may be 77
  return simclr::test::skipped ? skip_code : 0;
}
