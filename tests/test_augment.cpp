// The pixels of augmentation: against a resize and a blur written as plain loops, and what must not change them.
// tests/test_augment_peers.cpp compares them with torchvision's and Pillow's.
#include "support/augment_pictures.h"
#include "support/tensors.h"

#include <simclr/core/parallel.h>
#include <simclr/data/pictures/augmentation.h>

#include <cstring>
#include <string>

using namespace simclr;
using namespace simclr::kernels;
using namespace simclr::test;
using simclr::data::Augmentation;

namespace {

/// A random crop, flipped or not, resized by two plain loops over the crop in double. [S,S,C]
std::vector<double> reference_resize(const Pixels& pixels, const ImageRef& picture, std::int32_t size, bool bicubic,
                                     const AugmentParameters& p) {
  const auto weights = [&](int n, int i) {
    const double scale = double(n) / size, stretch = std::max(scale, 1.0), center = scale * (i + 0.5);
    std::vector<double> w(static_cast<std::size_t>(n));
    double total = 0;
    for (int k = 0; k < n; ++k) {
      const double x = std::abs(k + 0.5 - center) / stretch;
      const double near = 1.5 * x * x * x - 2.5 * x * x + 1, far = -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2;
      w[k] = bicubic ? (x < 1 ? near : x < 2 ? far : 0) : std::max(0.0, 1 - x);
      total += w[k];
    }
    for (double& value : w) value /= total;
    return w;
  };
  std::vector<double> out;
  for (int y = 0; y < size; ++y) {
    const auto rows = weights(p.crop_height, y);
    for (int x = 0; x < size; ++x) {
      const auto columns = weights(p.crop_width, p.flip ? size - 1 - x : x);
      for (int c = 0; c < picture.channels; ++c) {
        double sum = 0;
        for (int i = 0; i < p.crop_height; ++i) {
          for (int j = 0; rows[i] != 0 && j < p.crop_width; ++j) {
            sum += rows[i] * columns[j] *
                   pixels[((p.crop_top + i) * picture.width + p.crop_left + j) * picture.channels + c] / 255.0;
          }
        }
        out.push_back(std::clamp(sum, 0.0, 1.0));
      }
    }
  }
  return out;
}

/// Pictures of several sizes and channels behind one another, as `augment` takes them.
struct Arena {
  std::vector<ImageRef> pictures;
  Tensor bytes, refs;

  explicit Arena(std::vector<ImageRef> images) : pictures(std::move(images)) {
    Pixels all;
    for (ImageRef& p : pictures) {
      p.offset = static_cast<std::int64_t>(all.size());
      const Pixels pixels = make_picture(p);
      all.insert(all.end(), pixels.begin(), pixels.end());
    }
    Pixels packed(pictures.size() * sizeof(ImageRef));
    std::memcpy(packed.data(), pictures.data(), packed.size());
    bytes = Tensor::from(all, {static_cast<std::int64_t>(all.size())});
    refs = Tensor::from(packed, {static_cast<std::int64_t>(packed.size())});
  }

  Tensor views(const std::vector<std::int32_t>& index, const AugmentPolicy& policy, const AugmentKey& key) const {
    return augment(bytes, refs, Tensor::from(index, {static_cast<std::int64_t>(index.size())}), policy, key);
  }
};

/// Everything switched on.
Augmentation all_transforms(int size) {
  Augmentation policy = Augmentation::simclr(size);
  policy.rotation_probability = 0.5f;
  policy.rotation_degrees = 30.0f;
  policy.blur_kernel = size < 5 ? 1 : 5;
  return policy;
}

}  // namespace

TEST_CASE("the whole kernel is the bell, and repeats edges") {
  for (const int size : {1, 2, 3, 7, 16, 32}) {
    for (const float sigma : {0.1f, 0.7f, 2.0f}) {
      CAPTURE(size, sigma);
      const ImageRef picture = image(size, size, 3);
      const Pixels pixels = make_picture(picture);
      AugmentPolicy policy;
      policy.size = size;
      policy.blur_kernel = whole_kernel;
      AugmentParameters p = whole(picture);
      p.blur = 1;
      p.sigma = sigma;
      const auto view = make_view(pixels, picture, policy, p);
      const int radius = std::min(size / 2, static_cast<int>(std::ceil(6 * double{sigma})));
      double sum = 0, largest = 0;
      for (int d = -radius; d <= radius; ++d) sum += std::exp(-0.5 * d * d / (double{sigma} * sigma));
      for (int y = 0; y < size; ++y) {
        for (int x = 0; x < size; ++x) {
          for (int k = 0; k < 3; ++k) {
            double wanted = 0;
            for (int i = -radius; i <= radius; ++i) {
              for (int j = -radius; j <= radius; ++j) {
                const int row = std::clamp(y + i, 0, size - 1), column = std::clamp(x + j, 0, size - 1);
                wanted += std::exp(-0.5 * (i * i + j * j) / (double{sigma} * sigma)) / (sum * sum) *
                          pixels[static_cast<std::size_t>((row * size + column) * 3 + k)] / 255.0;
              }
            }
            largest = std::max(largest, std::abs(wanted - view[static_cast<std::size_t>((y * size + x) * 3 + k)]));
          }
        }
      }
      CHECK(largest < 1e-6);
    }
  }
}

