#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Embedding: rows of a table, looked up by number, for sequences that may be padded.
///   y[n,t] = table[ids[n,t]] for t < lengths[n], else 0
/// table [V,C] f32 or f64 on the CPU, f32 on a GPU; ids i32 [N,T] in 0..V-1; lengths i32 [N] in 0..T, or undefined:
/// none is padded. The ids of padding are not looked at. y [N,T,C] has the table's dtype, or is bf16 beside an f32
/// table on a GPU. Every function throws Error for tensors of other dtypes, devices or shapes than these. An id outside
/// 0..V-1, or a length outside 0..T, is an Error on the CPU (place and value are named). A GPU cannot throw: there y is
/// NaN in its place, for a length in all of the sequence's, and nothing of it reaches dtable.
namespace simclr::kernels {

/// y of `dtype`.
SIMCLR_API Tensor embedding_forward(const Tensor& table, const Tensor& ids, const Tensor& lengths, DType dtype);
/// dtable[v] = the sum of dy [N,T,C] over the places that show v, written over all of dtable [V,C]: 0 where none does.
/// Backward needs ids and lengths. The places are sorted by id, and each id's are added up in f64 in an order that
/// depends on the ids alone, without atomics: the same bits at every run.
SIMCLR_API void embedding_backward(const Tensor& dy, const Tensor& ids, const Tensor& lengths, Tensor& dtable);

struct EmbeddingKernels {
  Kernel<"embedding forward", void(const Tensor& table, const Tensor& ids, const Tensor& lengths, Tensor& y)> forward;
  Kernel<"embedding backward", void(const Tensor& dy, const Tensor& ids, const Tensor& lengths, Tensor& dtable)>
      backward;
};

SIMCLR_API extern const Slot<EmbeddingKernels> embedding_slot;

}  // namespace simclr::kernels
