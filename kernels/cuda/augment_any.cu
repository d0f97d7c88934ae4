// Views of f32 on a GPU of pictures of u16 and f32, and of other channels than grey and RGB: kernels/augment.cu's
// kernel (cuda/augment_kernel.h), compiled for values whose type it asks for at each, and apart from those of bytes, so
// that two processors compile them. Launch: as there; but a block makes a colour view, or one channel of a view of any
// other count: as if it were grey, stored with the others' in between. Tests: tests/device/test_augment_channels.cpp
// compares with the CPU's views.
#include <simclr/kernels/cuda/augment_kernel.h>

namespace simclr::kernels {

void SIMCLR_KERNELS(augment_any)(const Tensor& pixels, const Tensor& refs, const Tensor& index,
                                 const AugmentPolicy& policy, const Tensor& parameters, Tensor& views) {
  augment_values<AnyValues, float>(pixels, refs, index, policy, parameters, views);
}

}  // namespace simclr::kernels