TEST_CASE("resizing agrees with plain loops for odd sizes") {
  const std::pair<int, int> sources[] = {{1, 1}, {1, 100}, {31, 33}, {32, 32}, {127, 2}, {129, 127}};
  std::uint32_t sample = 0;
  for (const auto& [height, width] : sources) {
    for (const std::int32_t size : {1, 31, 33, 127}) {
      for (const int channels : {1, 3}) {
        const ImageRef picture = image(height, width, channels, ++sample);
        const Pixels pixels = make_picture(picture);
        AugmentPolicy policy{.size = size, .channels = channels};
        policy.interpolation = sample % 3 == 0 ? Interpolation::bicubic : Interpolation::bilinear;
        AugmentParameters p;
        const AugmentParameters drawn = draw_augment_parameters(policy, height, width, 1, sample, 0, 0);
        p.crop_top = drawn.crop_top;
        p.crop_left = drawn.crop_left;
        p.crop_height = drawn.crop_height;
        p.crop_width = drawn.crop_width;
        p.flip = drawn.flip;
        const auto view = make_view(pixels, picture, policy, p);
        const auto expected = reference_resize(pixels, picture, size, sample % 3 == 0, p);
        double worst = 0;
        for (std::size_t i = 0; i < view.size(); ++i) worst = std::max(worst, std::abs(view[i] - expected[i]));
        INFO(height << " x " << width << " x " << channels << " to " << size);
        // The centre of a tap, up to 129 in f32, is exact to 4e-6 or better; a weight changes by as much.
        CHECK(worst < 1e-5);
      }
    }
  }
}

TEST_CASE("views of any source and size stay in [0,1]") {
  const std::pair<int, int> sources[] = {{1, 1}, {1, 1000}, {31, 33}, {127, 129}};
  for (const auto& [height, width] : sources) {
    for (const std::int32_t size : {1, 31, 33, 127, 129}) {
      for (const int channels : {1, 3, 4}) {
        const ImageRef picture = image(height, width, channels);
        const Pixels pixels = make_picture(picture);
        Augmentation policy = all_transforms(size);
        for (std::uint32_t view = 0; view < 4; ++view) {
          policy.channels = view % 2 == 0 ? 3 : 1;
          const auto p = draw_augment_parameters(policy, height, width, 5, 6, 7, view);
          const auto values = make_view(pixels, picture, policy, p);
          INFO(height << " x " << width << " x " << channels << " to " << size << " x " << policy.channels);
          // Blur and rotation sum rounded weights: 1 plus a few units in the last place.
          CHECK(std::all_of(values.begin(), values.end(), [](float v) { return v >= 0.0f && v <= 1.000001f; }));
        }
      }
    }
  }
}

TEST_CASE("evaluation's view of a picture of its size is the picture") {
  const ImageRef picture = image(32, 32, 3);
  const Pixels pixels = make_picture(picture);
  Augmentation policy = Augmentation::simclr_cifar();
  policy.mean[1] = 0.5f;
  policy.stddev[2] = 0.25f;
  policy = policy.evaluation();
  const auto view = make_view(pixels, picture, policy, draw_augment_parameters(policy, 32, 32, 1, 2, 3, 4));
  double worst = 0;
  for (std::size_t i = 0; i < view.size(); ++i) {
    const std::size_t c = i % 3;
    worst = std::max(worst, std::abs(view[i] - (pixels[i] / 255.0 - policy.mean[c]) / policy.stddev[c]));
  }
  CHECK(worst < 1e-6);  // f32, divided by 0.25

  // Of another shape, the largest centred square, the same every time.
  const Augmentation square = Augmentation::evaluation(16, 1);
  const auto p = draw_augment_parameters(square, 31, 64, 9, 9, 9, 9);
  CHECK(p.crop_height == 31);
  CHECK(p.crop_width == 31);
  CHECK(p.crop_top == 0);
  CHECK(p.crop_left == 16);
  CHECK(p.flip + p.rotate + p.jitter + p.grayscale + p.blur == 0);
}

