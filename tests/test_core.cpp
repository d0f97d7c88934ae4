#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/context.h>
#include <simclr/core/primitives.h>
#include <simclr/core/text.h>

#include <limits>
#include <map>
#include <set>

using namespace simclr;
using test::edge_sizes;
using test::random_tensor;
using test::same_bits;

// AddressSanitizer would end the program where the system says that memory is out.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}

TEST_CASE("a shape knows its sizes and refuses impossible ones") {
  const Shape shape = {2, 3, 5};
  CHECK(shape.rank() == 3);
  CHECK(shape.numel() == 30);
  CHECK(shape[0] == 2);
  CHECK(shape[-1] == 5);
  CHECK(to_string(shape) == "[2,3,5]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{4, 0}.numel() == 0);
  CHECK(shape.with_first(7) == Shape{7, 3, 5});
  CHECK_FALSE(shape == Shape{2, 3});
  CHECK_FALSE(shape == Shape{2, 3, 4});
  CHECK_THROWS_WITH(shape[3], Catch::Contains("dimension 3 of [2,3,5]"));
  CHECK_THROWS_WITH(shape[-4], Catch::Contains("dimension -4"));
  CHECK_THROWS_WITH((Shape{2, -1}), Catch::Contains("dimension 1 is -1"));
  CHECK_THROWS_WITH((Shape{1, 1, 1, 1, 1, 1, 1}), Catch::Contains("7 dimensions, at most 6"));
  CHECK_THROWS_WITH((Shape{std::int64_t{1} << 40, std::int64_t{1} << 40}), Catch::Contains("overflows"));
  CHECK_THROWS_AS(Shape{}.with_first(1), Error);
}

TEST_CASE("bf16 rounds to nearest, ties to even, and keeps NaN and infinity") {
  const auto bits = [](float value) { return BFloat16(value).bits; };
  CHECK(bits(1.0f) == 0x3f80);
  CHECK(bits(1.0f + 1.0f / 256) == 0x3f80);                 // halfway: to the even neighbour below
  CHECK(bits(1.0f + 3.0f / 256) == 0x3f82);                 // halfway: to the even neighbour above
  CHECK(bits(1.0f + 1.0f / 256 + 1.0f / 65536) == 0x3f81);  // just above halfway
  CHECK(bits(1.0f + 3.0f / 256 - 1.0f / 65536) == 0x3f81);  // just below halfway
  CHECK(bits(-1.0f - 3.0f / 256) == 0xbf82);
  CHECK(bits(std::numeric_limits<float>::max()) == 0x7f80);  // rounds to infinity
  CHECK(bits(INFINITY) == 0x7f80);
  CHECK(bits(-0.0f) == 0x8000);
  CHECK(std::isnan(static_cast<float>(BFloat16(NAN))));
  CHECK(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7f800001u)))));  // its set bit is dropped
  CHECK(static_cast<float>(BFloat16(3.140625f)) == 3.140625f);
}

TEST_CASE("dtypes have names and sizes") {
  const std::map<DType, std::pair<std::string, std::int64_t>> expected = {{DType::f32, {"f32", 4}},
                                                                          {DType::f64, {"f64", 8}},
                                                                          {DType::bf16, {"bf16", 2}},
                                                                          {DType::u8, {"u8", 1}},
                                                                          {DType::i32, {"i32", 4}}};
  for (const auto& [dtype, name_and_size] : expected) {
    CHECK(name(dtype) == name_and_size.first);
    CHECK(size_of(dtype) == name_and_size.second);
    CHECK(is_floating(dtype) == (dtype != DType::u8 && dtype != DType::i32));
  }
}

