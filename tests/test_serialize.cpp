#include "support/catch.h"
#include "support/tensors.h"

#include <simclr/core/crc64.h>
#include <simclr/core/serialize.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <set>

using namespace simclr;
namespace fs = std::filesystem;

namespace {

// The system calls of an atomic write, seen and broken on demand: a kill cannot show that a flush is missing.
struct Calls {
  bool watch = false;
  std::vector<std::string> seen;
  int fail_write = 0, fail_fsync = 0, fail_rename = 0;  // the call of this number fails, counted from 1
  int writes = 0, fsyncs = 0, renames = 0;
  bool one_byte_writes = false;
} calls;

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int file, const void* data, size_t bytes) {
  static auto* const next = real<ssize_t(int, const void*, size_t)>("write");
  if (!calls.watch) return next(file, data, bytes);
  if (++calls.writes == calls.fail_write) {  // the real thing: no space left on device
    const int full = open("/dev/full", O_WRONLY);
    const ssize_t result = next(full, data, bytes);
    const int error = errno;
    close(full);
    errno = error;
    return result;
  }
  if (calls.one_byte_writes && calls.writes % 3 == 0) {
    errno = EINTR;
    return -1;
  }
  if (calls.seen.empty() || calls.seen.back() != "write") calls.seen.push_back("write");
  return next(file, data, calls.one_byte_writes ? 1 : bytes);
}

int fsync(int file) {
  static auto* const next = real<int(int)>("fsync");
  if (!calls.watch) return next(file);
  if (++calls.fsyncs == calls.fail_fsync) {
    errno = EIO;
    return -1;
  }
  struct stat status {};
  fstat(file, &status);
  calls.seen.push_back(S_ISDIR(status.st_mode) ? "fsync folder" : "fsync file");
  return next(file);
}

int rename(const char* from, const char* to) {
  static auto* const next = real<int(const char*, const char*)>("rename");
  if (!calls.watch) return next(from, to);
  if (++calls.renames == calls.fail_rename) {
    errno = EACCES;
    return -1;
  }
  calls.seen.push_back("rename");
  return next(from, to);
}
}

namespace {

/// A folder of its own, removed at the end.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "simclr_serialize_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    calls = {};
    fs::remove_all(path);
  }
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(path)) out.insert(entry.path().filename());
    return out;
  }
};

