// Augmentation of pictures of more than 8 bits and of other channels than grey and RGB: against the same pictures as
// bytes, against each channel alone as a grey picture, and against plain arithmetic.
#include "support/augment_pictures.h"
#include "support/tensors.h"

#include <simclr/data/pictures/augmentation.h>

#include <cmath>
#include <cstring>

using namespace simclr;
using namespace simclr::kernels;
using namespace simclr::test;
using simclr::data::Augmentation;

namespace {

/// Everything switched on.
Augmentation all_transforms(int size, int channels) {
  Augmentation policy = Augmentation::simclr(size);
  policy.channels = channels;
  policy.rotation_probability = policy.blur_probability = 0.5f;
  policy.rotation_degrees = 30.0f;
  policy.blur_kernel = 5;
  return policy;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  return worst;
}

/// Of white: what separates the same picture in two types, through all transforms. Hue turns rounding into more.
constexpr double type_limit = 2e-5;

}  // namespace

TEST_CASE("the same picture as u8, u16 and f32 gives the same views") {
  for (const int channels : {1, 3, 4, 7}) {
    const ImageRef picture = image(21, 34, channels);
    const Pixels bytes = make_picture(picture);
    std::vector<std::uint16_t> words;
    std::vector<float> floats;
    for (const std::uint8_t byte : bytes) {
      words.push_back(static_cast<std::uint16_t>(257 * byte));
      floats.push_back(static_cast<float>(byte) / 255.0f);
    }
    for (const int view_channels : {1, 3, 4, 7}) {
      if (view_channels > 3 ? channels != view_channels : channels == 7) continue;
      const Augmentation policy = all_transforms(16, view_channels);
      for (std::uint32_t view = 0; view < 6; ++view) {
        CAPTURE(channels, view_channels, view);
        const auto p = draw_augment_parameters(policy, 21, 34, 1, 2, 3, view);
        const auto expected = make_view(bytes, picture, policy, p);
        CHECK(largest_difference(make_view(words, picture, policy, p), expected) < type_limit);
        CHECK(largest_difference(make_view(floats, picture, policy, p), expected) < type_limit);
      }
    }
  }
}

TEST_CASE("16 bits stay 16 bits") {
  const ImageRef picture = image(16, 16, 1);
  std::vector<std::uint16_t> values;
  for (int i = 0; i < 256; ++i) values.push_back(static_cast<std::uint16_t>(30000 + i));  // one byte's upper half
  const auto view = make_view(values, picture, Augmentation::evaluation(16, 1), whole(picture));
  for (std::size_t i = 0; i < view.size(); ++i) CHECK(view[i] == Approx(values[i] / 65535.0).margin(1e-7));
}

TEST_CASE("f32 is taken as it is, and clipped to what a view can show") {
  const ImageRef picture = image(1, 4, 1);
  const std::vector<float> values = {-3.0f, 0.25f, 1e30f, 1.0f};
  AugmentPolicy policy{.size = 1, .channels = 1};
  AugmentParameters p;
  p.crop_height = p.crop_width = 1;
  for (const std::int32_t x : {0, 1, 2, 3}) {
    p.crop_left = x;
    CHECK(make_view(values, picture, policy, p)[0] == std::vector<float>{0.0f, 0.25f, 1.0f, 1.0f}[x]);
  }
}

TEST_CASE("each channel of a view of many is the grey view of that channel") {
  for (const int channels : {2, 4, 5, 16}) {
    const ImageRef picture = image(19, 23, channels, 3), grey = image(19, 23, 1, 3);
    const auto values = make_values<std::uint16_t>(picture);
    Augmentation policy = all_transforms(12, channels);
    Augmentation alone = all_transforms(12, 1);
    for (int c = 0; c < channels; ++c) {
      policy.mean[c] = 0.1f * static_cast<float>(c);
      policy.stddev[c] = 1.0f + 0.1f * static_cast<float>(c);
    }
    for (std::uint32_t view = 0; view < 8; ++view) {
      const auto p = draw_augment_parameters(policy, 19, 23, 5, 3, 1, view);
      const auto together = make_view(values, picture, policy, p);
      for (int c = 0; c < channels; ++c) {
        std::vector<std::uint16_t> plane;
        for (std::size_t i = static_cast<std::size_t>(c); i < values.size(); i += static_cast<std::size_t>(channels)) {
          plane.push_back(values[i]);
        }
        alone.mean[0] = policy.mean[c];
        alone.stddev[0] = policy.stddev[c];
        const auto expected = make_view(plane, grey, alone, p);
        double worst = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          const double got = together[i * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)];
          worst = std::max(worst, std::abs(got - double{expected[i]}));
        }
        CAPTURE(channels, c, view);
        CHECK(worst < 1e-6);
      }
    }
  }
}