TEST_CASE("devices are read from text, and nonsense is refused") {
  CHECK(parse_device("cpu") == Device{DeviceType::cpu, 0});
  CHECK(parse_device("emu") == Device{DeviceType::emu, 0});
  CHECK(parse_device("cuda") == Device{DeviceType::cuda, 0});
  CHECK(parse_device("cuda:3") == Device{DeviceType::cuda, 3});
  for (const char* text : {"", "gpu", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:99999999999", "CPU", "cpu:0"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_device(text), Catch::Contains("use cpu, cuda or cuda:N"));
  }
  for (const char* text : {"cpu", "emu", "cuda:0", "cuda:2"}) CHECK(to_string(parse_device(text)) == text);
  CHECK_THROWS_WITH(Tensor::empty({1}, DType::f32, {DeviceType::cuda, 99}), Catch::StartsWith("cuda:99: "));
}

TEST_CASE("a tensor is made, filled, copied and read back") {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::u8, DType::i32}) {
    for (const std::int64_t n : edge_sizes) {
      CAPTURE(dtype, n);
      Tensor x = Tensor::full({n}, 7.0, dtype);
      CHECK(x.bytes() == static_cast<std::size_t>(n * size_of(dtype)));
      CHECK(x.to_vector<double>() == std::vector<double>(static_cast<std::size_t>(n), 7.0));
      const Tensor copy = x.clone();
      CHECK(same_bits(copy, x));
      x.fill(3.0);
      CHECK(copy.to_vector<std::int32_t>()[0] == 7);
      CHECK(Tensor::zeros_like(x).to_vector<float>()[static_cast<std::size_t>(n - 1)] == 0.0f);
    }
  }
  const Tensor large = random_tensor({257, 1003}, 3, DType::f32);
  CHECK(same_bits(large.clone(), large));
  CHECK(Tensor::full({}, 2.5).item() == 2.5);
  CHECK(Tensor::empty({0, 3}).to_vector<float>().empty());
  CHECK(describe(Tensor::zeros({2, 3})) == "f32 [2,3] on cpu");
  CHECK(describe(Tensor()) == "an undefined tensor");
}

TEST_CASE("a tensor says what is wrong with its use") {
  const Tensor x = Tensor::zeros({2, 3});
  CHECK_THROWS_WITH(Tensor().shape(), Catch::Contains("undefined tensor"));
  CHECK_THROWS_WITH(x.data<double>(), Catch::Contains("asked for f64 data of f32 [2,3]"));
  CHECK_THROWS_WITH(x.item(), Catch::Contains("one element"));
  CHECK_THROWS_WITH(Tensor::from(std::vector<float>{1, 2}, {3}), Catch::Contains("2 values do not fill shape [3]"));
  CHECK_THROWS_WITH(Tensor::zeros({3, 2}).copy_from(x), Catch::Contains("f32 [2,3] on cpu into f32 [3,2]"));
}

TEST_CASE("casts round to nearest and saturate; NaN becomes 0 in integers") {
  const std::vector<double> values = {-1e30, -1.5, -0.4, 0.5,      1.5,       2.5, 254.6,
                                      255.4, 256,  3e9,  INFINITY, -INFINITY, NAN};
  for (const DType from : {DType::f64, DType::f32}) {
    const Tensor x = Tensor::from(values, {13}).to(from);
    CHECK(x.to(DType::u8).to_vector<std::int32_t>() ==
          std::vector<std::int32_t>{0, 0, 0, 0, 2, 2, 255, 255, 255, 255, 255, 0, 0});
    constexpr auto low = std::numeric_limits<std::int32_t>::min(), high = std::numeric_limits<std::int32_t>::max();
    CHECK(x.to(DType::i32).to_vector<std::int32_t>() ==
          std::vector<std::int32_t>{low, -2, 0, 0, 2, 2, 255, 255, 256, high, high, low, 0});
  }
  const Tensor integers = Tensor::from(std::vector<std::int32_t>{-5, 0, 300, 16777217}, {4});
  CHECK(integers.to(DType::u8).to_vector<std::int32_t>() == std::vector<std::int32_t>{0, 0, 255, 255});
  CHECK(integers.to(DType::f64).to_vector<double>() == std::vector<double>{-5, 0, 300, 16777217});
  CHECK(integers.to(DType::f32).to_vector<double>() == std::vector<double>{-5, 0, 300, 16777216});
  CHECK(integers.to(DType::bf16).to_vector<double>() == std::vector<double>{-5, 0, 300, 16777216});
  CHECK(Tensor::full({1}, 1.0 + 3.0 / 256, DType::bf16).item() == 1.0 + 2.0 / 128);
  CHECK(integers.to(DType::i32).same_as(integers));
  Tensor target = Tensor::zeros({4});
  target.copy_from(integers);
  CHECK(target.to_vector<double>()[2] == 300);
}

