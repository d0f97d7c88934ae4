// Files that somebody else made, cut short or spoiled: the right verdict, in no more memory than the file and 1 MiB.

#include "support/catch.h"
#include "support/message_of.h"
#include "support/peak_memory.h"
#include "support/safetensors.h"
#include "support/temp_dir.h"

#include <simclr/core/serialize.h>
#include <simclr/nn/resnet.h>
#include <simclr/nn/simclr.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <random>

using namespace simclr;
using test::with_length;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// What load_tensors says of the file, "" where it loads it. Fails where that takes more memory than it may.
std::string verdict(const std::string& path, const LoadOptions& options = {}) {
  std::string message;
  message.reserve(1024);
  const std::size_t taken = test::memory::taken_by([&] {
    try {
      load_tensors(path, options);
    } catch (const Error& error) {
      message = error.what();
    }
  });
  const auto size = fs::file_size(path);
  if (taken > size + mebibyte) FAIL("took " << taken << " bytes for a file of " << size << ": " << message);
  return message;
}

struct Case {
  std::string bytes;
  std::string message;  // empty: the file is good
};

Case tensor(const std::string& fields, const std::string& message, std::size_t values = 4) {
  return {with_length("{\"a\":{" + fields + "}}", std::string(values, 'x')), message};
}

Case header(const std::string& text, const std::string& message, std::size_t values = 4) {
  return {with_length(text, std::string(values, 'x')), message};
}

std::vector<Case> hostile_lengths() {
  return {{"", "not a safetensors file: 0 bytes"},
          {"1234567", "not a safetensors file: 7 bytes"},
          {std::string(8, '\xff') + "{}", "a header of 18446744073709551615 bytes"},
          {std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}", "a header of 100000001 bytes"},
          {std::string("\x00\xe1\xf5\x05\0\0\0\0", 8) + "{}", "truncated: the header has 100000000 bytes, the file 10"},
          {std::string("\x03\0\0\0\0\0\0\0", 8) + "{}", "truncated: the header has 3 bytes"},
          {std::string(8, '\0'), "does not begin with '{'"},
          {std::string("\0\0\0\0\0\0\0\x02", 8) + "{}", "a header of"},  // big-endian
          header("{}", "bytes are left over: the tensors take 0 bytes, the file has 1", 1),
          header("{}", "", 0),
          header("{} \t\r\n  ", "", 0)};
}

std::vector<Case> hostile_json() {
  const std::string good = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  std::string deep = "{\"a\":", deeper = "{";
  for (int i = 0; i < 100000; ++i) deep += "[", deeper += "\"a\":{";
  return {header("{", "the header: '\"' is wanted at the header's byte 1, where it ends"),
          header("{}{}", "the header goes on behind its end"),
          header("{} x", "the header goes on behind its end"),
          header(std::string("{}\0{}", 5), "goes on behind its end"),
          header("{'a':1}", "'\"' is wanted at the header's byte 1"),
          header("{/**/}", "is wanted at the header's byte 1"),
          header("{\"\xff\":1}", "UTF-8 text is wanted at the header's byte 2"),
          header("{\"\xc0\xaf\":1}", "UTF-8 text is wanted"),          // overlong
          header("{\"\xed\xa0\x80\":1}", "UTF-8 text is wanted"),      // half a surrogate pair
          header("{\"\xf4\x90\x80\x80\":1}", "UTF-8 text is wanted"),  // above U+10FFFF
          header("{\"\xe2\x82", "UTF-8 text is wanted"),
          header("{\"a\nb\":1}", "UTF-8 text is wanted"),
          header("{\"a", "UTF-8 text is wanted at the header's byte 3, where it ends"),
          header("{\"a\\", "an escape that JSON has is wanted"),
          header("{\"a\\x\":1}", "an escape that JSON has is wanted"),
          header("{\"a\\u12g4\":1}", "four hexadecimal digits"),
          header("{\"a\\ud800\":1}", "second half of a surrogate pair"),
          header("{\"a\\ud800\\u0041\":1}", "second half of a surrogate pair"),
          header("{\"a\\udc00\":1}", "second half of a surrogate pair"),
          header(" {}", "does not begin with '{'"),
          header("\xef\xbb\xbf{}", "does not begin with '{'"),
          header("[]", "does not begin with '{'"),
          header("{,}", "'\"' is wanted"),
          header("{\"a\":{" + good + "},}", "'\"' is wanted"),
          header("{\"a\":{" + good + ",}}", "a: data_offsets: '\"' is wanted"),
          header("{\"a\" {" + good + "}}", "':' is wanted"),
          header("{\"a\":{" + good + "}", "',' or '}' is wanted"),
          header("{\"a\":{" + good, "',' or '}' is wanted"),
          header(R"({"a":1})", "a: '{' is wanted at the header's byte 5"),
          header(R"({"a":null})", "a: '{' is wanted"),
          header(R"({"a":"F32"})", "a: '{' is wanted"),
          header(R"({"a":[]})", "a: '{' is wanted"),
          header(R"({"":1})", "'': '{' is wanted"),
          header("{\"a\\nb\":null}", "a?b: '{' is wanted"),
          header(deep, "a: '{' is wanted"),
          header(deeper, "a: a is not part of the format"),
          header("{\"" + std::string(5000, 'n') + "\":1}", std::string(100, 'n') + ": '{' is wanted")};
}

