#include "processor.h"

#include <simclr/core/error.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace simclr::kernels {
namespace {

InstructionSet best() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx2 && avx512 ? InstructionSet::avx512 : avx2 ? InstructionSet::avx2 : InstructionSet::baseline;
#else
  return InstructionSet::baseline;
#endif
}

InstructionSet choose() {
  constexpr const char* variable = "SIMCLR_INSTRUCTION_SET";
  constexpr std::array<std::string_view, 3> names = {"baseline", "avx2", "avx512"};  // in the order of InstructionSet
  const InstructionSet available = best();
  const char* wanted = std::getenv(variable);
  if (wanted == nullptr) return available;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != wanted) continue;
    SIMCLR_CHECK(i <= static_cast<std::size_t>(available), variable, "=", wanted, ": this processor has only ",
                 names[static_cast<std::size_t>(available)]);
    return static_cast<InstructionSet>(i);
  }
  fail(variable, "=", wanted, " is no instruction set; choose baseline, avx2 or avx512");
}

}  // namespace

InstructionSet instruction_set() {
  static const InstructionSet chosen = choose();
  return chosen;
}

}  // namespace simclr::kernels
