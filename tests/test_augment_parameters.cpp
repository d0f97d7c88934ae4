// How views' transforms are drawn: the rule, the distributions (bounds of five standard deviations, so that only a
// fault or one run in a million could break them; the draws are fixed), the bits, and the policy's errors.
#include "support/catch.h"

#include <simclr/core/random.h>
#include <simclr/data/pictures/augmentation.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::kernels;
using simclr::data::Augmentation;

namespace {

constexpr int draws = 40000;

/// Draw number i of many: every part of the key moves.
AugmentParameters draw(const AugmentPolicy& policy, int i, std::int32_t height = 1000, std::int32_t width = 1000) {
  const auto n = static_cast<std::uint32_t>(i);
  return draw_augment_parameters(policy, height, width, 1 + n % 3, n / 8, n / 4 % 2, n % 4);
}

/// Values in [0,1) that should be uniform, counted in bins.
struct Uniform {
  std::vector<double> counts = std::vector<double>(16, 0.0);
  double total = 0;

  void add(double u) {
    REQUIRE(u >= 0);
    REQUIRE(u <= 1);
    counts[std::min<std::size_t>(static_cast<std::size_t>(u * 16), 15)] += 1;
    total += 1;
  }

  /// Chi-square, in standard deviations above its mean (both for equal bins).
  double excess() const {
    const double expected = total / static_cast<double>(counts.size()),
                 freedom = static_cast<double>(counts.size()) - 1;
    double chi = 0;
    for (const double count : counts) chi += (count - expected) * (count - expected) / expected;
    return (chi - freedom) / std::sqrt(2 * freedom);
  }
};

/// How far a rate over n draws is from p, in standard deviations.
double deviation(double count, double n, double p) {
  return std::abs(count - n * p) / std::sqrt(n * p * (1 - p));
}

/// RandomResizedCrop as torchvision writes it, with the library's exp and log. {top, left, height, width}
std::array<int, 4> reference_crop(const AugmentPolicy& policy, int height, int width, const Random& random) {
  const double low = std::log(double{policy.crop_aspect_min}), high = std::log(double{policy.crop_aspect_max});
  for (std::uint32_t k = 0; k < 10; ++k) {
    const double share =
        policy.crop_area_min + (double{policy.crop_area_max} - policy.crop_area_min) * random.uniform(4 * k);
    const double area = double(height) * width * share;
    const double aspect = std::exp(low + (high - low) * random.uniform(4 * k + 1));
    const int w = static_cast<int>(std::lround(std::sqrt(area * aspect)));
    const int h = static_cast<int>(std::lround(std::sqrt(area / aspect)));
    if (w > 0 && w <= width && h > 0 && h <= height) {
      return {static_cast<int>(random.below(static_cast<std::uint32_t>(height - h + 1), 4 * k + 2)),
              static_cast<int>(random.below(static_cast<std::uint32_t>(width - w + 1), 4 * k + 3)), h, w};
    }
  }
  int w = width, h = height;
  const double ratio = double(width) / height;
  if (ratio < double{policy.crop_aspect_min}) h = static_cast<int>(std::lround(w / double{policy.crop_aspect_min}));
  if (ratio > double{policy.crop_aspect_max}) w = static_cast<int>(std::lround(h * double{policy.crop_aspect_max}));
  return {(height - h) / 2, (width - w) / 2, h, w};
}

}  // namespace

TEST_CASE("crops follow torchvision's rule, fallback included") {
  const std::pair<int, int> pictures[] = {{32, 32}, {1, 1},     {1, 1000}, {1000, 1},     {7, 5},
                                          {40, 56}, {400, 500}, {2, 3},    {30000, 65000}};
  const AugmentPolicy policy;
  int fallbacks = 0;
  for (const auto& [height, width] : pictures) {
    for (std::uint32_t sample = 0; sample < 2000; ++sample) {
      const auto p = draw_augment_parameters(policy, height, width, 3, sample, 0, 1);
      const std::array<int, 4> box = {p.crop_top, p.crop_left, p.crop_height, p.crop_width};
      if (box != reference_crop(policy, height, width, Random(3, RandomPurpose::augmentation, sample, 0, 1))) {
        FAIL(height << " x " << width << ", sample " << sample);
      }
      REQUIRE(p.crop_top >= 0);
      REQUIRE(p.crop_left >= 0);
      REQUIRE(p.crop_top + p.crop_height <= height);
      REQUIRE(p.crop_left + p.crop_width <= width);
      fallbacks += width == 1000 && p.crop_width == 1 && p.crop_left == 499;
    }
  }
  CHECK(fallbacks > 1900);  // 1 x 1000: hardly a crop fits, the centre stays
}

