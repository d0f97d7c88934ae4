#pragma once

// Private: what every header of formulas in kernels/shared starts with. It keeps its functions in the inline namespace
// SIMCLR_TARGET, for the CPU's sources and those of the emulated device round a b + c in different places: under one
// name, the linker would keep one of the two for both. cuda/language.h, included before, names the GPU's.

#include <simclr/core/export.h>

#ifndef SIMCLR_TARGET
#define SIMCLR_TARGET cpu_target
#endif
