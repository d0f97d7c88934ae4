#pragma once

#include <simclr/core/slot.h>
#include <simclr/core/tensor.h>

/// Cosine similarity, normalisation and matrix product fused:
///   s_ij = a_i.b_j / (|a_i| |b_j| tau),  a [A,D], b [M,D], s [A,M]
/// A row of norm 0 is similar to nothing: s = 0 and its gradient is 0. f32 or f64; on a GPU f32 or bf16, with s and ds
/// f32 beside bf16. Both functions throw Error where shapes, dtypes or devices do not fit each other, and for a
/// temperature that is not positive and finite or whose inverse the dtype cannot hold.
namespace simclr::kernels {

/// s [A,M] of a [A,D] and b [M,D].
SIMCLR_API Tensor similarity_forward(const Tensor& a, const Tensor& b, double temperature);

struct SimilarityGradient {
  Tensor da;  // [A,D]
  Tensor db;  // [M,D]
};
/// From ds [A,M], and a and b as forward had them.
SIMCLR_API SimilarityGradient similarity_backward(const Tensor& ds, const Tensor& a, const Tensor& b,
                                                  double temperature);

struct SimilarityKernels {
  Kernel<"similarity forward", void(const Tensor& a, const Tensor& b, double temperature, Tensor& s)> forward;
  Kernel<"similarity backward",
         void(const Tensor& ds, const Tensor& a, const Tensor& b, double temperature, Tensor& da, Tensor& db)>
      backward;
};

SIMCLR_API extern const Slot<SimilarityKernels> similarity_slot;

}  // namespace simclr::kernels
