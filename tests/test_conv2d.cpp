#include <simclr/core/parallel.h>
#include <simclr/kernels/cpu/conv2d.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tensors.h"

#include <sys/resource.h>

#include <set>
#include <string>
#include <thread>

using namespace simclr;
using namespace simclr::test;
using namespace simclr::kernels;

namespace {

struct Case {
  std::int64_t n, h, w, c, o, k, l;
  PerAxis stride, padding;

  Shape x_shape() const { return {n, h, w, c}; }
  Shape w_shape() const { return {o, k, l, c}; }
  Conv2dGeometry geometry() const { return {stride, padding}; }
  Shape y_shape() const { return conv2d_output_shape(x_shape(), w_shape(), geometry()); }
};

std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << "x " << one.x_shape() << " w " << one.w_shape() << " stride " << one.stride << " padding "
             << one.padding;
}

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

/// Of Winograd's loops: odd sides, every padding, panels of every width, several blocks of outputs, channels that f64's
/// vectors divide but f32's do not, several slices of tiles.
struct WinogradCases {
  const char* name;
  std::vector<Case> cases;
};
const WinogradCases winograd_cases[] = {
    {"winograd 2x2",
     {{1, 4, 4, 16, 16, 3, 3, 1, 1},
      {2, 9, 7, 48, 80, 3, 3, 1, 1},
      {1, 6, 9, 16, 32, 3, 3, 1, 0},
      {3, 5, 6, 32, 16, 3, 3, 1, 2},
      {1, 7, 5, 16, 144, 3, 3, 1, 1},
      {1, 5, 4, 160, 32, 3, 3, 1, 1},
      {3, 2, 2, 32, 64, 3, 3, 1, 1},
      {2, 8, 8, 24, 40, 3, 3, 1, 1},
      {2, 6, 9, 16, 32, 3, 3, 1, {0, 1}},
      {2, 9, 6, 32, 16, 3, 3, 1, {2, 0}},
      {400, 2, 2, 16, 16, 3, 3, 1, 1}}},
    {"winograd 4x4",
     {{50, 4, 4, 32, 80, 3, 3, 1, 1},
      {14, 9, 11, 48, 16, 3, 3, 1, 1},
      {10, 13, 10, 16, 16, 3, 3, 1, 0},
      {20, 5, 6, 32, 16, 3, 3, 1, 2},
      {14, 12, 10, 16, 32, 3, 3, 1, {1, 2}},
      {14, 10, 14, 32, 16, 3, 3, 1, {2, 0}},
      {34, 7, 5, 16, 144, 3, 3, 1, 1},
      {50, 3, 3, 160, 16, 3, 3, 1, 1},
      {14, 8, 8, 24, 40, 3, 3, 1, 1},
      {100, 8, 8, 16, 16, 3, 3, 1, 1},
      {40, 9, 8, 16, 48, 3, 3, 1, 1}}},
};

/// The definition, in double: calls visit(x index, w index, y index) for each product.
template <class Visit>
void for_each_product(const Case& one, Visit&& visit) {
  const Shape y = one.y_shape();
  for (std::int64_t n = 0; n < one.n; ++n) {
    for (std::int64_t i = 0; i < y[1]; ++i) {
      for (std::int64_t j = 0; j < y[2]; ++j) {
        for (std::int64_t o = 0; o < one.o; ++o) {
          for (std::int64_t u = 0; u < one.k; ++u) {
            for (std::int64_t v = 0; v < one.l; ++v) {
              const std::int64_t row = i * one.stride.height + u - one.padding.height,
                                 column = j * one.stride.width + v - one.padding.width;
              if (row < 0 || row >= one.h || column < 0 || column >= one.w) continue;
              for (std::int64_t c = 0; c < one.c; ++c) {
                visit(static_cast<std::size_t>(((n * one.h + row) * one.w + column) * one.c + c),
                      static_cast<std::size_t>(((o * one.k + u) * one.l + v) * one.c + c),
                      static_cast<std::size_t>(((n * y[1] + i) * y[2] + j) * one.o + o));
              }
            }
          }
        }
      }
    }
  }
}

struct Results {
  Tensor y, dx, dw;
};

struct Inputs {
  Tensor x, w, dy;

  Inputs(const Case& one, DType dtype)
      : x(random_tensor(one.x_shape(), 1, dtype)),
        w(random_tensor(one.w_shape(), 2, dtype)),
        dy(random_tensor(one.y_shape(), 3, dtype)) {}
};

Results reference(const Case& one) {
  const Inputs in(one, DType::f64);
  const auto x = in.x.to_vector<double>(), w = in.w.to_vector<double>(), dy = in.dy.to_vector<double>();
  std::vector<double> y(dy.size()), dx(x.size()), dw(w.size());
  for_each_product(one, [&](std::size_t i, std::size_t j, std::size_t k) {
    y[k] += x[i] * w[j];
    dx[i] += dy[k] * w[j];
    dw[j] += dy[k] * x[i];
  });
  return {Tensor::from(y, one.y_shape()), Tensor::from(dx, one.x_shape()), Tensor::from(dw, one.w_shape())};
}

/// An output full of NaN, between two rows that nobody may write.
class Guarded {
 public:
  Guarded(const Shape& shape, DType dtype)
      : all_(Tensor::full(shape.with_first(shape[0] + 2), 77.0, dtype)), inner_(all_.narrow(1, shape[0])) {
    inner_.fill(NAN);
  }
  Tensor& tensor() { return inner_; }
  bool intact() const {
    for (const Tensor& row : {all_.narrow(0, 1), all_.narrow(all_.dim(0) - 1, 1)}) {
      for (const double value : row.to_vector<double>()) {
        if (value != 77.0) return false;
      }
    }
    return true;
  }

