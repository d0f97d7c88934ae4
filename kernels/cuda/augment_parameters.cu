// Draws the transforms of every view on a GPU: parameters [views * batch] of pictures index [batch]. The maths is in
// shared/augment_parameters.h; this file is compiled without contraction of a * b + c, so that the bits are the CPU's.
// Launch: a thread a view, 64 a block.
// Tests: tests/device/test_augment.cpp ("parameters are the CPU's to the last bit"); tests/test_augment_parameters.cpp.
#include <simclr/kernels/cuda/launch.h>
#include <simclr/kernels/shared/augment_parameters.h>

namespace simclr::kernels {
namespace {

using namespace gpu;

constexpr int draw_threads = 64;  // few, for the work is long and there are few views

/// drawn[view * batch + i] for picture index[i]; without a crop where there is no such picture.
__global__ void __launch_bounds__(draw_threads)
    augment_draw_kernel(const ImageRef* refs, std::int64_t pictures, const std::int32_t* index, std::int64_t batch,
                        AugmentPolicy policy, std::uint64_t seed, std::uint32_t epoch, const std::int32_t* device_epoch,
                        std::int64_t rows, AugmentParameters* drawn) {
  // 1 the view's picture
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * draw_threads + threadIdx.x;
  if (row >= rows) return;
  const std::int64_t at = index[row % batch];
  const ImageRef picture = at >= 0 && at < pictures ? refs[at] : ImageRef{};
  if (picture.height < 1 || picture.width < 1) {
    drawn[row] = AugmentParameters{};
    return;
  }
  // 2 its transforms, by seed, sample, epoch and view
  if (device_epoch != nullptr) epoch = static_cast<std::uint32_t>(*device_epoch);
  drawn[row] = draw_parameters(
      policy, picture.height, picture.width,
      Random(seed, RandomPurpose::augmentation, picture.sample, epoch, static_cast<std::uint32_t>(row / batch)));
}

}  // namespace

void SIMCLR_KERNELS(augment_draw)(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                                  const AugmentKey& key, Tensor& parameters) {
  const std::int64_t rows = key.views * index.numel();
  launch("augment_draw_kernel", refs.device(), {blocks_for(rows, draw_threads), draw_threads}, augment_draw_kernel,
         reinterpret_cast<const ImageRef*>(refs.raw_data()), refs.numel() / static_cast<std::int64_t>(sizeof(ImageRef)),
         index.data<std::int32_t>(), index.numel(), policy, key.seed, key.epoch,
         key.device_epoch.defined() ? key.device_epoch.data<std::int32_t>() : nullptr, rows,
         reinterpret_cast<AugmentParameters*>(parameters.raw_data()));
}

}  // namespace simclr::kernels
