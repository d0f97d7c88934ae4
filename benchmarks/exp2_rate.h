#pragma once

// Work that is nothing but powers of two, for the rate of them that a machine can reach.

#include <simclr/core/tensor.h>

namespace bench {

/// Whether this build has the work for the device; a shared library hides what launches it on CUDA.
bool has_exp2(simclr::Device device);
/// Queues so many powers of two, one after the other, for each of `values`, f32 [N].
void exp2(simclr::Tensor& values, int rounds);

namespace detail {
void exp2_cpu(simclr::Tensor& values, int rounds);
void exp2_cuda(simclr::Tensor& values, int rounds);
void exp2_emu(simclr::Tensor& values, int rounds);
}  // namespace detail

}  // namespace bench
