// Parts of a folder of pictures, by the names that people give them.
#include "modalities/imagenet_sets.h"
#include "modalities/picture_array_files.h"
#include "modalities/picture_parts.h"
#include "modalities/picture_places.h"
#include "modalities/picture_sets.h"
#include "modalities/picture_shards.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tar.h"
#include "support/temp_dir.h"

#include <simclr/data/npy.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/shards.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

using Catch::Matchers::Contains;
using simclr::data::part_name;
using simclr::data::part_role;
using simclr::data::PartRole;
using simclr::test::message_of;
using simclr::test::tar_member;
using simclr::test::TempDir;

namespace {

/// `count` grey pictures of 8 x 8, of `channels`, as an array; and their labels, 0 and 1 in turn.
void write_arrays(const TempDir& dir, const std::string& part, std::int64_t count, std::int64_t channels = 1) {
  const std::string pixels(static_cast<std::size_t>(count * 64 * channels), 'x');
  dir.write("x_" + part + ".npy", simclr::data::npy_header("|u1", {count, 8, 8, channels}) + pixels);
  std::string labels = simclr::data::npy_header("|u1", {count});
  for (std::int64_t i = 0; i < count; ++i) labels += static_cast<char>(i % 2);
  dir.write("y_" + part + ".npy", labels);
}

/// The same as a tar shard, of colour pictures; without labels where it is so wished.
void write_shard(const TempDir& dir, const std::string& name, int count, bool labels = true) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes += tar_member(std::to_string(i) + ".ppm", "P6 2 1 255\nabcdef");
    if (labels) bytes += tar_member(std::to_string(i) + ".cls", std::to_string(i % 2));
  }
  dir.write(name, bytes + simclr::test::tar_end());
}

/// In a build that reads none there is but this to test.
bool no_shards() {
  if (simclr::data::reads_shards()) return false;
  CHECK_THAT(message_of([] { open_datasets("shards", "train-0.tar"); }), Contains("install libarchive-dev"));
  return true;
}

}  // namespace

TEST_CASE("The names of parts") {
  for (const char* name :
       {"train", "Train", "TRAINING", "train2017", "train_set", "trainset", "training-images", "train_images_2",
        "labeled", "img_train", "trn", "TRN", "seg_train", "trainval", "TrainVal2012", "train_val", "train-valid"}) {
    CAPTURE(name);
    CHECK(part_role(name) == PartRole::train);
  }
  for (const char* name :
       {"test", "Test", "testing", "val", "VAL", "valid", "validation", "eval", "evaluation", "val2017", "test_set",
        "testset", "val-images", "dev", "tst", "Validate", "evaluate", "development"}) {
    CAPTURE(name);
    CHECK(part_role(name) == PartRole::test);
  }
  for (const char* name : {"unlabeled", "Unlabelled", "unlabeled2017", "train_unlabeled", "unsupervised"}) {
    CAPTURE(name);
    CHECK(part_role(name) == PartRole::unlabelled);
  }
  for (const char* name : {"", "cats", "train station", "bullet_train", "trainer", "test_tube", "valley", "trains",
                           "images", "2017", "train_test", "développement", "evaluator", "contest"}) {
    CAPTURE(name);
    CHECK(part_role(name) == PartRole::none);
  }
}

TEST_CASE("Names that are nearly those of parts") {
  for (const char* name : {"train_small", "my_train", "trainA", "train-224x224", "bounding_box_train", "train"}) {
    CAPTURE(name);
    CHECK(simclr::data::part_hint(name) == PartRole::train);
  }
  for (const char* name : {"test_set_blind", "testA", "x_val", "valA"}) {
    CAPTURE(name);
    CHECK(simclr::data::part_hint(name) == PartRole::test);
  }
  for (const char* name : {"", "cats", "holdout", "contest"}) {
    CAPTURE(name);
    CHECK(simclr::data::part_hint(name) == PartRole::none);
  }
}

