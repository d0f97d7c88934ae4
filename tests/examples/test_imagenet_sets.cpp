// ImageNet's sets in their published layouts, Tiny-ImageNet's among them.
#include "modalities/picture_data_files.h"
#include "modalities/picture_sets.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"
#include "support/tiny_imagenet.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

using Catch::Matchers::Contains;
using simclr::test::message_of;
using simclr::test::TempDir;
using simclr::test::tiny_annotations;
using simclr::test::write_picture;
using simclr::test::write_tiny_imagenet;
using Names = std::vector<std::string>;

namespace {

/// "picture class" of each, as a part has them.
Names classes_of(const simclr::data::Dataset& set) {
  Names all;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const std::int32_t label = set.label(i);
    all.push_back(std::filesystem::path(set.file(i)).stem().string() + " " +
                  (label < 0 ? "-" : set.classes()[static_cast<std::size_t>(label)]));
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("Tiny-ImageNet's val part has the labels of val_annotations.txt") {
  const TempDir dir;
  write_tiny_imagenet(dir, tiny_annotations);
  const std::string kind = GENERATE("auto", "tiny-imagenet", "folder");
  const PictureSets sets = open_datasets(kind, dir.path());
  CHECK(sets.kind == (kind == "folder" ? "folder" : "tiny-imagenet"));
  CHECK(sets.size == (kind == "folder" ? 32 : 64));
  CHECK(sets.train->size() == 6);
  CHECK(sets.train->classes() == Names{"n01443537", "n07747607"});
  REQUIRE(sets.test);
  CHECK(classes_of(*sets.test) == Names{"val_0 n07747607", "val_1 n01443537", "val_2 n01443537", "val_3 n07747607"});
  CHECK(sets.test->describe() == "4 pictures in " + dir.path("val") + ", 2 classes");
  CHECK_THAT(sets.note, Contains("train: " + dir.path("train") + "; test: " + dir.path("val") + " with the labels of " +
                                 dir.path("val/val_annotations.txt")) &&
                            Contains("not used: " + dir.path("test") + " (5 pictures"));
  if (kind != "folder") CHECK(list_picture_files(sets.kind, dir.path())["files"] == 15);
}

TEST_CASE("Of several Tiny-ImageNets each val part has the labels of its own file") {
  const TempDir a, b;
  const bool damaged = GENERATE(false, true);
  write_tiny_imagenet(a, tiny_annotations);
  write_tiny_imagenet(b, damaged ? "nonsense\n" : "val_2.JPEG\tn07747607\nval_0.JPEG\tn01443537\n");
  b.write("words.txt", std::string("n01443537\tgoldfish, Carassius auratus\n"));
  const std::string kind = GENERATE("auto", "tiny-imagenet");
  const PictureSets sets = open_datasets(kind, a.path() + "::" + b.path());
  CHECK(sets.train->size() == 12);
  const std::string fish = kind == "auto" ? "n01443537" : "n01443537 goldfish";
  CHECK(sets.train->classes() == Names{fish, "n07747607"});
  REQUIRE(sets.test);
  Names labelled = {"val_0 n07747607", "val_1 " + fish, "val_2 " + fish, "val_3 n07747607"};
  if (!damaged) labelled.insert(labelled.end(), {"val_0 " + fish, "val_2 n07747607"});
  std::sort(labelled.begin(), labelled.end());
  CHECK(classes_of(*sets.test) == labelled);
  CHECK_THAT(sets.note, Contains(a.path("val") + " has the labels of " + a.path("val/val_annotations.txt")));
  for (const TempDir* each : {&a, &b})
    CHECK_THAT(sets.note, Contains("not used: " + each->path("test") + " (5 pictures"));
  if (damaged) {
    CHECK_THAT(sets.note, Contains("not used: " + b.path("val") + " (") && Contains("line 1: no name of a picture"));
  } else {
    CHECK_THAT(sets.note, Contains("2 pictures of " + a.path("val") + " (4), " + b.path("val") + " (4) without a"));
  }
}

TEST_CASE("Where the test part of no place can be used no fifth is kept, as of a single place") {
  const TempDir a, b;
  for (const TempDir* each : {&a, &b}) {
    write_tiny_imagenet(*each, "nonsense\n");
    std::filesystem::remove_all(each->path("test"));
  }
  const bool several = GENERATE(false, true);
  const PictureSets sets = open_datasets("folder", a.path() + (several ? "::" + b.path() : ""));
  CHECK(sets.train->size() == (several ? 12 : 6));
  CHECK_FALSE(sets.test);
  CHECK_THAT(sets.no_test, Contains(several ? "none of the test parts can be used" : "it cannot be read"));
  CHECK_THAT(sets.note, Contains("line 1: no name of a picture") && !Contains("fifth"));
}

TEST_CASE("The classes of ImageNet's sets are shown with their words") {
  const TempDir dir;
  write_tiny_imagenet(dir, tiny_annotations);
  const bool kaggle = GENERATE(false, true);
  dir.write(kaggle ? "LOC_synset_mapping.txt" : "words.txt",
            std::string(kaggle ? "n01443537 goldfish, Carassius auratus\nn00001740 entity\n"
                               : "n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\n"));
  const PictureSets sets = open_datasets("tiny-imagenet", dir.path());
  CHECK(sets.train == sets.labelled);
  CHECK(sets.train->classes() == Names{"n01443537 goldfish", "n07747607"});
  REQUIRE(sets.test);
  CHECK(classes_of(*sets.test) ==
        Names{"val_0 n07747607", "val_1 n01443537 goldfish", "val_2 n01443537 goldfish", "val_3 n07747607"});
  CHECK(sets.train->sample(0).label == 0);
  CHECK(open_datasets("folder", dir.path()).train->classes() == Names{"n01443537", "n07747607"});
}

TEST_CASE("Tiny-ImageNet's val part in folders needs no annotations, and damaged ones cost the evaluation") {
  const TempDir dir;
  SECTION("folders of classes") {
    write_tiny_imagenet(dir, "nonsense\n");
    std::filesystem::remove_all(dir.path("val/images"));
    write_picture(dir, "val/n01443537/val_1.JPEG");
    write_picture(dir, "val/n07747607/val_0.JPEG");
    const PictureSets sets = open_datasets("auto", dir.path());
    REQUIRE(sets.test);
    CHECK(classes_of(*sets.test) == Names{"val_0 n07747607", "val_1 n01443537"});
  }
  SECTION("a line that is none") {
    write_tiny_imagenet(dir, "val_0.JPEG\tn07747607\t0\nval_1.JPEG n01443537\n");
    const PictureSets sets = open_datasets("auto", dir.path());
    CHECK_FALSE(sets.test);
    CHECK(sets.train->size() == 6);
    CHECK_THAT(sets.note, Contains("no evaluation on " + dir.path("val") + ": it cannot be read (" +
                                   dir.path("val/val_annotations.txt") + ", line 2: no name of a picture"));
  }
  SECTION("pictures that are not in it, lines of pictures that are not there, and a class that train lacks") {
    write_tiny_imagenet(dir,
                        "val_0.JPEG\tn07747607\t0\nval_1.JPEG\tn01443537\t0\nval_2.JPEG\tn09999999\t0\n"
                        "val_8.JPEG\tn07747607\t0\nval_7.JPEG\tn01443537\t0\n");
    const PictureSets sets = open_datasets("auto", dir.path());
    REQUIRE(sets.test);
    CHECK(classes_of(*sets.test) == Names{"val_0 n07747607", "val_1 n01443537"});
    CHECK_THAT(sets.note, Contains("2 pictures of " + dir.path("val") + " without a class of"));
    CHECK(sets.warnings ==
          Names{dir.path("val/val_annotations.txt") + ": has the classes of 2 pictures that are not in " +
                dir.path("val") + ": val_7 and 1 more"});
  }
}

TEST_CASE("ImageNet's flat val part has the labels of Kaggle's file, where that is there") {
  const TempDir dir;
  const std::string root = GENERATE("", "ILSVRC/Data/CLS-LOC/");
  for (const std::string name : {"n01440764", "n01443537"}) {
    for (int i = 0; i < 3; ++i)
      write_picture(dir, root + "train/" + name + "/" + name + "_" + std::to_string(i) + ".JPEG");
  }
  for (int i = 1; i < 4; ++i) write_picture(dir, root + "val/ILSVRC2012_val_0000000" + std::to_string(i) + ".JPEG");
  const std::string kind = GENERATE("auto", "imagenet");
  PictureSets sets = open_datasets(kind, dir.path(root));
  CHECK(sets.kind == "imagenet");
  CHECK(sets.size == 224);
  CHECK_FALSE(sets.test);
  CHECK_THAT(sets.note, Contains("not used: ") && Contains("val (3 pictures)"));

  dir.write("LOC_val_solution.csv",
            std::string("ImageId,PredictionString\nILSVRC2012_val_00000003,n01440764 85 1 499 272\n"
                        "ILSVRC2012_val_00000001,n01443537 1 2 3 4 n01443537 5 6 7 8\n"
                        "ILSVRC2012_val_00000002,n01440764 1 2 3 4\n"));
  sets = open_datasets(kind, dir.path(root));
  REQUIRE(sets.test);
  CHECK(classes_of(*sets.test) == Names{"ILSVRC2012_val_00000001 n01443537", "ILSVRC2012_val_00000002 n01440764",
                                        "ILSVRC2012_val_00000003 n01440764"});
  CHECK_THAT(sets.note, Contains("LOC_val_solution.csv"));
}
