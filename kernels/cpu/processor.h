#pragma once

// Private: which of the instruction sets that loops are compiled for (isa.h) this machine's processor has.

namespace simclr::kernels {

enum class InstructionSet {
  baseline,  // what every processor of the kind has; SSE2 on x86-64
  avx2,      // AVX2 and FMA (x86-64-v3)
  avx512     // AVX-512 F, BW, CD, DQ and VL (x86-64-v4)
};

/// The best that the processor has, or the one that the environment variable SIMCLR_INSTRUCTION_SET names ("baseline",
/// "avx2", "avx512"). Throws Error where that is no such name or the processor lacks it.
InstructionSet instruction_set();

}  // namespace simclr::kernels
