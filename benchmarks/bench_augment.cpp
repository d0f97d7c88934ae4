// Times augmentation: two views of each of some pictures in the device's memory.
#include "common.h"
#include "recipes/picture_recipes.h"

#include <cstring>

using simclr::Tensor;
namespace kernels = simclr::kernels;

namespace {

/// Pictures of one size side by side, as a data set in memory has them.
struct Pictures {
  Tensor bytes, refs, index;
};

Pictures make_pictures(std::int64_t count, std::int32_t height, std::int32_t width, simclr::Device device) {
  const std::int64_t each = std::int64_t{height} * width * 3;
  Tensor bytes = Tensor::empty({count * each}, simclr::DType::u8);
  auto* out = bytes.data<std::uint8_t>();
  const simclr::Random random(1, simclr::RandomPurpose::user);
  for (std::int64_t i = 0; i < bytes.numel(); ++i) {
    const std::int64_t period = 1'000'003;
    out[i] = i < period ? static_cast<std::uint8_t>(random.bits(static_cast<std::uint32_t>(i))) : out[i - period];
  }
  Tensor refs = Tensor::empty({count * static_cast<std::int64_t>(sizeof(kernels::ImageRef))}, simclr::DType::u8);
  std::vector<std::int32_t> index;
  for (std::int64_t i = 0; i < count; ++i) {
    const kernels::ImageRef ref{i * each, height, width, 3, static_cast<std::uint32_t>(i)};
    std::memcpy(refs.data<std::uint8_t>() + i * static_cast<std::int64_t>(sizeof ref), &ref, sizeof ref);
    index.push_back(static_cast<std::int32_t>(i));
  }
  return {bytes.to(device), refs.to(device), Tensor::from(index, {count}).to(device)};
}

void measure(bench::Bench& bench, const std::string& name, std::int64_t count, std::int32_t height, std::int32_t width,
             const kernels::AugmentPolicy& policy) {
  const Pictures pictures = make_pictures(count, height, width, bench.device);
  const std::int64_t values = 2 * count * policy.size * policy.size * policy.channels;
  const double bytes = static_cast<double>(pictures.bytes.bytes()) +
                       static_cast<double>(values) * static_cast<double>(size_of(bench.dtype));
  std::uint32_t epoch = 0;
  const auto make = [&]() -> bench::Call {
    return [source = pictures.bytes.clone(), refs = pictures.refs, index = pictures.index, &policy, dtype = bench.dtype,
            key = kernels::AugmentKey{.seed = 1, .epoch = epoch++, .views = 2},
            views = Tensor()]() mutable { views = kernels::augment(source, refs, index, policy, key, dtype); };
  };
  bench.measure(name + ", 2 x " + std::to_string(count), {.bytes = bytes}, make, [&](const bench::Times& t) {
    return bench::Json{{"views", 2 * count}, {"views_per_second", static_cast<double>(2 * count) / t.median}};
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times augmentation: two views of each picture, CIFAR's and photographs.");
  std::string preset = "reference";
  std::int64_t pictures = 4096, photographs = -1;
  bench.app.add_option("--preset", preset, "The recipe whose augmentation CIFAR's pictures get");
  bench.app.add_option("--pictures", pictures, "Pictures a call, 32x32")->check(CLI::Range(0, 1 << 20));
  bench.app.add_option("--photographs", photographs, "Photographs a call, 375x500; as it is: 512 on cuda, 32 on cpu")
      ->check(CLI::Range(0, 1 << 20));
  bench.parse(argc, argv);
  if (photographs < 0) photographs = bench.by_device(512, 32, 1);

  const PictureRecipe& r = recipe(preset);
  kernels::AugmentPolicy policy = r.augmentation;
  if (r.size > 0) policy.size = r.size;
  if (pictures > 0) measure(bench, "augment CIFAR, " + preset, pictures, 32, 32, policy);
  if (photographs > 0) {
    measure(bench, "augment photographs to 224 with blur", photographs, 375, 500,
            simclr::data::Augmentation::simclr(224));
  }
  return bench.exit_code();
}
