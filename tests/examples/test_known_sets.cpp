// Published sets of pictures, in their published layouts.
#include "modalities/picture_data_files.h"
#include "modalities/picture_sets.h"
#include "train/data_files.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"
#include "support/tiny_imagenet.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using simclr::test::message_of;
using simclr::test::TempDir;
using simclr::test::tiny_annotations;
using simclr::test::write_picture;
using simclr::test::write_tiny_imagenet;
using Bytes = std::vector<std::uint8_t>;
using Names = std::vector<std::string>;

namespace {

/// `count` pictures of STL-10, each of its number.
Bytes stl10_pictures(int count) {
  Bytes bytes;
  for (int i = 0; i < count; ++i) bytes.insert(bytes.end(), 27648, static_cast<std::uint8_t>(i));
  return bytes;
}

void write_stl10(const TempDir& dir, const std::string& folder) {
  dir.write(folder + "train_X.bin", stl10_pictures(4));
  dir.write(folder + "train_y.bin", Bytes{1, 2, 1, 2});
  dir.write(folder + "test_X.bin", stl10_pictures(2));
  dir.write(folder + "test_y.bin", Bytes{2, 1});
  dir.write(folder + "unlabeled_X.bin", stl10_pictures(9));
  dir.write(folder + "fold_indices.txt", std::string("0 1\n"));
}

Bytes idx_header(std::uint8_t rank, std::initializer_list<int> sizes) {
  Bytes bytes = {0, 0, 8, rank};
  for (const int size : sizes) {
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
  }
  return bytes;
}

/// A picture of 28 x 28 for each label: byte k of its file is k modulo 251.
void write_idx(const TempDir& dir, const std::string& part, const Bytes& labels) {
  Bytes images = idx_header(3, {static_cast<int>(labels.size()), 28, 28});
  for (std::size_t k = 0; k < labels.size() * 784; ++k) images.push_back(static_cast<std::uint8_t>(k % 251));
  Bytes bytes = idx_header(1, {static_cast<int>(labels.size())});
  bytes.insert(bytes.end(), labels.begin(), labels.end());
  dir.write(part + "-images-idx3-ubyte", images);
  dir.write(part + "-labels-idx1-ubyte", bytes);
}

}  // namespace

TEST_CASE("STL-10 trains on its unlabelled pictures, and evaluates on the labelled ones") {
  const TempDir dir;
  const std::string folder = GENERATE("", "stl10_binary/");
  const std::string kind = GENERATE("auto", "stl10");
  write_stl10(dir, folder);
  const PictureSets sets = open_datasets(kind, dir.path());
  CHECK(sets.kind == "stl10");
  CHECK((sets.size == 96 && sets.channels == 3));
  CHECK(sets.train->size() == 9);
  CHECK(sets.train->classes().empty());
  CHECK(sets.labelled->size() == 4);
  CHECK(sets.test->size() == 2);
  CHECK(sets.test->label(0) == 1);
  CHECK_THAT(sets.note, Contains("train: unlabeled_X.bin; labels for the evaluation: train_X.bin; test: test_X.bin"));
  CHECK((sets.note.find("auto: STL-10 found in ") == 0) == (kind == "auto"));
  CHECK(open_labelled(kind, dir.path()).train->size() == 4);
  CHECK(list_picture_files("stl10", dir.path())["files"] == 5);
}

TEST_CASE("STL-10 without its unlabelled part, or without its test part") {
  const TempDir dir;
  write_stl10(dir, "");
  std::filesystem::remove(dir.path("unlabeled_X.bin"));
  PictureSets sets = open_datasets("stl10", dir.path());
  CHECK(sets.train->size() == 4);
  CHECK(sets.train == sets.labelled);
  CHECK(sets.test);
  CHECK_THAT(sets.note, Contains("train: train_X.bin, as there is no unlabeled_X.bin"));
  std::filesystem::resize_file(dir.path("test_X.bin"), 27648 + 1);
  sets = open_datasets("stl10", dir.path());
  CHECK_FALSE(sets.test);
  CHECK_THAT(sets.no_test, Contains("test_X.bin has 27649 bytes, no multiple of a picture's 27648"));
  CHECK_THAT(sets.note, !Contains("test: test_X.bin"));
}

