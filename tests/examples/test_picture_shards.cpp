// The parts of a set of tar shards, by their names, and the files of sets that lie in several places.
#include "modalities/picture_data_files.h"
#include "modalities/picture_files.h"
#include "modalities/picture_places.h"
#include "modalities/picture_sets.h"
#include "modalities/picture_shards.h"
#include "train/data_files.h"

#include "support/catch.h"
#include "support/message_of.h"
#include "support/tar.h"
#include "support/temp_dir.h"

#include <simclr/data/npy.h>

#include <filesystem>
#include <string>
#include <vector>

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using simclr::test::message_of;
using simclr::test::TempDir;

namespace {

std::vector<std::string> test_names(const TempDir& dir, const std::string& pattern) {
  std::vector<std::string> names;
  for (const ShardParts::Part& part : find_shard_parts(dir.path(pattern)).test) {
    for (const std::string& path : part.paths) names.push_back(path.substr(dir.path().size() + 1));
    names.emplace_back("|");
  }
  return names;
}

}  // namespace

TEST_CASE("Tar shards are told by their ending") {
  CHECK(names_shards("a/{000..127}.tar"));
  CHECK(names_shards("one.TAR"));
  CHECK_FALSE(names_shards("a.tar.gz"));
  CHECK_FALSE(names_shards("tar"));
}

TEST_CASE("Tar files that are compressed, and stars in their names, are refused in words that help") {
  CHECK(names_packed_shards("a/{000..127}.TAR.gz"));
  CHECK(names_packed_shards("one.tgz"));
  CHECK_FALSE(names_packed_shards("one.tar"));
  CHECK_FALSE(names_packed_shards("tar.gz.d"));
  CHECK_THAT(message_of([] { find_shard_parts("a/*.tar"); }), StartsWith("a/*.tar: no such file; write braces"));
  if (!simclr::data::reads_shards()) return;
  const TempDir dir;
  const std::string path = dir.write("0.tgz", std::string("\x1f\x8b\x08") + std::string(600, 'x'));
  for (const auto& message : {message_of([&] { open_datasets("auto", path); }),
                              message_of([&] { open_picture_files("auto", path, 3, {}); })}) {
    CHECK_THAT(message, StartsWith(path + ": is compressed by gzip, so that no sample can be read alone; unpack it"));
  }
}

TEST_CASE("A shard that two names lead to counts once") {
  const TempDir dir;
  dir.write("0.tar", std::string("x"));
  std::filesystem::create_symlink("0.tar", dir.path("1.tar"));
  const ShardParts parts = find_shard_parts(dir.path("{0..2}.tar") + "::" + dir.path(".") + "/0.tar");
  CHECK(parts.train == std::vector<std::string>{dir.path("0.tar"), dir.path("2.tar")});
  CHECK(parts.repeated == std::vector<std::string>{dir.path("1.tar"), dir.path("./0.tar")});
  CHECK(parts.others.empty());
}

TEST_CASE("Other samples in a shard of the same name and size are other data") {
  if (!simclr::data::reads_shards()) return;
  const TempDir dir;
  const auto listing = [&dir] {
    const PictureSets sets =
        open_datasets("shards", dir.path("a/{0..1}.tar") + "::" + dir.path("b/0.tar"), 1, dir.path("cache"));
    return nlohmann::ordered_json{{"folders", {{"", {3, "same"}}}}, {"within", sets.within}};
  };
  const auto write = [&dir](const std::string& name, const std::string& key) {
    dir.write(name, simclr::test::tar_member(key + ".ppm", "P6 1 1 255 xyz") + simclr::test::tar_end());
  };
  for (const char* name : {"a/0.tar", "a/1.tar", "b/0.tar"}) write(name, "1");
  const auto before = listing();
  CHECK(data_differ(before, listing(), "picture").empty());
  CHECK(before["within"].size() == 3);
  write("b/0.tar", "2");
  CHECK(data_differ(before, listing(), "picture") == "other pictures in ../b/0.tar");
  write("a/1.tar", "3");
  CHECK(data_differ(before, listing(), "picture") == "other pictures in ../b/0.tar, 1.tar");
  auto older = before;  // of a version that looked into none
  older.erase("within");
  CHECK(data_differ(older, listing(), "picture").empty());
  auto smaller = listing();
  smaller["folders"][""][0] = 2;
  CHECK_THAT(data_differ(before, smaller, "picture"), Contains("; other pictures in ../b/0.tar, 1.tar"));
}

