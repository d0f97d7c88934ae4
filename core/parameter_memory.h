#pragma once

#include <simclr/core/tensor.h>

/// What optimizers and modules do with the memory of parameters: to move them into arenas, to keep bf16 copies of them
/// and to write them in place. Who only computes with tensors needs none of it.
namespace simclr {

/// Makes `tensor`, through all its handles, live in `memory` (same shape; dtype and device may differ): how parameters
/// move into arenas, to a device or to another dtype. Values are memory's. The gradient is dropped. Throws Error for
/// another shape, and for a tensor that was computed.
SIMCLR_API void rebind(const Tensor& tensor, const Tensor& memory);

/// Uses `gradient` (`parameter`'s shape, dtype and device; else throws Error) as the place where parameter.grad()
/// accumulates.
SIMCLR_API void set_grad(const Tensor& parameter, const Tensor& gradient);

/// Says that the memory of parameter.grad() has just been zeroed by other means than zero_grad(): a whole arena's at
/// once.
SIMCLR_API void assume_zero_grad(const Tensor& parameter);

/// Says that `tensor`'s values were written by other means than fill() and copy_from(), a kernel's or data()'s:
/// backward() then refuses functions that were to read the old ones (see record()). Optimizers do so themselves.
SIMCLR_API void mark_changed(const Tensor& tensor);

/// The same values as bf16, kept beside f32 ones: fill() and copy_from() on any view of them keep both equal, and so do
/// the optimizers. Made at the first call, for the whole memory that `values` views. What is written through a pointer
/// does not reach it. What bf16 activations are multiplied with. Throws Error for another dtype than f32.
SIMCLR_API Tensor shadow(const Tensor& values);

/// The shadow that is there already; undefined where there is none.
SIMCLR_API Tensor existing_shadow(const Tensor& values);

}  // namespace simclr
