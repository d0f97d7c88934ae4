#include "modalities/clip_sets.h"

#include "modalities/field_parts.h"
#include "run/data_places.h"
#include "run/run_folder.h"
#include "train/named_files.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/idx.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/video/clip_io.h>
#include <simclr/data/video/moving.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t moving_train = 20'000, moving_test = 2'000;
constexpr std::uint64_t moving_seed = 1;

/// Fields that say which clips are of one scene or one person.
const std::vector<std::string_view> group_names = {"group", "session", "subject", "person", "actor", "speaker"};

std::string kind_of(const std::string& kind, const std::string& place) {
  if (kind != "auto") return kind;
  return place.empty() ? "moving-fashion-mnist" : is_clip_list(place) ? "list" : "folder";
}

std::string fashion_dir(const std::string& place) {
  return place.empty() ? data::fashion_mnist_dir : place;
}

void check_place(const std::string& place) {
  std::error_code error;
  SIMCLR_CHECK(!place.empty(), "--data: name a folder of clips, or a list of them, LIST.csv");
  SIMCLR_CHECK(fs::exists(place, error), simclr::printable(place), ": no such folder or list of clips");
}

void check_kind(const std::string& kind, const std::string& place) {
  check_place(place);
  SIMCLR_CHECK(kind == (is_clip_list(place) ? "list" : "folder"), "--dataset ", kind, ": ", simclr::printable(place),
               is_clip_list(place) ? " is a file" : " is a folder", "; leave --dataset out");
}

/// The files of clips, paths from the list's folder: of a folder of frames its pictures.
data::PathList files_of(const data::ClipList& list) {
  data::PathList files;
  std::error_code error;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string clip = list.clips[i], path = list.path(i);
    if (!fs::is_directory(path, error)) {
      files.push_back(clip);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const std::string name = entry.path().filename().string();
      if (data::is_picture_name(name)) files.push_back(clip + "/" + name);
    }
  }
  return files;
}

/// Opens clips and says in the note what is used for what.
class ClipSetReader {
 public:
  explicit ClipSetReader(const ClipSource& source) : source_(source) {
    sets_.sample_name = "clip";
    sets_.kind = kind_of(source.kind, source.data);
    sets_.decoded = sets_.kind != "moving-fashion-mnist";
  }

  Datasets read() {
    if (!sets_.decoded) return moving();
    check_kind(sets_.kind, source_.data);
    if (sets_.kind == "folder") {
      const PartFolders parts = part_folders(source_.data);
      if (!parts.test.empty()) return folders(parts);
    }
    data::ClipList list = list_of_clips(source_.data, source_.pattern);
    sets_.add_note(list.columns);
    if (!source_.test.empty()) {
      const auto [field, values] = test_values(source_.test, list.fields, list.owner());
      return parted(data::split_clips(list, field, values), field + "=" + simclr::listed(values, 5));
    }
    if (const auto parts = parts_by_column(list.fields)) return by_column(list, *parts);
    const data::Field* group = first_field(list.fields, group_names);
    if (group != nullptr && has_labels(list.fields)) {
      sets_.add_note(group->name + "s are trained on and tested with (to test with others: --test " + group->name +
                     "=20%)");
    }
    sets_.warnings = list.warnings;
    sets_.labelled = sets_.train = data::clip_folder(std::move(list));
    keep_fifth(sets_, source_.data,
               "--test FIELD=VALUES, or " +
                   std::string(sets_.kind == "list" ? "a column split, train or test, in "
                                                    : "make the folders train and test in ") +
                   source_.data);
    return std::move(sets_);
  }

 private:
  /// The files of Fashion-MNIST, which move; those of its test part move in the clips that are tested on.
  Datasets moving() {
    SIMCLR_CHECK(source_.pattern.empty() && source_.test.empty(),
                 "--pattern and --test are of one's own clips; moving Fashion-MNIST is parted as it is published");
    const std::string dir = fashion_dir(source_.data);
    const auto make = [&](data::Split split, std::int64_t clips, std::uint64_t seed) {
      return data::moving_pictures(data::fashion_mnist(dir, split), {.clips = clips, .seed = seed});
    };
    sets_.labelled = sets_.train = make(data::Split::train, moving_train, moving_seed);
    sets_.test = make(data::Split::test, moving_test, moving_seed + 1);
    if (source_.data.empty()) sets_.add_note("moving Fashion-MNIST; clips of your own: --data FOLDER");
    return std::move(sets_);
  }