TEST_CASE("channels mean what the contract says") {
  const ImageRef grey_ref = image(9, 9, 1), rgb_ref = image(9, 9, 3), rgba_ref = image(9, 9, 4);
  const Pixels grey_picture = make_picture(grey_ref);
  const AugmentPolicy colour{.size = 9, .channels = 3}, mono{.size = 9, .channels = 1};
  AugmentParameters p = whole(grey_ref);

  // Grey in a colour view: three equal channels, whatever saturation, hue and grayscale do.
  const auto plain = make_view(grey_picture, grey_ref, colour, p);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(plain[i] == Approx(grey_picture[i / 3] / 255.0).margin(1e-6));

  // A grey view: saturation, hue and grayscale leave it alone, brightness does not.
  const auto before = make_view(grey_picture, grey_ref, mono, p);
  p.jitter = p.grayscale = 1;
  p.saturation = 1.75f;
  p.hue = 0.25f;
  CHECK(make_view(grey_picture, grey_ref, mono, p) == before);
  p.brightness = 0.5f;
  const auto dark = make_view(grey_picture, grey_ref, mono, p);
  for (std::size_t i = 0; i < dark.size(); ++i) CHECK(dark[i] == Approx(0.5f * before[i]).margin(1e-6));

  // White stays white in a grey view; alpha 0 is white, alpha 255 the colour itself.
  p = whole(rgb_ref);
  const auto white = make_view(Pixels(9 * 9 * 3, 255), rgb_ref, mono, p);
  for (const float v : white) CHECK(v == Approx(1.0f).margin(1e-6));
  Pixels clear(9 * 9 * 4, 0);
  for (const float v : make_view(clear, rgba_ref, colour, p)) CHECK(v == Approx(1.0f).margin(1e-6));
  for (std::size_t i = 3; i < clear.size(); i += 4) clear[i] = 255;
  for (const float v : make_view(clear, rgba_ref, colour, p)) CHECK(v == Approx(0.0f).margin(1e-6));
}

TEST_CASE("a view depends on seed, sample, epoch and view, and on nothing else") {
  const Arena arena({image(32, 32, 3, 11), image(40, 56, 3, 12), image(9, 100, 1, 13), image(33, 20, 4, 14)});
  const Augmentation policy = all_transforms(24);
  const AugmentKey key{.seed = 77, .epoch = 3, .views = 2};
  const Tensor batch = arena.views({0, 1, 2, 3}, policy, key);
  REQUIRE(batch.shape() == Shape({8, 24, 24, 3}));

  const auto same_row = [](const Tensor& a, std::int64_t i, const Tensor& b, std::int64_t j) {
    return test::same_bits(a.narrow(i, 1), b.narrow(j, 1));
  };
  // The batch's composition and order, and which views are asked for.
  const Tensor mixed = arena.views({3, 1, 1}, policy, {.seed = 77, .epoch = 3, .views = 3});
  CHECK(same_row(mixed, 0, batch, 3));
  CHECK(same_row(mixed, 1, batch, 1));
  CHECK(same_row(mixed, 2, batch, 1));
  CHECK(same_row(mixed, 3, batch, 7));
  CHECK(same_row(mixed, 4, batch, 5));
  // The thread count.
  const int before = threads();
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    CHECK(test::same_bits(arena.views({0, 1, 2, 3}, policy, key), batch));
  }
  set_threads(before);
  // One picture at a time, as the loader's workers do it.
  for (std::uint32_t row = 0; row < 8; ++row) {
    const ImageRef& picture = arena.pictures[row % 4];
    const auto p = draw_augment_parameters(policy, picture.height, picture.width, 77, picture.sample, 3, row / 4);
    Tensor single = Tensor::empty({1, 24, 24, 3});
    augment_picture(arena.bytes.data<std::uint8_t>() + picture.offset, picture, policy, p, single.data<float>());
    CHECK(same_row(single, 0, batch, row));
  }
  // Another view, epoch, seed or sample is another picture.
  CHECK_FALSE(same_row(batch, 0, batch, 4));
  CHECK_FALSE(same_row(arena.views({0}, policy, {.seed = 77, .epoch = 4}), 0, batch, 0));
  CHECK_FALSE(same_row(arena.views({0}, policy, {.seed = 78, .epoch = 3}), 0, batch, 0));
  const Arena other({image(32, 32, 3, 15)});
  CHECK_FALSE(same_row(other.views({0}, policy, key), 0, batch, 0));
}

