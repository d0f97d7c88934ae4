// Folders of pictures: classes, links, what is left out, what cannot be read.

#include <simclr/core/error.h>
#include <simclr/data/loader.h>
#include <simclr/data/pictures/image_folder.h>
#include <simclr/data/pictures/image_io.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/temp_dir.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

TEST_CASE("A folder a class") {
  const TempDir dir;
  dir.write("zebra/b.JPG", small_jpeg());
  dir.write("zebra/a.png", small_png());
  dir.write("ant/1.jpeg", small_png());  // by content: a PNG
  dir.write("ant/notes.txt", std::string("no picture"));
  dir.write("ant/._1.jpeg", std::string("what some systems leave"));
  dir.write("ant/deeper/2.png", small_png());
  dir.write("empty/readme", std::string());
  dir.write("readme.md", std::string());
  fs::create_directory_symlink(dir.path(), dir.path("ant/loop"));
  fs::create_directory_symlink(dir.path(), dir.path("loop"));
  fs::create_directory_symlink(fs::path(dir.path()).parent_path(), dir.path("up"));
  const auto set = image_folder(dir.path());
  REQUIRE(set->size() == 4);
  CHECK(set->classes() == std::vector<std::string>{"ant", "zebra"});
  CHECK(set->label(0) == 0);
  CHECK(set->label(1) == 0);  // deeper
  CHECK(set->label(2) == 1);
  CHECK(set->label(3) == 1);
  CHECK(set->file(1) == dir.path("ant/deeper/2.png"));
  CHECK(set->describe() ==
        "4 pictures in " + dir.path() +
            ", 2 classes (left out: 1 file without an ending in empty, 1 .md file, 1 .txt file in ant, 1 "
            "file that begins with a dot, the links back ant/loop, loop, up)");
  const Sample first = set->sample(0);
  CHECK(first.shape == Shape{2, 2, 3});
  CHECK(first.label == 0);
  CHECK(first.owner != nullptr);
  REQUIRE(first.bytes.size() == 12);
  CHECK(first.values<std::uint8_t>()[11] == 12);
  CHECK(set->sample(3).shape == Shape{16, 24, 3});
  CHECK_THAT(message_of([&] { (void)set->sample(4); }), Contains("picture 4 of 4"));
  CHECK(image_folder(dir.path(), 2)->classes() == std::vector<std::string>{"ant", "ant/deeper", "zebra"});
}

TEST_CASE("Classes that are numbers go by value, as in lists and shards, and the pictures by name") {
  const TempDir dir;
  for (const char* name : {"2/b.png", "10/a.png", "9/c.png"}) dir.write(name, small_png());
  const auto set = image_folder(dir.path());
  CHECK(set->classes() == std::vector<std::string>{"2", "9", "10"});
  REQUIRE(set->size() == 3);
  CHECK(set->file(0) == dir.path("10/a.png"));
  CHECK((set->label(0) == 2 && set->label(1) == 0 && set->label(2) == 1));
  dir.write("x/d.png", small_png());
  CHECK(image_folder(dir.path())->classes() == std::vector<std::string>{"10", "2", "9", "x"});
}

TEST_CASE("A picture's kind is told by its first bytes where its name does not tell") {
  const TempDir dir;
  dir.write("a/1.JFIF", small_jpeg());
  dir.write("a/2.jpe", small_jpeg());
  dir.write("a/3", small_png());        // no ending
  dir.write("a/4.avif", small_jpeg());  // as some servers name them
  dir.write("b/5.img", small_png());
  dir.write("b/6.avif", std::string("....ftypavif...."));
  dir.write("b/7.PSD", std::string("8BPS........"));
  dir.write("b/8", std::string("....ftypheic...."));
  dir.write("b/9.txt", small_png());  // notes are not opened
  dir.write("b/10.img", std::string("BM and more text than a header has"));
  REQUIRE(::mkfifo(dir.path("b/11.heic").c_str(), 0600) == 0);  // must not hang
  const auto set = image_folder(dir.path());
  CHECK(set->describe() ==
        "5 pictures in " + dir.path() +
            ", 2 classes (left out: 1 .avif picture in b, 1 .heic picture in b, 1 .psd picture in b, "
            "1 .heic file in b, 1 .img file in b, 1 .txt file in b)");
  for (std::int64_t i = 0; i < set->size(); ++i) CHECK(set->sample(i).shape.rank() == 3);
}