TEST_CASE("u16 is stored, copied and read, and neither converted nor filled") {
  const std::vector<std::uint16_t> values = {0, 1, 40000, 65535};
  const Tensor a = Tensor::from(values, {2, 2});
  CHECK(std::string(name(a.dtype())) == "u16");
  CHECK(a.bytes() == 8);
  CHECK(a.clone().to_vector<std::uint16_t>() == values);
  CHECK(a.narrow(1, 1).to_vector<std::uint16_t>() == std::vector<std::uint16_t>{40000, 65535});
  const auto storage_only = Catch::Contains("u16 is for storage alone");
  CHECK_THROWS_WITH(a.to(DType::f32), storage_only);
  CHECK_THROWS_WITH(Tensor::zeros({2}).to(DType::u16), storage_only);
  CHECK_THROWS_WITH(a.to_vector<float>(), storage_only);
  CHECK_THROWS_WITH(Tensor::full({2}, 1, DType::u16), storage_only);
  Tensor b = a;
  CHECK_THROWS_WITH(b.set_requires_grad(), Catch::Contains("u16"));
  // Where nobody has looked at the dtype before.
  const PrimitivesKernels& kernels = primitives_slot.on(Device{});
  CHECK_THROWS_WITH(kernels.fill(b, 1.0), storage_only);
  CHECK_THROWS_WITH(kernels.add(a, a, b), storage_only);
  Tensor c = Tensor::zeros({2, 2});
  CHECK_THROWS_WITH(kernels.cast(a, c), storage_only);
  CHECK_THROWS_WITH(kernels.cast(c, b), storage_only);
  CHECK(a.to_vector<std::uint16_t>() == values);
}

TEST_CASE("wrapped memory is used in place and released once, after the last view") {
  std::vector<float> memory = {1, 2, 3, 4, 5, 6};
  int released = 0;
  void* released_data = nullptr;
  {
    Tensor view;
    {
      Tensor x = Tensor::wrap(memory.data(), {3, 2}, DType::f32, {}, [&](void* data) {
        ++released;
        released_data = data;
      });
      CHECK(x.raw_data() == memory.data());
      x.narrow(1, 1).fill(9);
      view = x.narrow(2, 1).detach();
    }
    CHECK(released == 0);
    CHECK(view.to_vector<double>() == std::vector<double>{5, 6});
  }
  CHECK(released == 1);
  CHECK(released_data == memory.data());
  CHECK(memory == std::vector<float>{1, 2, 9, 9, 5, 6});
  Tensor::wrap(memory.data(), {6}, DType::f32);  // no deleter: nothing happens
}

