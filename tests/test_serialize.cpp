#include "support/catch.h"
#include "support/safetensors.h"
#include "support/temp_dir.h"

#include <simclr/core/crc64.h>
#include <simclr/core/serialize.h>

#include <sys/stat.h>

#include <cmath>
#include <fstream>

using namespace simclr;
using test::read_text;
using test::sample_tensors;
using test::with_length;

TEST_CASE("all dtypes, empty tensors and scalars come back as they were") {
  const test::TempDir folder;
  const auto path = folder.path("all.safetensors");
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"note", "line\nbreak \xe2\x82\xac"}};
  save_tensors(path, sample_tensors(), metadata);
  CHECK(folder.names() == std::set<std::string>{"all.safetensors"});
  const TensorFile file = load_tensors(path);
  CHECK(file.metadata == metadata);
  REQUIRE(file.tensors.size() == sample_tensors().size());
  for (const auto& wanted : sample_tensors()) {
    const auto found = std::find_if(file.tensors.begin(), file.tensors.end(),
                                    [&](const NamedTensor& tensor) { return tensor.name == wanted.name; });
    CAPTURE(wanted.name);
    REQUIRE(found != file.tensors.end());
    CHECK(test::same_bits(found->value, wanted.value));
  }
  struct stat status {};
  stat(path.c_str(), &status);
  const mode_t mask = umask(0);
  umask(mask);
  CHECK((status.st_mode & 0777u) == (0666u & ~mask));

  save_tensors(path, {});
  CHECK(load_tensors(path).tensors.empty());
}

TEST_CASE("halves are widened where that is asked for, every one exactly") {
  const test::TempDir folder;
  const std::string header = R"({"half":{"dtype":"F16","shape":[2,32768],"data_offsets":[0,131072]}})";
  std::string values;
  for (int bits = 0; bits < 65536; ++bits) {
    values += static_cast<char>(bits & 0xff);
    values += static_cast<char>(bits >> 8);
  }
  std::ofstream(folder.path("half"), std::ios::binary) << with_length(header, values);
  CHECK_THROWS_WITH(load_tensors(folder.path("half")), Catch::Contains("half is F16"));
  const TensorFile file = load_tensors(folder.path("half"), {.widen_f16 = true});
  REQUIRE(file.tensors.size() == 1);
  const Tensor& wide = file.tensors[0].value;
  REQUIRE((wide.dtype() == DType::f32 && wide.shape() == Shape{2, 32768}));
  int wrong = 0;
  for (int bits = 0; bits < 65536; ++bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double expected = exponent == 0   ? std::ldexp(mantissa, -24)
                      : exponent < 31 ? std::ldexp(1024 + mantissa, exponent - 25)
                      : mantissa == 0 ? std::numeric_limits<double>::infinity()
                                      : std::numeric_limits<double>::quiet_NaN();
    if (bits >= 32768) expected = -expected;
    const float found = wide.data<const float>()[bits];
    const bool same =
        std::isnan(expected) ? std::isnan(found) : double{found} == expected && std::signbit(found) == (bits >= 32768);
    wrong += same ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("the bytes are the format's, aligned, and the same every time") {
  const test::TempDir folder;
  save_tensors(folder.path("a"),
               {{"b", Tensor::from(std::vector<std::uint8_t>{65, 66, 67}, {3})},
                {"a", Tensor::from(std::vector<std::int32_t>{0x44434241}, {})}},
               {{"k", "v"}});
  std::string header =
      R"({"__metadata__":{"digest":"crc64xz:0000000000000000","k":"v"},"a":{"dtype":"I32","shape":[],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  Crc64 digest;
  digest.update(with_length(header, "ABCDABC").data(), header.size() + 15);
  char digits[17] = {};
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(digest.value()));
  header.replace(header.find("0000000000000000"), 16, digits);
  CHECK(read_text(folder.path("a")) == with_length(header, "ABCDABC"));

  save_tensors(folder.path("b"), sample_tensors(), {{"x", "1"}, {"a", "2"}});
  save_tensors(folder.path("c"), sample_tensors(), {{"a", "2"}, {"x", "1"}});
  CHECK(read_text(folder.path("b")) == read_text(folder.path("c")));
  for (std::size_t length = 0; length < 20; ++length) {
    save_tensors(folder.path("d"), {{std::string(length, 'n'), Tensor::zeros({1})}});
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, read_text(folder.path("d")).data(), 8);
    CHECK(bytes % 8 == 0);
  }
}

