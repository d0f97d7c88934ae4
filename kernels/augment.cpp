// Augmentation on the CPU: one view at a time (cpu/augment_picture.cpp), the views of a batch on several threads. Every
// view's transforms are drawn first, from its key alone (shared/augment_parameters.h), so that neither threads nor the
// batch change a bit. No gradient flows back through a view.
#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/augment_picture.h>
#include <simclr/kernels/shared/check.h>

#include <cstring>
#include <vector>

namespace simclr::kernels {
namespace {

/// The pictures of a batch, which may be any.
std::vector<ImageRef> pictures_of(const Tensor& refs, const Tensor& index, std::int32_t channels) {
  const std::int64_t batch = index.numel(), count = refs.numel() / static_cast<std::int64_t>(sizeof(ImageRef));
  std::vector<ImageRef> pictures(static_cast<std::size_t>(batch));
  for (std::int64_t i = 0; i < batch; ++i) {
    const std::int64_t at = index.data<const std::int32_t>()[i];
    SIMCLR_CHECK(at >= 0 && at < count, "augment: index[", i, "] is ", at, ", there are ", count, " pictures");
    ImageRef& picture = pictures[static_cast<std::size_t>(i)];
    std::memcpy(&picture, refs.data<const std::uint8_t>() + at * static_cast<std::int64_t>(sizeof(ImageRef)),
                sizeof(ImageRef));
    check_picture(picture, channels);
  }
  return pictures;
}

void draw_on_cpu(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy, const AugmentKey& key,
                 Tensor& parameters) {
  const auto pictures = pictures_of(refs, index, policy.channels);
  const auto batch = static_cast<std::int64_t>(pictures.size());
  const auto epoch =
      key.device_epoch.defined() ? static_cast<std::uint32_t>(*key.device_epoch.data<const std::int32_t>()) : key.epoch;
  auto* drawn = reinterpret_cast<AugmentParameters*>(parameters.raw_data());
  parallel_for(batch * key.views, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const ImageRef& picture = pictures[static_cast<std::size_t>(row % batch)];
      drawn[row] = draw_augment_parameters(policy, picture.height, picture.width, key.seed, picture.sample, epoch,
                                           static_cast<std::uint32_t>(row / batch));
    }
  });
}

template <class P>
void augment_values(const Tensor& values, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                    const Tensor& parameters, Tensor& views) {
  const auto* arena = values.data<const P>();
  const std::int64_t rows = views.dim(0), view_floats = views.numel() / rows;
  const auto* drawn = reinterpret_cast<const AugmentParameters*>(parameters.raw_data());
  float* out = views.data<float>();
  const auto pictures = pictures_of(refs, index, policy.channels);
  for (const ImageRef& picture : pictures) {
    const std::int64_t length = std::int64_t{picture.height} * picture.width * picture.channels;
    SIMCLR_CHECK(picture.offset >= 0 && length <= values.numel() - picture.offset, "augment: sample ", picture.sample,
                 " ends at ", dtype_of<P> == DType::u8 ? "byte " : "value ", picture.offset + length,
                 " of an arena of ", values.numel());
  }
  const auto batch = static_cast<std::int64_t>(pictures.size());
  parallel_for(rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const ImageRef& picture = pictures[static_cast<std::size_t>(row % batch)];
      augment_picture(arena + picture.offset, picture, policy, drawn[row], out + row * view_floats);
    }
  });
}

void augment_on_cpu(const Tensor& pixels, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
                    const Tensor& parameters, Tensor& views) {
  dispatch_values(pixels.dtype(),
                  [&](auto zero) { augment_values<decltype(zero)>(pixels, refs, index, policy, parameters, views); });
}

void check_vector(const char* what, const Tensor& tensor, DType dtype) {
  SIMCLR_CHECK(tensor.defined() && tensor.rank() == 1 && tensor.dtype() == dtype, "augment: ", what, " must be ",
               name(dtype), " [n], got ", describe(tensor));
}

void check_draw(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy, const AugmentKey& key) {
  check(policy);
  check_vector("refs", refs, DType::u8);
  check_vector("index", index, DType::i32);
  SIMCLR_CHECK(index.device() == refs.device(), "augment: refs and index must be on one device, got ", describe(refs),
               " and ", describe(index));
  SIMCLR_CHECK(refs.numel() % static_cast<std::int64_t>(sizeof(ImageRef)) == 0, "augment: refs holds ImageRefs of ",
               sizeof(ImageRef), " bytes, got ", describe(refs));
  SIMCLR_CHECK(refs.device().type == DeviceType::cpu ||
                   reinterpret_cast<std::uintptr_t>(refs.raw_data()) % alignof(ImageRef) == 0,
               "augment: refs must start at a multiple of ", alignof(ImageRef), " bytes");
  SIMCLR_CHECK(index.numel() >= 1, "augment: index is empty, a batch has at least one picture");
  SIMCLR_CHECK(key.views >= 1, "augment: views is ", key.views, ", at least 1 is needed");
  const Tensor& epoch = key.device_epoch;
  SIMCLR_CHECK(
      !epoch.defined() || (epoch.dtype() == DType::i32 && epoch.shape() == Shape{1} && epoch.device() == refs.device()),
      "augment: device_epoch must be i32 [1] on ", refs.device(), ", got ", describe(epoch));
}

/// Arguments are checked.
Tensor draw(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy, const AugmentKey& key) {
  const auto bytes = static_cast<std::int64_t>(sizeof(AugmentParameters));
  Tensor parameters = Tensor::empty({key.views * index.numel() * bytes}, DType::u8, refs.device());
  augment_slot.on(refs.device()).draw(refs, index, policy, key, parameters);
  return parameters;
}

}  // namespace

extern const AugmentKernels augment_cpu;
const AugmentKernels augment_cpu = {augment_on_cpu, draw_on_cpu};

Tensor augment_parameters(const Tensor& refs, const Tensor& index, const AugmentPolicy& policy, const AugmentKey& key) {
  check_draw(refs, index, policy, key);
  return draw(refs, index, policy, key);
}

Tensor augment(const Tensor& pixels, const Tensor& refs, const Tensor& index, const AugmentPolicy& policy,
               const AugmentKey& key, DType dtype) {
  SIMCLR_CHECK(pixels.defined() && pixels.rank() == 1 &&
                   (pixels.dtype() == DType::u8 || pixels.dtype() == DType::u16 || pixels.dtype() == DType::f32),
               "augment: pixels must be u8, u16 or f32 [n], got ", describe(pixels));
  check_draw(refs, index, policy, key);
  SIMCLR_CHECK(refs.device() == pixels.device(), "augment: pixels, refs and index must be on one device, got ",
               describe(pixels), ", ", describe(refs), " and ", describe(index));
  SIMCLR_CHECK(dtype == DType::f32 || (dtype == DType::bf16 && pixels.device().type != DeviceType::cpu),
               "augment: views are f32, or bf16 on a GPU, not ", dtype, " on ", pixels.device());
  const Tensor parameters = draw(refs, index, policy, key);
  Tensor views =
      Tensor::empty({key.views * index.numel(), policy.size, policy.size, policy.channels}, dtype, pixels.device());
  augment_slot.on(pixels.device()).augment(pixels, refs, index, policy, parameters, views);
  return views;
}

}  // namespace simclr::kernels