void put(const fs::path& path, const std::string& bytes) {
  fs::remove(path);  // some file systems flush a file that is truncated and written anew: 3 ms each
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string get(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string with_length(const std::string& header, const std::string& data = "") {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

std::vector<NamedTensor> samples() {
  return {{"u8", Tensor::from(std::vector<std::uint8_t>{0, 1, 255}, {3})},
          {"f32", test::random_tensor({2, 3, 1}, 1, DType::f32)},
          {"special", Tensor::from(std::vector<float>{NAN, -INFINITY, -0.0f, 1e-45f}, {4})},
          {"f64", test::random_tensor({5}, 2, DType::f64)},
          {"bf16", test::random_tensor({3}, 3, DType::f32).to(DType::bf16)},
          {"i32", Tensor::from(std::vector<std::int32_t>{std::numeric_limits<int>::min(), 7}, {2, 1})},
          {"empty", Tensor::zeros({0, 4})},
          {"scalar", Tensor::full({}, 0.1, DType::f64)},
          {"a \"quoted\" \\ name: \xc3\xa4", Tensor::full({1, 1, 1, 1, 1, 1}, 3.0)}};
}

}  // namespace

TEST_CASE("all dtypes, empty tensors and scalars come back as they were") {
  const Folder folder;
  const auto path = folder.path / "all.safetensors";
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"note", "line\nbreak \xe2\x82\xac"}};
  save_tensors(path, samples(), metadata);
  CHECK(folder.names() == std::set<std::string>{"all.safetensors"});
  const TensorFile file = load_tensors(path);
  CHECK(file.metadata == metadata);
  REQUIRE(file.tensors.size() == samples().size());
  for (const auto& wanted : samples()) {
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

TEST_CASE("the bytes are the format's, aligned, and the same every time") {
  const Folder folder;
  save_tensors(folder.path / "a",
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
  CHECK(get(folder.path / "a") == with_length(header, "ABCDABC"));

  save_tensors(folder.path / "b", samples(), {{"x", "1"}, {"a", "2"}});
  save_tensors(folder.path / "c", samples(), {{"a", "2"}, {"x", "1"}});
  CHECK(get(folder.path / "b") == get(folder.path / "c"));
  for (std::size_t length = 0; length < 20; ++length) {
    save_tensors(folder.path / "d", {{std::string(length, 'n'), Tensor::zeros({1})}});
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, get(folder.path / "d").data(), 8);
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
  const Folder folder;
  const auto path = folder.path / "x";
  save_tensors(path, samples(), {{"k", "v"}});
  const std::string whole = get(path);
  CHECK(load_tensors(path, {.require_digest = true}).metadata == std::map<std::string, std::string>{{"k", "v"}});

  std::string changed = whole;
  changed.back() ^= 1;
  put(path, changed);
  const std::string wanted = "read " + path.string() + ": damaged: its digest differs; use another copy";
  CHECK_THROWS_WITH(load_tensors(path), wanted);
  CHECK_THROWS_WITH(load_tensors(path, {.skip = [](const std::string&) { return true; }}), wanted);

  put(path, with_length("{}"));
  CHECK(load_tensors(path).tensors.empty());
  CHECK_THROWS_WITH(load_tensors(path, {.require_digest = true}), Catch::Contains("it has no digest"));
  CHECK_THROWS_WITH(save_tensors(path, {}, {{"digest", "mine"}}), Catch::Contains("save_tensors writes that"));
}

TEST_CASE("tensors of dtypes and ranks that the library lacks can be skipped") {
  const Folder folder;
  const auto path = folder.path / "x";
  put(path, with_length(R"({"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                        R"("b":{"dtype":"U8","shape":[2],"data_offsets":[8,10]},)"
                        R"("c":{"dtype":"F4","shape":[1,1,1,1,1,1,1,2],"data_offsets":[10,11]}})",
                        "12345678ABx"));
  CHECK_THROWS_WITH(load_tensors(path), Catch::Contains("a can only be skipped: this library has no I64"));
  const TensorFile file = load_tensors(path, {.skip = [](const std::string& name) { return name != "b"; }});
  REQUIRE(file.tensors.size() == 1);
  CHECK(file.tensors[0].name == "b");
  CHECK(file.tensors[0].value.to_vector<double>() == std::vector<double>{'A', 'B'});
}

TEST_CASE("what cannot be saved is refused before a file is touched") {
  const Folder folder;
  const auto path = folder.path / "x";
  put(path, "old");
  const Tensor t = Tensor::zeros({1});
  CHECK_THROWS_WITH(save_tensors(path, {{"a", t}, {"a", t}}), Catch::Contains("two tensors are called a"));
  CHECK_THROWS_WITH(save_tensors(path, {{"__metadata__", t}}), Catch::Contains("cannot be called __metadata__"));
  CHECK_THROWS_WITH(save_tensors(path, {{"a", {}}}), Catch::Contains("a is undefined"));
  CHECK_THROWS_WITH(save_tensors(path, {{"\xff", t}}), Catch::Contains("not UTF-8"));
  CHECK_THROWS_WITH(save_tensors(path, {{"a", t}}, {{"k", "\xc3"}}), Catch::Contains("not UTF-8"));
  CHECK(get(path) == "old");
  CHECK(folder.names() == std::set<std::string>{"x"});
}

TEST_CASE("hostile files are refused with the right message") {
  const Folder folder;
  const auto path = folder.path / "hostile";
  const auto refuses_bytes = [&](const std::string& message, const std::string& bytes) {
    put(path, bytes);
    CHECK_THROWS_AS(load_tensors(path), Error);
    CHECK_THROWS_WITH(load_tensors(path), Catch::StartsWith("read " + path.string() + ": ") &&
                                              Catch::Contains(message) && !Catch::Contains("\n"));
  };
  const auto refuses = [&](const std::string& message, const std::string& header, std::size_t data = 4) {
    refuses_bytes(message, with_length(header, std::string(data, 'x')));
  };
  const auto tensor = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };

  put(path, with_length(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "xxxx"));
  CHECK(load_tensors(path).tensors.size() == 1);  // what the rest are spoiled from

  refuses_bytes("0 bytes", "");
  refuses_bytes("7 bytes", "1234567");
  refuses_bytes("a header of 18446744073709551615 bytes", std::string(8, '\xff') + "{}");
  refuses_bytes("a header of 100000001 bytes", std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}");
  refuses_bytes("truncated: the header has 3 bytes", std::string("\x03\0\0\0\0\0\0\0", 8) + "{}");
  refuses_bytes("begin with '{'", std::string(8, '\0'));
  refuses_bytes("bytes are left over", with_length("{}", "x"));

  refuses("not JSON at its byte", "{");
  refuses("not JSON at its byte", "{}{}");
  refuses("not JSON at its byte", "{} x");
  refuses("not JSON at its byte", "{'a':1}");
  refuses("not JSON at its byte", "{\"\xff\":1}");
  refuses("not JSON at its byte", "{/**/}");
  refuses("begin with '{'", " {}");
  refuses("begin with '{'", "\xef\xbb\xbf{}");
  refuses("begin with '{'", "[]");
  refuses("zero byte", std::string("{}\0{}", 5));

  refuses("a cannot be a number", R"({"a":1})");
  refuses("a cannot be null", R"({"a":null})");
  refuses("a cannot be a string", R"({"a":"F32"})");
  refuses("a cannot be an array", R"({"a":[]})");
  refuses("needs dtype, shape and data_offsets", tensor(""));
  refuses("needs dtype, shape and data_offsets", tensor(R"("dtype":"F32","shape":[1])"));
  refuses("a: extra is not part", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1)"));
  refuses("a: dtype occurs twice", tensor(R"("dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4])"));
  refuses("a occurs twice", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                            R"("a":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})");
  refuses("a can only be skipped: this library has no F16",
          tensor(R"("dtype":"F16","shape":[2],"data_offsets":[0,4])"));
  refuses("a: dtype is 'f32'", tensor(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])"));
  refuses("a: dtype cannot be a number", tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"));
  refuses("a: dtype cannot be an array", tensor(R"("dtype":["F32"],"shape":[1],"data_offsets":[0,4])"));
  refuses("a: shape cannot be a number", tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"));
  refuses("a: shape cannot be an array", tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"));
  refuses("a: shape has an object", tensor(R"("dtype":"F32","shape":[{}],"data_offsets":[0,4])"));
  refuses("a: shape has a negative", tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"));
  refuses("no integer or overflows", tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"));
  refuses("no integer or overflows", tensor(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4])"));
  refuses("a number that overflows", tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"));
  refuses("a: shape cannot be true", tensor(R"("dtype":"F32","shape":[true],"data_offsets":[0,4])"));
  refuses("a can only be skipped: this library has no 7 dimensions",
          tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4])"));
  refuses("a has a shape that overflows",
          tensor(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])"));
  refuses("a has a shape that overflows",
          tensor(R"("dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0])"));
  refuses("must be two numbers", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"));
  refuses("must be two numbers", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])"));
  refuses("a takes 8 bytes by its dtype and shape, but", tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"));
  refuses("data_offsets are 4 to 0", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"));
  refuses("a begins at byte 4", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8);
  refuses("truncated: the tensors take 8", tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"));
  refuses("left over: the tensors take 4", tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), 5);
  const std::string a = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)";
  refuses("b begins at byte 2", a + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6);
  refuses("b begins at byte 5", a + R"("b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}})", 6);
  refuses("b begins at byte 0", a + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})");
  refuses("begins at byte 2", a + R"("b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})");
  refuses("a?b cannot be null", "{\"a\\nb\":null}");

  refuses("__metadata__ cannot be a string", R"({"__metadata__":"x"})");
  refuses("__metadata__: k cannot be a number", R"({"__metadata__":{"k":1}})");
  refuses("__metadata__: k has an object", R"({"__metadata__":{"k":{}}})");
  refuses("__metadata__: shape cannot be an array", R"({"__metadata__":{"shape":[1]}})");
  refuses("__metadata__: k occurs twice", R"({"__metadata__":{"k":"1","k":"2"}})");
  refuses("__metadata__ occurs twice", R"({"__metadata__":{},"__metadata__":{}})");
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100000; ++i) deep += "[";
  refuses("a cannot be an array", deep);

  CHECK_THROWS_WITH(load_tensors(folder.path / "none"), Catch::Contains("No such file"));
  CHECK_THROWS_WITH(load_tensors(folder.path), Catch::Contains("not a regular file"));
  CHECK_THROWS_WITH(load_tensors("/dev/zero"), Catch::Contains("not a regular file"));
  REQUIRE(mkfifo((folder.path / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(load_tensors(folder.path / "pipe"), Catch::Contains("not a regular file"));
}

TEST_CASE("every truncation is refused and no changed byte does harm") {
  const Folder folder;
  const auto path = folder.path / "small";
  save_tensors(path, samples(), {{"k", "v"}});
  const std::string whole = get(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(path, whole.substr(0, length));
    CHECK_THROWS_AS(load_tensors(path), Error);
  }
  put(path, whole + "x");
  CHECK_THROWS_AS(load_tensors(path), Error);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char byte : {'\0', '9', '"', '}', ']', ',', '\xff'}) {
      std::string changed = whole;
      changed[i] = byte;
      put(path, changed);
      try {
        load_tensors(path);
      } catch (const Error&) {  // anything else ends the test
      }
    }
  }
}

TEST_CASE("a file is flushed, renamed, and its folder flushed, in this order") {
  const Folder folder;
  calls.watch = true;
  SECTION("in whole writes") {}
  SECTION("in interrupted writes of one byte") {
    calls.one_byte_writes = true;
  }
  save_tensors(folder.path / "x", samples());
  const auto seen = calls.seen;
  calls = {};
  CHECK(seen == std::vector<std::string>{"write", "fsync file", "rename", "fsync folder"});
  CHECK(load_tensors(folder.path / "x").tensors.size() == samples().size());
}

TEST_CASE("a failing disk is a clear error and leaves the old file and nothing else") {
  const Folder folder;
  const auto path = folder.path / "x";
  std::string message;
  put(path, "old");
  calls.watch = true;
  SECTION("full at the first byte") {
    calls.fail_write = 1, message = "No space left on device; make room";
  }
  SECTION("full later on") {
    calls.fail_write = 5, message = "No space left on device; make room";
  }
  SECTION("flushing") {
    calls.fail_fsync = 1, message = "flushing to disk failed: Input/output error";
  }
  SECTION("renaming") {
    calls.fail_rename = 1, message = "renaming failed: Permission denied";
  }
  CHECK_THROWS_WITH(save_tensors(path, samples()),
                    Catch::StartsWith("write " + path.string() + ": ") && Catch::Contains(message));
  calls = {};
  CHECK(get(path) == "old");
  CHECK(folder.names() == std::set<std::string>{"x"});
}

TEST_CASE("a folder that cannot be flushed is an error, with the whole file in place") {
  const Folder folder;
  calls.watch = true;
  calls.fail_fsync = 2;
  CHECK_THROWS_WITH(write_file_atomically(folder.path / "x", "new"), Catch::Contains("flushing its folder failed"));
  calls = {};
  CHECK(get(folder.path / "x") == "new");
  CHECK(folder.names() == std::set<std::string>{"x"});
}

TEST_CASE("a file size limit in the middle of a write leaves nothing") {
  const Folder folder;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    save_tensors(folder.path / "x", {{"a", Tensor::zeros({5000})}});
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK_THAT(message, Catch::Contains("File too large; make room"));
  CHECK(folder.names().empty());
}

TEST_CASE("places where no file can be are refused") {
  using Catch::Contains;
  const Folder folder;
  put(folder.path / "file", "old");
  CHECK_THROWS_WITH(write_file_atomically(folder.path / "none" / "x", "1"), Contains("make the folder first"));
  CHECK_THROWS_WITH(write_file_atomically(folder.path / "file" / "x", "1"), Contains("Not a directory"));
  CHECK_THROWS_WITH(write_file_atomically(folder.path, "1"), Contains("not a regular file"));
  const auto pipe = folder.path / "pipe";  // a device would be lost if this failed
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(write_file_atomically(pipe, "1"), Contains("not a regular file"));
  CHECK(fs::is_fifo(pipe));
  fs::remove(pipe);
  CHECK_THROWS_WITH(write_file_atomically("", "1"), Contains("names no file"));
  CHECK_THROWS_WITH(write_file_atomically(folder.path / std::string(300, 'n'), "1"), Contains("File name too long"));
  CHECK(folder.names() == std::set<std::string>{"file"});

  AtomicFile dropped(folder.path / "file");
  dropped.write("new", 3);
  CHECK(get(folder.path / "file") == "old");
  dropped.commit();
  CHECK(get(folder.path / "file") == "new");
  CHECK_THROWS_WITH(dropped.write("x", 1), Contains("already committed"));
  CHECK_THROWS_WITH(dropped.commit(), Contains("already committed"));
  { AtomicFile abandoned(folder.path / "file"); }
  CHECK(folder.names() == std::set<std::string>{"file"});
}
