// Lists of pictures: which columns, which rows, which labels, and what is said of the others.

#include <simclr/core/error.h>
#include <simclr/data/pictures/image_folder.h>
#include <simclr/data/pictures/picture_classes.h>
#include <simclr/data/pictures/picture_table.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/pictures.h"
#include "support/temp_dir.h"

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_set>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using namespace simclr::test;
using Catch::Matchers::Contains;

namespace {

using Texts = std::vector<std::string>;
using Labels = std::vector<std::int32_t>;

struct Pets {
  Pets() {
    for (const char* name : {"a/1.png", "a/2.png", "b/3.png", "b/4 x.png", "5.png"}) dir.write(name, small_png());
  }
  PictureTable read(const std::string& text, const std::string& name = "pets.csv") const {
    return read_picture_table(dir.write(name, text));
  }
  std::string error(const std::string& text) const {
    return message_of([&] { read(text); });
  }
  TempDir dir;
};

}  // namespace

TEST_CASE("A list with a header") {
  const Pets pets;
  const PictureTable table =
      pets.read("id,Label,File_Name,Split\n7,dog,b/3.png,train\n8,,a/1.png,val\n9,cat,b/4 x.png,train\n");
  CHECK(table.pictures.files == Texts{"b/3.png", "a/1.png", "b/4 x.png"});  // in the rows' order
  CHECK(table.pictures.classes == Texts{"cat", "dog"});
  CHECK(table.pictures.labels == Labels{1, -1, 0});
  CHECK(table.parts == Texts{"train", "val"});
  CHECK(table.part_of == std::vector<std::uint32_t>{0, 1, 0});
  CHECK(table.pictures.dir == pets.dir.path());
  CHECK(table.columns ==
        pets.dir.path("pets.csv") + ": paths from File_Name, labels from Label, parts from Split; not used: id");
  CHECK(table.pictures.warnings.empty());

  const auto set = image_folder(table.pictures);
  CHECK(set->describe() == "3 pictures in " + pets.dir.path("pets.csv") + ", 2 classes");
  CHECK(set->file(2) == pets.dir.path("b/4 x.png"));
  CHECK(set->sample(2).label == 0);
  CHECK(set->label(1) == -1);
  CHECK(image_folder(table.pictures, 0)->classes().empty());
}

TEST_CASE("A list whose column of paths is called otherwise") {
  const Pets pets;
  const PictureTable table = pets.read("n,id,target\n1,a/1.png,x\n2,a/2.png,y\n");
  CHECK(table.pictures.files == Texts{"a/1.png", "a/2.png"});
  CHECK(table.pictures.classes == Texts{"x", "y"});
  CHECK_THAT(table.columns, Contains("paths from id, labels from target; not used: n"));
}

TEST_CASE("A list whose first row cannot be used") {
  const Pets pets;
  const PictureTable table = pets.read("\"a/1.png,x\nb/3.png,y\n");
  CHECK(table.pictures.files == Texts{"b/3.png"});
  CHECK(table.pictures.classes == Texts{"y"});
  CHECK(table.pictures.left_out.text() == "1 row that cannot be read");
}

TEST_CASE("A list without a header") {
  const Pets pets;
  const PictureTable table = pets.read("b/3.png\tx\n./a/1.png\ty\n", "pets.tsv");
  CHECK(table.pictures.files == Texts{"b/3.png", "a/1.png"});
  CHECK(table.pictures.classes == Texts{"x", "y"});
  CHECK(table.parts.empty());
  CHECK_THAT(table.columns, Contains("no header: paths from column 1, labels from column 2"));
  const PictureTable paths = pets.read("a/1.png\n" + pets.dir.path("5.png") + "\n");
  CHECK(paths.pictures.files == Texts{"a/1.png", pets.dir.path("5.png")});
  CHECK(paths.pictures.labels == Labels{-1, -1});
  CHECK(paths.pictures.classes.empty());
  CHECK(image_folder(paths.pictures)->file(1) == pets.dir.path("5.png"));
  CHECK_THAT(image_folder(paths.pictures)->describe(), Contains("unlabelled"));
  // "photo" is a label here, though a column may be called so.
  CHECK(pets.read("a/1.png,photo\na/2.png,image\n").pictures.classes == Texts{"image", "photo"});
}