TEST_CASE("Arrays are pictures of a part that has no others") {
  const TempDir dir;
  for (const char* name : {"set/train/cats/1.npy", "set/train/dogs/2.npy", "set/test/cats/3.png", "set/test/x.npy",
                           "set/classes/4.npy", "features.npy"}) {
    dir.write(name, std::string("x"));
  }
  const PictureList list = list_pictures(dir.path());
  CHECK(list.files == std::vector<std::string>{"set/test/cats/3.png", "set/train/cats/1.npy", "set/train/dogs/2.npy"});
  CHECK(list.left_out.text() == "3 .npy files in set/classes, set/test");
  CHECK(list_pictures(dir.path("set/classes")).files == std::vector<std::string>{"4.npy"});
}

TEST_CASE("Links, hidden folders and what cannot be followed") {
  const TempDir store, dir;
  store.write("owls/1.png", small_png());
  store.write("owls/more/2.png", small_png());
  dir.write("cats/1.png", small_png());
  dir.write("cats/@eaDir/1.png", small_png());
  dir.write(".cache/1.png", small_png());
  dir.write("__MACOSX/cats/1.png", small_png());
  dir.write("__MACOSX/cats/._1.png", std::string("x"));
  fs::create_directory_symlink(store.path("owls"), dir.path("owls"));
  fs::create_directory_symlink(dir.path("cats"), dir.path("alias"));        // another class of the same pictures
  fs::create_directory_symlink(store.path("owls"), dir.path("cats/owls"));  // read once below each class
  fs::create_directory_symlink(store.path("owls"), dir.path("cats/owls again"));
  fs::create_directory_symlink(store.path("gone"), dir.path("mice"));
  const PictureList list = list_pictures(dir.path());
  CHECK(list.files == std::vector<std::string>{"alias/1.png", "alias/owls/1.png", "alias/owls/more/2.png", "cats/1.png",
                                               "cats/owls/1.png", "cats/owls/more/2.png", "owls/1.png",
                                               "owls/more/2.png"});
  CHECK(list.left_out.text() ==
        "4 pictures in .cache, __MACOSX, alias/@eaDir and 1 more, the links back alias/owls again, cats/owls again, "
        "the dead link mice");
  CHECK(list_folders(dir.path()) == std::vector<std::string>{"alias", "cats", "owls"});
  CHECK(list.warnings.empty());
}

TEST_CASE("Empty folders are named: a class may be meant") {
  const TempDir dir;
  dir.write("cats/1.png", small_png());
  for (const char* name : {"cats/old", "dogs", "@eaDir", ".cache/none"}) fs::create_directories(dir.path(name));
  CHECK(list_pictures(dir.path()).left_out.text() == "the empty folders cats/old, dogs");
  CHECK(list_pictures(dir.path("cats")).left_out.text() == "the empty folder old");
  CHECK(list_own_pictures(dir.path()).left_out.text().empty());
}

TEST_CASE("Links into hidden folders are followed, and those in them take nothing away") {
  const TempDir dir;
  dir.write("cats/real/1.png", small_png());
  fs::create_directories(dir.path("cats/@eaDir"));
  fs::create_directory_symlink(dir.path("cats/real"), dir.path("cats/@eaDir/link"));
  dir.write("dogs/.store/2.png", small_png());
  fs::create_directory_symlink(dir.path("dogs/.store"), dir.path("dogs/linked"));
  const PictureList list = list_pictures(dir.path());
  CHECK(list.files == std::vector<std::string>{"cats/real/1.png", "dogs/linked/2.png"});
  CHECK(list.left_out.text() == "1 picture in dogs/.store");
}

TEST_CASE("Links from every folder to every other end soon") {
  const TempDir dir;
  constexpr int folders = 12;
  for (int i = 0; i < folders; ++i) dir.write("f" + std::to_string(i) + "/1.png", small_png());
  for (int i = 0; i < folders; ++i) {
    for (int j = 0; j < folders; ++j) {
      fs::create_directory_symlink(dir.path("f" + std::to_string(j)),
                                   dir.path("f" + std::to_string(i) + "/to" + std::to_string(j)));
    }
  }
  CHECK(list_pictures(dir.path()).files.size() == folders * folders);
}

TEST_CASE("A flat folder is unlabelled") {
  const TempDir dir;
  dir.write("b.png", small_png());
  dir.write("a.jpg", small_jpeg());
  dir.write("notes/todo.txt", std::string("x"));
  fs::create_directory_symlink(dir.path(), dir.path("self"));
  const auto set = image_folder(dir.path() + "/");
  REQUIRE(set->size() == 2);
  CHECK(set->classes().empty());
  CHECK(set->label(1) == -1);
  CHECK(set->sample(0).shape == Shape{16, 24, 3});
  CHECK(set->sample(0).label == -1);
  CHECK(set->describe() ==
        "2 pictures in " + dir.path() + "/, unlabelled (left out: 1 .txt file in notes, the link back self)");
}