std::vector<Case> hostile_tensors() {
  const std::string u8 = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)";
  return {
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", ""),  // what the rest are spoiled from
      tensor(R"( "shape" : [ 1 ] , "data_offsets":[ 0 , 4 ],"\u0064type":"F\u00332" )", ""),
      tensor("", "a needs dtype, shape and data_offsets"),
      tensor(R"("dtype":"F32","shape":[1])", "a needs dtype, shape and data_offsets"),
      tensor(R"("dtype":"F32","data_offsets":[0,4])", "a needs dtype, shape and data_offsets"),
      tensor(R"("shape":[1],"data_offsets":[0,4])", "a needs dtype, shape and data_offsets"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1)", "a: extra is not part of the format"),
      tensor(R"("dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4])", "a: dtype occurs twice"),
      tensor(R"("dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,4])", "a: shape occurs twice"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4])", "a: data_offsets occurs twice"),
      header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
             R"("\u0061":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
             "a occurs twice"),
      tensor(R"("dtype":"F16","shape":[2],"data_offsets":[0,4])", "a is F16, and this library has only F32"),
      tensor(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])", "a: dtype is 'f32', which the format does not have"),
      tensor(R"("dtype":"","shape":[1],"data_offsets":[0,4])", "a: dtype is '', which"),
      tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,4])", "a: dtype: '\"' is wanted"),
      tensor(R"("dtype":["F32"],"shape":[1],"data_offsets":[0,4])", "a: dtype: '\"' is wanted"),
      tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])", "a: shape: '[' is wanted"),
      tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])", "a: shape: a number from 0 up is wanted"),
      tensor(R"("dtype":"F32","shape":[{}],"data_offsets":[0,4])", "a: shape: a number from 0 up is wanted"),
      tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])", "a: shape: a number from 0 up is wanted"),
      tensor(R"("dtype":"F32","shape":[true],"data_offsets":[0,4])", "a: shape: a number from 0 up is wanted"),
      tensor(R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])", "a: shape: a number from 0 up is wanted"),
      tensor(R"("dtype":"F32","shape":[1,],"data_offsets":[0,4])", "a: shape: a number from 0 up is wanted"),
      tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])", "a: shape: ',' or ']' is wanted"),
      tensor(R"("dtype":"F32","shape":[1e0],"data_offsets":[0,4])", "a: shape: ',' or ']' is wanted"),
      tensor(R"("dtype":"F32","shape":[01],"data_offsets":[0,4])", "a: shape has a number with a zero before it"),
      tensor(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4])",
             "a: shape has a number that overflows"),
      tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])", "a: shape overflows"),
      tensor(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])", "a: shape overflows", 0),
      tensor(R"("dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0])", "a: shape overflows", 0),
      tensor(R"("dtype":"F64","shape":[4611686018427387904,0],"data_offsets":[0,0])", "a: shape overflows", 0),
      tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4])", "a has 7 dimensions, at most 6"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])", "a: data_offsets must be two numbers"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[])", "a: data_offsets must be two numbers"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])", "a: data_offsets must be two numbers"),
      tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])",
             "a takes 8 bytes by its dtype and shape, but its data_offsets are 0 to 4"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])", "but its data_offsets are 4 to 0"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,3])",
             "data_offsets are 184467440737095"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])", "a begins at byte 4, the tensors before it end at 0",
             8),
      tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])",
             "truncated: the tensors take 8 bytes, the file has 4"),
      tensor(R"("dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776])", "truncated: the tensors take"),
      tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", "left over: the tensors take 4 bytes, the file has 5",
             5),
      header(u8 + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", "b begins at byte 2", 6),
      header(u8 + R"("b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}})", "b begins at byte 5", 6),
      header(u8 + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "b begins at byte 0"),
      header(u8 + R"("b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})", "begins at byte 2"),
      header(R"({"__metadata__":"x"})", "__metadata__: '{' is wanted"),
      header(R"({"__metadata__":{"k":1}})", "__metadata__: k: '\"' is wanted"),
      header(R"({"__metadata__":{"k":{}}})", "__metadata__: k: '\"' is wanted"),
      header(R"({"__metadata__":{"shape":[1]}})", "__metadata__: shape: '\"' is wanted"),
      header(R"({"__metadata__":{"k":null}})", "__metadata__: k: '\"' is wanted"),
      header(R"({"__metadata__":{"k":"1","k":"2"}})", "__metadata__: k occurs twice"),
      header(R"({"__metadata__":{},"__metadata__":{}})", "__metadata__ occurs twice"),
      header(R"({"__metadata__":{"digest":"crc64xz:0123456789abcdef"}})", "its digest differs", 0),
      header(R"({"__metadata__":{"digest":"crc64xz:"}})", "its digest differs", 0),
      header(R"({"__metadata__":{"digest":"sha1:0123"}})", "", 0),  // another program's
  };
}

