#include "support/conv2d_cases.h"
#include "support/message_of.h"

#include <sys/resource.h>

#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace simclr;
using namespace simclr::test;

namespace {

const std::vector<Case> cases = {
    {1, 1, 1, 1, 1, 1, 1, 1, 0},    {1, 5, 7, 3, 4, 3, 3, 1, 1},    {2, 7, 5, 3, 31, 3, 3, 2, 1},
    {3, 9, 9, 1, 33, 5, 5, 1, 2},   {2, 11, 13, 3, 64, 7, 7, 2, 3}, {1, 8, 8, 64, 64, 3, 3, 1, 1},
    {2, 9, 7, 64, 31, 1, 1, 2, 0},  {1, 6, 10, 33, 64, 1, 1, 1, 0}, {2, 10, 6, 31, 33, 3, 3, 3, 1},
    {5, 4, 4, 33, 31, 3, 3, 1, 0},  {1, 3, 3, 64, 3, 3, 3, 1, 0},   {2, 7, 9, 1, 1, 7, 7, 1, 3},
    {1, 15, 4, 3, 2, 5, 5, 3, 3},   {3, 2, 2, 64, 64, 3, 3, 1, 1},  {1, 1, 17, 31, 3, 1, 3, 1, 1},
    {2, 13, 1, 3, 33, 5, 1, 2, 2},  {7, 5, 5, 1, 64, 1, 1, 3, 0},   {1, 12, 10, 33, 33, 3, 5, 2, 2},
    {2, 8, 11, 64, 1, 3, 3, 2, 1},  {1, 31, 33, 3, 64, 3, 3, 1, 1}, {4, 6, 6, 31, 31, 5, 5, 1, 0},
    {33, 4, 4, 64, 33, 3, 3, 2, 1}, {1, 10, 10, 1, 3, 3, 3, 3, 3},  {2, 32, 32, 1, 64, 7, 7, 2, 3},
    {150, 3, 2, 5, 6, 2, 2, 1, 1},  {9, 7, 7, 16, 32, 1, 1, 2, 1},
};

/// Strides and paddings that differ: 3 x 1 over time and 1 x K along a sequence as they are, then every way to mix up
/// the axes.
const std::vector<Case> uneven_cases = {
    {2, 5, 12, 16, 24, 3, 1, 1, {1, 0}},      {1, 4, 784, 3, 5, 3, 1, 1, {1, 0}},
    {3, 8, 9, 32, 16, 3, 1, {2, 1}, {1, 0}},  {4, 1, 21, 40, 32, 1, 5, {1, 2}, {0, 2}},
    {2, 1, 17, 3, 31, 1, 3, 1, {0, 1}},       {1, 1, 9, 1, 1, 1, 3, {1, 3}, {0, 2}},
    {2, 7, 9, 3, 4, 3, 3, {1, 2}, {2, 0}},    {2, 9, 7, 3, 4, 3, 3, {2, 1}, {0, 2}},
    {1, 11, 6, 33, 31, 5, 3, {3, 2}, {2, 1}}, {1, 6, 11, 31, 33, 3, 5, {2, 3}, {1, 2}},
    {2, 8, 8, 16, 16, 1, 1, {2, 1}, 0},       {2, 8, 8, 12, 24, 1, 1, {1, 2}, 0},
    {1, 5, 6, 64, 64, 1, 1, 1, {1, 0}},       {1, 6, 5, 64, 64, 1, 1, 1, {0, 2}},
    {2, 13, 4, 3, 8, 7, 2, {4, 1}, {3, 1}},   {2, 4, 13, 3, 8, 2, 7, {1, 4}, {1, 3}},
    {3, 2, 5, 16, 8, 3, 3, {5, 1}, {3, 1}},   {3, 5, 2, 16, 8, 3, 3, {1, 5}, {1, 3}},
    {20, 3, 4, 8, 16, 2, 3, {1, 2}, {0, 1}},  {1, 33, 20, 3, 64, 7, 5, {2, 1}, {3, 0}},
};

/// Larger than a tile of positions, so that im2col takes several.
const Case larger = {5, 33, 31, 32, 48, 3, 3, 1, 1};

void add_resnet(std::vector<Case>& shapes, bool bottleneck, bool imagenet_stem, std::int64_t size, std::int64_t width,
                std::int64_t channels) {
  const auto add = [&](std::int64_t side, std::int64_t c, std::int64_t o, std::int64_t k, int stride) {
    shapes.push_back({128, side, side, c, o, k, k, stride, static_cast<int>(k / 2)});
  };
  add(size, channels, width, imagenet_stem ? 7 : 3, imagenet_stem ? 2 : 1);
  std::int64_t side = imagenet_stem ? size / 4 : size, in = width;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t planes = width << stage, out = bottleneck ? 4 * planes : planes;
    const int stride = stage == 0 ? 1 : 2;
    if (in != out || stride != 1) add(side, in, out, 1, stride);
    if (bottleneck) {
      add(side, in, planes, 1, 1);
      add(side, planes, planes, 3, stride);
      side /= stride;
      add(side, planes, out, 1, 1);
      add(side, out, planes, 1, 1);
    } else {
      add(side, in, planes, 3, stride);
      side /= stride;
    }
    add(side, planes, planes, 3, 1);
    in = out;
  }
}

}  // namespace

