// Parts of a folder of pictures, by the names that people give them.
#include "modalities/picture_parts.h"

#include "support/catch.h"
#include "support/temp_dir.h"

#include <string>
#include <vector>

using simclr::test::TempDir;

TEST_CASE("The names of parts") {
  for (const char* name : {"train", "Train", "TRAINING", "train2017", "train_set", "trainset", "training-images",
                           "train_images_2", "labeled", "img_train"}) {
    CAPTURE(name);
    CHECK(part_role(name) == PartRole::train);
  }
  for (const char* name : {"test", "Test", "testing", "val", "VAL", "valid", "validation", "eval", "evaluation",
                           "val2017", "test_set", "testset", "val-images", "dev"}) {
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