TEST_CASE("the allocator reuses blocks and counts them") {
  const auto allocator = make_host_allocator();
  void* a = allocator->allocate(1000);
  CHECK(reinterpret_cast<std::uintptr_t>(a) % 256 == 0);
  const std::size_t one = allocator->stats().in_use;
  CHECK(one >= 1000);
  CHECK(one <= 1280);
  void* b = allocator->allocate(1000);
  CHECK(a != b);
  CHECK(allocator->stats().peak == 2 * one);
  allocator->release(b, 1000);
  CHECK(allocator->stats().in_use == one);
  CHECK(allocator->stats().reserved == 2 * one);
  CHECK(allocator->allocate(999) == b);  // the same size class
  allocator->release(b, 999);
  allocator->reset_peak();
  CHECK(allocator->stats().peak == one);
  allocator->trim();
  CHECK(allocator->stats().reserved == one);
  void* large = allocator->allocate(std::size_t{5} << 20);
  CHECK(reinterpret_cast<std::uintptr_t>(large) % 256 == 0);
  allocator->release(large, std::size_t{5} << 20);
  allocator->release(a, 1000);
  allocator->trim();
  CHECK(allocator->stats().in_use == 0);
  CHECK(allocator->stats().reserved == 0);
}

TEST_CASE("out of memory says what was asked for and what to lower, and the allocator goes on") {
  const auto allocator = make_host_allocator();
  const std::size_t absurd = std::size_t{1} << 60;
  CHECK_THROWS_WITH(allocator->allocate(absurd),
                    Catch::Contains("out of memory on cpu: asked for " + std::to_string(absurd) + " bytes") &&
                        Catch::Contains("lower the batch size"));
  CHECK(allocator->stats().in_use == 0);
  allocator->release(allocator->allocate(64), 64);
  CHECK_THROWS_AS(Tensor::empty({std::int64_t{1} << 58}), Error);
}

TEST_CASE("a tensor's memory goes back to its context's allocator") {
  Allocator& allocator = Context::of({}).allocator();
  const std::size_t before = allocator.stats().in_use;
  {
    const Tensor x = Tensor::empty({1003, 7});
    const Tensor row = x.narrow(5, 1);
    CHECK(allocator.stats().in_use >= before + 1003 * 7 * 4);
  }
  CHECK(allocator.stats().in_use == before);
}

TEST_CASE("Philox gives the published words") {
  const auto block = Philox::block({{0, 0, 0, 0}}, 0, 0);
  CHECK(block.x[0] == 0x6627e8d5u);
  CHECK(block.x[1] == 0xe169c58du);
  CHECK(block.x[2] == 0xbc57ac4cu);
  CHECK(block.x[3] == 0x9b00dbd8u);
  // The counter's and the key's every word matters.
  const Philox::Block zero{{0, 0, 0, 0}};
  std::set<std::uint32_t> firsts = {block.x[0], Philox::block(zero, 1, 0).x[0], Philox::block(zero, 0, 1).x[0]};
  for (int word = 0; word < 4; ++word) {
    Philox::Block counter = zero;
    counter.x[word] = 1;
    firsts.insert(Philox::block(counter, 0, 0).x[0]);
  }
  CHECK(firsts.size() == 7);
}

TEST_CASE("Random's numbers have the bit layout that its comment states") {
  const std::uint64_t seed = 0x0123456789abcdefull;
  const Random random(seed, RandomPurpose::augmentation, 77, 5, 0x03000009);  // views keep 24 bits
  for (const std::uint32_t slot : {0u, 1u, 2u, 3u, 4u, 11u, 4294967295u}) {
    const auto block = Philox::block({{slot / 4, 77, 5, 2u << 24 | 9u}}, 0x89abcdefu, 0x01234567u);
    CHECK(random.bits(slot) == block.x[slot % 4]);
    CHECK(random.uniform(slot) == static_cast<float>(block.x[slot % 4] >> 8) / 16777216.0f);
    CHECK(random.below(1000, slot) == static_cast<std::uint32_t>(std::uint64_t{block.x[slot % 4]} * 1000 >> 32));
  }
  CHECK(static_cast<int>(RandomPurpose::initial_weights) == 0);
  CHECK(static_cast<int>(RandomPurpose::shuffle) == 1);
  CHECK(static_cast<int>(RandomPurpose::augmentation) == 2);
  CHECK(static_cast<int>(RandomPurpose::subset) == 3);
  CHECK(static_cast<int>(RandomPurpose::user) == 255);
}

