// NumPy's .npy and .npz files: what is read of them, and what is said of those that cannot be read.

#include <simclr/data/npy.h>
#include <simclr/data/npz.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"
#include "support/zip.h"

#include <clocale>
#include <fstream>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes file(const std::string& dictionary, int version = 1, const std::string& values = "") {
  std::string text = "\x93NUMPY";
  text += {static_cast<char>(version), '\0', static_cast<char>(dictionary.size()), '\0'};
  if (version > 1) text.append(2, '\0');
  text += dictionary + values;
  return {text.begin(), text.end()};
}

std::string refused(const Bytes& bytes) {
  return test::message_of([&] { npy_in_memory(bytes, "a.npy"); });
}

std::string with_descr(const std::string& descr) {
  return "{'descr': " + descr + ", 'fortran_order': False, 'shape': (2,), }\n";
}

}  // namespace

TEST_CASE("A header says type, order and shape, in every version and order of keys") {
  for (const int version : {1, 2, 3}) {
    const auto array = npy_in_memory(
        file("{\"shape\": (2L, 3), 'fortran_order': True, 'descr': '>i2'}  \n", version, "abcdefghijkl"), "a.npy");
    CHECK(array->header().descr == ">i2");
    CHECK(array->header().kind == 'i');
    CHECK(array->header().value_bytes == 2);
    CHECK(array->header().big_endian);
    CHECK(array->header().fortran_order);
    CHECK(array->header().shape == std::vector<std::int64_t>{2, 3});
    Bytes two(2);
    array->read(10, two);
    CHECK(two == Bytes{'k', 'l'});
  }
  CHECK(npy_in_memory(file("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 1, "x"), "a")->header().count() ==
        1);
}

TEST_CASE("What npy_header() writes begins the values at a multiple of 64 and is read back from a file") {
  const test::TempDir folder;
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{5}, {5, 1}, {5, 1, 1, 1}}) {
    const std::string header = npy_header("|u1", shape);
    CHECK(header.size() % 64 == 0);
    const std::string path = folder.path("a.npy");
    std::ofstream(path, std::ios::binary) << header << "01234";
    const auto array = open_npy(path);
    CHECK(array->header().shape == shape);
    CHECK(array->in_memory().empty());
    Bytes two(2);
    array->read(3, two);
    CHECK(two == Bytes{'3', '4'});
  }
}

TEST_CASE("Each fault of a .npy file is one line that names it") {
  const std::string good = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }";
  const auto says = [](const Bytes& bytes, const std::string& words) {
    const std::string message = refused(bytes);
    INFO(message);
    CHECK(message.starts_with("a.npy: "));
    CHECK(message.find(words) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  };
  says({}, "not a .npy file");
  says({'P', 'K', 3, 4}, "not a .npy file");
  says(file(good, 4), "version 4");
  Bytes cut = file(good);
  cut.resize(40);
  says(cut, "ends inside its header");
  Bytes vast = file(good, 2);
  vast[11] = 1;
  says(vast, "header of 16777");
  says(file(good, 1, "x"), "holds 1 bytes after its header, which promises 2");
  says(file(good, 1, "xyz"), "goes on after the 2 bytes");
  says(file(with_descr("'|O'")), "Python objects");
  says(file(with_descr("[('a', '<f4')]")), "structured");
  for (const char* descr : {"'x4'", "''", "'<'", "'<f99'", "'<f99999999999'", "'<f0'", "'\x1b[31m'"}) {
    says(file(with_descr(descr)), "not known");
  }
  says(file("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000), }"), "more bytes than any");
  for (const char* text : {"  ", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} more",
                           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2", "{'descr"}) {
    says(file(text), "no dictionary");
  }
}

namespace {

/// A .npy file of `values`, one byte each.
std::string npy(const std::string& values) {
  return npy_header("|u1", {std::ssize(values)}) + values;
}

/// An .npz file, and what is said of it.
class Npz {
 public:
  explicit Npz(const std::vector<test::ZipMember>& members) : Npz(test::zip_file(members)) {}
  explicit Npz(const std::string& bytes) : path_(folder_.path("a.npz")) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  std::vector<std::string> names() const { return list_npz(path_); }
  std::string values(const std::string& name) const {
    const auto array = read_npz(path_, name);
    const auto bytes = array->in_memory();
    return {bytes.begin(), bytes.end()};
  }
  std::string refused(const std::string& name) const {
    return test::message_of([&] { read_npz(path_, name); });
  }
  /// Where the build reads none it says what to install.
  bool is_read() const {
    const std::string message = test::message_of([&] { list_npz(path_); });
    return message.find("this build reads no .npz; install libarchive-dev") == std::string::npos;
  }

 private:
  test::TempDir folder_;
  std::string path_;
};

}  // namespace

TEST_CASE("An .npz file's arrays are listed and read by name, of any letters in any locale") {
  std::setlocale(LC_ALL, "C");
  const Npz npz({{"x_train.npy", npy("abc")},
                 {"read.me", "no array"},
                 {"\xc3\xa4rger/\xe6\x97\xa5.npy", npy("de")},
                 {"caf\xe9.npy", npy("f"), 0},
                 {"\xff.npy", npy("g")}});
  if (!npz.is_read()) return;
  const auto names = npz.names();
  REQUIRE(names.size() == 4);
  CHECK(names[0] == "x_train");
  CHECK(names[1] == "\xc3\xa4rger/\xe6\x97\xa5");
  CHECK(npz.values(names[0]) == "abc");
  CHECK(npz.values(names[1]) == "de");
  CHECK(npz.values(names[2]) == "f");
  CHECK(names[3] == "#5");  // no text in any letters
  CHECK(npz.values(names[3]) == "g");
  CHECK(npz.refused("y_train").find("a.npz holds no array y_train") != std::string::npos);
}

TEST_CASE("Each fault of an .npz file is one line that names the array") {
  const auto says = [](const Npz& npz, const std::string& words) {
    if (!npz.is_read()) return;
    const std::string message = npz.refused("b");
    INFO(message);
    CHECK(message.find("a.npz") != std::string::npos);
    CHECK(message.find(words) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(npz.values("a") == "good");
  };
  const test::ZipMember good{"a.npy", npy("good")};
  std::string changed = test::zip_file({good, {"b.npy", npy("bytes")}});
  changed[changed.find("bytes")] = 'B';
  says(Npz(changed), "(b): is damaged (");
  says(Npz({good, {"b.npy", npy("secret"), 0x801}}), "(b): is encrypted");
  says(Npz({good, {"b.npy", std::string(40, '\0'), 0x800, 8, 0xfffffff0}}),
       "(b): promises 4294967280 bytes, more than");
  says(Npz({good, {"b.npy", "no array"}}), "(b): not a .npy file");
  const Npz cut(test::zip_file({good}).substr(0, 100));
  if (cut.is_read()) CHECK(test::message_of([&] { cut.names(); }).find("a.npz") != std::string::npos);
}