TEST_CASE("The words of parts have one order, and those of one meaning are one word") {
  CHECK(part_name("Valid2017").word == "val");
  CHECK(part_name("x").word.empty());
  CHECK(part_name("validation").place == part_name("val").place);
  CHECK(part_name("testset").place < part_name("val").place);
  CHECK(part_name("val").place < part_name("eval").place);
  CHECK(part_name("eval").place < part_name("dev").place);
  CHECK(part_name("train_images").place < part_name("trainval").place);
  CHECK(part_name("train_val").place == part_name("trainval").place);
  CHECK(part_name("trainval").place < part_name("labelled").place);
}

TEST_CASE("Arrays and idx files go by the same words as folders") {
  CHECK(array_role("images_train_val").part == "trainval");
  const TempDir arrays, idx;
  write_arrays(arrays, "training", 10);
  for (const char* part : {"dev", "Validation"}) write_arrays(arrays, part, 4);
  const PictureSets sets = open_datasets("arrays", arrays.path());
  CHECK(sets.train->size() == 10);
  REQUIRE(sets.test);
  CHECK_THAT(sets.test->describe(), Contains("x_Validation.npy"));
  CHECK_THAT(sets.note, Contains("not used: x_dev (4), y_dev (4)"));
  for (const char* part : {"dev", "Val", "t10k", "eval2", "emnist-letters-test", "test_set", "more", "Train2017",
                           "training", "labeled", "unlabelled"}) {
    idx.write(std::string(part) + "-images-idx3-ubyte" + (part[0] == 'V' ? ".gz" : ""), std::string("x"));
  }
  using Names = std::vector<std::string>;
  const auto parts = [&idx](PartRole role) { return simclr::data::idx_parts(idx.path(), role); };
  CHECK(parts(PartRole::train) == Names{"training", "Train2017", "labeled"});
  CHECK(parts(PartRole::test) == Names{"t10k", "test_set", "Val", "eval2", "dev"});
  CHECK(parts(PartRole::unlabelled) == Names{"unlabelled"});
  CHECK(parts(PartRole::none) == Names{"more", "emnist-letters-test"});
}

TEST_CASE("Unlabelled arrays of other channels, or damaged, are named and not trained on") {
  const bool damaged = GENERATE(false, true);
  const TempDir dir;
  write_arrays(dir, "train", 10);
  write_arrays(dir, "unlabeled", 20, 5);
  if (damaged) dir.write("x_unlabeled.npy", std::string("x"));
  const PictureSets sets = open_datasets("arrays", dir.path());
  CHECK(sets.train->size() == 8);  // a fifth is kept
  CHECK(sets.train == sets.labelled);
  CHECK(sets.channels == 1);
  CHECK_THAT(sets.note, Contains("no training on x_unlabeled of " + dir.path() + ": " +
                                 (damaged ? dir.path("x_unlabeled.npy") + ": not a .npy file"
                                          : "its pictures have 5 channels, those trained on 1")));
  const std::size_t begin = sets.note.find("not used: ");
  REQUIRE(begin != std::string::npos);
  CHECK_THAT(sets.note.substr(begin, sets.note.find('\n', begin) - begin),
             Contains(damaged ? "x_unlabeled" : "x_unlabeled (20)") && Contains("y_unlabeled (20)"));
}

TEST_CASE("The likeliest part of each role comes first") {
  const TempDir dir;
  for (const char* part : {"val", "valid", "test", "training", "train", "labeled", "other"}) {
    dir.write(std::string(part) + "/1.png", std::string("x"));
  }
  const PictureParts parts = find_parts(dir.path());
  const auto names = [](const std::vector<PictureParts::Part>& all) {
    std::string text;
    for (const auto& part : all) text += part.name + " ";
    return text;
  };
  CHECK(names(parts.train) == "train training labeled ");
  CHECK(names(parts.test) == "test val valid ");
  CHECK(names(parts.unlabelled).empty());
  CHECK(names(parts.others) == "other ");
}