TEST_CASE("a crop's area, aspect and position have the distributions asked for") {
  AugmentPolicy policy;
  policy.crop_area_max = 0.5f;  // so that every box fits, and nothing is rejected
  Uniform area, aspect, top, left;
  for (int i = 0; i < draws; ++i) {
    const auto p = draw(policy, i);
    const double share = double(p.crop_height) * p.crop_width / 1e6, ratio = double(p.crop_width) / p.crop_height;
    // A box of whole pixels, 240 wide at least: shares and ratios are off by up to 0.5 %.
    area.add(std::clamp((share - 0.08) / 0.42, 0.0, 1.0));
    aspect.add(std::clamp(std::log(ratio * 4 / 3) / (2 * std::log(4.0 / 3)), 0.0, 1.0));
    top.add((p.crop_top + 0.5) / (1001 - p.crop_height));
    left.add((p.crop_left + 0.5) / (1001 - p.crop_width));
  }
  CHECK(area.excess() < 5);
  CHECK(aspect.excess() < 5);
  CHECK(top.excess() < 5);
  CHECK(left.excess() < 5);
}

TEST_CASE("each transform happens as often and as strongly as asked for") {
  Augmentation policy = Augmentation::simclr(224);
  policy.rotation_probability = 0.25f;
  policy.rotation_degrees = 30.0f;
  policy.brightness = 0.8f;
  policy.contrast = 1.5f;  // the factor's lower end stops at 0
  std::map<std::string, int> counts;
  std::map<std::string, Uniform> uniform;
  std::map<std::array<int, 4>, double> orders;
  for (int i = 0; i < draws; ++i) {
    const auto p = draw(policy, i);
    counts["flip"] += p.flip;
    counts["rotate"] += p.rotate;
    counts["jitter"] += p.jitter;
    counts["grayscale"] += p.grayscale;
    counts["blur"] += p.blur;
    counts["flip and blur"] += p.flip * p.blur;
    counts["jitter and grayscale"] += p.jitter * p.grayscale;
    if (p.rotate) uniform["angle"].add((p.angle + 30.0) / 60);
    if (p.blur) uniform["sigma"].add((p.sigma - 0.1) / 1.9);
    if (p.jitter) {
      orders[{p.order[0], p.order[1], p.order[2], p.order[3]}] += 1;
      uniform["brightness"].add((p.brightness - 0.2) / 1.6);
      uniform["contrast"].add(p.contrast / 2.5);
      uniform["saturation"].add((p.saturation - 0.2) / 1.6);
      uniform["hue"].add((p.hue + 0.2) / 0.4);
    } else {
      REQUIRE((p.brightness == 1 && p.contrast == 1 && p.saturation == 1 && p.hue == 0));
    }
    if (!p.rotate) REQUIRE(p.angle == 0);
    if (!p.blur) REQUIRE(p.sigma == 0);
  }
  const std::pair<const char*, double> rates[] = {{"flip", 0.5},
                                                  {"rotate", 0.25},
                                                  {"jitter", 0.8},
                                                  {"grayscale", 0.2},
                                                  {"blur", 0.5},
                                                  {"flip and blur", 0.25},
                                                  {"jitter and grayscale", 0.16}};
  for (const auto& [name, rate] : rates) {
    INFO(name);
    CHECK(deviation(counts[name], draws, rate) < 5);
  }
  for (const auto& [name, values] : uniform) {
    INFO(name);
    CHECK(values.excess() < 5);
  }
  REQUIRE(orders.size() == 24);
  Uniform order;
  order.counts.clear();
  for (const auto& [permutation, count] : orders) {
    CHECK((std::set<int>(permutation.begin(), permutation.end()) == std::set<int>{0, 1, 2, 3}));
    order.counts.push_back(count);
    order.total += count;
  }
  CHECK(order.excess() < 5);
}