/// As many members as fill `bytes`, none of which takes a byte behind the header.
std::string crowd(std::size_t bytes, const std::string& before, const std::string& member, const std::string& after) {
  std::string text = before;
  for (int i = 0; text.size() < bytes; ++i) text += (i > 0 ? ",\"" : "\"") + std::to_string(i) + member;
  return text + after;
}

}  // namespace

TEST_CASE("hostile files get the right verdict") {
  const test::TempDir folder;
  std::size_t refused = 0;
  for (const auto& group : {hostile_lengths(), hostile_json(), hostile_tensors()}) {
    for (const Case& file : group) {
      const auto path = folder.write("hostile", file.bytes);
      const std::string said = verdict(path);
      CAPTURE(file.bytes.substr(0, 200));
      if (file.message.empty()) {
        CHECK(said == "");
      } else {
        ++refused;
        CHECK_THAT(said, Catch::StartsWith("read " + path + ": ") && Catch::Contains(file.message));
        CHECK_THAT(said, !Catch::Contains("\n"));
      }
      const bool has_digest = file.message.find("digest") != std::string::npos;  // of which the reference knows nothing
      if (!has_digest) CHECK(test::is_safetensors(file.bytes) == file.message.empty());
    }
  }
  CHECK(refused >= 60);

  CHECK_THROWS_WITH(load_tensors(folder.path("none")), Catch::Contains("No such file"));
  CHECK_THROWS_WITH(load_tensors(folder.path()), Catch::Contains("not a regular file"));
  CHECK_THROWS_WITH(load_tensors("/dev/zero"), Catch::Contains("not a regular file"));
  REQUIRE(mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(load_tensors(folder.path("pipe")), Catch::Contains("not a regular file"));
}

TEST_CASE("headers full of trifles take no more memory than the file") {
  const test::TempDir folder;
  constexpr std::size_t size = 8 * mebibyte;
  const std::string empty_tensor = R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  const auto said = [&](const std::string& text, const LoadOptions& options = {}) {
    return verdict(folder.write("hostile", with_length(text)), options);
  };
  const auto crowded = Catch::Contains("would take more memory than the file has values");
  CHECK_THAT(said(crowd(size, "{", empty_tensor, "}")), crowded);
  CHECK_THAT(said(crowd(size, "{", empty_tensor, "}"), {.skip = [](const std::string&) { return true; }}), crowded);
  CHECK_THAT(said(crowd(size, R"({"__metadata__":{)", R"(":"")", "}}")), crowded);
  CHECK_THAT(said("{\"" + std::string(size, 'n') + empty_tensor + "}"), crowded);
  CHECK_THAT(said(R"({"__metadata__":{"k":")" + std::string(size, 'n') + "\"}}"), crowded);
  CHECK_THAT(said("{\"" + std::string(size, '\\') + "\":1}"), crowded);
  CHECK_THAT(said("{\"" + std::string(size, 'n')), crowded);
  CHECK_THAT(said("{\"a\":{" + crowd(size, "", R"(":0)", "}}")), Catch::Contains("a: 0 is not part of the format"));
  std::string zeros = "0";
  while (zeros.size() < size) zeros += ",0";
  CHECK_THAT(said("{\"a\":{\"dtype\":\"U8\",\"shape\":[" + zeros + "],\"data_offsets\":[0,0]}}"),
             Catch::Contains("dimensions, at most 6"));
  CHECK_THAT(said("{\"a\":{\"shape\":[1" + std::string(size, '0')), Catch::Contains("a number that overflows"));
  CHECK_THAT(said("{" + std::string(size, ' ')), Catch::Contains("is wanted"));
  CHECK(said("{" + std::string(size, ' ') + "}") == "");
}