TEST_CASE("Parts in a folder that holds nothing else") {
  const TempDir dir;
  dir.write("set/data/train/cats/1.png", std::string("x"));
  dir.write("set/readme.txt", std::string("x"));
  CHECK(folder_of_parts(dir.path()) == dir.path("set/data"));
  CHECK(folder_of_parts(dir.path("set/data")) == dir.path("set/data"));
  CHECK(folder_of_parts(dir.path("set/data/train")) == dir.path("set/data/train"));
  dir.write("set/1.png", std::string("x"));
  CHECK(folder_of_parts(dir.path()) == dir.path());  // where train alone may be a class
  dir.write("set/data/test/cats/1.png", std::string("x"));
  std::vector<PictureParts::Part> beside;
  CHECK(folder_of_parts(dir.path(), &beside) == dir.path("set/data"));
  REQUIRE(beside.size() == 1);
  CHECK(beside[0].pictures.files.size() == 1);
  dir.write("other/1.png", std::string("x"));
  CHECK(folder_of_parts(dir.path()) == dir.path());
}

TEST_CASE("Of several places one of test pictures alone is trained on, and that is said") {
  const TempDir dir;
  dir.write("a/cats/1.png", std::string("x"));
  dir.write("b/test/cats/2.png", std::string("x"));
  const std::string notes = read_places(dir.path("a") + "::" + dir.path("b"), 1, false).notes;
  CHECK(notes.find("no folder of " + dir.path("b") + " is called train, so test counts as a class") !=
        std::string::npos);
  CHECK(read_places(dir.path("a") + "::" + dir.path("b/test"), 1, false)
            .notes.starts_with(dir.path("b/test") + " is called like a test"));
}

TEST_CASE("A part that one of several places has alone is counted once") {
  const TempDir dir;
  for (const char* name : {"a/cats/1.ppm", "a/dogs/1.ppm", "b/train/cats/1.ppm", "b/test/1.ppm", "b/test/2.ppm"}) {
    dir.write(name, std::string("P6 1 1 255\nabc"));
  }
  const PictureSets sets = open_datasets("folder", dir.path("a") + "::" + dir.path("b"));
  CHECK_THAT(sets.note, Contains("train: " + dir.path("a") + " (2), " + dir.path("b/train") + " (1)\n") &&
                            Contains("not used: " + dir.path("b/test") + " (2 pictures)"));
}

TEST_CASE("What is no part") {
  const TempDir classes, alone;
  for (const char* name : {"train", "bus"}) classes.write(std::string(name) + "/1.png", std::string("x"));
  CHECK(find_parts(classes.path()).train.empty());
  alone.write("train/cats/1.png", std::string("x"));
  alone.write("notes/readme.txt", std::string("x"));  // holds no pictures
  CHECK(find_parts(alone.path()).train.size() == 1);
  alone.write("1.png", std::string("x"));
  CHECK(find_parts(alone.path()).train.empty());
  const TempDir beside;  // pictures of their own beside the parts are counted
  beside.write("train/cats/1.png", std::string("x"));
  beside.write("test/1.png", std::string("x"));
  beside.write("1.png", std::string("x"));
  const PictureParts parts = find_parts(beside.path());
  REQUIRE(parts.others.size() == 1);
  CHECK(parts.others[0].name.empty());
  CHECK(parts.others[0].pictures.files.size() == 1);
}

TEST_CASE("What lies beside the parts is counted in pictures, of whatever kind") {
  const bool several = GENERATE(false, true);
  const TempDir dir;
  for (const char* name : {"train/cats/1.ppm", "train/dogs/1.ppm", "@eaDir/cats/1.jpg", "@eaDir/2.jpg"}) {
    dir.write(name, std::string("P6 1 1 255\nabc"));
  }
  if (several) dir.write("test/1.ppm", std::string("P6 1 1 255\nabc"));
  dir.write("IMG_1.HEIC", std::string("\0\0\0\x18"
                                      "ftypheic....",
                                      16));
  dir.write("words.txt", std::string("x"));
  dir.write("features.npy", std::string("x"));
  const std::string unused = "not used: " + dir.path() + " itself (1 .heic picture, 2 pictures in @eaDir)";
  const PictureSets sets = open_datasets("folder", dir.path());
  CHECK(sets.train->size() == 2);
  CHECK_THAT(sets.note, Contains(unused));
  std::filesystem::create_directory(dir.path("set"));
  for (const char* name : {"train", "test"}) {
    if (std::filesystem::exists(dir.path(name)))
      std::filesystem::rename(dir.path(name), dir.path("set/" + std::string(name)));
  }
  CHECK_THAT(open_datasets("folder", dir.path()).note, Contains(unused));  // beside the lone folder of the parts, too
}