TEST_CASE("Labels of a list that are numbers are ordered as numbers") {
  const Pets pets;
  CHECK(pets.read("a/1.png,10\na/2.png,9\nb/3.png,-2\n").pictures.classes == Texts{"-2", "9", "10"});
  CHECK(pets.read("a/1.png,10\na/2.png,9\nb/3.png,x\n").pictures.classes == Texts{"10", "9", "x"});
}

TEST_CASE("Labels of a list that say that there is none") {
  const Pets pets;
  const PictureTable table = pets.read("path,label\na/1.png,-1\na/2.png,NaN\nb/3.png,cat\n\"b/4 x.png\",\n5.png,-1\n");
  CHECK(table.pictures.classes == Texts{"cat"});
  CHECK(table.pictures.labels == Labels{-1, -1, 0, -1, -1});
  CHECK_THAT(table.columns, Contains(pets.dir.path("pets.csv") + ": taken as unlabelled: 2 pictures of label -1, "
                                                                 "1 picture of label NaN"));
  CHECK(pets.read("a/1.png,nan\na/2.png,<NA>\nb/3.png,#N/A\n").pictures.classes.empty());
  // Countries, and what a defect is called that is none.
  const PictureTable names = pets.read("a/1.png,NA\na/2.png,ZA\nb/3.png,None\n");
  CHECK(names.pictures.classes == Texts{"NA", "None", "ZA"});
  CHECK_THAT(names.columns, Contains("the label NA, None counts as a class (where there is no label leave the field "
                                     "empty)"));
  const PictureTable signs = pets.read("a/1.png,-1\na/2.png,1\nb/3.png,-1\n");
  CHECK(signs.pictures.classes == Texts{"-1", "1"});
  CHECK_THAT(signs.columns, Contains("the label -1 is a class, since the only other one is 1"));
  const PictureTable beside = pets.read("a/1.png,-1\na/2.png,1\nb/3.png,NaN\n5.png,\n");
  CHECK(beside.pictures.classes == Texts{"-1", "1"});
  CHECK(beside.pictures.labels == Labels{0, 1, -1, -1});
  CHECK_THAT(beside.columns, Contains("taken as unlabelled: 1 picture of label NaN\n") &&
                                 Contains("the label -1 is a class, since the only other one is 1"));
  CHECK(pets.read("a/1.png,-1.0\na/2.png,1.0\nb/3.png,\n").pictures.classes == Texts{"-1", "1"});
  CHECK(pets.read("a/1.png,-1.0\na/2.png,NaN\nb/3.png,\n").pictures.classes.empty());
}

TEST_CASE("Whole numbers as pandas writes them beside NaN") {
  const Pets pets;
  const PictureList list = pets.read("a/1.png,10.0\na/2.png,9.0\nb/3.png,\n5.png,-1.0\n").pictures;
  CHECK(list.classes == Texts{"9", "10"});
  CHECK(list.labels == Labels{1, 0, -1, -1});
  CHECK(pets.read("a/1.png,1.0\na/2.png,0.5\n").pictures.classes == Texts{"0.5", "1.0"});
}