TEST_CASE("Test shards are found beside those called train") {
  const TempDir dir;
  for (const char* name :
       {"in1k-train-000.tar", "in1k-train-001.tar", "in1k-val-01.tar", "in1k-val-00.tar", "in1k-test-0.tar",
        "in1k-dev-0.tar", "in22k-val-00.tgz", "other-val-00.tar", "val-0.tar", "Train/0.tar", "VAL/0.tar",
        "VAL/notes.txt", "VAL/1.tar", "Train/in1k-train-0.tar", "plain/000.tar", "plain/001.tar", "plain/val.tar"}) {
    dir.write(name, std::string("x"));
  }
  using Names = std::vector<std::string>;
  CHECK(find_shard_parts(dir.path("in1k-train-{000..001}.tar")).train.size() == 2);
  CHECK(test_names(dir, "in1k-train-{000..001}.tar") ==
        Names{"in1k-test-0.tar", "|", "in1k-val-00.tar", "in1k-val-01.tar", "|", "in1k-dev-0.tar", "|"});
  CHECK(test_names(dir, "Train/{0..9}.tar") == Names{"VAL/0.tar", "VAL/1.tar", "|"});
  CHECK(test_names(dir, "Train/in1k-train-{0..9}.tar") == Names{"VAL/0.tar", "VAL/1.tar", "|"});
  CHECK(test_names(dir, "plain/{000..001}.tar").empty());
  CHECK(test_names(dir, "train-{0..3}.tar") == Names{"val-0.tar", "|"});
}

TEST_CASE("Unlabelled shards are found, too, and what is named itself is in no other part") {
  const TempDir dir;
  for (const char* name : {"train-0.tar", "Unlabeled-0.tar", "unlabeled-1.tar", "train-unlabeled-0.tar", "val-0.tar",
                           "b/train/0.tar", "b/train_unlabelled/0.tar", "b/val/0.tar"}) {
    dir.write(name, std::string("x"));
  }
  const auto unlabelled = [&](const std::string& pattern) {
    std::vector<std::string> paths;
    for (const ShardParts::Part& part : find_shard_parts(pattern).unlabelled) {
      paths.insert(paths.end(), part.paths.begin(), part.paths.end());
    }
    return paths;
  };
  using Paths = std::vector<std::string>;
  const Paths beside = {dir.path("Unlabeled-0.tar"), dir.path("train-unlabeled-0.tar"), dir.path("unlabeled-1.tar")};
  CHECK(unlabelled(dir.path("train-{0..3}.tar")) == beside);
  CHECK(unlabelled(dir.path("train-labeled-{0..3}.tar")) == beside);
  CHECK(unlabelled(dir.path("b/train/{0..3}.tar")) == Paths{dir.path("b/train_unlabelled/0.tar")});
  CHECK(unlabelled(dir.path("unlabeled-1.tar")).empty());
  CHECK(unlabelled(dir.path("{train-0,./unlabeled-1}.tar")) == Paths{beside[0], beside[1]});
  CHECK(find_shard_parts(dir.path("{train,val}-0.tar")).test.empty());
  CHECK(list_picture_files("shards", dir.path("train-0.tar"))["files"] == 5);
}

TEST_CASE("Shards that lie beside the parts and are in none are found") {
  const TempDir dir;
  for (const char* name :
       {"words/train_set-00.tar", "words/train_set-01.tar", "words/Train2017-00.tar", "words/notes.txt",
        "words/val_set-0.tar", "x/train/train-01.tar", "x/train/val-01.tar", "x/val/train-01.tar", "x/train2/0.tar"}) {
    dir.write(name, std::string("x"));
  }
  using Paths = std::vector<std::string>;
  const ShardParts words = find_shard_parts(dir.path("words/train_set-{00..00}.tar"));
  CHECK(words.others == Paths{dir.path("words/Train2017-00.tar"), dir.path("words/train_set-01.tar")});
  const ShardParts both = find_shard_parts(dir.path("x/train/train-01.tar"));
  REQUIRE(both.test.size() == 1);
  CHECK(both.test[0].paths == Paths{dir.path("x/train/val-01.tar")});
  CHECK(both.others == Paths{dir.path("x/train2/0.tar"), dir.path("x/val/train-01.tar")});
  CHECK(find_shard_parts(dir.path("x/train2/0.tar")).others ==
        Paths{dir.path("x/train/train-01.tar"), dir.path("x/train/val-01.tar")});
}

