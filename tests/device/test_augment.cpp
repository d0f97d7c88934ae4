// Views made on the device against the CPU's, which the unit tests compare with torchvision and with plain loops.
#include "support/device.h"

#include <simclr/data/pictures/augmentation.h>

#include <cstring>
#include <limits>
#include <set>
#include <string>

using namespace simclr;
using namespace simclr::kernels;
using simclr::data::Augmentation;

namespace {

/// Two places in f32 each compute a pixel in some fifty roundings of 2^-24, and contract a * b + c by rules of their
/// own. Every transform is continuous in what it reads, hue and rotation too, so no pixel jumps.
constexpr double pixel_limit = 1e-5;
constexpr double bf16_limit = 1.6e-5;  // an NMSE: one rounding of 2^-8

/// Pictures behind one another, with texture and grey patches.
struct Arena {
  std::vector<ImageRef> pictures;
  Tensor bytes, refs;

  explicit Arena(const std::vector<std::array<std::int32_t, 3>>& sizes) {
    std::vector<std::uint8_t> all;
    for (const auto& [height, width, channels] : sizes) {
      const auto sample = static_cast<std::uint32_t>(pictures.size()) + 11;
      pictures.push_back({static_cast<std::int64_t>(all.size()), height, width, channels, sample});
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          for (int i = 0; i < channels; ++i) {
            const int c = (x / 4 + y / 4) % 5 == 0 && i < 3 ? 0 : i;
            all.push_back(static_cast<std::uint8_t>(37 * y * y + 101 * x + 53 * c * c + 7 * x * y * (c + 1)));
          }
        }
      }
    }
    bytes = Tensor::from(all, {static_cast<std::int64_t>(all.size())});
    pack();
  }

  void pack() {
    std::vector<std::uint8_t> packed(pictures.size() * sizeof(ImageRef));
    std::memcpy(packed.data(), pictures.data(), packed.size());
    refs = Tensor::from(packed, {static_cast<std::int64_t>(packed.size())});
  }

  Tensor views(Device device, const std::vector<std::int32_t>& index, const AugmentPolicy& policy,
               const AugmentKey& key, DType dtype = DType::f32) const {
    const Tensor list = Tensor::from(index, {static_cast<std::int64_t>(index.size())});
    return augment(bytes.to(device), refs.to(device), list.to(device), policy, key, dtype).to(Device{});
  }
  std::vector<std::int32_t> all() const {
    std::vector<std::int32_t> index;
    for (std::size_t i = 0; i < pictures.size(); ++i) index.push_back(static_cast<std::int32_t>(i));
    return index;
  }
};

double largest_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - y[i]);
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

/// Both dtypes against the CPU.
void compare(const Arena& arena, const AugmentPolicy& policy, const AugmentKey& key) {
  const Tensor expected = arena.views(Device{}, arena.all(), policy, key);
  const Tensor wide = arena.views(test::device(), arena.all(), policy, key);
  const double difference = largest_difference(wide, expected);
  CAPTURE(policy.size, policy.channels, difference);
  CHECK(difference < pixel_limit);
  const Tensor narrow = arena.views(test::device(), arena.all(), policy, key, DType::bf16);
  CHECK(narrow.dtype() == DType::bf16);
  CHECK(test::same_bits(narrow, wide.to(DType::bf16)));  // the same pixels, rounded once
  CHECK(test::nmse(narrow, expected) < bf16_limit);
}

/// Everything switched on, each often.
Augmentation all_transforms(int size, int channels) {
  Augmentation policy = Augmentation::simclr(size);
  policy.channels = channels;
  policy.interpolation = Interpolation::bilinear;
  policy.rotation_probability = 0.5f;
  policy.rotation_degrees = 30.0f;
  policy.blur_kernel = size < 5 ? 1 : 5;
  for (int c = 0; c < 3; ++c) {
    policy.mean[c] = 0.4f + 0.1f * static_cast<float>(c);
    policy.stddev[c] = 1.2f - 0.1f * static_cast<float>(c);  // about 1, so that the limit is one on pixels
  }
  return policy;
}

const std::vector<std::array<std::int32_t, 3>> odd_sizes = {{1, 1, 3},     {5, 7, 1},    {33, 31, 3}, {32, 32, 4},
                                                            {1, 40, 3},    {100, 60, 3}, {7, 5, 4},   {60, 100, 1},
                                                            {127, 129, 3}, {1003, 33, 1}};

}  // namespace

