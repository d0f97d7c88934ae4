// What is said of folders of pictures that may be meant otherwise than they are taken.
#include "modalities/folder_notes.h"

#include "support/catch.h"
#include "support/temp_dir.h"

#include <simclr/data/pictures/picture_list.h>

#include <string>

using Catch::Matchers::Contains;
using simclr::test::TempDir;

TEST_CASE("Classes that are called like parts") {
  CHECK(classes_like_parts("d", {"test", "val"}).starts_with("no folder of d is called train, so test, val count"));
  CHECK(
      classes_like_parts("d", {"cats", "val"}).starts_with("no folder of d is called train, so val counts as a class"));
  CHECK(classes_like_parts("d", {"cats", "dogs"}).empty());
  CHECK(classes_like_parts("d", {"test_small", "train_small"}).starts_with("test_small, train_small in d are called"));
  CHECK(classes_like_parts("d", {"cats", "train"}).starts_with("train in d is called like a part but counts as"));
  CHECK(classes_like_parts("d", {"bus", "cab", "car", "train"}).empty());
  CHECK(classes_like_parts("d", {"bog", "car", "hut", "train_interior", "valley"}).empty());
}

TEST_CASE("Classes that may be one are named, but versions are none") {
  CHECK_THAT(classes_alike({"1.0", "1"}), Contains("1.0 and 1 are two classes, and the same number"));
  CHECK_THAT(classes_alike({"cat", "Cat"}), Contains("told apart by their case alone"));
  CHECK_THAT(classes_alike({"cat", "cat "}), Contains("told apart by blanks around them"));
  CHECK_THAT(classes_alike({"K\u00e4fer", "Ka\u0308fer"}), Contains("by how letters with accents are written"));
  CHECK_THAT(classes_alike({"\u00c9T\u00c9", "\u00e9t\u00e9"}), Contains("told apart by their case alone"));
  CHECK(classes_alike({"K\u00e4fer", "Kafer"}).empty());
  CHECK(classes_alike({"1.1", "1.10", "10", "cat"}).empty());
}

TEST_CASE("Folders that hold parts of their own") {
  const TempDir dir;
  for (const char* file : {"a/train/x/1.png", "a/test/x/2.png", "b/train/x/1.png", "b/test/x/1.png", "c/1.png"}) {
    dir.write(file, std::string("x"));
  }
  CHECK_THAT(parts_in_folders(simclr::data::list_pictures(dir.path())),
             Contains("a, b hold parts of their own") &&
                 Contains("each folder as a place: " + dir.path("a::") + dir.path("b::") + dir.path("c") + " for "));
  // However deep, and then beside what holds none.
  dir.write("c/d/e/train/x/1.png", std::string("x"));
  dir.write("c/d/e/val/x/1.png", std::string("x"));
  CHECK_THAT(parts_in_folders(simclr::data::list_pictures(dir.path())),
             Contains("a, b, c/d/e hold parts of their own") && Contains("::" + dir.path("c/d/e") + " for "));
  CHECK_THAT(parts_in_folders(simclr::data::list_pictures(dir.path("c"))),
             Contains("give that folder: " + dir.path("c/d/e") + " for "));
}