TEST_CASE("conv2d agrees with the definition: f64, f32 by im2col, f32 by the chosen code") {
  for (const Case& one : cases) {
    INFO(one);
    const Results expected = reference(one);
    check_near(one, run(chosen(), one, DType::f64), expected, DType::f64);
    check_near(one, run(conv2d_im2col, one, DType::f32), expected, DType::f32);
    check_near(one, run(chosen(), one, DType::f32), expected, DType::f32);
  }
}

TEST_CASE("conv2d agrees with the definition where strides and paddings differ by axis") {
  REQUIRE(uneven_cases.size() >= 20);
  for (const Case& one : uneven_cases) {
    INFO(one);
    const Results expected = reference(one);
    check_near(one, run(chosen(), one, DType::f64), expected, DType::f64);
    check_near(one, run(conv2d_im2col, one, DType::f32), expected, DType::f32);
    check_near(one, run(chosen(), one, DType::f32), expected, DType::f32);
  }
}

TEST_CASE("conv2d's two f32 implementations agree on larger problems") {
  for (const Case& one : {larger, Case{16, 16, 16, 16, 32, 3, 3, 2, 1}, Case{2, 64, 64, 3, 64, 7, 7, 2, 3},
                          Case{16, 4, 4, 128, 128, 3, 3, 1, 1}, Case{8, 16, 16, 64, 128, 1, 1, 2, 0}}) {
    INFO(one);
    check_near(one, run(chosen(), one, DType::f32), run(conv2d_im2col, one, DType::f32), DType::f32);
  }
}

// oneDNN's choice for these wrote over the memory behind its own, and the program crashed.
TEST_CASE("a narrow network's strided shortcuts stay inside their memory") {
  for (const std::int64_t channels : {4, 8, 12, 24}) {
    for (const std::int64_t side : {48, 64}) {
      const Case shortcut{16, side, side, channels, 2 * channels, 1, 1, 2, 0};
      INFO(shortcut);
      check_near(shortcut, run(chosen(), shortcut, DType::f32), run(conv2d_im2col, shortcut, DType::f32), DType::f32);
    }
  }
}

TEST_CASE("conv2d's public functions compute what the kernels do") {
  const Case one = {2, 9, 7, 3, 5, 3, 3, 2, 1};
  const Inputs in(one, DType::f32);
  const Results expected = reference(one);
  Tensor dw = Tensor::full(one.w_shape(), NAN);
  conv2d_backward_weights(in.x, in.dy, dw, one.geometry());
  check_near(one,
             {conv2d_forward(in.x, in.w, one.geometry()),
              conv2d_backward_data(in.dy, in.w, one.x_shape(), one.geometry()), dw},
             expected, DType::f32);
}