DEVICE_TEST_CASE("parameters are the CPU's to the last bit") {
  std::vector<std::array<std::int32_t, 3>> sizes;
  for (std::int32_t i = 0; i < 45; ++i) sizes.push_back({1 + i * i % 97, 1 + 7 * i % 89, 1});
  const Arena arena(sizes);
  std::vector<Augmentation> policies = {Augmentation::simclr(224), Augmentation::simclr_cifar(), all_transforms(32, 3),
                                        Augmentation::evaluation(16, 1)};
  policies[2].crop_area_min = 0.9f;  // and a crop that often falls back
  policies[2].crop_aspect_min = policies[2].crop_aspect_max = 3.0f;
  const std::vector<std::int32_t> index = arena.all();
  const Tensor list = Tensor::from(index, {45});
  for (const Augmentation& policy : policies) {
    for (const std::uint32_t epoch : {0u, 1u, 4000000000u}) {
      const AugmentKey key{.seed = 0x123456789abcdefu + epoch, .epoch = epoch, .views = 3};
      std::vector<AugmentParameters> expected;
      for (std::uint32_t view = 0; view < 3; ++view) {
        for (const ImageRef& p : arena.pictures) {
          expected.push_back(draw_augment_parameters(policy, p.height, p.width, key.seed, p.sample, epoch, view));
        }
      }
      for (const Device device : {Device{}, test::device()}) {
        const Tensor drawn = augment_parameters(arena.refs.to(device), list.to(device), policy, key).to(Device{});
        REQUIRE(drawn.bytes() == expected.size() * sizeof(AugmentParameters));
        CHECK(std::memcmp(drawn.raw_data(), expected.data(), drawn.bytes()) == 0);
      }
    }
  }
}

DEVICE_TEST_CASE("CIFAR's views agree with the CPU") {
  const Arena arena({{32, 32, 3}, {32, 32, 3}, {32, 32, 3}, {32, 32, 1}});
  Augmentation policy = Augmentation::simclr_cifar();
  compare(arena, policy, {.seed = 1, .epoch = 2, .views = 3});
  policy.channels = 1;
  compare(arena, policy, {.seed = 2});
  compare(arena, Augmentation::evaluation(32, 3), {.seed = 3, .views = 1});
}

DEVICE_TEST_CASE("views of odd sizes agree with the CPU, all transforms and channels") {
  const Arena arena(odd_sizes);
  for (const int size : {1, 8, 31, 32, 33}) {
    for (const int channels : {1, 3}) {
      Augmentation policy = all_transforms(size, channels);
      compare(arena, policy, {.seed = 5, .epoch = 7});
      policy.interpolation = Interpolation::bicubic;
      compare(arena, policy, {.seed = 6, .epoch = 7});
      policy.blur_kernel = whole_kernel;
      policy.blur_probability = 1;
      compare(arena, policy, {.seed = 7, .epoch = 7});
    }
    compare(arena, Augmentation::evaluation(size, 3), {.views = 1});
  }
}

DEVICE_TEST_CASE("batches of every size agree with the CPU") {
  for (const std::int64_t size : test::edge_sizes) {
    compare(Arena(std::vector<std::array<std::int32_t, 3>>(static_cast<std::size_t>(size), {4, 3, 3})),
            all_transforms(4, 3), {.seed = 12});
  }
}

DEVICE_TEST_CASE("every order of the colour operations agrees with the CPU") {
  const Arena arena({{9, 9, 3}});
  for (const int channels : {1, 3}) {
    Augmentation policy = Augmentation::simclr(9);
    policy.channels = channels;
    policy.jitter_probability = 1;
    policy.blur_probability = 0;
    const AugmentKey key{.seed = 4, .views = 100};
    const Tensor index = Tensor::from(std::vector<std::int32_t>{0}, {1});
    const Tensor drawn = augment_parameters(arena.refs, index, policy, key);
    const auto* parameters = reinterpret_cast<const AugmentParameters*>(drawn.raw_data());
    std::set<std::vector<std::int32_t>> orders;
    for (int i = 0; i < 100; ++i) orders.insert({parameters[i].order, parameters[i].order + 4});
    REQUIRE(orders.size() == 24);
    compare(arena, policy, key);
  }
}

DEVICE_TEST_CASE("neutral colour factors leave pixels alone") {
  const Arena arena({{12, 12, 3}});
  Augmentation policy = Augmentation::simclr_cifar();
  policy.brightness = policy.contrast = policy.saturation = policy.hue = 0;
  policy.size = 12;
  compare(arena, policy, {.views = 8});
}

DEVICE_TEST_CASE("large views agree with the CPU, in shared and in global memory") {
  const Arena arena({{50, 70, 3}, {150, 90, 1}, {40, 30, 4}});
  for (const auto& [size, channels] : {std::pair{48, 3}, {120, 3}, {127, 1}, {129, 3}, {150, 1}}) {
    Augmentation policy = all_transforms(size, channels);
    policy.blur_kernel = 0;
    compare(arena, policy, {.seed = 9, .views = 3});  // more views than blocks
    policy.blur_kernel = whole_kernel;
    compare(arena, policy, {.seed = 9, .views = 1});
    policy.rotation_probability = policy.blur_probability = 0;  // one set of planes
    policy.interpolation = Interpolation::bicubic;
    compare(arena, policy, {.seed = 10, .views = 1});
  }
}

