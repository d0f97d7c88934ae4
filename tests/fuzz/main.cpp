// What libFuzzer calls. SIMCLR_FUZZ_TARGET is the name of a function of targets.h.

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  simclr::fuzz::SIMCLR_FUZZ_TARGET({data, size});
  return 0;
}