TEST_CASE("good files take no more memory than their size and 1 MiB") {
  const test::TempDir folder;
  const auto path = folder.path("x");
  SECTION("one large tensor") {
    save_tensors(path, {{"a", Tensor::zeros({3'000'001})}});
  }
  SECTION("a thousand small ones") {
    std::vector<NamedTensor> many;
    for (int i = 0; i < 1000; ++i) {
      many.push_back({"encoder.layer4.0.a_long_name.weight." + std::to_string(i), Tensor::zeros({i % 100})});
    }
    save_tensors(path, many);
  }
  SECTION("much metadata, beside which there are values") {
    save_tensors(path, {{"a", Tensor::zeros({1'000'000})}}, {{"log", std::string(2 * mebibyte, 'x')}});
  }
  SECTION("values that stay in the file") {
    save_tensors(path, {{"a", Tensor::zeros({4'000'000})}});
    const std::size_t taken =
        test::memory::taken_by([&] { load_tensors(path, {.skip = [](const std::string&) { return true; }}); });
    CHECK(taken < mebibyte);
  }
  CHECK(verdict(path) == "");
}

TEST_CASE("thousands of tensors are loaded unless they are trifles") {
  const test::TempDir folder;
  const auto path = folder.path("x");
  const auto said = [&](std::int64_t values) {
    std::vector<NamedTensor> named(5000, {"", Tensor::zeros({values})});
    for (std::size_t i = 0; i < named.size(); ++i) named[i].name = "a_name_that_is_not_short." + std::to_string(i);
    save_tensors(path, named);
    std::string message;
    const std::size_t taken = test::memory::taken_by([&] { message = test::message_of([&] { load_tensors(path); }); });
    CHECK(taken < fs::file_size(path) + mebibyte + (message == "no error" ? 768 * named.size() : 0));
    return message;
  };
  CHECK(said(200) == "no error");
  CHECK_THAT(said(1), Catch::Contains("would take more memory than the file has values"));
}

namespace {

/// A real weights file, small enough to be read ten thousand times.
struct RealFile {
  test::TempDir folder;
  std::string path = folder.path("real.safetensors");
  std::string bytes;

