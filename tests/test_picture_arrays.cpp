// Pictures and labels in NumPy arrays.

#include <simclr/data/pictures/augmentation.h>
#include <simclr/data/pictures/picture_arrays.h>
#include <simclr/data/pictures/picture_views.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;

namespace {

using Sizes = std::vector<std::int64_t>;

std::vector<std::uint8_t> header_of(const std::string& descr, const Sizes& shape) {
  const std::string header = npy_header(descr, shape);
  return {header.begin(), header.end()};
}

/// Values 0, 1, 2, ... of one byte each, or `values`.
std::shared_ptr<const NpyArray> array(const std::string& descr, const Sizes& shape,
                                      std::vector<std::uint8_t> values = {}) {
  std::vector<std::uint8_t> bytes = header_of(descr, shape);
  const std::int64_t size = parse_npy(bytes, "x").bytes();
  for (std::int64_t i = 0; values.empty() && i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  bytes.insert(bytes.end(), values.begin(), values.end());
  return npy_in_memory(std::move(bytes), "x.npy");
}

template <class T>
void append(std::vector<std::uint8_t>& bytes, const std::vector<T>& values) {
  const auto* from = reinterpret_cast<const std::uint8_t*>(values.data());
  bytes.insert(bytes.end(), from, from + values.size() * sizeof(T));
}

std::vector<std::uint8_t> pixels(const Dataset& set, std::int64_t i) {
  const Sample sample = set.sample(i);
  const auto values = sample.values<std::uint8_t>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("Grey, interleaved and plane-wise pictures give [H,W,C]") {
  const auto grey = picture_array(array("|u1", {2, 1, 2}));
  CHECK(grey->sample(1).shape == Shape{1, 2, 1});
  CHECK(pixels(*grey, 1) == std::vector<std::uint8_t>{2, 3});
  CHECK(grey->classes().empty());
  const auto interleaved = picture_array(array("|u1", {2, 2, 1, 3}));
  CHECK(interleaved->sample(1).shape == Shape{2, 1, 3});
  CHECK(pixels(*interleaved, 1) == std::vector<std::uint8_t>{6, 7, 8, 9, 10, 11});
  const auto planes = picture_array(array("|u1", {2, 3, 1, 2}));
  CHECK(planes->sample(1).shape == Shape{1, 2, 3});
  CHECK(pixels(*planes, 1) == std::vector<std::uint8_t>{6, 8, 10, 7, 9, 11});
  CHECK(picture_array(array("|u1", {2, 12, 12, 5}))->sample(0).shape == Shape{12, 12, 5});
  CHECK(picture_array(array("|u1", {2, 5, 12, 12}))->sample(0).shape == Shape{12, 12, 5});
  CHECK(picture_array(array("|u1", {2, 3, 12, 12}))->sample(0).shape == Shape{12, 12, 3});
  CHECK(picture_array(array("|u1", {9, 8, 8}))->sample(0).shape == Shape{8, 8, 1});
}

TEST_CASE("Bytes in memory are not copied") {
  const auto bytes = array("|u1", {2, 6, 5, 3});
  const Sample sample = picture_array(bytes)->sample(1);
  CHECK(sample.owner == nullptr);
  CHECK(reinterpret_cast<const std::uint8_t*>(sample.bytes.data()) == bytes->in_memory().data() + 90);
  CHECK(sample.bytes.size() == 90);
}

TEST_CASE("Each type of values becomes u8, u16 or f32, from memory and from a file") {
  const auto checks = [](const std::string& descr, const auto& from, const auto& to, const Sizes& shape) {
    CAPTURE(descr, shape);
    const std::vector<std::uint8_t> header = header_of(descr, shape);
    std::vector<std::uint8_t> bytes = header;
    append(bytes, from);
    const test::TempDir folder;
    const std::string path = folder.path("x.npy");
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
    using T = typename std::decay_t<decltype(to)>::value_type;
    for (const auto& values : {npy_in_memory(bytes, "x.npy"), open_npy(path)}) {
      const Sample sample = picture_array(values)->sample(1);
      CHECK(sample.dtype == dtype_of<T>);
      CHECK(sample.finite);
      const auto got = sample.values<T>();
      CHECK(std::vector<T>(got.begin(), got.end()) == to);
    }
  };
  using U8 = std::vector<std::uint8_t>;
  using U16 = std::vector<std::uint16_t>;
  const Sizes grey = {2, 1, 2}, planes = {2, 3, 1, 2};
  checks("|b1", U8{0, 0, 1, 0}, U8{255, 0}, grey);
  checks("<u2", U16{1, 2, 65535, 3}, U16{65535, 3}, grey);
  checks(">u2", U8{0, 1, 0, 2, 1, 2, 3, 4}, U16{0x102, 0x304}, grey);
  checks("<i2", std::vector<std::int16_t>{1, 2, 32767, 3}, U16{32767, 3}, grey);
  checks("<f4", std::vector<float>{1, 2, 0.5f, -3}, std::vector<float>{0.5f, -3}, grey);
  checks("<f8", std::vector<double>{1, 2, 0.1, 3}, std::vector<float>{0.1f, 3}, grey);
  checks("<u2", U16{0, 1, 2, 3, 4, 5, 600, 700, 800, 900, 1000, 1100}, U16{600, 800, 1000, 700, 900, 1100}, planes);
}

TEST_CASE("Fortran order, from memory and from a file") {
  const test::TempDir folder;
  const std::string path = folder.path("x.npy");
  std::string header = npy_header("|u1", {2, 2, 1, 3});
  header.replace(header.find("False"), 5, "True ");
  std::vector<std::uint8_t> bytes(header.begin(), header.end());
  for (std::uint8_t i = 0; i < 12; ++i) bytes.push_back(i);
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  for (const auto& values : {npy_in_memory(bytes, "x.npy"), open_npy(path)}) {
    CHECK(pixels(*picture_array(values), 1) == std::vector<std::uint8_t>{1, 5, 9, 3, 7, 11});
  }
}

TEST_CASE("White is white in views of every type") {
  const PictureViews views(Augmentation::evaluation(4, 5));
  const auto white = [&](const std::string& descr, const auto& value) {
    std::vector<std::uint8_t> bytes = header_of(descr, {1, 20, 20, 5});
    append(bytes, std::vector(20 * 20 * 5, value));
    std::vector<float> view(4 * 4 * 5);
    views.make_view(picture_array(npy_in_memory(bytes, "x"))->sample(0), {}, reinterpret_cast<std::byte*>(view.data()));
    return *std::min_element(view.begin(), view.end());
  };
  CHECK(std::abs(white("|u1", std::uint8_t{255}) - 1) < 1e-6f);
  CHECK(std::abs(white("|b1", std::uint8_t{1}) - 1) < 1e-6f);
  CHECK(std::abs(white("<u2", std::uint16_t{65535}) - 1) < 1e-6f);
  CHECK(std::abs(white("<f4", 1.0f) - 1) < 1e-6f);
  CHECK(std::abs(white("<f8", 1.0) - 1) < 1e-6f);
}

TEST_CASE("A picture whose values are none is named") {
  const auto refused = [](const std::string& descr, const auto& value) {
    std::vector<std::uint8_t> bytes = header_of(descr, {3, 1, 2});
    std::vector values(6, std::decay_t<decltype(value)>{});
    values[3] = value;
    append(bytes, values);
    const auto set = picture_array(npy_in_memory(bytes, "x.npy"));
    set->sample(0);
    return test::message_of([&] { set->sample(1); });
  };
  CHECK(
      refused("<i2", std::int16_t{-1}) ==
      "x.npy, picture 1: an array with values below 0, as CT scans have; add what makes the least of the whole set 0, "
      "and save them as uint16");
  CHECK(refused("<f4", NAN) ==
        "x.npy, picture 1: the value in row 0, column 1, channel 0 is nan; give missing values a number");
}

TEST_CASE("Labels are integers of any size and byte order, [N] or [N,1]") {
  const auto pictures = array("|u1", {2, 1, 2});
  for (const auto& labels :
       {array("|u1", {2, 1}, {2, 0}), array("<i8", {2}, {2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
        array(">i2", {2}, {0, 2, 0, 0}), array("<u4", {2, 1}, {2, 0, 0, 0, 0, 0, 0, 0})}) {
    const auto set = picture_array(pictures, labels);
    CHECK(set->label(0) == 1);
    CHECK(set->label(1) == 0);
    CHECK(set->classes() == std::vector<std::string>{"0", "2"});
  }
  const auto one = picture_array(pictures, array("|i1", {2}, {255, 2}));
  CHECK(one->label(0) == -1);
  CHECK(one->classes() == std::vector<std::string>{"2"});
  CHECK(one->describe() == "2 pictures [1,2,1], 1 class (1 without a label), from x.npy");
  CHECK(picture_array(pictures, array("|b1", {2}, {0, 1}))->label(1) == 1);
}

TEST_CASE("The classes are the numbers that occur, however large they are") {
  const auto pictures = array("|u1", {6, 1, 2});
  const auto labelled = [&](const std::string& descr, const auto& values) {
    std::vector<std::uint8_t> bytes;
    append(bytes, values);
    return picture_array(pictures, array(descr, {6}, bytes));
  };
  const std::int64_t huge = 4'000'000'000'000'000'000;
  const auto whole = labelled("<i8", std::vector<std::int64_t>{900, 3, huge, 12, 3, -1});
  CHECK(whole->classes() == std::vector<std::string>{"3", "12", "900", "4000000000000000000"});
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < 6; ++i) labels.push_back(whole->label(i));
  CHECK(labels == std::vector<std::int32_t>{2, 0, 3, 1, 0, -1});
  const auto missing = labelled("<f8", std::vector<double>{7, NAN, 3, 900, -1, 3});
  CHECK(missing->classes() == std::vector<std::string>{"3", "7", "900"});
  CHECK(missing->label(0) == 1);
  CHECK(missing->label(1) == -1);
  CHECK(missing->label(4) == -1);
  CHECK(labelled("<f4", std::vector<float>{7, NAN, 3, 900, -1, 3})->classes() == missing->classes());
  const auto signs = labelled("<f8", std::vector<double>{-1, 1, NAN, 1, -1, 1});
  CHECK(signs->classes() == std::vector<std::string>{"-1", "1"});
  CHECK(signs->label(0) == 0);
  CHECK(signs->label(1) == 1);
  CHECK(signs->label(2) == -1);
  CHECK(labelled("<f4", std::vector<float>(6, NAN))->classes().empty());
}

TEST_CASE("What an array cannot be is one line that says what to do") {
  const auto says = [](const std::string& words, const std::shared_ptr<const NpyArray>& pictures,
                       const std::shared_ptr<const NpyArray>& labels = nullptr) {
    const std::string message = test::message_of([&] { picture_array(pictures, labels); });
    INFO(message);
    CHECK(message.starts_with("x.npy: "));
    CHECK(message.find(words) != std::string::npos);
  };
  says("an array of <i4; pictures are of uint8, bool, uint16", array("<i4", {2, 5, 5}));
  says("reshape(-1, H, W)", array("|u1", {2, 25}));
  for (const Sizes& shape : {Sizes{5, 5, 3}, {30, 20, 5}}) says("one picture or many", array("|u1", shape));
  says("second or last", array("|u1", {2, 3, 5, 3}));
  says("second or last", array("|u1", {2, 5, 6, 7}));
  says("of 17 channels; 1 to 16 are read", array("|u1", {2, 20, 20, 17}));
  says("holds no picture", array("|u1", {0, 5, 5}));
  const auto pictures = array("|u1", {2, 1, 2});
  says("float32 or float64: convert it, by x.astype('float32')", array("<f2", {2, 5, 5}));
  says("labels of type <c8 are no integers", pictures, array("<c8", {2}));
  says("labels of type <U3 are texts; save np.unique(y, return_inverse=True)[1]", pictures, array("<U3", {2}));
  says("one class a picture; of one-hot labels save y.argmax(1)", pictures, array("|u1", {2, 14}));
  says("3 labels for 2 pictures", pictures, array("|u1", {3}));
  says("label 1 is -2", pictures, array("|i1", {2}, {0, 254}));
  says("label 0 is 18446744073709551615; classes are whole numbers from 0 on, -1 is none", pictures,
       array("<u8", {2}, std::vector<std::uint8_t>(16, 255)));
  says("label 1 is 0.5; classes are whole numbers from 0 on, -1 or NaN is none; mend it, or leave the labels out",
       pictures, array("<f4", {2}, {0, 0, 0, 0, 0, 0, 0, 0x3f}));
  says("label 1 is inf", pictures, array("<f4", {2}, {0, 0, 0, 0, 0, 0, 0x80, 0x7f}));
}