TEST_CASE("the digest is CRC-64/XZ, however the bytes are cut") {
  Crc64 whole, cut;
  whole.update("123456789", 9);
  CHECK(whole.value() == 0x995dc9bbdf1939fau);
  std::string text;
  for (int i = 0; i < 100; ++i) text += std::to_string(i);
  for (std::size_t at = 0, length = 0; at < text.size(); at += length++) {
    cut.update(text.data() + at, std::min(length, text.size() - at));
  }
  whole = {};
  whole.update(text.data(), text.size());
  CHECK(cut.value() == whole.value());
}

TEST_CASE("a file whose digest differs is refused, one without a digest where it must have one") {
  const test::TempDir folder;
  const auto path = folder.path("x");
  save_tensors(path, sample_tensors(), {{"k", "v"}});
  const std::string whole = read_text(path);
  CHECK(load_tensors(path, {.require_digest = true}).metadata == std::map<std::string, std::string>{{"k", "v"}});

  std::string changed = whole;
  changed.back() ^= 1;
  folder.write("x", changed);
  const std::string wanted = "read " + path + ": damaged: its digest differs; use another copy";
  CHECK_THROWS_WITH(load_tensors(path), wanted);
  CHECK_THROWS_WITH(load_tensors(path, {.skip = [](const std::string&) { return true; }}), wanted);

  folder.write("x", with_length("{}"));
  CHECK(load_tensors(path).tensors.empty());
  CHECK_THROWS_WITH(load_tensors(path, {.require_digest = true}), Catch::Contains("it has no digest"));
  CHECK_THROWS_WITH(save_tensors(path, {}, {{"digest", "mine"}}), Catch::Contains("save_tensors writes that"));
}

TEST_CASE("tensors of dtypes and ranks that the library lacks can be skipped") {
  const test::TempDir folder;
  const auto path = folder.path("x");
  folder.write("x", with_length(R"({"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                                R"("b":{"dtype":"U8","shape":[2],"data_offsets":[8,10]},)"
                                R"("c":{"dtype":"F4","shape":[1,1,1,1,1,1,1,2],"data_offsets":[10,11]}})",
                                "12345678ABx"));
  CHECK_THROWS_WITH(load_tensors(path), Catch::Contains("a is I64, and this library has only"));
  const TensorFile file = load_tensors(path, {.skip = [](const std::string& name) { return name != "b"; }});
  REQUIRE(file.tensors.size() == 1);
  CHECK(file.tensors[0].name == "b");
  CHECK(file.tensors[0].value.to_vector<double>() == std::vector<double>{'A', 'B'});
}

TEST_CASE("every dtype of the format has its size") {
  const test::TempDir folder;
  const std::map<std::string, int> bits = {
      {"BOOL", 8},        {"U8", 8},          {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},
      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},        {"F32", 32},    {"F64", 64},    {"I64", 64},    {"U64", 64},
      {"C64", 64},        {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}};
  for (const auto& [dtype, size] : bits) {
    CAPTURE(dtype);
    const std::string bytes = std::to_string(size);  // of 8 elements
    const auto path = folder.write(
        "x", with_length("{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":[2,4],\"data_offsets\":[0," + bytes + "]}}",
                         std::string(static_cast<std::size_t>(size), 'x')));
    CHECK(load_tensors(path, {.skip = [](const std::string&) { return true; }}).tensors.empty());
    if (size % 8 == 0) continue;
    folder.write("x", with_length("{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":[1],\"data_offsets\":[0,1]}}", "x"));
    CHECK_THROWS_WITH(load_tensors(path), Catch::Contains("a ends within a byte"));
  }
}

TEST_CASE("what cannot be saved is refused before a file is touched") {
  const test::TempDir folder;
  const auto path = folder.path("x");
  folder.write("x", std::string("old"));
  const Tensor t = Tensor::zeros({1});
  CHECK_THROWS_WITH(save_tensors(path, {{"a", t}, {"a", t}}), Catch::Contains("two tensors are called a"));
  CHECK_THROWS_WITH(save_tensors(path, {{"__metadata__", t}}), Catch::Contains("cannot be called __metadata__"));
  CHECK_THROWS_WITH(save_tensors(path, {{"a", {}}}), Catch::Contains("a is undefined"));
  CHECK_THROWS_WITH(save_tensors(path, {{"\xff", t}}), Catch::Contains("not UTF-8"));
  CHECK_THROWS_WITH(save_tensors(path, {{"a", t}}, {{"k", "\xc3"}}), Catch::Contains("not UTF-8"));
  CHECK(read_text(path) == "old");
  CHECK(folder.names() == std::set<std::string>{"x"});
}