  Datasets folders(const PartFolders& parts) {
    const std::string train_name = (fs::path(source_.data) / parts.train).string();
    const std::string test_name = (fs::path(source_.data) / parts.test).string();
    refuse_test(source_.test, source_.data, parts);
    const data::ClipList train = data::list_clips(train_name, source_.pattern);
    sets_.warnings = train.warnings;
    sets_.labelled = sets_.train = data::clip_folder(train);
    data::ClipList test;
    const auto open = [&] {
      test = data::list_clips(test_name, source_.pattern);
      sets_.warnings.insert(sets_.warnings.end(), test.warnings.begin(), test.warnings.end());
      return std::shared_ptr<const data::Dataset>(data::clip_folder(test));
    };
    open_test_part(sets_, open, train_name, test_name);
    const std::string left_out = test.left_out.empty() ? "" : " (left out: " + simclr::listed(test.left_out, 8) + ")";
    sets_.add_note("train: " + train_name + (sets_.test ? "; test: " + test_name + left_out : ""));
    if (sets_.test) say_shared(train, test);
    if (!parts.others.empty()) sets_.add_note("not used: " + simclr::listed(parts.others, 8));
    return std::move(sets_);
  }

  /// Whether clips of one scene or one person are in both parts.
  void say_shared(const data::ClipList& train, const data::ClipList& test) {
    const data::Field* group = first_field(test.fields, group_names);
    if (group != nullptr) sets_.add_note(shared_text(train.fields, test.fields, group_names, group->name));
  }

  Datasets parted(data::ClipParts parts, const std::string& test_name) {
    say_shared(parts.train, parts.test);
    sets_.warnings = parts.train.warnings;
    sets_.labelled = sets_.train = data::clip_folder(std::move(parts.train));
    sets_.add_note("test: " + test_name);
    take_test_part(sets_, data::clip_folder(std::move(parts.test)), "the training part", test_name);
    return std::move(sets_);
  }

  /// By a list's column of parts: what is of neither is left out.
  Datasets by_column(const data::ClipList& list, const ColumnParts& column) {
    const auto& [field, test, used, others] = column;
    if (used.size() < list.size()) sets_.add_note(unused_text(column, list.size(), "clip"));
    data::ClipList some = data::selected_clips(list, used);
    some.left_out = list.left_out;
    some.warnings = list.warnings;
    return parted(data::split_clips(some, field, {test}), field + "=" + test);
  }

  const ClipSource& source_;
  Datasets sets_;
};

}  // namespace

const std::vector<std::string>& clip_set_kinds() {
  static const std::vector<std::string> kinds = {"auto", "folder", "list", "moving-fashion-mnist"};
  return kinds;
}

bool is_clip_list(const std::string& place) {
  std::error_code error;
  return fs::is_regular_file(place, error);
}

data::ClipList list_of_clips(const std::string& place, const std::string& pattern) {
  check_place(place);
  if (!is_clip_list(place)) return data::list_clips(place, pattern);
  SIMCLR_CHECK(pattern.empty(), "--pattern ", pattern, ": a list says in its columns what each clip is; leave it out");
  SIMCLR_CHECK(!data::is_clip_name(place), simclr::printable(place),
               ": is a clip; give the folder that holds it, or a list of clips");
  return data::read_clip_table(place);
}

Datasets open_clips(const ClipSource& source) {
  return ClipSetReader(source).read();
}

ClipFiles files_of_clips(const std::string& kind, const std::string& place, const std::string& pattern) {
  if (kind_of(kind, place) == "moving-fashion-mnist") {
    ClipFiles found{.dir = fashion_dir(place), .files = {}};
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(found.dir, error)) {
      const std::string name = entry.path().filename().string();
      if (name.find("-ubyte") != std::string::npos) found.files.push_back(name);
    }
    return found;
  }
  check_place(place);
  if (!is_clip_list(place)) {
    const bool parts = !part_folders(place).test.empty();
    return {place, files_of(data::list_clips(place, parts ? any_name : pattern))};
  }
  const data::ClipList list = list_of_clips(place, pattern);
  ClipFiles found{list.dir, files_of(list)};
  found.files.push_back(fs::path(place).filename().string());
  return found;
}

std::string folders_of_clips(const std::string& place) {
  if (place.empty() || !is_clip_list(place)) return place;
  return join_places(folders_of_list(place, list_of_clips(place, "").clips));
}

void refuse_in_clips(const std::string& option, const std::vector<std::string>& paths, const std::string& place) {
  for (const std::string& path : paths) refuse_in_data(option, path, place);
  const bool none = std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
  if (place.empty() || none || !is_clip_list(place)) return;
  NamedFiles named;
  named.add_list(place, files_of(list_of_clips(place, "")));
  refuse_in_named(option, paths, named);
}
