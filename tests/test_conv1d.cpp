// Convolutions along time: of sequences, of clips place by place, and (2+1)D convolutions of clips.
#include "support/catch.h"
#include "support/gradient_check.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <simclr/nn/layers.h>

#include <algorithm>

using namespace simclr;
using Catch::Matchers::Contains;
using test::message_of;
using test::random_tensor;
using test::relative_error;

namespace {

using Values = std::vector<double>;

struct Case {
  Shape x;
  std::int64_t out;
  int kernel, stride, padding;
};

std::ostream& operator<<(std::ostream& stream, const Case& one) {
  return stream << one.x << " to " << one.out << ", kernel " << one.kernel << " stride " << one.stride << " padding "
                << one.padding;
}

const std::vector<Case> cases = {
    {{1, 1, 1}, 1, 1, 1, 0},       {{1, 3, 1}, 2, 3, 1, 0},          {{2, 5, 3}, 4, 3, 1, 1},
    {{3, 9, 5}, 2, 3, 2, 1},       {{2, 8, 4}, 3, 1, 1, 0},          {{2, 9, 4}, 3, 1, 2, 0},
    {{1, 12, 2}, 5, 5, 1, 2},      {{2, 11, 3}, 3, 7, 2, 3},         {{1, 6, 3}, 2, 2, 2, 0},
    {{4, 7, 16}, 32, 3, 1, 1},     {{1, 33, 31}, 17, 4, 3, 2},       {{2, 2, 3}, 2, 3, 1, 3},
    {{1, 100, 40}, 8, 3, 1, 1},    {{2, 4, 3, 2}, 3, 3, 1, 1},       {{2, 5, 2, 3, 4}, 6, 3, 1, 1},
    {{1, 8, 3, 2, 2}, 3, 3, 2, 1}, {{3, 1, 2, 2, 5}, 2, 3, 1, 1},    {{1, 4, 7, 7, 16}, 16, 3, 1, 1},
    {{2, 6, 1, 1, 3}, 2, 5, 3, 0}, {{1, 3, 2, 2, 2, 3}, 4, 2, 1, 1},
};

/// The definition, in double. x [N,T,P,C], w [O,K,C] -> [N,T',P,O].
Values conv1d_reference(const Values& x, std::int64_t n, std::int64_t t, std::int64_t places, std::int64_t c,
                        const Values& w, std::int64_t out, int kernel, int stride, int padding) {
  const std::int64_t steps = (t + 2 * padding - kernel) / stride + 1;
  Values y;
  for (std::int64_t image = 0; image < n; ++image) {
    for (std::int64_t step = 0; step < steps; ++step) {
      for (std::int64_t place = 0; place < places; ++place) {
        for (std::int64_t o = 0; o < out; ++o) {
          double sum = 0;
          for (int k = 0; k < kernel; ++k) {
            const std::int64_t from = step * stride + k - padding;
            if (from < 0 || from >= t) continue;
            for (std::int64_t channel = 0; channel < c; ++channel) {
              sum += x[static_cast<std::size_t>(((image * t + from) * places + place) * c + channel)] *
                     w[static_cast<std::size_t>((o * kernel + k) * c + channel)];
            }
          }
          y.push_back(sum);
        }
      }
    }
  }
  return y;
}

Tensor conv1d_reference(const Case& one, const Tensor& x, const Tensor& w) {
  const std::int64_t n = one.x[0], t = one.x[1], c = one.x[-1], places = one.x.numel() / (n * t * c);
  std::vector<std::int64_t> shape(one.x.begin(), one.x.end());
  shape[1] = (t + 2 * one.padding - one.kernel) / one.stride + 1;
  shape.back() = one.out;
  return Tensor::from(conv1d_reference(x.to_vector<double>(), n, t, places, c, w.to_vector<double>(), one.out,
                                       one.kernel, one.stride, one.padding),
                      Shape(shape));
}

/// 3 x 3 over each frame with padding 1: x [F,H,W,C], w [O,3,3,C] -> [F,H',W',O].
Values frames_reference(const Values& x, const Shape& shape, const Values& w, std::int64_t out, int stride) {
  const std::int64_t height = shape[1], width = shape[2], c = shape[3];
  Values y;
  for (std::int64_t frame = 0; frame < shape[0]; ++frame) {
    for (std::int64_t i = 0; i < height; i += stride) {
      for (std::int64_t j = 0; j < width; j += stride) {
        for (std::int64_t o = 0; o < out; ++o) {
          double sum = 0;
          for (std::int64_t place = 0; place < 9; ++place) {
            const std::int64_t row = i + place / 3 - 1, column = j + place % 3 - 1;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            for (std::int64_t k = 0; k < c; ++k) {
              sum += x[static_cast<std::size_t>(((frame * height + row) * width + column) * c + k)] *
                     w[static_cast<std::size_t>((o * 9 + place) * c + k)];
            }
          }
          y.push_back(sum);
        }
      }
    }
  }
  return y;
}

/// relu((x - mean) / sqrt(var + eps)) of each channel, in place.
void normalise_and_relu(Values& x, std::size_t channels) {
  const auto rows = static_cast<double>(x.size() / channels);
  for (std::size_t c = 0; c < channels; ++c) {
    double mean = 0, var = 0;
    for (std::size_t i = c; i < x.size(); i += channels) mean += x[i] / rows;
    for (std::size_t i = c; i < x.size(); i += channels) var += (x[i] - mean) * (x[i] - mean) / rows;
    for (std::size_t i = c; i < x.size(); i += channels) x[i] = std::max((x[i] - mean) / std::sqrt(var + 1e-5), 0.0);
  }
}

Tensor weight_of(const nn::Module& module, const std::string& name) {
  for (const nn::Parameter& p : module.parameters()) {
    if (p.name == name) return p.value;
  }
  FAIL("no parameter " << name);
  return {};
}

}  // namespace