TEST_CASE("A list with names of columns that nobody knows, or with more before the paths") {
  const Pets pets;
  const PictureTable foreign = pets.read("Art;Bild\nHund;a/1.png\nKatze;b/3.png\n");
  CHECK(foreign.pictures.files == Texts{"a/1.png", "b/3.png"});
  CHECK(foreign.pictures.classes == Texts{"Hund", "Katze"});
  CHECK_THAT(foreign.columns, Contains("paths from Bild, labels from Art"));
  CHECK(foreign.pictures.warnings.empty());
  const PictureTable three = pets.read("nr,bild,art\n1,a/1.png,x\n2,b/3.png,y\n");
  CHECK(three.pictures.files == Texts{"a/1.png", "b/3.png"});
  CHECK_THAT(three.columns, Contains("no labels (a column called label has them); not used: nr, art"));
  const PictureTable number = pets.read("image_id,Where,label\n1,a/1.png,x\n2,b/3.png,y\n");
  CHECK(number.pictures.files == Texts{"a/1.png", "b/3.png"});
  CHECK_THAT(number.columns, Contains("paths from Where, labels from label; not used: image_id"));
  const PictureTable index = pets.read("0,a/1.png,x\n1,b/3.png,y\n");
  CHECK(index.pictures.files == Texts{"a/1.png", "b/3.png"});
  CHECK(index.pictures.classes == Texts{"x", "y"});
  CHECK_THAT(index.columns, Contains("no header: paths from column 2, labels from column 3; not used: column 1"));
  const PictureTable last = pets.read("x,a/1.png\ny,b/3.png\n");
  CHECK(last.pictures.classes == Texts{"x", "y"});
  CHECK(pets.read("a/1.png,x\n").pictures.classes == Texts{"x"});  // a single row
}

TEST_CASE("A list whose column of paths has no endings, beside one of pictures' names") {
  const Pets pets;
  for (const char* name : {"c/6", "c/8"}) pets.dir.write(name, small_png());
  const PictureTable table = pets.read("path,original,label\nc/6,IMG_0.jpg,x\nc/8,IMG_1.jpg,y\n");
  CHECK(table.pictures.files == Texts{"c/6", "c/8"});
  CHECK_THAT(table.columns, Contains("paths from path, labels from label; not used: original"));
}

TEST_CASE("Pictures of a list of one column whose names begin with a mark for comments") {
  const Pets pets;
  for (const char* name : {"#1.png", "#2.png"}) pets.dir.write(name, small_png());
  CHECK(pets.read("#1.png\n#2.png\n").pictures.files == Texts{"#1.png", "#2.png"});
  CHECK(pets.read("# my pictures\n#1.png\n5.png\n").pictures.files == Texts{"#1.png", "5.png"});
}

TEST_CASE("A picture that a list names by several paths") {
  const Pets pets;
  const PictureTable table = pets.read("a/1.png,x\n" + pets.dir.path("a/1.png") + ",x\na//1.png,x\nb/../a/1.png,y\n" +
                                       "file://" + pets.dir.path("b/3.png") + ",y\n");
  CHECK(table.pictures.files == Texts{"a/1.png", pets.dir.path("b/3.png")});
  CHECK(table.pictures.left_out.text() ==
        "2 rows of a picture that a row before names, 1 row of a picture that a row "
        "before names with another label");
  CHECK_THAT(table.pictures.warnings.back(), Contains("line 4: names b/../a/1.png once more, with another label"));
}

TEST_CASE("Rows of a list that name folders") {
  const Pets pets;
  std::filesystem::create_directory(pets.dir.path("folder.png"));
  const PictureTable table = pets.read("a/1.png,x\na,x\nfolder.png,x\n");
  CHECK(table.pictures.left_out.text() == "2 rows of a folder");
  CHECK_THAT(table.pictures.warnings.front(), Contains("line 3: folder.png is a folder, not a picture") ||
                                                  Contains("line 2: a is a folder, not a picture"));
}

TEST_CASE("Rows of a list that cannot be used") {
  const Pets pets;
  pets.dir.write("notes.txt", std::string("no picture"));
  pets.dir.write("c/6", small_png());
  pets.dir.write("c/7.heic", std::string("....ftypheic...."));
  const PictureTable table = pets.read(
      "path,label\na/1.png,x\n,x\nb/none.png,z\na/2.png\nnotes.txt,x\nc/6,x\nc/7.heic,x\nhttp://a.b/c.png,x\n"
      "./a/1.png,y\n\"b/3.png,x\n");
  CHECK(table.pictures.files == Texts{"a/1.png", "c/6"});
  CHECK(table.pictures.classes == Texts{"x"});  // z is gone with its only picture
  CHECK(table.pictures.left_out.text() ==
        "1 .heic picture in c, 1 .txt file, 1 row of a file that is not there, 1 row of a picture that a row before "
        "names "
        "with another label, 1 row of an address, 2 rows that cannot be read, 1 row without a path");
  const std::string path = pets.dir.path("pets.csv");
  CHECK(table.pictures.warnings == Texts{path + ", line 3: has no path (row left out)",
                                         path + ", line 5: has 1 field, the first row 2 (row left out)",
                                         path + ", line 6: notes.txt is no picture (row left out)",
                                         path + ": 5 rows more are left out"});
}