TEST_CASE("the drawn parameters are those of the views, and an epoch may stand in memory") {
  const Arena arena({image(32, 32, 3, 11), image(9, 100, 1, 13)});
  const Augmentation policy = all_transforms(8);
  const Tensor index = Tensor::from(std::vector<std::int32_t>{1, 0}, {2});
  const AugmentKey key{.seed = 5, .epoch = 6, .views = 2};
  const Tensor drawn = augment_parameters(arena.refs, index, policy, key), views = arena.views({1, 0}, policy, key);
  REQUIRE(drawn.bytes() == 4 * sizeof(AugmentParameters));
  for (std::int64_t row = 0; row < 4; ++row) {
    AugmentParameters p;
    std::memcpy(&p, drawn.data<std::uint8_t>() + row * static_cast<std::int64_t>(sizeof p), sizeof p);
    const ImageRef& picture = arena.pictures[row % 2 == 0 ? 1 : 0];
    Tensor single = Tensor::empty({1, 8, 8, 3});
    augment_picture(arena.bytes.data<std::uint8_t>() + picture.offset, picture, policy, p, single.data<float>());
    CHECK(test::same_bits(single, views.narrow(row, 1)));
  }
  Tensor epoch = Tensor::full({1}, 6, DType::i32);
  const AugmentKey elsewhere{.seed = 5, .epoch = 77, .views = 2, .device_epoch = epoch};
  CHECK(test::same_bits(augment_parameters(arena.refs, index, policy, elsewhere), drawn));
  CHECK(test::same_bits(arena.views({1, 0}, policy, elsewhere), views));
  epoch.fill(7);
  CHECK_FALSE(test::same_bits(arena.views({1, 0}, policy, elsewhere), views));
}

TEST_CASE("wrong pictures and batches are named") {
  Arena arena({image(8, 8, 3, 42)});
  const Augmentation policy = Augmentation::evaluation(8, 3);
  const Tensor index = Tensor::from(std::vector<std::int32_t>{0}, {1});
  CHECK_THROWS_WITH(arena.views({1}, policy, {}), "augment: index[0] is 1, there are 1 pictures");
  CHECK_THROWS_WITH(arena.views({-1}, policy, {}), Catch::Contains("index[0] is -1"));
  CHECK_THROWS_WITH(augment(arena.bytes, arena.refs, arena.bytes, policy, {}),
                    Catch::Contains("index must be i32 [n]"));
  CHECK_THROWS_WITH(augment(index, arena.refs, index, policy, {}),
                    Catch::Contains("pixels must be u8, u16 or f32 [n]"));
  CHECK_THROWS_WITH(augment(arena.bytes, arena.refs.narrow(0, 5), index, policy, {}), Catch::Contains("refs holds"));
  CHECK_THROWS_WITH(augment(arena.bytes.narrow(0, 191), arena.refs, index, policy, {}),
                    "augment: sample 42 ends at byte 192 of an arena of 191");
  CHECK_THROWS_WITH(arena.views({0}, policy, {.views = 0}), Catch::Contains("views is 0"));
  CHECK_THROWS_WITH(arena.views({}, policy, {}), Catch::Contains("index is empty"));
  CHECK_THROWS_WITH(augment(arena.bytes, arena.refs, index, policy, {}, DType::bf16),
                    Catch::Contains("views are f32, or bf16 on a GPU, not bf16 on cpu"));
  CHECK_THROWS_WITH(arena.views({0}, policy, {.device_epoch = Tensor::zeros({1})}),
                    Catch::Contains("device_epoch must be i32 [1] on cpu"));
  CHECK_THROWS_WITH(augment_parameters(arena.refs, Tensor::full({1}, 3, DType::i32), policy, {}),
                    "augment: index[0] is 3, there are 1 pictures");

  const Pixels pixels(8 * 8 * 3);
  std::vector<float> out(8 * 8 * 3);
  AugmentParameters p = whole(image(8, 8, 3));
  CHECK_THROWS_WITH(augment_picture(pixels.data(), image(8, 8, 2, 7), policy, p, out.data()),
                    Catch::Contains("sample 7 is 8 x 8 pixels with 2 channels"));
  p.crop_left = 1;
  CHECK_THROWS_WITH(augment_picture(pixels.data(), image(8, 8, 3, 7), policy, p, out.data()),
                    Catch::Contains("leaves sample 7"));
}
