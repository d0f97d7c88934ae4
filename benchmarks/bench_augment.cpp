// Times augmentation: two views of each of some pictures in the device's memory.
#include "common.h"
#include "recipes/picture_recipes.h"

#include <cstring>

using simclr::Tensor;
namespace kernels = simclr::kernels;

namespace {

/// Pictures of one size side by side, as a data set in memory has them.
struct Pictures {
  Tensor values, refs, index;
};

struct Kind {
  std::int32_t height = 0, width = 0, channels = 3;
  simclr::DType dtype = simclr::DType::u8;  // or u16
};

Pictures make_pictures(std::int64_t count, const Kind& kind, simclr::Device device) {
  const std::int64_t each = std::int64_t{kind.height} * kind.width * kind.channels;
  Tensor values = Tensor::empty({count * each}, kind.dtype);
  auto* out = static_cast<std::uint8_t*>(values.raw_data());
  const simclr::Random random(1, simclr::RandomPurpose::user);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(values.bytes()); ++i) {
    const std::int64_t period = 1'000'003;
    out[i] = i < period ? static_cast<std::uint8_t>(random.bits(static_cast<std::uint32_t>(i))) : out[i - period];
  }
  Tensor refs = Tensor::empty({count * static_cast<std::int64_t>(sizeof(kernels::ImageRef))}, simclr::DType::u8);
  std::vector<std::int32_t> index;
  for (std::int64_t i = 0; i < count; ++i) {
    const kernels::ImageRef ref{i * each, kind.height, kind.width, kind.channels, static_cast<std::uint32_t>(i)};
    std::memcpy(refs.data<std::uint8_t>() + i * static_cast<std::int64_t>(sizeof ref), &ref, sizeof ref);
    index.push_back(static_cast<std::int32_t>(i));
  }
  return {values.to(device), refs.to(device), Tensor::from(index, {count}).to(device)};
}

void measure(bench::Bench& bench, const std::string& name, std::int64_t count, const Kind& kind,
             const kernels::AugmentPolicy& policy) {
  const Pictures pictures = make_pictures(count, kind, bench.device);
  const std::int64_t values = 2 * count * policy.size * policy.size * policy.channels;
  const double bytes = static_cast<double>(pictures.values.bytes()) +
                       static_cast<double>(values) * static_cast<double>(size_of(bench.dtype));
  std::uint32_t epoch = 0;
  const auto make = [&]() -> bench::Call {
    return [source = pictures.values.clone(), refs = pictures.refs, index = pictures.index, &policy,
            dtype = bench.dtype, key = kernels::AugmentKey{.seed = 1, .epoch = epoch++, .views = 2},
            views = Tensor()]() mutable { views = kernels::augment(source, refs, index, policy, key, dtype); };
  };
  bench.measure(name + ", 2 x " + std::to_string(count), {.bytes = bytes}, make, [&](const bench::Times& t) {
    return bench::Json{{"views", 2 * count}, {"views_per_second", static_cast<double>(2 * count) / t.median}};
  });
}

/// Pictures of 16 bits, and of the channels that a satellite has.
void measure_deep(bench::Bench& bench, std::int64_t count, const kernels::AugmentPolicy& small) {
  measure(bench, "augment 32 x 32 of u16", count, {32, 32, 3, simclr::DType::u16}, small);
  for (const std::int32_t channels : {4, 12}) {
    kernels::AugmentPolicy policy = simclr::data::Augmentation::simclr(64);
    policy.channels = channels;
    measure(bench, "augment 120 x 120 of u16, " + std::to_string(channels) + " channels, to 64 with blur", count,
            {120, 120, channels, simclr::DType::u16}, policy);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::Bench bench("Times augmentation: two views of each picture, CIFAR's and photographs, and others with --deep.");
  std::string preset = "reference";
  std::int64_t pictures = 4096, photographs = -1, deep = 0;
  bench.app.add_option("--preset", preset, "The recipe whose augmentation CIFAR's pictures get");
  bench.app.add_option("--pictures", pictures, "Pictures a call, 32x32")->check(CLI::Range(0, 1 << 20));
  bench.app.add_option("--photographs", photographs, "Photographs a call, 375x500; as it is: 512 on cuda, 32 on cpu")
      ->check(CLI::Range(0, 1 << 20));
  bench.app.add_option("--deep", deep, "Pictures a call of 16 bits, and of 4 and 12 channels")
      ->check(CLI::Range(0, 1 << 20));
  bench.parse(argc, argv);
  if (photographs < 0) photographs = bench.by_device(512, 32, 1);

  const PictureRecipe& r = recipe(preset);
  kernels::AugmentPolicy policy = r.augmentation;
  if (r.size > 0) policy.size = r.size;
  if (pictures > 0) measure(bench, "augment CIFAR, " + preset, pictures, {32, 32}, policy);
  if (photographs > 0) {
    measure(bench, "augment photographs to 224 with blur", photographs, {375, 500},
            simclr::data::Augmentation::simclr(224));
  }
  if (deep > 0) measure_deep(bench, deep, policy);
  return bench.exit_code();
}