TEST_CASE("A list that names a pipe does not wait for it") {
  const Pets pets;
  REQUIRE(::mkfifo(pets.dir.path("pipe").c_str(), 0600) == 0);
  const PictureList list = pets.read("5.png\npipe\n").pictures;
  CHECK(list.files == Texts{"5.png"});
  CHECK(list.warnings == Texts{pets.dir.path("pets.csv") + ", line 2: pipe is no picture (row left out)"});
}

TEST_CASE("Paths of a list as Windows writes them") {
  const Pets pets;
  const PictureTable table = pets.read("path;label\r\na\\1.png;x\r\nb\\3.png;y\r\n");
  CHECK(table.pictures.files == Texts{"a/1.png", "b/3.png"});
  const PictureTable first_is_gone = pets.read("path\r\nnone\\0.png\r\na\\1.png\r\nb\\3.png\r\n");
  CHECK(first_is_gone.pictures.files == Texts{"a/1.png", "b/3.png"});
  pets.dir.write("c\\9.png", small_png());  // a name
  CHECK(pets.read("c\\9.png\n").pictures.files == Texts{"c\\9.png"});
}

TEST_CASE("What is no list of pictures") {
  const Pets pets;
  CHECK_THAT(pets.error(""), Contains("pets.csv: no row names a picture of ") && Contains(": it is empty"));
  CHECK_THAT(pets.error("path,label\n"), Contains("it has a header alone"));
  CHECK_THAT(pets.error("a/1.png x\na/2.png y\n"), Contains("parted by commas, semicolons, tabs or |, not by blanks"));
  CHECK_THAT(pets.error("path,label\n0001,x\n"), Contains("and end as the files' names do (.jpg)"));
  std::string pixels = "0";
  for (int i = 1; i < 64; ++i) pixels += " " + std::to_string(i);
  CHECK_THAT(pets.error("emotion,pixels,Usage\n0," + pixels + ",Training\n"),
             Contains("pets.csv: column 2 holds pixels, not the paths of files; save them"));
  CHECK_THAT(pets.error("path,label\n,x\n"), Contains("no row names a picture of ") && Contains("line 2 has no path"));
  CHECK_THAT(pets.error("id,breed\n1,x\n"), Contains("none of the columns id, breed has the paths of files"));
  CHECK_THAT(pets.error("path\nimages/a/1.png\nimages/a/2.png\n"),
             Contains("none of 2 files is there; line 2 is looked for as " + pets.dir.path("images/a/1.png") +
                      "; paths begin in the folder of the list"));
  CHECK_THAT(message_of([&] { read_picture_table(pets.dir.path("none.csv")); }), Contains("there is no such file"));
}