TEST_CASE("uniform numbers lie in [0,1), on the grid of 2^-24, and spread evenly") {
  const Random random(11, RandomPurpose::user);
  const int n = 100000;
  double total = 0, squares = 0;
  std::vector<int> tenths(10, 0), sevenths(7, 0);
  for (int i = 0; i < n; ++i) {
    const float u = random.uniform(static_cast<std::uint32_t>(i));
    if (!(u >= 0.0f && u < 1.0f)) FAIL("outside [0,1)");
    const double grid = double{u} * 16777216.0;
    if (grid != std::floor(grid)) FAIL("more than 24 bits");
    total += double{u};
    squares += double{u} * double{u};
    ++tenths[static_cast<std::size_t>(u * 10)];
    ++sevenths[random.below(7, static_cast<std::uint32_t>(i))];
  }
  // five standard deviations: 1 / sqrt(12 n), and sqrt(n p (1 - p))
  CHECK(std::abs(total / n - 0.5) < 5 * 0.2887 / std::sqrt(n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * 0.2981 / std::sqrt(n));
  for (const int count : tenths) CHECK(std::abs(count - n / 10.0) < 5 * std::sqrt(n * 0.09));
  for (const int count : sevenths) CHECK(std::abs(count - n / 7.0) < 5 * std::sqrt(n * 6.0 / 49));
}

TEST_CASE("rows move up and down within one tensor") {
  const std::int64_t rows = 1 << 18, shift = 4096;
  for (const bool down : {false, true}) {
    Tensor t = random_tensor({rows}, 1, DType::f32);
    const auto before = t.to_vector<float>();
    t.narrow(down ? shift : 0, rows - shift).copy_from(t.narrow(down ? 0 : shift, rows - shift));
    const auto after = t.to_vector<float>();
    bool equal = true;
    for (std::int64_t i = 0; i < rows - shift; ++i) {
      equal = equal && after[static_cast<std::size_t>(down ? i + shift : i)] ==
                           before[static_cast<std::size_t>(down ? i : i + shift)];
    }
    CHECK(equal);
  }
}

TEST_CASE("texts for messages hold no control characters and no half of a character") {
  CHECK(printable("a\nb\x7f\x1b[31m \xc3\xa4") == "a?b??[31m \xc3\xa4");
  CHECK(printable("abc", 3) == "abc");
  CHECK(printable("abcd", 3) == "abc");
  CHECK(printable("ab\xe2\x82\xac", 4) == "ab");
  CHECK(printable("ab\xe2\x82\xac!", 5) == "ab\xe2\x82\xac");
  CHECK(printable("\xe2\x82\xac", 0).empty());
  CHECK(counted(0, "file") == "0 files");
  CHECK(counted(1, "class", "es") == "1 class");
  CHECK(counted(2, "class", "es") == "2 classes");
  CHECK(listed({}, 2).empty());
  CHECK(listed({"a\n", "b"}, 2) == "a?, b");
  CHECK(listed({"a", "b", "c", "d"}, 2) == "a, b and 2 more");
  CHECK(joined({}, ", ").empty());
  CHECK(joined({"", "a", "", "b"}, "::") == "::a::::b");
  CHECK(one_of({}).empty());
  CHECK(one_of({"a"}) == "a");
  CHECK(one_of({"a", "b"}) == "a or b");
  CHECK(one_of({"a", "b", "c"}) == "a, b or c");
  CHECK(hex(0xfeu) == "00000000000000fe");
  CHECK(lower_case("AZ az@[-\xc3\x84") == "az az@[-\xc3\x84");
}

TEST_CASE("a shape whose bytes could not be counted is refused") {
  CHECK_THROWS_WITH(Shape({std::int64_t{1} << 60}), Catch::Contains("overflows"));
  CHECK_THROWS_WITH(Shape({std::int64_t{1} << 30, std::int64_t{1} << 30}), Catch::Contains("overflows"));
}