TEST_CASE("A folder that is no set of pictures ends with one clear line") {
  const TempDir dir;
  const auto error = [&](const std::string& path) { return message_of([&] { image_folder(path); }); };
  CHECK_THAT(error(dir.path("none")), Contains(dir.path("none") + ": there is no such folder"));
  CHECK_THAT(error(dir.path()), Contains(dir.path() + " is empty; give the folder that holds the pictures"));
  CHECK_THAT(error(dir.write("file.txt", std::string("x"))), Contains("file.txt is not a folder but a file"));
  dir.write("cat/1.avif", std::string("....ftypavif...."));
  CHECK_THAT(error(dir.path()), Contains(read_kinds() + " pictures in") &&
                                    Contains("(left out: 1 .avif picture in cat, 1 .txt file); convert them"));
  dir.write("cat/1.png", small_png());
  dir.write("2.png", small_png());
  CHECK_THAT(error(dir.path()),
             Contains("holds both 1 picture and 1 sub-folder with pictures") && Contains("2.png, cat"));
}

TEST_CASE("A picture that cannot be read is named") {
  const TempDir dir;
  Bytes truncated = small_jpeg();
  truncated.resize(truncated.size() - 9);
  dir.write("0-truncated.jpg", truncated);
  dir.write("1-empty.png", Bytes());
  dir.write("2-text.png", std::string("this is text"));
  fs::create_symlink(dir.path("gone"), dir.path("3-dangling.jpg"));
  REQUIRE(::mkfifo(dir.path("4-pipe.png").c_str(), 0600) == 0);  // must not hang
  dir.write("5-good.png", small_png());
  dir.write("6-od\xe9\n\x1b[31m.png", std::string("this is text"));
  const auto set = image_folder(dir.path());
  REQUIRE(set->size() == 7);
  const auto error = [&](std::int64_t i) { return message_of([&] { (void)set->sample(i); }); };
  CHECK_THAT(error(0), Contains(dir.path("0-truncated.jpg") + ": damaged or unsupported JPEG: "));
  CHECK_THAT(error(1), Contains(dir.path("1-empty.png") + ": the file is empty"));
  CHECK_THAT(error(2), Contains(dir.path("2-text.png") + ": no JPEG, PNG, "));
  CHECK_THAT(error(3), Contains("cannot open " + dir.path("3-dangling.jpg") + ": No such file"));
  CHECK_THAT(error(4), Contains(dir.path("4-pipe.png") + " is not a regular file"));
  CHECK(error(5) == "no error");
  CHECK_THAT(error(6), Contains("6-od\xe9??[31m.png: no JPEG, "));  // one line, and nothing for the terminal to do
}

namespace {

/// The picture's corner and its size.
class Corners : public ViewMaker {
 public:
  Shape view_shape() const override { return {3}; }
  std::int32_t make_view(const Sample& sample, const ViewKey&, std::byte* out) const override {
    auto* values = reinterpret_cast<float*>(out);
    values[0] = sample.values<std::uint8_t>()[0];
    values[1] = static_cast<float>(sample.shape[0]);
    values[2] = static_cast<float>(sample.shape[1]);
    return 3;
  }
};

}  // namespace

TEST_CASE("The loader trains on a folder with a corrupt picture, and says so") {
  const TempDir dir;
  for (int i = 0; i < 20; ++i) dir.write("p" + std::to_string(10 + i) + ".jpg", small_jpeg());
  Bytes corrupt = small_jpeg();
  corrupt.resize(60);
  dir.write("p13.jpg", corrupt);
  std::vector<std::string> warnings;
  const Loader loader(
      image_folder(dir.path()), std::make_shared<Corners>(),
      {.batch_size = 5, .workers = 3, .on_warning = [&](const std::string& w) { warnings.push_back(w); }});
  int batches = 0;
  for (const Batch& batch : loader.epoch(0)) {
    ++batches;
    const auto values = batch.towers[0].x.to_vector<float>();
    for (std::size_t row = 0; row < 10; ++row) {
      CHECK(values[3 * row] == 10);
      CHECK(values[3 * row + 1] == 16);
      CHECK(values[3 * row + 2] == 24);
    }
  }
  CHECK(batches == 4);
  CHECK(loader.skipped() == 1);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Contains(dir.path("p13.jpg")) && Contains("sample skipped"));
}