TEST_CASE("MNIST and KMNIST are taken by name: their files are called alike") {
  const TempDir dir;
  write_idx(dir, "train", {5, 0, 4, 1, 9, 2, 6, 3, 7, 8});
  write_idx(dir, "t10k", {7, 2});
  CHECK(open_datasets("auto", dir.path()).kind == "idx");
  const PictureSets mnist = open_datasets("mnist", dir.path()), kmnist = open_datasets("kmnist", dir.path());
  CHECK(mnist.kind == "mnist");
  CHECK((mnist.size == 28 && mnist.channels == 1));
  CHECK(mnist.train->classes()[7] == "7");
  CHECK_THAT(mnist.train->describe(), Contains("MNIST train: 10 pictures [28,28,1], 10 classes"));
  CHECK(kmnist.test->classes() == Names{"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"});
  CHECK_THAT(kmnist.test->describe(), Contains("KMNIST test: 2 pictures"));
  CHECK(list_picture_files("kmnist", dir.path())["files"] == 4);

  write_idx(dir, "train", {9, 0, 0, 3, 0, 2, 7, 2, 5, 5});  // Fashion-MNIST's
  const std::string kind = GENERATE("mnist", "kmnist");
  CHECK_THAT(message_of([&] { open_datasets(kind, dir.path()); }),
             Contains("--dataset " + kind + ": " + dir.path() + " holds Fashion-MNIST; take --dataset fashion-mnist"));
}

TEST_CASE("Other idx files get no class names of a set that they are not") {
  const TempDir dir;
  write_idx(dir, "train", {1, 0, 1, 1});
  write_idx(dir, "t10k", {0, 1});
  for (const std::string kind : {"mnist", "kmnist"}) {
    CHECK_THAT(message_of([&] { open_datasets(kind, dir.path()); }),
               Contains("--dataset " + kind + ": " + dir.path() + " holds another set, with 2 of the 10 labels"));
  }
  CHECK_THAT(message_of([&] { open_datasets("fashion-mnist", dir.path()); }),
             Contains("--dataset fashion-mnist: " + dir.path() + " holds another set") && Contains("--dataset idx"));
}