  RealFile() {
    nn::SimCLR model({.encoder = nn::resnet18({.width = 2}), .head = {.hidden = 4, .out = 4}});
    save_tensors(path, model.state(), {{"format", "simclr"}, {"config", R"({"epochs":1})"}});
    bytes = test::read_text(path);
  }

  void replace(const std::string& text) { folder.write("real.safetensors", bytes = text); }
  std::size_t header_size() const {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    return length;
  }

  /// Loads it with one bit changed, and changes it back.
  std::string with_flip(std::size_t bit, const LoadOptions& options) {
    const std::size_t at = bit / 8;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit % 8));
    put(at);
    return verdict(path, options);
  }
  void flip_back(std::size_t bit) {
    const std::size_t at = bit / 8;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit % 8));
    put(at);
  }

 private:
  void put(std::size_t at) const {
    const int file = open(path.c_str(), O_WRONLY);
    REQUIRE(pwrite(file, &bytes[at], 1, static_cast<off_t>(at)) == 1);
    close(file);
  }
};

}  // namespace

TEST_CASE("a thousand truncations of a real file are refused") {
  RealFile real;
  CHECK(verdict(real.path) == "");
  const std::size_t whole = real.bytes.size();
  for (std::size_t i = 1000; i > 0; --i) {  // a byte shorter each time, then by a thousandth, then to the first bytes
    const std::size_t length = i > 900 ? whole - (1001 - i) : i > 100 ? whole * i / 1000 : i - 1;
    REQUIRE(truncate(real.path.c_str(), static_cast<off_t>(length)) == 0);
    CAPTURE(length);
    CHECK_THAT(verdict(real.path), Catch::Contains(length < 8                        ? "not a safetensors file"
                                                   : length < 8 + real.header_size() ? "truncated: the header has"
                                                                                     : "truncated: the tensors take"));
  }
  real.replace(real.bytes + "x");
  CHECK_THAT(verdict(real.path), Catch::Contains("bytes are left over"));
}

TEST_CASE("ten thousand changed bits of a real file are all found") {
  RealFile real;
  std::mt19937 random(2);
  const std::size_t front = 8 * (8 + 60), header = 8 * (8 + real.header_size()), all = 8 * real.bytes.size();
  for (std::size_t i = 0; i < 10000; ++i) {  // the length and the digest; then the header, the values
    const std::size_t bit = i < front ? i : i < 5000 ? random() % header : header + random() % (all - header);
    const std::string said = real.with_flip(bit, {.require_digest = true});
    CAPTURE(bit / 8, bit % 8, said);
    CHECK_THAT(said, Catch::StartsWith("read " + real.path + ": "));
    if (bit >= header) CHECK_THAT(said, Catch::EndsWith("damaged: its digest differs; use another copy"));
    real.flip_back(bit);
  }
  CHECK(verdict(real.path, {.require_digest = true}) == "");
}

TEST_CASE("without a digest, a changed bit of the header is judged by the format") {
  RealFile real;
  real.replace(std::string(real.bytes).replace(real.bytes.find("\"digest\""), 8, "\"number\""));
  CHECK(verdict(real.path) == "");
  std::mt19937 random(3);
  const std::size_t header = 8 * (8 + real.header_size()), all = 8 * real.bytes.size();
  int loaded = 0, refused = 0;
  for (std::size_t i = 0; i < 10000; ++i) {
    const std::size_t bit = i < 9000 ? random() % header : header + random() % (all - header);
    const std::string said = real.with_flip(bit, {});
    ++(said.empty() ? loaded : refused);
    CAPTURE(bit / 8, bit % 8, said);
    if (bit >= header) {
      CHECK(said == "");
    } else if (i % 8 == 0) {  // the reference is slow
      CHECK(said.empty() == test::is_safetensors(real.bytes));
    }
    real.flip_back(bit);
  }
  CHECK(loaded > 1000);
  CHECK(refused > 1000);
}