 private:
  Tensor all_, inner_;
};

Results run(const Conv2dKernels& kernels, const Case& one, DType dtype) {
  const Inputs in(one, dtype), before(one, dtype);
  Guarded y(one.y_shape(), dtype), dx(one.x_shape(), dtype), dw(one.w_shape(), dtype);
  kernels.forward(in.x, in.w, y.tensor(), one.geometry());
  kernels.backward_data(in.dy, in.w, dx.tensor(), one.geometry());
  kernels.backward_weights(in.x, in.dy, dw.tensor(), one.geometry());
  CHECK((y.intact() && dx.intact() && dw.intact()));
  CHECK((same_bits(in.x, before.x) && same_bits(in.w, before.w) && same_bits(in.dy, before.dy)));
  return {y.tensor(), dx.tensor(), dw.tensor()};
}

/// Rounding of a sum of `terms` grows about like its square root; relative to the largest element.
double tolerance(DType dtype, std::int64_t terms) {
  return (dtype == DType::f64 ? 2.3e-16 : 1.2e-7) * (4 + std::sqrt(static_cast<double>(terms)));
}

void check_near(const Case& one, const Results& got, const Results& expected, DType dtype) {
  const Shape y = one.y_shape();
  CHECK(relative_error(got.y, expected.y) < tolerance(dtype, one.k * one.l * one.c));
  CHECK(relative_error(got.dx, expected.dx) < tolerance(dtype, one.k * one.l * one.o));
  CHECK(relative_error(got.dw, expected.dw) < tolerance(dtype, one.n * y[1] * y[2]));
}

const Conv2dKernels& chosen() {
  return conv2d_slot.on(Device{});
}

std::string implementation(const Case& one, Conv2dDirection direction) {
  return conv2d_implementation(one.x_shape(), one.w_shape(), one.geometry(), direction);
}

bool is_winograd(const Case& one, Conv2dDirection direction = Conv2dDirection::forward) {
  return implementation(one, direction).rfind("winograd", 0) == 0;
}

bool all_same_bits(const Results& a, const Results& b) {
  return same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.dw, b.dw);
}

/// Sets the thread count for one test.
struct Threads {
  int previous = threads();
  explicit Threads(int count) { set_threads(count); }
  ~Threads() { set_threads(previous); }
};

/// Larger than a tile of positions, so that im2col takes several.
const Case larger = {5, 33, 31, 32, 48, 3, 3, 1, 1};

constexpr Conv2dDirection directions[] = {Conv2dDirection::forward, Conv2dDirection::backward_data,
                                          Conv2dDirection::backward_weights};

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

TEST_CASE("Winograd's convolution agrees with the definition, in the same bits for any thread count") {
  for (const auto& [name, listed] : winograd_cases) {
    for (const Case& one : listed) {
      INFO(one);
      const Results expected = reference(one);
      for (const DType dtype : {DType::f32, DType::f64}) {
        const Results got = run(chosen(), one, dtype);
        check_near(one, got, expected, dtype);
        for (const int count : {1, 2, 3, 7}) {
          const Threads scope(count);
          CHECK(all_same_bits(run(chosen(), one, dtype), got));
        }
      }
      if (one.c % 16 != 0) continue;
      CHECK(implementation(one, Conv2dDirection::forward) == name);
      for (const Conv2dDirection direction : directions) CHECK(is_winograd(one, direction));
    }
  }
}

TEST_CASE("Winograd's convolution is for 3x3 kernels, stride 1, and tiles that are not half empty") {
  CHECK(is_winograd({1, 8, 8, 16, 16, 3, 3, 1, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 3, 3, 2, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 3, 3, {1, 2}, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 3, 3, {2, 1}, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 16, 5, 5, 1, 1}));
  CHECK(!is_winograd({1, 8, 8, 3, 16, 3, 3, 1, 1}));
  CHECK(!is_winograd({1, 8, 8, 16, 3, 3, 3, 1, 1}));
  CHECK(!is_winograd({200, 1, 8, 16, 16, 3, 3, 1, 1}));
  CHECK(!is_winograd({1, 3, 3, 16, 16, 3, 3, 1, 1}));
}

TEST_CASE("Winograd's convolution keeps a NaN or an infinity where the definition has it") {
  const auto check = [](const Case& one, const char* name, auto may) {
    CHECK(implementation(one, Conv2dDirection::forward) == name);
    Inputs in(one, DType::f32);
    for (const float fault : {NAN, INFINITY}) {
      in.x.data<float>()[(5 * one.w + 4) * one.c + 3] = fault;
      const std::vector<float> y = conv2d_forward(in.x, in.w, one.geometry()).to_vector<float>();
      for (std::size_t i = 0; i < y.size(); ++i) {
        const auto pixel = static_cast<std::int64_t>(i) / one.o, row = pixel / one.w, column = pixel % one.w;
        const bool reached = row >= 4 && row <= 6 && column >= 3 && column <= 5;
        if (reached || !may(row, column)) REQUIRE(std::isfinite(y[i]) == !reached);
      }
    }
  };
  check({1, 10, 10, 16, 16, 3, 3, 1, 1}, "winograd 2x2", [](auto, auto) { return false; });
  check({8, 12, 12, 16, 16, 3, 3, 1, 1}, "winograd 4x4",  // whole tiles
        [](std::int64_t row, std::int64_t column) { return row >= 4 && row < 8 && column < 8; });
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