TEST_CASE("a probability of 0 never and of 1 always happens") {
  AugmentPolicy never;
  never.flip_probability = never.jitter_probability = never.grayscale_probability = 0;
  AugmentPolicy always = never;
  always.flip_probability = always.rotation_probability = always.jitter_probability = 1;
  always.grayscale_probability = always.blur_probability = 1;
  for (int i = 0; i < 5000; ++i) {
    const auto n = draw(never, i), a = draw(always, i);
    REQUIRE(n.flip + n.rotate + n.jitter + n.grayscale + n.blur == 0);
    REQUIRE(a.flip + a.rotate + a.jitter + a.grayscale + a.blur == 5);
  }
}

TEST_CASE("drawn bits are these, on every device") {
  struct Golden {
    std::int32_t height, width;
    std::uint64_t seed;
    std::uint32_t sample, epoch, view;
    std::array<std::int32_t, 13> whole;  // crop top, left, height, width; flip, rotate, jitter; order; grayscale, blur
    std::array<float, 6> real;           // angle, brightness, contrast, saturation, hue, sigma
  };
  const Golden golden[] = {
      {32,
       32,
       0x0u,
       0,
       0,
       0,
       {3, 7, 24, 22, 1, 1, 1, 3, 2, 0, 1, 1, 0},
       {0x1.630e6p+1f, 0x1.fb7d42p-1f, 0x1.64ff6p+0f, 0x1.9011a8p+0f, -0x1.4e23bcp-3f, 0x0p+0f}},
      {32,
       32,
       0x0u,
       0,
       0,
       1,
       {0, 4, 25, 26, 0, 0, 1, 2, 0, 3, 1, 0, 0},
       {0x0p+0f, 0x1.af4a68p+0f, 0x1.8a80b2p-2f, 0x1.b2c1f4p+0f, -0x1.3c7244p-3f, 0x0p+0f}},
      {400,
       500,
       0x2au,
       7,
       3,
       0,
       {17, 73, 362, 377, 1, 1, 1, 1, 0, 2, 3, 1, 1},
       {0x1.749a08p+2f, 0x1.0d1798p+0f, 0x1.253428p+0f, 0x1.28772p-1f, 0x1.95f87cp-4f, 0x1.10f45ep-1f}},
      {500,
       333,
       0x123456789abcdefu,
       49999,
       999,
       1,
       {52, 39, 172, 214, 1, 0, 0, 0, 1, 2, 3, 0, 1},
       {0x0p+0f, 0x1p+0f, 0x1p+0f, 0x1p+0f, 0x0p+0f, 0x1.ce15cp+0f}},
      {1,
       1000,
       0x1u,
       2,
       3,
       1,
       {0, 499, 1, 1, 0, 1, 0, 0, 1, 2, 3, 0, 1},
       {0x1.adfep-4f, 0x1p+0f, 0x1p+0f, 0x1p+0f, 0x0p+0f, 0x1.168948p-1f}},
      {2,
       3,
       0x5u,
       4,
       3,
       0,
       {0, 1, 2, 2, 0, 0, 0, 0, 1, 2, 3, 0, 1},
       {0x0p+0f, 0x1p+0f, 0x1p+0f, 0x1p+0f, 0x0p+0f, 0x1.cabf48p-4f}},
      {224,
       224,
       0x2au,
       1000000,
       0,
       1,
       {44, 1, 152, 118, 1, 0, 1, 0, 3, 1, 2, 0, 0},
       {0x0p+0f, 0x1.ad84a8p+0f, 0x1.3962a4p+0f, 0x1.08a638p-1f, 0x1.4bb7acp-4f, 0x0p+0f}},
      {97,
       1021,
       0x9u,
       8,
       7,
       0,
       {0, 446, 97, 129, 0, 1, 1, 1, 0, 2, 3, 0, 1},
       {-0x1.a9f7cep+3f, 0x1.149ee4p+0f, 0x1.71212p+0f, 0x1.5ca46cp+0f, 0x1.de4fp-9f, 0x1.06da2cp+0f}},
  };
  Augmentation policy = Augmentation::simclr(224);
  policy.rotation_probability = 0.5f;
  policy.rotation_degrees = 15.0f;
  for (const Golden& g : golden) {
    const auto p = draw_augment_parameters(policy, g.height, g.width, g.seed, g.sample, g.epoch, g.view);
    const std::array<std::int32_t, 13> whole = {p.crop_top, p.crop_left, p.crop_height, p.crop_width, p.flip,
                                                p.rotate,   p.jitter,    p.order[0],    p.order[1],   p.order[2],
                                                p.order[3], p.grayscale, p.blur};
    const std::array<float, 6> real = {p.angle, p.brightness, p.contrast, p.saturation, p.hue, p.sigma};
    CHECK(whole == g.whole);
    CHECK(real == g.real);  // to the last bit
  }
}

