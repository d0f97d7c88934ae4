#pragma once

// Private: the two CPU implementations of conv2d. Arguments are already checked.

#include <simclr/kernels/conv2d.h>
#include <simclr/kernels/conv2d_sizes.h>

namespace simclr::kernels {

/// Patches of x as rows of a matrix, times the weights (Eigen). f32 and f64.
SIMCLR_API extern const Conv2dKernels conv2d_im2col;

/// oneDNN, f32. Each function returns false, with nothing written, where oneDNN has only its reference code for
/// these sizes, which is 100 times slower.
namespace onednn {
bool forward(const Tensor& x, const Tensor& w, Tensor& y, const Conv2dSizes& sizes);
bool backward_data(const Tensor& dy, const Tensor& w, Tensor& dx, const Conv2dSizes& sizes);
bool backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dSizes& sizes);
/// oneDNN's name of what these functions run; empty where they return false.
std::string implementation(const Conv2dSizes& sizes, Conv2dDirection direction);
}  // namespace onednn

}  // namespace simclr::kernels
