#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

#include <vector>

/// A layer of gated recurrent units (Cho et al., arXiv 1406.1078), in PyTorch's form; h is 0 before the first step:
///   r = s(W_ir x + b_ir + W_hr h + b_hr),  z = s(W_iz x + b_iz + W_hz h + b_hz),  s(a) = 1 / (1 + e^-a)
///   n = tanh(W_in x + b_in + r (W_hn h + b_hn))
///   h' = (1 - z) n + z h
/// x [N,T,I]; lengths i32 [N] in 0..T, or undefined: all T. Behind a sequence's length x must be finite; y is 0
/// there, and so is dx. The first direction goes from step 0 on; the second, where there is one, from the last step of
/// a sequence's own back to step 0. f32 or f64 on the CPU, f32 or bf16 on a GPU; all tensors share dtype and device,
/// but biases and all gradients of weights are f32 beside bf16. Every function throws Error for tensors of other
/// shapes, dtypes or devices, for empty ones, and on the CPU for a length outside 0..T, which gives NaN on a GPU.
namespace simclr::kernels {

/// Of one direction, the gates in the order r, z, n: w_ih [3H,I], w_hh [3H,H], b_ih [3H], b_hh [3H].
struct GruWeights {
  Tensor w_ih, w_hh, b_ih, b_hh;
};

/// What the backward pass needs. States and gates lie as the device likes it, a list entry for each direction: R is N T
/// on a GPU, and the sum of the lengths on the CPU.
struct GruSaved {
  Tensor x, lengths;
  std::vector<GruWeights> directions;
  std::vector<Tensor> states;  // [R,H]: h before each step
  std::vector<Tensor> gates;   // [R,4H]: r, z, n, and W_hn h + b_hn; f32 beside bf16, as h - n cancels
};

struct GruResult {
  Tensor y;     // [N,T,D H]: h behind each step, the directions beside one another
  Tensor last;  // [N,D H]: h behind the last step of each direction; 0 where the length is
  GruSaved saved;
};

/// One direction, or two. keep false: no backward pass follows, and the result's `saved` has no states and no gates.
SIMCLR_API GruResult gru_forward(const Tensor& x, const Tensor& lengths, const std::vector<GruWeights>& directions,
                                 bool keep = true);

struct GruGradients {
  Tensor dx;                           // [N,T,I]; undefined: not wanted
  std::vector<GruWeights> directions;  // as the weights
};

/// Writes the gradients over those tensors; wants all that gru_forward saves. dy [N,T,D H] or dlast [N,D H] may be
/// undefined, which stands for 0.
SIMCLR_API void gru_backward(const Tensor& dy, const Tensor& dlast, const GruSaved& saved, GruGradients& gradients);

/// One direction, as the devices' kernels see it.
struct GruDirection {
  Tensor lengths, w_hh, b_ih, b_hh;
  std::int64_t sequences, steps;  // N, T
  int index, count;               // columns [index H, index H + H) of y and last are its own, of count H
};

struct GruKernels {
  /// products [R,3H] = W_i x without the bias.
  Kernel<"gru forward", void(const GruDirection& direction, const Tensor& products, Tensor& states, Tensor& gates,
                             Tensor& y, Tensor& last)>
      forward;
  /// dproducts [R,3H] in the order of `products`; dhidden [R,3H], of W_h h + b_h, in that of the states.
  Kernel<"gru backward", void(const GruDirection& direction, const Tensor& dy, const Tensor& dlast,
                              const Tensor& states, const Tensor& gates, Tensor& dproducts, Tensor& dhidden)>
      backward;
};

SIMCLR_API extern const Slot<GruKernels> gru_slot;

}  // namespace simclr::kernels