TEST_CASE("conv1d agrees with the definition, along sequences and along the time of clips") {
  REQUIRE(cases.size() >= 20);
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const Case& one : cases) {
      INFO(one);
      CAPTURE(dtype);
      const Tensor x = random_tensor(one.x, 1, dtype), w = random_tensor({one.out, one.kernel, one.x[-1]}, 2, dtype);
      const Tensor y = nn::conv1d(x, w, {one.stride, one.padding}), expected = conv1d_reference(one, x, w);
      CHECK(y.shape() == expected.shape());
      CHECK(y.dtype() == dtype);
      CHECK(relative_error(y, expected) < (dtype == DType::f64 ? 1e-14 : 2e-6));
    }
  }
}

TEST_CASE("gradients of conv1d") {
  std::uint64_t seed = 10;
  for (const Case& one : cases) {
    INFO(one);
    const Tensor x = random_tensor(one.x, seed++), w = random_tensor({one.out, one.kernel, one.x[-1]}, seed++);
    const auto f = [&](const auto& in) { return nn::conv1d(in[0], in[1], {one.stride, one.padding}); };
    CHECK(test::gradient_error(f, {x, w}) < 1e-8);
  }
}

TEST_CASE("a Conv1d layer has weights [out,kernel,in], starts as a Conv2d does, and adds its bias") {
  nn::Conv1d conv({.in = 40, .out = 64, .kernel = 5, .stride = 2, .padding = 2, .bias = true});
  conv.initialize(3);
  const Tensor weight = weight_of(conv, "weight");
  Tensor bias = weight_of(conv, "bias");
  CHECK(weight.shape() == Shape{64, 5, 40});
  double squares = 0;
  for (const double w : weight.to_vector<double>()) squares += w * w;
  CHECK(squares / static_cast<double>(weight.numel()) == Approx(2.0 / (64 * 5)).epsilon(0.05));
  bias.copy_from(random_tensor({64}, 1, DType::f32));
  const Tensor x = random_tensor({2, 11, 40}, 2, DType::f32);
  const Tensor y = conv(x);
  CHECK(y.shape() == Shape{2, 6, 64});
  const Values without = nn::conv1d(x, weight, {2, 2}).to_vector<double>(), moved = y.to_vector<double>(),
               by = bias.to_vector<double>();
  for (std::size_t i = 0; i < moved.size(); ++i) REQUIRE(moved[i] == Approx(without[i] + by[i % 64]).margin(1e-6));
}