TEST_CASE("Of idx files without a test part a fifth is kept") {
  const TempDir dir;
  write_idx(dir, "train", {0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
  const PictureSets sets = open_datasets("auto", dir.path());
  CHECK(sets.kind == "idx");
  CHECK(sets.train->size() == 8);
  REQUIRE(sets.test);
  CHECK(sets.test->size() == 2);
  CHECK_THAT(sets.note, Contains("(to choose them, call files of them test-images-idx3-ubyte"));
}

TEST_CASE("Of idx files the first test part is taken that can be tested on") {
  const TempDir dir;
  write_idx(dir, "train", {0, 1, 0, 1});
  for (const std::string part : {"test", "val", "dev", "more"}) write_idx(dir, part, {0, 1, 1});
  std::filesystem::remove(dir.path("test-labels-idx1-ubyte"));
  const PictureSets sets = open_datasets("auto", dir.path());
  REQUIRE(sets.test);
  CHECK_THAT(sets.test->describe(), Contains("val-images-idx3-ubyte"));
  CHECK(sets.no_test.empty());
  CHECK_THAT(sets.note, Contains("no evaluation on test-images-idx3-ubyte: it has no labels") &&
                            Contains("test: val-images-idx3-ubyte\nnot used: test-images-idx3-ubyte (3 pictures)\n"
                                     "not used: dev-images-idx3-ubyte (3 pictures)\n"
                                     "not used: more-images-idx3-ubyte (3 pictures)"));
}

TEST_CASE("Idx files go by the words of parts: training, labeled, unlabeled") {
  const TempDir dir;
  const std::string train = GENERATE("training", "labeled", "Train2017");
  write_idx(dir, train, {0, 1, 0, 1});
  write_idx(dir, "unlabeled", {0, 1, 1});  // what labels it has are none
  write_idx(dir, "unsup", {0, 1});
  write_idx(dir, "test", {1, 0});
  PictureSets sets = open_datasets("auto", dir.path());
  CHECK(sets.kind == "idx");
  CHECK(sets.train->size() == 3);
  CHECK(sets.train->label(1) == -1);
  CHECK(sets.labelled->size() == 4);
  REQUIRE(sets.test);
  CHECK_THAT(sets.note, Contains("train: unlabeled-images-idx3-ubyte; labels for the evaluation: " + train +
                                 "-images-idx3-ubyte; test: test-images-idx3-ubyte\n"
                                 "not used: unsup-images-idx3-ubyte (2 pictures)"));

  dir.write("unlabeled-images-idx3-ubyte", std::string("x"));  // damaged
  sets = open_datasets("auto", dir.path());
  CHECK(sets.train->size() == 2);
  CHECK_THAT(sets.note, Contains("not used: unlabeled-images-idx3-ubyte (idx: "));
  std::filesystem::remove(dir.path(train + "-labels-idx1-ubyte"));
  sets = open_datasets("idx", dir.path());
  CHECK(sets.train->size() == 4);
  CHECK_THAT(sets.note, Contains("not used: unsup-images-idx3-ubyte (2 pictures; " + train +
                                 "-images-idx3-ubyte has no labels either)"));
}

TEST_CASE("EMNIST's pictures are turned upright, and its letters count from 1") {
  const TempDir dir;
  write_idx(dir, "emnist-letters-train", {1, 26, 3});
  write_idx(dir, "emnist-letters-test", {2, 1});
  const std::string kind = GENERATE("auto", "emnist");
  const PictureSets sets = open_datasets(kind, dir.path());
  CHECK(sets.kind == "emnist");
  CHECK(sets.channels == 1);
  CHECK(sets.train->classes().size() == 26);
  CHECK(sets.train->label(1) == 25);
  CHECK(sets.train->classes()[25] == "Zz");
  CHECK_THAT(sets.test->describe(), Contains("EMNIST letters test: 2 pictures [28,28,1], 26 classes"));
  const simclr::data::Sample sample = sets.train->sample(1);
  const auto pixels = sample.values<std::uint8_t>();
  CHECK(pixels[28 * 3 + 5] == (784 + 28 * 5 + 3) % 251);  // row 3, column 5: column by column in the file

  write_idx(dir, "emnist-letters-train", {1, 0, 3});
  CHECK_THAT(message_of([&] { open_datasets(kind, dir.path()); }),
             Contains("label 1 of ") && Contains(" is 0, the smallest is 1"));
}

TEST_CASE("Of several sets of EMNIST one is named") {
  const TempDir dir;
  for (const std::string set : {"byclass", "balanced", "letters"}) {
    write_idx(dir, "emnist-" + set + "-train", {1, 2, 3});
    write_idx(dir, "emnist-" + set + "-test", {1});
  }
  const std::string kind = GENERATE("auto", "emnist");
  CHECK_THAT(message_of([&] { open_datasets(kind, dir.path()); }),
             Contains("holds several of EMNIST's sets, balanced, byclass, letters; name one: --data " +
                      dir.path("emnist-balanced")));
  CHECK(open_datasets(kind, dir.path("emnist-byclass")).train->classes()[61] == "z");
  const PictureSets sets = open_datasets(kind, dir.path("emnist-balanced-train-images-idx3-ubyte"));
  CHECK(sets.train->classes()[46] == "t");
  CHECK(sets.train->classes().size() == 47);
  CHECK(list_picture_files("emnist", dir.path("emnist-balanced"))["files"] == 4);
  CHECK_THAT(message_of([&] { open_datasets(kind, dir.path("emnist-signs")); }),
             Contains("emnist: there is no set \"signs\"; it has balanced, byclass,"));
  CHECK_THAT(message_of([&] { open_datasets("emnist", dir.path("none")); }), Contains("there is no such folder"));
  dir.write("emnist-letters.npz", std::string("PK"));  // arrays by their ending
  CHECK_THAT(message_of([&] { open_datasets("auto", dir.path("emnist-letters.npz")); }), StartsWith("npz: "));
}

TEST_CASE("Other labels in a file of the same size are other data") {
  const TempDir dir;
  const auto listing = [&dir](const char* kind) {
    nlohmann::ordered_json files = list_picture_files(kind, dir.path());
    files["labels"] = digest_labels(open_datasets(kind, dir.path()));
    return files;
  };
  const std::string changed = "the test pictures have other labels or another order";
  write_tiny_imagenet(dir, tiny_annotations);
  const auto before = listing("tiny-imagenet");
  CHECK(data_differ(before, listing("tiny-imagenet"), "picture").empty());
  std::string annotations = tiny_annotations;
  annotations.replace(annotations.find("n01443537"), 9, "n07747607");
  dir.write("val/val_annotations.txt", annotations);
  CHECK(data_differ(before, listing("tiny-imagenet"), "picture") == changed);
  nlohmann::ordered_json older = before;  // of a version that knew nothing of labels
  older.erase("labels");
  CHECK(data_differ(older, before, "picture").empty());
  std::filesystem::remove(dir.path("val/val_annotations.txt"));
  CHECK(data_differ(before, listing("tiny-imagenet"), "picture") == changed);

  std::filesystem::remove_all(dir.path("val"));
  for (int i = 0; i < 2; ++i) write_picture(dir, "val/val_" + std::to_string(i) + ".JPEG");
  dir.write("LOC_val_solution.csv", std::string("val_0,n01443537 1\nval_1,n07747607 1\n"));
  const auto kaggle = listing("imagenet");
  dir.write("LOC_val_solution.csv", std::string("val_1,n01443537 1\nval_0,n07747607 1\n"));
  CHECK(data_differ(kaggle, listing("imagenet"), "picture") == changed);

  const TempDir digits;
  write_idx(digits, "train", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  write_idx(digits, "t10k", {7, 2});
  const auto one = digest_labels(open_datasets("mnist", digits.path()));
  write_idx(digits, "train", {0, 1, 3, 2, 4, 5, 6, 7, 8, 9});
  const auto other = digest_labels(open_datasets("mnist", digits.path()));
  CHECK(one["training"] != other["training"]);
  CHECK(one["test"] == other["test"]);
  for (const char* part : {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    std::filesystem::remove(digits.path(part));
  }
  write_idx(digits, "train", {0, 0, 0, 0, 0, 1, 1, 1, 1, 1});
  const auto fifth = digest_labels(open_datasets("idx", digits.path()));
  write_idx(digits, "train", {0, 0, 0, 0, 1, 0, 1, 1, 1, 1});  // in each part the same labels follow each other
  CHECK(digest_labels(open_datasets("idx", digits.path())) != fifth);
}

TEST_CASE("Other rows of a list without labels are other data") {
  const TempDir dir;
  for (const char* name : {"a.ppm", "b.ppm", "c.ppm"}) write_picture(dir, name);
  const auto digest = [&dir](const std::string& rows) {
    dir.write("rows.csv", "path\n" + rows);
    return digest_labels(open_datasets("list", dir.path("rows.csv")));
  };
  const auto before = digest("a.ppm\nb.ppm\nc.ppm\n");
  CHECK(digest("a.ppm\nb.ppm\nc.ppm\n") == before);
  CHECK(digest("b.ppm\na.ppm\nc.ppm\n") != before);
}

TEST_CASE("A kind that is not known is answered with those that are") {
  CHECK_THAT(message_of([] { open_datasets("stl-10", "x"); }), Contains("stl10") && Contains("tiny-imagenet"));
  CHECK_THAT(message_of([] { open_datasets("imagenet", ""); }), Contains("--dataset imagenet needs --data DIR"));
}
