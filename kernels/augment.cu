// Augmentation on a GPU: from the values of a picture to the normalised view [S,S,C], for all views of a batch:
//   resize the crop (flipped or not), then rotate -> jitter up to contrast, and the sum of grey
//   -> the rest of jitter, grey -> blur down, blur along -> (x - mean) / deviation
// What does not look at neighbours is done in passing; the arithmetic of a pixel is the CPU's
// (shared/augment_pixels.h). Nothing is kept for a backward pass: no gradient flows back through a view. Launch: a
// thread a view draws the transforms (cuda/augment_parameters.cu); then a block a view, 256 threads for views of up to
// 32 x 32 pixels: four pixels a thread stay in registers from the resize to the store, and shared memory serves what
// looks at neighbours and the store in 16 bytes. Larger views take 512 threads, two blocks a multiprocessor: they lie
// in planes [C][S * S], in shared memory where they fit, else in global memory, and each pass goes over them four
// pixels a thread at a time (cuda/augment_canvas.h). Grey and colour views of bytes have kernels of their own, compiled
// here; all else shares those of cuda/augment_any.cu, which make f32, then rounded. The kernel: cuda/augment_kernel.h.
// Tests: tests/device/test_augment.cpp compares with the CPU's views; tests/test_augment.cpp has the plain loops
// (reference_resize, and those of each test).
#include <simclr/kernels/cuda/augment_kernel.h>

namespace simclr::kernels {

/// In cuda/augment_any.cu: views of f32.
void SIMCLR_KERNELS(augment_any)(const Tensor& pixels, const Tensor& refs, const Tensor& index,
                                 const AugmentPolicy& policy, const Tensor& parameters, Tensor& views);
/// In cuda/augment_parameters.cu.
void SIMCLR_KERNELS(augment_draw)(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                                  const AugmentKey& key, Tensor& parameters);

namespace {

void augment_gpu(const Tensor& pixels, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                 const Tensor& parameters, Tensor& views) {
  if (pixels.dtype() == DType::u8 && is_colour(policy.channels)) {
    dispatch_float(views.dtype(), [&](auto zero) {
      augment_values<Bytes, decltype(zero)>(pixels, refs, index, policy, parameters, views);
    });
    return;
  }
  Tensor wide = views.dtype() == DType::f32 ? views : Tensor::empty(views.shape(), DType::f32, views.device());
  SIMCLR_KERNELS(augment_any)(pixels, refs, index, policy, parameters, wide);
  if (views.dtype() != DType::f32) views.copy_from(wide);
}

}  // namespace

extern const AugmentKernels SIMCLR_KERNELS(augment);
const AugmentKernels SIMCLR_KERNELS(augment) = {augment_gpu, SIMCLR_KERNELS(augment_draw)};

}  // namespace simclr::kernels