TEST_CASE("Tar shards in several places") {
  const TempDir dir;
  for (const char* name : {"a/train-0.tar", "a/val-0.tar", "b/train/0.tar", "b/test/0.tar", "b/val/0.tar"}) {
    dir.write(name, std::string("x"));
  }
  const ShardParts parts = find_shard_parts(dir.path("a/train-{0..2}.tar") + "::" + dir.path("b/train/0.tar"));
  CHECK(parts.train == std::vector<std::string>{dir.path("a/train-0.tar"), dir.path("a/train-1.tar"),
                                                dir.path("a/train-2.tar"), dir.path("b/train/0.tar")});
  REQUIRE(parts.test.size() == 2);
  CHECK(parts.test[0].paths == std::vector<std::string>{dir.path("b/test/0.tar")});
  CHECK(parts.test[1].paths == std::vector<std::string>{dir.path("a/val-0.tar"), dir.path("b/val/0.tar")});
}

TEST_CASE("Shards do not mix with other places, and arrays are in one place") {
  const TempDir dir;
  for (const char* name : {"a/0.tar", "b/1.png", "c::d/1.png"}) dir.write(name, std::string("x"));
  dir.write("x.npy", simclr::data::npy_header("|u1", {1, 8, 8, 1}) + std::string(64, 'x'));
  const std::string shards = dir.path("a/{0..1}.tar"), folder = dir.path("b"), arrays = dir.path("x.npy");
  const std::string kind = GENERATE("auto", "folder", "shards", "arrays");
  const auto error = [&](const std::string& data) { return message_of([&] { open_datasets(kind, data); }); };
  for (const std::string& data : {shards + "::" + folder, folder + "::" + shards}) {
    CHECK_THAT(error(data), StartsWith("--data " + data + ": tar shards do not mix with folders and lists"));
  }
  for (const std::string& data : {arrays + "::" + arrays, folder + "::" + arrays}) {
    CHECK(error(data) == "--data " + data + ": " + arrays +
                             " holds arrays, which are read from one place; save all of them in one file");
  }
  CHECK_THAT(message_of([&] { open_picture_files(kind, folder + "::" + arrays, 3, {}); }), Contains("holds arrays"));
  CHECK_NOTHROW(check_places(dir.path("c::d")));
  CHECK_NOTHROW(check_places(shards + "::" + shards));
}

TEST_CASE("The files of several places are the same from wherever they are looked at") {
  const TempDir dir;
  for (const char* name : {"p/a/0.tar", "b/0.tar", "q/x", "p/a/one/1.png", "b/one/2.png", "b/list.csv"}) {
    dir.write(name, std::string("one/2.png\n"));
  }
  const auto before = std::filesystem::current_path();
  const auto list = [&](const std::string& from, const std::string& kind, const std::string& data) {
    std::filesystem::current_path(dir.path(from));
    const auto files = list_picture_files(kind, data);
    std::filesystem::current_path(before);
    return files;
  };
  const std::string far = "::" + dir.path("b");
  const auto shards = list("p", "shards", "a/0.tar" + far + "/0.tar");
  CHECK(shards["files"] == 2);
  CHECK(shards["bytes"] == 20);
  CHECK(list("p/a", "shards", "0.tar::../../b/0.tar") == shards);
  CHECK(list("q", "shards", "../p/a/0.tar::../b/0.tar") == shards);
  const auto folders = list("p", "folder", "a" + far);
  CHECK(folders["files"] == 2);
  CHECK(list("q", "folder", "../p/a::../b") == folders);
  CHECK(data_differ(folders, list("b", "folder", ".::../p/a"), "picture") ==
        "the same files, but the places that hold them have another order, or lie elsewhere");
  std::filesystem::rename(dir.path("p/a/one"), dir.path("p/a/two"));
  CHECK_THAT(data_differ(folders, list("p", "folder", "a" + far), "picture"), Contains("one is gone (1 file)"));
  std::filesystem::rename(dir.path("p/a/two"), dir.path("p/a/one"));
  dir.write("b/one/4.png", std::string("x"));
  CHECK_THAT(data_differ(folders, list("b", "folder", ".::../p/a"), "picture"), Contains("../p/a/one is new (1 file)"));
  std::filesystem::remove(dir.path("b/one/4.png"));
  const auto lists = list("p", "folder", "a" + far + "/list.csv");
  CHECK(lists["files"] == 3);
  CHECK(list("b", "folder", "../p/a::list.csv") == lists);
  CHECK(list("b", "list", "list.csv")["files"] == 2);
  dir.write("b/0.tar", std::string("other"));
  CHECK(list("p", "shards", "a/0.tar" + far + "/0.tar") != shards);
}
