#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

#include <cstdint>

/// Scaled dot-product self-attention of several heads (Vaswani et al., arXiv 1706.03762, section 3.2). For each
/// sequence and head, over the steps i and j below its length:
///   s_ij = q_i.k_j / sqrt(D),  p_ij = e^{s_ij} / sum_j e^{s_ij},  y_i = sum_j p_ij v_j
/// and backward, with delta_i = dy_i.y_i
///   ds_ij = p_ij (dy_i.v_j - delta_i)
///   dq_i = sum_j ds_ij k_j / sqrt(D),  dk_j = sum_i ds_ij q_i / sqrt(D),  dv_j = sum_i p_ij dy_i
/// qkv [N,T,3C] holds q, k and v of each step, one behind the other, C = heads D values each, those of head 0 first:
/// what one linear layer gives. lengths i32 [N] in 0..T, or undefined: all T. Padding is not looked at; y is 0 there,
/// and so is dqkv. D is 1 .. attention_widest_head.
/// Nothing of size T x T is ever stored: both passes go in tiles and recompute the scores, each row's relative to its
/// maximum, so that no exponential overflows. f32 or f64 on the CPU, f32 or bf16 on a GPU. Every function throws Error
/// for tensors of other shapes, dtypes or devices, for heads that do not divide C, and on the CPU for a length outside
/// 0..T, which gives NaN in its sequence on a GPU.
namespace simclr::kernels {

inline constexpr std::int64_t attention_widest_head = 256;

/// What the backward pass needs.
struct AttentionSaved {
  Tensor qkv, lengths;
  std::int64_t heads = 1;
  Tensor y;
  Tensor log_sum;  // [N,heads,T]: log2 of sum_j e^{s_ij}, 0 behind the length; f32 beside bf16
};

struct AttentionResult {
  Tensor y;  // [N,T,C], the heads beside one another
  AttentionSaved saved;
};

SIMCLR_API AttentionResult attention_forward(const Tensor& qkv, const Tensor& lengths, std::int64_t heads);
/// dqkv [N,T,3C] from dy [N,T,C]. Sums are taken in a fixed order.
SIMCLR_API Tensor attention_backward(const Tensor& dy, const AttentionSaved& saved);

struct AttentionKernels {
  /// Writes saved.y and saved.log_sum.
  Kernel<"attention forward", void(AttentionSaved& saved)> forward;
  Kernel<"attention backward", void(const Tensor& dy, const AttentionSaved& saved, Tensor& dqkv)> backward;
};

SIMCLR_API extern const Slot<AttentionKernels> attention_slot;

}  // namespace simclr::kernels