TEST_CASE("conv2d gives the same bits each time") {
  for (const int count : {1, 2, 3}) {
    const Threads scope(count);
    for (const DType dtype : {DType::f32, DType::f64}) {
      CHECK(all_same_bits(run(chosen(), larger, dtype), run(chosen(), larger, dtype)));
    }
  }
}

TEST_CASE("conv2d gives the same bits for any thread count") {
  // 3x3 strided, where oneDNN may serve, with batches that slices do and do not divide; a strided 1x1; a stem.
  const Case strided = {64, 16, 16, 16, 32, 3, 3, 2, 1}, odd = {67, 16, 16, 16, 32, 3, 3, 2, 1};
  const Case pointwise = {48, 16, 16, 32, 64, 1, 1, 2, 0}, stem = {33, 32, 32, 3, 64, 3, 3, 1, 1};
  for (const Case& one : {larger, strided, odd, pointwise, stem}) {
    for (const Conv2dKernels& kernels : {conv2d_im2col, chosen()}) {
      INFO(one);
      const Threads alone(1);
      const Results expected = run(kernels, one, DType::f32);
      for (const int count : {2, 3, 7}) {
        const Threads scope(count);
        CHECK(all_same_bits(run(kernels, one, DType::f32), expected));
      }
    }
  }
}

TEST_CASE("conv2d may be called from several threads at once, and inside a SerialScope or parallel_for") {
  const Inputs in(larger, DType::f32);
  const Tensor expected = conv2d_forward(in.x, in.w, larger.geometry());
  std::vector<Tensor> results(4);
  const auto compute = [&](std::size_t i) { results[i] = conv2d_forward(in.x, in.w, larger.geometry()); };
  std::thread plain(compute, 0), serial([&] {
    const SerialScope scope;
    compute(1);
  });
  plain.join();
  serial.join();
  const Threads scope(2);
  parallel_for(2, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) compute(static_cast<std::size_t>(2 + i));
  });
  for (const Tensor& result : results) CHECK(same_bits(result, expected));
}

TEST_CASE("every convolution of the ResNets runs optimised code") {
  std::vector<Case> shapes;
  for (const bool bottleneck : {false, true}) {  // ResNet-34 has the shapes of ResNet-18
    for (const std::int64_t width : {16, 32, 64}) {
      for (const std::int64_t channels : {1, 3}) {
        for (const std::int64_t size : {32, 64}) add_resnet(shapes, bottleneck, false, size, width, channels);
        for (const std::int64_t size : {64, 224}) add_resnet(shapes, bottleneck, true, size, width, channels);
      }
    }
  }
  const bool has_onednn = implementation({8, 8, 8, 16, 16, 1, 1, 1, 0}, Conv2dDirection::forward) != "im2col";
  std::set<std::string> seen;
  for (const Case& one : shapes) {
    std::ostringstream key;
    key << one;
    if (!seen.insert(key.str()).second) continue;
    INFO(one);
    for (const Conv2dDirection direction : directions) {
      const std::string name = implementation(one, direction);
      CHECK(name.find("ref") == std::string::npos);
      if (!is_winograd(one, direction)) CHECK((name == "im2col") == !has_onednn);
    }
  }
}

#if !defined(__SANITIZE_ADDRESS__)  // which itself needs more than any limit on memory
TEST_CASE("conv2d says that memory is lacking where oneDNN finds none, and goes on when there is some") {
  const bool has_onednn = implementation({8, 8, 8, 16, 16, 1, 1, 1, 0}, Conv2dDirection::forward) != "im2col";
  const Case one = {6, 8, 8, 16, 24, 1, 1, 1, 0};  // sizes that no other test has: it is not planned yet
  const Inputs in(one, DType::f32);
  Tensor y = Tensor::zeros(one.y_shape()), expected = Tensor::zeros(one.y_shape());
  if (has_onednn) {
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
    rlimit limit = before;
    limit.rlim_cur = 1 << 20;  // below what is in use, so the system gives no more
    std::string message;
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    try {
      message = message_of([&] { chosen().forward(in.x, in.w, y, one.geometry()); });
    } catch (...) {
      message = "another exception";
    }
    REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK(message == "out of memory on cpu: no room for oneDNN's code; lower the batch size or the model's width");
  }
  chosen().forward(in.x, in.w, y, one.geometry());
  conv2d_im2col.forward(in.x, in.w, expected, one.geometry());
  CHECK(relative_error(y, expected) < tolerance(DType::f32, one.c));
}
#endif