TEST_CASE("A long list is looked through in parts") {
  const Pets pets;
  std::string text = "a/1.png\n";
  for (int i = 1; i < 12'000; ++i) text += "none/" + std::to_string(i) + ".png\n";
  const PictureTable table = pets.read(text);
  CHECK(table.pictures.files.size() == 2'001);
  CHECK(table.pictures.left_out.rows.at("of a file that is not there") == 9'999);
  CHECK_THAT(table.pictures.warnings.back(), Contains("9996 rows more are left out"));
}

TEST_CASE("Several places are one set") {
  const TempDir dir;
  for (const char* name : {"one/cat/1.png", "one/dog/2.png", "two/ant/3.png", "two/cat/4.png", "flat/5.png"}) {
    dir.write(name, small_png());
  }
  dir.write("one/dog/readme.txt", std::string("no picture"));
  std::vector<PictureList> lists;
  for (const char* name : {"one", "two", "flat"}) lists.push_back(list_pictures(dir.path(name)));
  const auto set = image_folder(joined(std::move(lists), 1));
  CHECK(set->classes() == Texts{"ant", "cat", "dog"});
  Labels labels;
  for (std::int64_t i = 0; i < set->size(); ++i) labels.push_back(set->label(i));
  CHECK(labels == Labels{1, 2, 0, 1, -1});
  CHECK(set->file(3) == dir.path("two/cat/4.png"));
  CHECK(set->describe() == "5 pictures in " + dir.path("one") + " (2), " + dir.path("two") + " (2), " +
                               dir.path("flat") + " (1), 3 classes (left out: 1 .txt file in " + dir.path("one/dog") +
                               ")");
}

TEST_CASE("A list of Latin-1 is read, and the first such row is named") {
  const Pets pets;
  const PictureTable table = pets.read("path,label\na/1.png,caf\xc3\xa9\na/2.png,caf\xe9\nb/3.png,\xe9t\xe9\n");
  CHECK(table.pictures.classes.size() == 3);
  CHECK(table.pictures.warnings ==
        Texts{pets.dir.path("pets.csv") + ", line 3: is no text of UTF-8 but of Latin-1 or the like, so that its "
                                          "letters are shown wrongly; save the list as UTF-8"});
}

TEST_CASE("What another place has is left out") {
  const TempDir dir;
  for (const char* name : {"one/cat/1.png", "one/cat/2.png", "two/1.png"}) dir.write(name, small_png());
  dir.write("two/list.csv", std::string("path,label\n../one/cat/2.png,fox\n1.png,ant\n"));
  std::filesystem::create_directory_symlink(dir.path("one"), dir.path("link"));
  dir.write("files/new.png", small_png());
  std::filesystem::create_symlink(dir.path("one/cat/1.png"), dir.path("files/other name.png"));
  CHECK(!list_pictures(dir.path("one")).links);  // none is asked for, then
  CHECK(list_pictures(dir.path("files")).links);
  std::vector<PictureList> places = {list_pictures(dir.path("one")), list_pictures(dir.path("link")),
                                     read_picture_table(dir.path("two/list.csv")).pictures,
                                     list_pictures(dir.path("files"))};
  std::unordered_set<std::size_t> known;
  for (PictureList& place : places) leave_out_known({&place}, known);
  CHECK(places[0].files.size() == 2);
  CHECK(places[1].files.empty());
  CHECK(places[1].left_out.text() == "2 pictures that a place before has");
  CHECK(places[2].files == Texts{"1.png"});
  CHECK(places[2].classes == Texts{"ant"});
  CHECK(places[2].left_out.known == 1);
  CHECK(places[3].files == Texts{"new.png"});
  places.pop_back();
  std::erase_if(places, [](const PictureList& place) { return place.files.empty(); });
  CHECK(joined(places, 1).left_out.text() == "1 picture that a place before has");
}

TEST_CASE("A file that is missing spoils no other's path") {
  const TempDir dir;
  for (const char* name : {"one/1.png", "one/2.png", "two/3.png"}) dir.write(name, small_png());
  PictureList one = list_pictures(dir.path("one")), list{.dir = dir.path("two"), .files = {}};
  // As a long list may have it, whose files are not all looked for.
  for (const char* name : {"../one/1.png", "../one/none.png", "../one/2.png"}) list.files.push_back(name);
  std::unordered_set<std::size_t> known;
  for (PictureList* each : {&one, &list}) leave_out_known({each}, known);
  CHECK(list.files == Texts{"../one/none.png"});
  CHECK(list.left_out.known == 2);
}

TEST_CASE("A part of a list has its own classes") {
  const Pets pets;
  const PictureList all = pets.read("a/1.png,x\na/2.png,y\nb/3.png,z\n5.png,\n").pictures;
  const PictureList some = selected(all, {3, 2, 1});
  CHECK(some.files == Texts{"5.png", "b/3.png", "a/2.png"});
  CHECK(some.classes == Texts{"y", "z"});
  CHECK(some.labels == Labels{-1, 1, 0});
}
