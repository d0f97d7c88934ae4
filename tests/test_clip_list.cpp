// Lists of clips: folders, patterns and tables, how they are parted, and the data set of them.

#include <simclr/core/error.h>
#include <simclr/data/decoded_cache.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_list.h>

#include "support/catch.h"
#include "support/message_of.h"
#include "support/temp_dir.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace simclr;
using namespace simclr::data;
using Catch::Matchers::Contains;
using test::message_of;
using Texts = std::vector<std::string>;
using namespace std::string_literals;

namespace {

void write_clip(const std::string& folder, int frames, std::uint8_t level = 7) {
  std::filesystem::create_directories(folder);
  for (int k = 0; k < frames; ++k) {
    write_png((std::filesystem::path(folder) / ("f" + std::to_string(k) + ".png")).string(),
              {.height = 2, .width = 3, .channels = 1, .pixels = std::vector<std::uint8_t>(6, level)});
  }
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

Texts clips_of(const FieldList& list) {
  return {list.files.begin(), list.files.end()};
}

}  // namespace

TEST_CASE("a folder's clips are files and folders of frames, labelled by the folders they are in") {
  const test::TempDir folder;
  write_clip(folder.path("run/a"), 3);
  write_clip(folder.path("run/b"), 2);
  write_clip(folder.path("walk/c"), 2);
  write_text(folder.path("walk/notes.txt"), "");
  write_text(folder.path("walk/d.npy"), "");
  const FieldList list = list_clips(folder.path(""));
  CHECK(clips_of(list) == Texts{"run/a", "run/b", "walk/c", "walk/d.npy"});
  REQUIRE(list.field("label") != nullptr);
  CHECK(list.field("label")->values == Texts{"run", "walk"});
  CHECK(list.left_out == Texts{"1 .txt file"});

  const auto set = clip_folder(list);
  CHECK(set->size() == 4);
  CHECK(set->label(2) == 1);
  CHECK_THAT(set->describe(), Contains("4 clips in ") && Contains("2 classes") && Contains("1 .txt file"));
  const Sample sample = set->sample(0);
  CHECK(sample.shape == Shape{3, 2, 3, 1});
  CHECK(sample.values<std::uint8_t>()[5] == 7);
  CHECK_THAT(message_of([&] { set->sample(3); }), Contains("d.npy: the file is empty"));

  const auto paths = clip_folder(list, 10);  // too large for memory
  const Sample path = paths->sample(0);
  REQUIRE(path.shape.rank() == 1);
  const auto text = path.values<std::uint8_t>();
  CHECK(std::string(text.begin(), text.end()) == list.path(0));
  std::filesystem::remove_all(folder.path("run/a"));
  CHECK(paths->sample(0).shape == path.shape);  // known by now, and not opened

  CHECK_THAT(message_of([&] { list_clips(folder.path("walk/c")); }),
             Contains("no clips") && Contains("2 pictures in ") && Contains(" itself"));
}

TEST_CASE("pictures beside clips are no frames") {
  const test::TempDir folder;
  for (const char* name : {"run", "jump"}) {
    write_clip(folder.path(name), name[0] == 'r' ? 2 : 0);  // thumbnails
    write_text(folder.path(name) + "/a.npy", "");
  }
  const FieldList list = list_clips(folder.path(""));
  CHECK(clips_of(list) == Texts{"jump/a.npy", "run/a.npy"});
  CHECK(list.left_out == Texts{"2 pictures beside clips"});
  CHECK(list_clips(folder.path(""), "{label}/{}").size() == 2);
}

TEST_CASE("a folder of pictures inside a clip's is a clip, of which a line tells") {
  const test::TempDir folder;
  for (const char* name : {"run/a", "run/a/flow/x", "run/b", "run/b/masks", "walk/c"}) write_clip(folder.path(name), 2);
  const FieldList list = list_clips(folder.path(""));
  CHECK(list.size() == 5);
  REQUIRE(list.warnings.size() == 1);
  CHECK_THAT(list.warnings[0], Contains(": 2 folders of pictures inside a clip's folder, each taken for a clip of its "
                                        "own: run/a/flow/x; move what is no clip elsewhere"));
  std::filesystem::remove_all(folder.path("run/a/flow"));
  std::filesystem::remove_all(folder.path("run/b/masks"));
  CHECK(list_clips(folder.path("")).warnings.empty());
}

TEST_CASE("a GIF is a clip and no frame") {
  // Two frames of one pixel, black and white: its colours, and a picture after each time of 0.1 s.
  const std::string frame = "\x21\xf9\4\0\xa\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\2"s;
  const std::string animation =
      "GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"s + frame + "\x44\1\0"s + frame + "\x4c\1\0;"s;
  const test::TempDir folder;
  for (const char* name : {"run", "jump"}) {
    std::filesystem::create_directories(folder.path(name));
    for (const char* file : {"0.gif", "1.gif"}) write_text(folder.path(name) + "/" + file, animation);
  }
  write_text(folder.path("index.csv"), "clip,label\nrun/0.gif,run\njump/1.gif,jump\n");
  write_clip(folder.path("walk/a"), 2);
  write_text(folder.path("walk/a/0.gif"), animation);
  CHECK(clip_folder({.dir = folder.path(""), .files = Texts{"walk/a"}})->sample(0).shape == Shape{2, 2, 3, 1});
  std::filesystem::remove_all(folder.path("walk"));
#ifdef SIMCLR_HAVE_FFMPEG
  const FieldList list = list_clips(folder.path(""));
  CHECK(clips_of(list) == Texts{"jump/0.gif", "jump/1.gif", "run/0.gif", "run/1.gif"});
  REQUIRE(list.field("label") != nullptr);
  CHECK(list.field("label")->values == Texts{"jump", "run"});
  CHECK(clip_folder(list)->sample(0).shape[0] >= 2);
  CHECK(clips_of(read_clip_table(folder.path("index.csv"))) == Texts{"run/0.gif", "jump/1.gif"});
  CHECK(list_clips(folder.path(""), "{label}/{take}.gif").field("take")->values == Texts{"0", "1"});
#else
  CHECK_THAT(message_of([&] { list_clips(folder.path("")); }), Contains("4 .gif files that need a build with"));
  CHECK_THAT(message_of([&] { read_clip_table(folder.path("index.csv")); }), Contains("libavformat-dev"));
#endif
}

TEST_CASE("a pattern says what the names of clips hold, and lists are parted by it") {
  const test::TempDir folder;
  for (const char* name : {"v_jump_g01_c1", "v_jump_g02_c1", "v_swim_g01_c1", "v_swim_g03_c2", "other"}) {
    write_clip(folder.path(name), 1);
  }
  const FieldList list = list_clips(folder.path(""), "v_{label}_g{group}_c{}.avi");
  CHECK(list.size() == 4);
  CHECK(list.field("Group")->values == Texts{"01", "02", "03"});
  CHECK(list.left_out == Texts{"1 clip whose names do not fit v_{label}_g{group}_c{}.avi"});
  const FieldListParts parts = split_list(list, "group", {"03"});
  CHECK(parts.train.size() == 3);
  CHECK(clips_of(parts.test) == Texts{"v_swim_g03_c2"});
  CHECK(parts.test.field("label")->values == Texts{"jump", "swim"});  // the whole list's
  CHECK(clip_folder(parts.test)->label(0) == 1);
  CHECK_THAT(message_of([&] { split_list(list, "session", {"a"}); }),
             Contains("its clips have no field session; they have label, group"));
}

TEST_CASE("a table names clips, and its other columns are fields") {
  const test::TempDir folder;
  write_clip(folder.path("rgb/walk/x_0"), 2);
  write_clip(folder.path("rgb/sit/y_0"), 2);
  write_text(folder.path("index.csv"),
             "clip,label,session,frames\nrgb/walk/x_0,walk,s1,2\nrgb/sit/y_0,sit,s2,2\nrgb/sit/z_0,sit,s2,2\n"
             "rgb/sit/y_0/f0.png,sit,s2,1\n");
  const FieldList list = read_clip_table(folder.path("index.csv"));
  CHECK(clips_of(list) == Texts{"rgb/walk/x_0", "rgb/sit/y_0"});
  CHECK(list.field("session")->values == Texts{"s1", "s2"});
  CHECK_THAT(list.columns, Contains("paths from clip, labels from label") && Contains("session"));
  CHECK(list.left_out == Texts{"1 row of a file that is not there", "1 row of files that are no clips"});
  CHECK(clip_folder(list)->sample(1).shape == Shape{2, 2, 3, 1});
  CHECK_THAT(message_of([&] { selected_samples(list, {0, 2}); }), Contains("index.csv: clip 2 of 2"));

  // Clips without a value are in neither part.
  write_clip(folder.path("rgb/sit/w_0"), 2);
  write_text(folder.path("some.csv"),
             "clip,label,session\nrgb/walk/x_0,walk,s1\nrgb/sit/y_0,sit,s2\nrgb/sit/w_0,sit,\n");
  const FieldListParts parts = split_list(read_clip_table(folder.path("some.csv")), "session", {"s2"});
  CHECK((parts.train.size() == 1 && parts.test.size() == 1));
  CHECK(parts.train.left_out == Texts{"1 clip without a session"});
}

TEST_CASE("odd labels of a table of clips are taken as those of other lists") {
  const test::TempDir folder;
  for (const char* name : {"a", "b", "c"}) write_clip(folder.path(name), 1);
  write_text(folder.path("index.csv"), "clip,label\na,3.0\nb,NaN\nc,1.0\n");
  const FieldList list = read_clip_table(folder.path("index.csv"));
  CHECK(list.field("label")->values == Texts{"1", "3"});
  CHECK(list.field("label")->of == std::vector<std::int32_t>{1, -1, 0});
  CHECK_THAT(list.columns, Contains("taken as unlabelled: 1 clip of label NaN"));
}

TEST_CASE("decoded clips are kept") {
  const test::TempDir folder;
  write_clip(folder.path("a"), 2, 9);
  const std::shared_ptr<const Dataset> set = clip_folder(list_clips(folder.path("")));
  const DecodedCache cache(set, {.memory_bytes = 1 << 20});
  CHECK(cache.sample(0).shape == Shape{2, 2, 3, 1});
  std::filesystem::remove_all(folder.path("a"));
  CHECK(cache.sample(0).values<std::uint8_t>()[11] == 9);
}