TEST_CASE("conv2d says what does not fit") {
  using Catch::Matchers::Contains;
  const Tensor x = Tensor::zeros({2, 5, 5, 3}), w = Tensor::zeros({4, 3, 3, 3}), dy = Tensor::zeros({2, 3, 3, 4});
  Tensor dw = Tensor::zeros({4, 3, 3, 3});
  CHECK(conv2d_output_shape({2, 5, 6, 3}, {4, 3, 3, 3}, {2, 1}) == Shape{2, 3, 3, 4});
  CHECK(conv2d_output_shape({2, 5, 784, 3}, {4, 3, 1, 3}, {.padding = {1, 0}}) == Shape{2, 5, 784, 4});
  CHECK(conv2d_output_shape({2, 9, 9, 3}, {4, 3, 3, 3}, {.stride = {2, 3}, .padding = {0, 1}}) == Shape{2, 4, 3, 4});
  CHECK_THROWS_WITH(conv2d_forward(x, Tensor::zeros({4, 3, 3, 1}), {}),
                    Contains("x [2,5,5,3] has 3 channels and w [4,3,3,1] wants 1"));
  CHECK_THROWS_WITH(conv2d_forward(x, Tensor::zeros({4, 7, 3, 3}), {}),
                    Contains("padding 0 is smaller than the kernel of w [4,7,3,3]"));
  CHECK_THROWS_WITH(conv2d_forward(x.reshape({2, 25, 3}), w, {}), Contains("x must be [N,H,W,C] and not empty"));
  CHECK_THROWS_WITH(conv2d_forward(x, w.reshape({4, 27}), {}), Contains("w must be [O,K,L,C] and not empty"));
  CHECK_THROWS_WITH(conv2d_forward(Tensor::zeros({0, 5, 5, 3}), w, {}), Contains("not empty, got [0,5,5,3]"));
  CHECK_THROWS_WITH(conv2d_forward(x, w, {.stride = 0}), Contains("stride is 0"));
  CHECK_THROWS_WITH(conv2d_forward(x, w, {.padding = -1}), Contains("padding is -1"));
  CHECK_THROWS_WITH(conv2d_forward(x, w, {.stride = {1, 0}}), Contains("stride is 1 x 0"));
  CHECK_THROWS_WITH(conv2d_forward(x, w, {.padding = {-1, 2}}), Contains("padding is -1 x 2"));
  CHECK_THROWS_WITH(conv2d_forward(x, Tensor::zeros({4, 3, 7, 3}), {.padding = {1, 0}}),
                    Contains("padding 1 x 0 is smaller than the kernel of w [4,3,7,3]"));
  CHECK_THROWS_WITH(conv2d_forward(x, w.to(DType::f64), {}), Contains("dtypes and devices must be the same"));
  CHECK_THROWS_WITH(conv2d_forward(x.to(DType::bf16), w, {}), Contains("wants f32 or f64, got bf16"));
  CHECK_THROWS_WITH(conv2d_backward_data(dy, w, {2, 6, 5, 3}, {}), Contains("dy must be [2,4,3,4], got f32 [2,3,3,4]"));
  CHECK_THROWS_WITH(conv2d_backward_data(dy.to(DType::f64), w, {2, 5, 5, 3}, {}), Contains("must be the same"));
  CHECK_THROWS_WITH(conv2d_backward_weights(x, dy, dw, {2, 0}), Contains("dy must be [2,2,2,4], got f32 [2,3,3,4]"));
  Tensor double_dw = dw.to(DType::f64);
  CHECK_THROWS_WITH(conv2d_backward_weights(x, dy, double_dw, {}), Contains("must be the same"));
  CHECK_THROWS_WITH(conv2d_implementation({2, 5, 5, 3}, {4, 3, 3, 2}, {}, directions[0]), Contains("wants 2"));
}