TEST_CASE("Parts that a list names") {
  const TempDir dir;
  std::string rows = "path,label,split\n";
  for (const char* row : {"1,x,val", "2,x,train", "3,y,TEST", "4,y,train", "5,z,holdout", "6,,"}) {
    dir.write(std::string(1, row[0]) + ".png", std::string("x"));
    rows += std::string(1, row[0]) + ".png" + (row + 1) + "\n";
  }
  const auto read = [&](const std::string& text) {
    return table_parts(simclr::data::read_picture_table(dir.write("list.csv", text)));
  };
  const PictureParts parts = read(rows);
  REQUIRE(parts.train.size() == 1);
  CHECK(parts.train[0].pictures.files == std::vector<std::string>{"2.png", "4.png"});
  CHECK(parts.train[0].pictures.classes == std::vector<std::string>{"x", "y"});
  CHECK(parts.train[0].pictures.place() == dir.path("list.csv") + " (train)");
  REQUIRE(parts.test.size() == 2);
  CHECK(parts.test[0].name == "TEST");  // before val
  REQUIRE(parts.others.size() == 2);
  CHECK(parts.others[0].pictures.place() == dir.path("list.csv") + " (holdout)");
  CHECK(parts.others[1].pictures.place() == dir.path("list.csv") + " (of no part)");
  CHECK(read("path,set\n1.png,a\n2.png,b\n").train.empty());
  CHECK(read("path,set\n1.png,a\n2.png,b\n3.png,test\n").train.empty());
  CHECK(read("path,set\n1.png,a\n2.png,test\n3.png,val\n").train.at(0).name == "a");
  CHECK(read("path\n1.png\n").train.empty());
  const PictureParts unlabelled = read("path,set\n1.png,unlabeled\n2.png,test\n");  // as of folders
  CHECK(unlabelled.train.empty());
  CHECK(unlabelled.unlabelled.at(0).pictures.files == std::vector<std::string>{"1.png"});
  CHECK(read("path,set\n1.png,unlabeled\n2.png,test\n3.png,a\n").train.at(0).name == "a");
}

TEST_CASE("Parts of a list of which no row is left") {
  const TempDir dir;
  for (const char* file : {"1.png", "2.png", "3.png"}) dir.write(file, std::string("x"));
  const auto notes = [&](const std::string& rows) {
    return read_places(dir.write("list.csv", "path,set\n" + rows), 1, true).notes;
  };
  CHECK_THAT(notes("1.png,fit\n2.png,test\nno.png,holdout\n"),
             Contains("no part is called train, so fit is trained on, beside") &&
                 Contains("list.csv: no row of the part holdout is left"));
  CHECK_THAT(notes("1.png,a\nno.png,test\nnone.png,val\n"),
             Contains("no part is called train (a), so all are trained on") &&
                 Contains("list.csv: no row of the parts test, val is left"));
  CHECK_THAT(message_of([&] { notes("no.png,train\n1.png,test\n2.png,val\n"); }),
             Contains("no row of the part train is left to train on; ") && Contains("line 2: no.png is not there"));
}

TEST_CASE("A zip file's train/train is found beside a dead link") {
  const TempDir dir;
  for (const char* file : {"train/train/ant/1.png", "train/train/bee/1.png", "test/ant/1.png"}) {
    dir.write(file, std::string("x"));
  }
  std::filesystem::create_symlink("gone", dir.path("train/notes"));
  CHECK(find_parts(dir.path()).train.at(0).pictures.dir == dir.path("train/train"));
}

TEST_CASE("Shards of train and val together are train shards") {
  if (no_shards()) return;
  const TempDir dir;
  write_shard(dir, "train_val-0.tar", 10);
  write_shard(dir, "test-0.tar", 4);
  const PictureSets sets = open_datasets("shards", dir.path("train_val-0.tar"), 1, dir.path("cache"));
  REQUIRE(sets.test);
  CHECK(sets.train->size() == 10);
  CHECK(sets.test->size() == 4);
}

