#pragma once

// Private: how the CPU's loops go over a tensor [rows,C] whose channels are all treated alike. It is seen as steps of
// so many rows that their values fill vectors: `width` values, C times the rows of a step; only the last step may be
// shorter. What belongs to a channel is given for each of the `width` places of a step, called lanes. For loops that
// are compiled once for each instruction set (isa.h), hence without any function; rows.h makes the steps.

#include <cstdint>

namespace simclr::kernels {

/// Steps [begin, end) of a tensor of `elements` values.
struct RowSteps {
  std::int64_t width, elements, begin, end;
};

/// What one or two sums for each lane are added to, and memory for those of some steps.
template <class T>
struct RowSums {
  double *first, *second;  // [width] each; the second is null where there is one sum
  T* run;                  // as many values, zero before and after
};

}  // namespace simclr::kernels
