#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Columns of tensors [...,C]: what concatenation along the last dimension and its slices are made of. f32 or f64 on
/// the CPU, f32 or bf16 on a GPU.
namespace simclr::kernels {

/// Columns [to_begin, to_begin + count) of `to` [...,D] = columns [from_begin, from_begin + count) of `from` [...,C];
/// all dimensions but the last are the same, and so are dtype and device. Backward is the same function of the
/// gradients, the other way. Throws Error for columns that are not there, for tensors that share memory, and for what
/// does not fit.
SIMCLR_API void copy_columns(const Tensor& from, std::int64_t from_begin, Tensor& to, std::int64_t to_begin,
                             std::int64_t count);

struct ColumnsKernels {
  Kernel<"copy columns",
         void(const Tensor& from, std::int64_t from_begin, Tensor& to, std::int64_t to_begin, std::int64_t count)>
      copy;
};

SIMCLR_API extern const Slot<ColumnsKernels> columns_slot;

}  // namespace simclr::kernels