TEST_CASE("brightness and contrast change all channels, colour operations none but RGB's") {
  const ImageRef picture = image(6, 6, 4);
  const auto values = make_values<float>(picture);
  const AugmentPolicy policy{.size = 6, .channels = 4};
  AugmentParameters p = whole(picture);
  const auto plain = make_view(values, picture, policy, p);
  CHECK(largest_difference(plain, values) < 1e-6);  // the fourth is no alpha

  p.jitter = p.grayscale = 1;
  p.saturation = 1.9f;
  p.hue = 0.3f;
  CHECK(make_view(values, picture, policy, p) == plain);

  p.brightness = 0.5f;
  const auto dark = make_view(values, picture, policy, p);
  for (std::size_t i = 0; i < dark.size(); ++i) CHECK(dark[i] == Approx(0.5f * values[i]).margin(1e-6));

  p.brightness = 1.0f;
  p.contrast = 0.25f;
  const auto flat = make_view(values, picture, policy, p);
  for (std::size_t c = 0; c < 4; ++c) {
    double mean = 0;
    for (std::size_t i = c; i < values.size(); i += 4) mean += double{values[i]} / 36;
    for (std::size_t i = c; i < values.size(); i += 4) {
      CHECK(flat[i] == Approx(0.25 * double{values[i]} + 0.75 * mean).margin(2e-6));
    }
  }
}

TEST_CASE("pictures whose channels do not fit a view are named") {
  std::vector<float> out(8 * 8 * 16);
  const std::vector<std::uint16_t> values(8 * 8 * 16);
  const auto refused = [&](int channels, int view_channels, const std::string& message) {
    const ImageRef picture = image(8, 8, channels, 7);
    const AugmentPolicy policy{.size = 8, .channels = view_channels};
    CHECK_THROWS_WITH(augment_picture(values.data(), picture, policy, whole(picture), out.data()),
                      Catch::Contains(message));
  };
  refused(2, 3,
          "sample 7 is 8 x 8 pixels with 2 channels; for views of 3 a picture has at least one pixel and 1, 3 or");
  refused(5, 1, "with 5 channels; for views of 1");
  refused(3, 5, "with 3 channels; for views of 5 a picture has at least one pixel and 5 channels");
  refused(1, 2, "with 1 channels; for views of 2");
}

TEST_CASE("an arena of u16 gives the views of its pictures") {
  const ImageRef first = image(9, 11, 5, 1), second = image(12, 10, 5, 2);
  auto values = make_values<std::uint16_t>(first);
  std::vector<ImageRef> refs = {first, second};
  refs[1].offset = std::ssize(values);  // in values, not in bytes
  const auto more = make_values<std::uint16_t>(second);
  values.insert(values.end(), more.begin(), more.end());
  std::vector<std::uint8_t> packed(2 * sizeof(ImageRef));
  std::memcpy(packed.data(), refs.data(), packed.size());
  const Augmentation policy = all_transforms(8, 5);
  const Tensor arena = Tensor::from(values, {std::ssize(values)}), table = Tensor::from(packed, {std::ssize(packed)});
  const Tensor index = Tensor::from(std::vector<std::int32_t>{1, 0}, {2});
  const Tensor views = augment(arena, table, index, policy, {.seed = 3, .views = 1});
  const auto expected = make_view(more, second, policy, draw_augment_parameters(policy, 12, 10, 3, 2, 0, 0));
  CHECK(views.narrow(0, 1).to_vector<float>() == expected);
  CHECK_THROWS_WITH(augment(arena.narrow(0, arena.numel() - 1), table, index, policy, {}),
                    Catch::Contains("sample 2 ends at value"));
}
