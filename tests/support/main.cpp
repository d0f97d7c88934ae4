#ifndef SIMCLR_CATCH2_V3
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.h"

int main(int argc, char** argv) {
  return Catch::Session().run(argc, argv);
}