TEST_CASE("Shards that are not used are named with their count, of pictures where their index is there") {
  if (no_shards()) return;
  const TempDir dir;
  write_shard(dir, "train-0.tar", 10);
  write_shard(dir, "test-0.tar", 4, false);
  write_shard(dir, "val-0.tar", 6);
  write_shard(dir, "dev-0.tar", 2);
  write_shard(dir, "dev-1.tar", 1);
  dir.write("eval-0.tar", std::string("no tar file"));
  dir.write("more.tar", std::string("not opened"));
  const PictureSets sets = open_datasets("shards", dir.path("train-{0..0}.tar"), 1, dir.path("cache"));
  REQUIRE(sets.test);
  CHECK(sets.test->size() == 6);
  CHECK_THAT(sets.note, Contains("no evaluation on " + dir.path("test-0.tar") + ": it has no labels") &&
                            Contains("; test: " + dir.path("val-0.tar") + "\nnot used: " + dir.path("test-0.tar") +
                                     " (4 pictures)\nnot used: " + dir.path("eval-0.tar") + " (1 shard)") &&
                            Contains("\nnot used: " + dir.path("dev-0.tar") + " and 1 more (2 shards)\nnot used: " +
                                     dir.path("more.tar") + " (1 shard that --data does not name)"));
  CHECK(sets.warnings.empty());
  list_shard_pictures({dir.path("dev-0.tar"), dir.path("dev-1.tar")}, dir.path("cache"), nullptr);
  CHECK_THAT(open_datasets("shards", dir.path("train-{0..0}.tar"), 1, dir.path("cache")).note,
             Contains("\nnot used: " + dir.path("dev-0.tar") + " and 1 more (3 pictures)"));
}

TEST_CASE("Unlabelled shards beside train and test are trained on, and the others evaluated on") {
  if (no_shards()) return;
  const bool labels = GENERATE(true, false);
  const TempDir dir;
  write_shard(dir, "train-0.tar", 10, labels);
  write_shard(dir, "unlabeled-0.tar", 12);  // what labels it has are none
  write_shard(dir, "unlabeled-1.tar", 8);
  write_shard(dir, "val-0.tar", 6);
  const std::string train = dir.path("train-0.tar");
  const PictureSets sets = open_datasets("shards", train, 1, dir.path("cache"));
  if (labels) {
    CHECK(sets.train->size() == 20);
    CHECK(sets.train->classes().empty());
    CHECK(sets.train->label(1) == -1);
    CHECK(sets.labelled->size() == 10);
    REQUIRE(sets.test);
    CHECK(sets.test->size() == 6);
    CHECK(sets.note == "train: " + dir.path("unlabeled-0.tar") + " and 1 more; labels for the evaluation: " + train +
                           "; test: " + dir.path("val-0.tar"));
  } else {
    CHECK(sets.train->size() == 10);
    CHECK_THAT(sets.note, Contains("not used: " + dir.path("unlabeled-0.tar") + " and 1 more (2 shards; " + train +
                                   " has no labels either)"));
  }
}

TEST_CASE("What is not left out is in no folder of what is") {
  const TempDir dir;
  dir.write("val/images/1.jpg", std::string());
  dir.write("val/val_annotations.txt", std::string("1.jpg\tn01\t0\t0\t1\t1\n"));
  simclr::data::PictureList part = simclr::data::list_pictures(dir.path("val"));
  REQUIRE(annotate(part) == dir.path("val/val_annotations.txt"));
  CHECK(part.left_out.files.empty());
  CHECK(part.left_out.file_folders.empty());

  for (const char* name : {"set/train/a/1.jpg", "set/test/a/2.jpg", "set/@eaDir/3.jpg", "set/notes.txt"}) {
    dir.write(name, std::string());
  }
  const PictureParts parts = find_parts(dir.path("set"));
  REQUIRE(parts.others.size() == 1);
  CHECK(parts.others.front().pictures.left_out.files.empty());
  CHECK(parts.others.front().pictures.left_out.file_folders.empty());
}
