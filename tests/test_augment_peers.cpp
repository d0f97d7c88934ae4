// The pixels of augmentation against torchvision's and Pillow's (fixtures/make_augment_fixture.py,
// fixtures/make_pillow_fixture.py).
#include "support/augment_pictures.h"
#include "support/source_folder.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <string>

using namespace simclr::kernels;
using namespace simclr::test;

TEST_CASE("bicubic crops and whole blurs agree with Pillow's") {
  std::ifstream file(source_folder() + "/fixtures/pillow.json");
  const auto cases = nlohmann::json::parse(file);
  REQUIRE(cases.size() == 15);
  for (const auto& c : cases) {
    INFO(c.dump().substr(0, 100));
    const ImageRef picture = image(c["picture"][0], c["picture"][1], 3);
    Pixels pixels = make_picture(picture);
    if (c.contains("smooth")) {
      for (int y = 0, i = 0; y < picture.height; ++y) {
        for (int x = 0; x < picture.width; ++x) {
          for (int k = 0; k < 3; ++k, ++i) {
            pixels[i] = static_cast<std::uint8_t>(x < picture.width / 2 ? 4 * x + 3 * y + 60 * k : 255 - 5 * y);
          }
        }
      }
    }
    AugmentPolicy policy;
    policy.size = c["size"];
    policy.interpolation = Interpolation::bicubic;
    policy.blur_kernel = whole_kernel;
    AugmentParameters p = whole(picture);
    if (c.contains("crop")) {
      p.crop_top = c["crop"][0];
      p.crop_left = c["crop"][1];
      p.crop_height = c["crop"][2];
      p.crop_width = c["crop"][3];
    }
    p.blur = c.contains("sigma");
    p.sigma = c.value("sigma", 0.0f);
    const auto view = make_view(pixels, picture, policy, p);
    REQUIRE(c["values"].size() == view.size());
    double total = 0, largest = 0;
    for (std::size_t i = 0; i < view.size(); ++i) {
      const double error = std::abs(255 * view[i] - c["values"][i].get<double>());
      total += error;
      largest = std::max(largest, error);
    }
    // Pillow rounds and clips to 0 .. 255 behind each axis, and blurs with three box filters instead of the bell. Both
    // show at hard edges, of which the texture is full.
    CHECK(largest < 14.0);
    CHECK(total / static_cast<double>(view.size()) < (p.blur ? 0.6 : 0.5));
  }
}

TEST_CASE("every transform agrees with torchvision's") {
  std::ifstream file(source_folder() + "/fixtures/augment.json");
  const auto cases = nlohmann::json::parse(file);
  REQUIRE(cases.size() > 50);

  for (const auto& c : cases) {
    INFO(c.dump().substr(0, 300));
    const ImageRef picture = image(c["picture"][0], c["picture"][1], c["picture"][2]);
    AugmentPolicy policy;
    policy.size = c["size"];
    policy.channels = c.value("channels", 3);
    policy.interpolation =
        c.value("interpolation", "bilinear") == "bicubic" ? Interpolation::bicubic : Interpolation::bilinear;
    policy.blur_kernel = c.value("blur_kernel", 0);
    for (std::size_t i = 0; c.contains("mean") && i < 3; ++i) {
      policy.mean[i] = c["mean"][i];
      policy.stddev[i] = c["stddev"][i];
    }
    AugmentParameters p = whole(picture);
    if (c.contains("crop")) {
      p.crop_top = c["crop"][0];
      p.crop_left = c["crop"][1];
      p.crop_height = c["crop"][2];
      p.crop_width = c["crop"][3];
    }
    p.flip = c.value("flip", 0);
    p.rotate = c.contains("angle");
    p.angle = c.value("angle", 0.0f);
    p.jitter = 1;
    for (std::size_t i = 0; c.contains("order") && i < 4; ++i) p.order[i] = c["order"][i];
    p.brightness = c.value("brightness", 1.0f);
    p.contrast = c.value("contrast", 1.0f);
    p.saturation = c.value("saturation", 1.0f);
    p.hue = c.value("hue", 0.0f);
    p.grayscale = c.value("grayscale", 0);
    p.blur = c.contains("sigma");
    p.sigma = c.value("sigma", 0.0f);

    const auto view = make_view(make_picture(picture), picture, policy, p);
    const std::size_t stride = c["stride"];
    REQUIRE(c["values"].size() == (view.size() + stride - 1) / stride);
    double total = 0, largest = 0;
    for (std::size_t i = 0; i < c["values"].size(); ++i) {
      const double error = std::abs(view[i * stride] - 1e-6 * c["values"][i].get<double>());
      total += error;
      largest = std::max(largest, error);
    }
    // f32 against f64: some 1e-7 a step. A pixel of little colour multiplies the rounding of its hue, and
    // normalisation divides by 0.125, so single pixels are allowed more than the mean.
    const double mean = total / static_cast<double>(c["values"].size());
    CHECK(mean < 2e-6);
    CHECK(largest < 1e-5);
  }
}
