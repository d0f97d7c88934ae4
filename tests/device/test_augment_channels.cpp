// Views of pictures of u16 and f32, and of other channels than grey and RGB, against the CPU's.
#include "support/augment_pictures.h"
#include "support/device.h"

#include <simclr/data/pictures/augmentation.h>

#include <algorithm>
#include <array>
#include <cstring>

using namespace simclr;
using namespace simclr::kernels;
using simclr::data::Augmentation;

namespace {

constexpr double pixel_limit = 1e-5;

/// Pictures of one type behind one another.
template <class P>
struct Arena {
  std::vector<ImageRef> pictures;
  Tensor values, refs;

  explicit Arena(const std::vector<std::array<std::int32_t, 3>>& sizes) {
    std::vector<P> all;
    for (const auto& [height, width, channels] : sizes) {
      const auto sample = static_cast<std::uint32_t>(pictures.size()) + 11;
      pictures.push_back({std::ssize(all), height, width, channels, sample});
      const auto one = test::make_values<P>(pictures.back());
      all.insert(all.end(), one.begin(), one.end());
    }
    std::vector<std::uint8_t> packed(pictures.size() * sizeof(ImageRef));
    std::memcpy(packed.data(), pictures.data(), packed.size());
    values = Tensor::from(all, {std::ssize(all)});
    refs = Tensor::from(packed, {std::ssize(packed)});
  }

  Tensor views(Device device, const AugmentPolicy& policy, const AugmentKey& key, DType dtype = DType::f32) const {
    std::vector<std::int32_t> index;
    for (std::size_t i = 0; i < pictures.size(); ++i) index.push_back(static_cast<std::int32_t>(i));
    const Tensor list = Tensor::from(index, {std::ssize(index)});
    return augment(values.to(device), refs.to(device), list.to(device), policy, key, dtype).to(Device{});
  }
};

template <class P>
void compare(const Arena<P>& arena, const AugmentPolicy& policy, const AugmentKey& key) {
  const Tensor expected = arena.views(Device{}, policy, key), wide = arena.views(test::device(), policy, key);
  REQUIRE(wide.shape() == expected.shape());
  const auto x = wide.template to_vector<double>(), y = expected.template to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::isnan(x[i]) ? 9 : std::abs(x[i] - y[i]));
  CAPTURE(policy.size, policy.channels, name(dtype_of<P>), worst);
  CHECK(worst < pixel_limit);
  CHECK(test::same_bits(arena.views(test::device(), policy, key, DType::bf16), wide.to(DType::bf16)));
}

Augmentation all_transforms(int size, int channels) {
  Augmentation policy = Augmentation::simclr(size);
  policy.channels = channels;
  policy.interpolation = Interpolation::bilinear;
  policy.rotation_probability = 0.5f;
  policy.rotation_degrees = 30.0f;
  policy.blur_kernel = size < 5 ? 1 : 5;
  for (int c = 0; c < most_channels; ++c) {
    policy.mean[c] = 0.02f * static_cast<float>(c);
    policy.stddev[c] = 1.2f - 0.02f * static_cast<float>(c);
  }
  return policy;
}

/// Small views stay in registers; large ones lie in shared memory, and the largest in global memory.
constexpr int sizes[] = {1, 9, 32, 33, 48, 150};

template <class P>
void check_colour() {
  const Arena<P> arena({{33, 31, 3}, {32, 32, 4}, {1, 40, 1}, {100, 60, 3}});
  for (const int size : sizes) {
    for (const int channels : {1, 3}) {
      Augmentation policy = all_transforms(size, channels);
      compare(arena, policy, {.seed = 5, .epoch = 7});
      policy.interpolation = Interpolation::bicubic;
      compare(arena, policy, {.seed = 6, .views = 1});
    }
  }
}

template <class P>
void check_channels(int channels, const std::vector<int>& view_sizes) {
  CAPTURE(channels);
  const Arena<P> arena({{33, 31, channels}, {1, 40, channels}, {64, 50, channels}});
  for (const int size : view_sizes) {
    Augmentation policy = all_transforms(size, channels);
    policy.jitter_probability = 1;
    compare(arena, policy, {.seed = 5, .epoch = 7});
    policy.blur_probability = 0;
    policy.interpolation = Interpolation::bicubic;
    compare(arena, policy, {.seed = 6, .views = 1});
  }
}

}  // namespace

DEVICE_TEST_CASE("grey and colour views of u16 agree with the CPU") {
  check_colour<std::uint16_t>();
}

DEVICE_TEST_CASE("grey and colour views of f32 agree with the CPU") {
  check_colour<float>();
}

DEVICE_TEST_CASE("views of many channels agree with the CPU") {
  check_channels<std::uint8_t>(4, {9, 33});
  check_channels<std::uint16_t>(5, {1, 9, 32, 33, 48});
  check_channels<std::uint16_t>(2, {9, 33});
  check_channels<std::uint16_t>(16, {9, 33});
  check_channels<float>(5, {9, 33});
}

DEVICE_TEST_CASE("large views of many channels agree with the CPU") {
  const Arena<std::uint16_t> arena({{50, 70, 2}, {150, 90, 2}});
  compare(arena, all_transforms(150, 2), {.seed = 9, .views = 3});
}

DEVICE_TEST_CASE("a picture of other channels than the view's gives NaN, in all of its channels") {
  Arena<std::uint16_t> arena({{8, 8, 5}, {8, 8, 3}, {8, 8, 5}});
  for (const int size : {8, 33}) {
    const Augmentation policy = all_transforms(size, 5);
    const Arena<std::uint16_t> good({{8, 8, 5}});
    // Into zeros: memory of an emulated device is NaN from the start.
    const Device device = test::device();
    const Tensor index = Tensor::from(std::vector<std::int32_t>{0, 1, 2}, {3}).to(device);
    const Tensor refs = arena.refs.to(device);
    Tensor views = Tensor::zeros({3, size, size, 5}, DType::f32, device);
    augment_slot.on(device).augment(arena.values.to(device), refs, index, policy,
                                    augment_parameters(refs, index, policy, {.seed = 8, .views = 1}), views);
    views = views.to(Device{});
    const auto wrong = views.narrow(1, 1).to_vector<float>();
    CHECK(std::all_of(wrong.begin(), wrong.end(), [](float v) { return std::isnan(v); }));
    CHECK(test::same_bits(views.narrow(0, 1), good.views(device, policy, {.seed = 8, .views = 1})));
  }
}