TEST_CASE("a (2+1)D convolution agrees with its definition") {
  struct Clip {
    Shape x;
    nn::Conv2Plus1dOptions options;
    std::int64_t middle;
  };
  const std::vector<Clip> clips = {
      {{2, 4, 6, 5, 3}, {.in = 3, .out = 8}, 12},
      {{1, 5, 7, 7, 4}, {.in = 4, .out = 4, .middle = 6}, 6},
      {{2, 6, 8, 6, 5}, {.in = 5, .out = 7, .stride = 2}, 14},
      {{2, 3, 5, 9, 16}, {.in = 16, .out = 16, .middle = 32, .stride = 2}, 32},
      {{2, 1, 3, 3, 2}, {.in = 2, .out = 1, .middle = 1}, 1},
  };
  for (const Clip& clip : clips) {
    CAPTURE(clip.x, clip.options.out, clip.options.stride);
    nn::Conv2Plus1d conv(clip.options);
    conv.initialize(1);
    conv.to(DType::f64);
    const Shape& x_shape = clip.x;
    const Tensor x = random_tensor(x_shape, 1), over_frames = weight_of(conv, "0.weight"),
                 over_time = weight_of(conv, "3.weight");
    CHECK(over_frames.shape() == Shape{clip.middle, 3, 3, clip.options.in});
    CHECK(over_time.shape() == Shape{clip.options.out, 3, clip.middle});

    const int stride = clip.options.stride;
    const std::int64_t n = x_shape[0], t = x_shape[1], h = (x_shape[2] + stride - 1) / stride,
                       w = (x_shape[3] + stride - 1) / stride;
    Values middle = frames_reference(x.to_vector<double>(), {n * t, x_shape[2], x_shape[3], x_shape[4]},
                                     over_frames.to_vector<double>(), clip.middle, stride);
    normalise_and_relu(middle, static_cast<std::size_t>(clip.middle));
    const Values y = conv1d_reference(middle, n, t, h * w, clip.middle, over_time.to_vector<double>(), clip.options.out,
                                      3, stride, 1);
    const Tensor got = conv(x);
    CHECK(got.shape() == Shape{n, (t + stride - 1) / stride, h, w, clip.options.out});
    CHECK(relative_error(got, Tensor::from(y, got.shape())) < 1e-12);
  }
}

TEST_CASE("a (2+1)D convolution has torchvision's names and about the weights of a 3 x 3 x 3 convolution") {
  const nn::Conv2Plus1d conv({.in = 64, .out = 64});
  std::vector<std::string> names;
  std::int64_t weights = 0;
  for (const nn::Parameter& p : conv.parameters()) {
    names.push_back(p.name);
    if (p.role == nn::Role::weight) weights += p.value.numel();
  }
  CHECK(names == std::vector<std::string>{"0.weight", "1.weight", "1.bias", "3.weight"});
  CHECK(weight_of(conv, "0.weight").dim(0) == 144);  // torchvision's r2plus1d_18
  CHECK(weights == 27 * 64 * 64);
}

TEST_CASE("convolutions along time say what does not fit") {
  const Tensor x = Tensor::zeros({2, 5, 3});
  CHECK_THAT(message_of([&] { nn::conv1d(x, Tensor::zeros({4, 3, 3, 1})); }), Contains("w [O,K,C], got f32 [2,5,3]"));
  CHECK_THAT(message_of([&] { nn::conv1d(Tensor::zeros({2, 5}), Tensor::zeros({4, 3, 3})); }), Contains("[N,T,...,C]"));
  CHECK_THAT(message_of([&] { nn::conv1d(x, Tensor::zeros({4, 3, 2})); }), Contains("3 channels"));
  CHECK_THAT(message_of([&] { nn::conv1d(x, Tensor::zeros({4, 7, 3})); }), Contains("smaller than the kernel"));
  CHECK_THAT(message_of([&] { nn::Conv1d({.in = 3, .out = 4, .padding = -1}); }), Contains("padding -1"));
  CHECK_THAT(message_of([&] { nn::Conv2Plus1d({.in = 3, .out = 0}); }), Contains("out 0"));
  nn::Conv2Plus1d conv({.in = 3, .out = 4});
  conv.initialize(0);
  CHECK_THAT(message_of([&] { conv(Tensor::zeros({8, 5, 5, 3})); }), Contains("clips [N,T,H,W,C], got f32 [8,5,5,3]"));
}
