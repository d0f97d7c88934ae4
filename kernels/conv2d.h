#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

#include <compare>
#include <iosfwd>
#include <string>

/// 2-D convolution (cross-correlation), channels last:
///   y[n,i,j,o] = sum_{u,v,c} x[n, i s + u - p, j t + v - q, c] w[o,u,v,c]
/// with x [N,H,W,C], w [O,K,L,C], strides s x t, paddings p x q, y [N,(H+2p-K)/s+1,(W+2q-L)/t+1,O], and x zero outside
/// its bounds.
/// CPU: f32 or f64; Winograd's F(2x2,3x3) and F(4x4,3x3) for most 3x3 kernels with stride 1, else oneDNN for f32 where
/// found, else im2col + GEMM. CUDA: cuDNN, f32 or bf16, with dw in f32 for both. x, w and dy share dtype and device;
/// every function throws Error where shapes, dtypes or devices do not fit each other.
namespace simclr::kernels {

/// A number for each axis of a picture. One number stands for both: {.stride = 2, .padding = {1, 0}}.
struct PerAxis {
  int height, width;

  constexpr PerAxis(int both) : height(both), width(both) {}
  constexpr PerAxis(int down, int across) : height(down), width(across) {}

  auto operator<=>(const PerAxis&) const = default;
};
/// "2", or "1 x 0" where they differ.
SIMCLR_API std::ostream& operator<<(std::ostream& out, const PerAxis& axes);

struct Conv2dGeometry {
  PerAxis stride = 1;
  PerAxis padding = 0;

  bool operator==(const Conv2dGeometry&) const = default;
};

/// The shape of y. Throws Error when x and w do not fit each other or y would be empty.
SIMCLR_API Shape conv2d_output_shape(const Shape& x, const Shape& w, const Conv2dGeometry& geometry);

/// y [N,H',W',O] of x [N,H,W,C] and w [O,K,L,C].
SIMCLR_API Tensor conv2d_forward(const Tensor& x, const Tensor& w, const Conv2dGeometry& geometry);
/// d(loss)/dx of shape `x_shape`, [N,H,W,C], from dy [N,H',W',O] and w.
SIMCLR_API Tensor conv2d_backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape,
                                       const Conv2dGeometry& geometry);
/// d(loss)/dw from x [N,H,W,C] and dy [N,H',W',O], written over `dw` [O,K,L,C], which is f32 beside bf16.
SIMCLR_API void conv2d_backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dGeometry& geometry);

enum class Conv2dDirection { forward, backward_data, backward_weights };

/// The name of the code that computes an f32 convolution of these shapes on the CPU: "winograd 2x2" and
/// "winograd 4x4" after the tiles, "im2col", or oneDNN's own name for it ("jit:avx512_core"). For tests and benchmarks.
SIMCLR_API std::string conv2d_implementation(const Shape& x, const Shape& w, const Conv2dGeometry& geometry,
                                             Conv2dDirection direction);

struct Conv2dKernels {
  Kernel<"conv2d forward", void(const Tensor& x, const Tensor& w, Tensor& y, const Conv2dGeometry& geometry)> forward;
  Kernel<"conv2d backward data", void(const Tensor& dy, const Tensor& w, Tensor& dx, const Conv2dGeometry& geometry)>
      backward_data;
  Kernel<"conv2d backward weights", void(const Tensor& x, const Tensor& dy, Tensor& dw, const Conv2dGeometry& geometry)>
      backward_weights;
};

SIMCLR_API extern const Slot<Conv2dKernels> conv2d_slot;

}  // namespace simclr::kernels