TEST_CASE("recipes are the paper's") {
  const Augmentation paper = Augmentation::simclr(224), cifar = Augmentation::simclr_cifar();
  CHECK(paper.size == 224);
  CHECK(paper.interpolation == Interpolation::bicubic);
  CHECK(paper.brightness == 0.8f);
  CHECK(paper.contrast == 0.8f);
  CHECK(paper.saturation == 0.8f);
  CHECK(paper.hue == 0.2f);
  CHECK(paper.blur_probability == 0.5f);
  CHECK(cifar.size == 32);
  CHECK(cifar.brightness == 0.4f);
  CHECK(cifar.hue == 0.1f);
  CHECK(cifar.blur_probability == 0.0f);
  for (const Augmentation& policy : {paper, cifar}) {
    CHECK(policy.crop_area_min == 0.08f);
    CHECK(policy.flip_probability == 0.5f);
    CHECK(policy.jitter_probability == 0.8f);
    CHECK(policy.grayscale_probability == 0.2f);
    check(policy);
  }
  CHECK_THROWS_WITH(Augmentation::simclr(0), Catch::Contains("size is 0"));
  CHECK_THROWS_WITH(Augmentation::evaluation(32, 17), Catch::Contains("channels is 17"));
}

TEST_CASE("impossible policies are refused by field") {
  const auto refused = [](const char* message, auto change) {
    AugmentPolicy policy;
    change(policy);
    CHECK_THROWS_WITH(check(policy), Catch::Contains(message));
  };
  using P = AugmentPolicy;
  refused("size is 0, it must be from 1 to", [](P& p) { p.size = 0; });
  refused("size is 5000", [](P& p) { p.size = 5000; });
  refused("channels is 0, views have 1 to 16", [](P& p) { p.channels = 0; });
  refused("channels is 17, views have 1 to 16", [](P& p) { p.channels = 17; });
  refused("crop_area_min and crop_area_max are 0.5 and 0.25",
          [](P& p) { p.crop_area_min = 0.5f, p.crop_area_max = 0.25f; });
  refused("crop_area", [](P& p) { p.crop_area_max = 1.5f; });
  refused("crop_area", [](P& p) { p.crop_area_min = NAN; });
  refused("crop_aspect", [](P& p) { p.crop_aspect_min = 0; });
  refused("interpolation is 7", [](P& p) { p.interpolation = static_cast<Interpolation>(7); });
  refused("flip_probability is 1.5, it must be from 0 to 1", [](P& p) { p.flip_probability = 1.5f; });
  refused("rotation_probability", [](P& p) { p.rotation_probability = -0.1f; });
  refused("rotation_degrees", [](P& p) { p.rotation_degrees = -1; });
  refused("jitter_probability", [](P& p) { p.jitter_probability = NAN; });
  refused("brightness is -0.5", [](P& p) { p.brightness = -0.5f; });
  refused("contrast", [](P& p) { p.contrast = INFINITY; });
  refused("saturation", [](P& p) { p.saturation = NAN; });
  refused("hue is 0.75, it must be from 0 to 0.5", [](P& p) { p.hue = 0.75f; });
  refused("grayscale_probability", [](P& p) { p.grayscale_probability = 2; });
  refused("blur_probability", [](P& p) { p.blur_probability = 2; });
  refused("blur_sigma", [](P& p) { p.blur_sigma_min = 0; });
  refused("blur_kernel is -2, it must be odd", [](P& p) { p.blur_kernel = -2; });
  refused("blur_kernel is 4, it must be odd", [](P& p) { p.blur_kernel = 4; });
  refused("blur_kernel is 33, wider than the view of 32 pixels", [](P& p) { p.blur_kernel = 33; });
  refused("mean[2] is", [](P& p) { p.mean[2] = INFINITY; });
  refused("stddev[1] is 0, it must be above 0", [](P& p) { p.stddev[1] = 0; });
  AugmentPolicy grey{.channels = 1};
  grey.stddev[1] = 0;  // unused
  CHECK_NOTHROW(check(grey));
  CHECK_THROWS_WITH(draw_augment_parameters(grey, 0, 5, 1, 2, 3, 4), Catch::Contains("sample 2 is 0 x 5 pixels"));
}
