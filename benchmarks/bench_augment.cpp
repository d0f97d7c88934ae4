// Times augmentation alone, CIFAR pictures to SimCLR views, and prints one JSON line.
#include "common.h"
#include "common/recipes.h"

#include <simclr/simclr.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

using simclr::Tensor;
namespace kernels = simclr::kernels;

int main(int argc, char** argv) {
  std::string preset = "quick";
  std::int64_t pictures = 4096;
  int rounds = 7, threads = simclr::threads();
  CLI::App app("Times augmentation: two views of each of some CIFAR-sized pictures.");
  app.option_defaults()->always_capture_default();
  app.add_option("--preset", preset, "The recipe whose augmentation is used");
  app.add_option("--pictures", pictures, "Pictures a call, 32x32, each giving two views")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--rounds", rounds, "Measured rounds, after one to warm up")->check(CLI::Range(1, 1000));
  app.add_option("--threads", threads, "Compute threads");
  CLI11_PARSE(app, argc, argv);
  simclr::set_threads(threads);

  constexpr std::int32_t side = 32, channels = 3;
  constexpr std::int64_t picture_bytes = std::int64_t{side} * side * channels;
  Tensor bytes = Tensor::empty({pictures * picture_bytes}, simclr::DType::u8);
  const simclr::Random random(1, simclr::RandomPurpose::user);
  for (std::int64_t i = 0; i < bytes.numel() / 4; ++i) {
    const std::uint32_t word = random.bits(static_cast<std::uint32_t>(i));
    std::memcpy(bytes.data<std::uint8_t>() + 4 * i, &word, 4);
  }
  std::vector<kernels::ImageRef> refs;
  std::vector<std::int32_t> index;
  for (std::int64_t i = 0; i < pictures; ++i) {
    refs.push_back({i * picture_bytes, side, side, channels, static_cast<std::uint32_t>(i)});
    index.push_back(static_cast<std::int32_t>(i));
  }
  const auto ref_bytes = static_cast<std::int64_t>(refs.size() * sizeof(kernels::ImageRef));
  const Tensor ref_tensor = Tensor::wrap(refs.data(), {ref_bytes}, simclr::DType::u8);
  const Tensor index_tensor = Tensor::from(index, {pictures});
  const Recipe& r = recipe(preset);
  kernels::AugmentPolicy policy = r.augmentation;
  if (r.size > 0) policy.size = r.size;

  std::uint32_t epoch = 0;
  const auto augment = [&] {
    kernels::augment(bytes, ref_tensor, index_tensor, policy, {.seed = 1, .epoch = epoch++, .views = 2});
  };
  augment();
  std::vector<double> samples;
  for (int i = 0; i < rounds; ++i) samples.push_back(bench::seconds(augment));
  const bench::Times t = bench::summarize(samples);
  const nlohmann::ordered_json line = {
      {"case", "augment"},     {"preset", preset},
      {"views", 2 * pictures}, {"threads", simclr::threads()},
      {"seconds", t.median},   {"least", t.least},
      {"most", t.most},        {"views_per_second", static_cast<double>(2 * pictures) / t.median}};
  std::printf("%s\n", line.dump().c_str());
}