DEVICE_TEST_CASE("an epoch in memory takes the place of the key's") {
  const Arena arena({{10, 12, 3}, {8, 8, 3}});
  const Augmentation policy = all_transforms(8, 3);
  for (const Device device : {Device{}, test::device()}) {
    Tensor epoch = Tensor::full({1}, 6, DType::i32, device);
    const AugmentKey key{.seed = 3, .epoch = 99, .device_epoch = epoch};
    const auto views = [&](const AugmentKey& k) { return arena.views(device, {0, 1}, policy, k); };
    CHECK(test::same_bits(views(key), views({.seed = 3, .epoch = 6})));
    epoch.fill(7);
    CHECK(test::same_bits(views(key), views({.seed = 3, .epoch = 7})));
    CHECK_FALSE(test::same_bits(views(key), views({.seed = 3, .epoch = 6})));
  }
}

DEVICE_TEST_CASE("a batch's composition changes no view") {
  const Arena arena({{10, 12, 3}, {8, 8, 3}, {40, 20, 1}});
  for (const int size : {9, 36}) {  // 36: blocks make several views each
    const Augmentation policy = all_transforms(size, 3);
    const Tensor all = arena.views(test::device(), {0, 1, 2}, policy, {.seed = 1, .views = 4});
    const Tensor mixed = arena.views(test::device(), {2, 0, 2}, policy, {.seed = 1, .views = 2});
    CHECK(test::same_bits(mixed.narrow(0, 1), all.narrow(2, 1)));
    CHECK(test::same_bits(mixed.narrow(1, 1), all.narrow(0, 1)));
    CHECK(test::same_bits(mixed.narrow(5, 1), all.narrow(5, 1)));
  }
}

DEVICE_TEST_CASE("what is no picture gives a view of NaN, and its neighbours are right") {
  const Arena good({{8, 8, 3}, {6, 9, 3}});
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  Arena arena = good;
  const std::int64_t end = good.bytes.numel();
  const std::vector<ImageRef> wrong = {{0, 0, 8, 3, 1},        {0, 8, -1, 3, 1},
                                       {0, 8, 8, 2, 1},        {0, 8, 8, 0, 1},
                                       {-1, 4, 4, 3, 1},       {end, 1, 1, 1, 1},
                                       {end - 11, 2, 2, 3, 1}, {0, most, most, 4, 1},
                                       {end + 1, 1, 1, 1, 1},  {std::numeric_limits<std::int64_t>::max(), 4, 4, 3, 1}};
  arena.pictures.insert(arena.pictures.end(), wrong.begin(), wrong.end());
  arena.pack();
  std::vector<std::int32_t> index = {0};
  for (std::int32_t i = 2; i < 12; ++i) index.push_back(i);
  index.insert(index.end(), {12, -1, most, std::numeric_limits<std::int32_t>::min(), 1});
  for (const int size : {8, 33}) {
    for (const DType dtype : test::device_dtypes) {
      const Augmentation policy = all_transforms(size, 3);
      const Tensor views = arena.views(test::device(), index, policy, {.seed = 8}, dtype);
      const Tensor expected = good.views(test::device(), {0, 1}, policy, {.seed = 8}, dtype);
      const auto batch = static_cast<std::int64_t>(index.size());
      for (std::int64_t row = 0; row < 2 * batch; ++row) {
        CAPTURE(size, dtype, row);
        const Tensor view = views.narrow(row, 1);
        const std::int64_t i = row % batch;
        if (i == 0 || i == batch - 1) {
          CHECK(test::same_bits(view, expected.narrow(row / batch * 2 + (i == 0 ? 0 : 1), 1)));
        } else {
          const auto values = view.to_vector<float>();
          CHECK(std::all_of(values.begin(), values.end(), [](float v) { return std::isnan(v); }));
        }
      }
    }
  }
}

DEVICE_TEST_CASE("augmentation on a device refuses what does not fit") {
  const Arena arena({{8, 8, 3}});
  const Device device = test::device();
  const Augmentation policy = Augmentation::evaluation(8, 3);
  const Tensor index = Tensor::zeros({1}, DType::i32, device), bytes = arena.bytes.to(device);
  const Tensor refs = arena.refs.to(device);
  CHECK_THROWS_WITH(augment(bytes, refs, index, policy, {}, DType::f64), Catch::Contains("views are f32, or bf16"));
  CHECK_THROWS_WITH(augment(arena.bytes, refs, index, policy, {}), Catch::Contains("must be on one device"));
  CHECK_THROWS_WITH(augment(bytes, refs, index, policy, {.device_epoch = Tensor::zeros({1}, DType::i32)}),
                    Catch::Contains("device_epoch must be i32 [1] on"));
  Tensor wide = Tensor::zeros({32}, DType::u8, device);
  CHECK_THROWS_WITH(augment_parameters(wide.narrow(1, 24), index, policy, {}), Catch::Contains("multiple of 8 bytes"));
}
