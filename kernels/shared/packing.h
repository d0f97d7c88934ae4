#pragma once

// Private: not an op, but rows that ops are called with.

#include <simclr/core/tensor.h>

#include <cstdint>

/// Padded sequences x [N,T,C] as rows [R,C], one step behind the other, so that what treats steps alike need not
/// compute the padding. lengths i32 [N] in 0..T, or undefined: all T. On the CPU the rows are the sequences' own steps,
/// R the sum of the lengths; without lengths, and on a GPU, whose lengths the host does not know, they are all R = N T
/// steps. Any dtype. Throws Error for other shapes and devices, and on the CPU for a length outside 0..T.
/// R differs from batch to batch: on the CPU a step whose R is in another of the allocator's size classes takes memory
/// anew, until all classes have been met (docs/decisions/attention.md has figures).
namespace simclr::kernels {

/// Whether rows lack the padding; otherwise x itself is [R,C].
inline bool packs(const Tensor& x, const Tensor& lengths) {
  return lengths.defined() && x.device().type == DeviceType::cpu;
}

/// The rows; x's own memory where they have all steps.
Tensor pack_sequences(const Tensor& x, const Tensor& lengths);
/// x from its rows, 0 in the padding. Of what packs() alone; other rows are x reshaped.
void pad_sequences(const Tensor& rows, const Tensor& lengths, Tensor& x);

}  // namespace simclr::kernels
