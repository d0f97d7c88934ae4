#pragma once

// Private: the CPU implementations of conv2d. Arguments are already checked.

#include <simclr/kernels/conv2d.h>
#include <simclr/kernels/shared/conv2d_sizes.h>

namespace simclr::kernels {

/// Patches of x as rows of a matrix, times the weights. f32 and f64.
SIMCLR_API extern const Conv2dKernels conv2d_im2col;

/// Winograd's way for 3x3 kernels with stride 1, f32 and f64. a, b and out stand in the order of Conv2dKernels'
/// arguments.
namespace winograd {
/// False, with nothing written, where the sizes are not for it.
bool run(Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out, const Conv2dSizes& sizes);
/// The name of what run() runs, with the side of its tiles: "winograd 2x2" or "winograd 4x4"; empty where it returns
/// false.
std::string implementation(const Conv2dSizes& sizes, Conv2dDirection direction, DType dtype);
}  // namespace winograd

/// oneDNN, f32; the same arguments.
namespace onednn {
/// False, with nothing written, where oneDNN has only its reference code for these sizes, which is 100 times slower.
bool run(Conv2dDirection direction, const Tensor& a, const Tensor& b, Tensor& out, const Conv2dSizes& sizes);
/// oneDNN's name of what run() runs; empty where it returns false.
std::string implementation(const Conv2dSizes& sizes, Conv2dDirection direction);
}  // namespace onednn

}  // namespace simclr::kernels
