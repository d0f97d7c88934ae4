#include "modalities/picture_shards.h"

#include "modalities/folder_notes.h"
#include "modalities/picture_parts.h"
#include "run/command_line.h"
#include "run/data_places.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/image_io.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/shard_pictures.h>
#include <simclr/data/shards.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <system_error>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

/// A name without digits, in lower case, with a mark for its first word of a role.
struct NameShape {
  std::string text, word;  // no word: it has none of the role
};

NameShape shape_of(const std::string& full, data::PartRole role) {
  static const std::regex train_and_val("(train)[-_. ]+(val(id(ation)?)?)(?![a-z])", std::regex::icase);
  const std::string name = std::regex_replace(full, train_and_val, "$1$2");  // one word, as part_name() takes it
  NameShape shape;
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  for (std::size_t at = 0; at < name.size();) {
    std::string word;
    for (; at < name.size() && letter(name[at]); ++at) word += name[at];
    word = simclr::lower_case(word);
    if (!word.empty() && shape.word.empty() && data::part_role(word) == role) {
      shape.word = word;
      shape.text += '\1';
    } else {
      shape.text += word;
    }
    for (; at < name.size() && !letter(name[at]); ++at) {
      if (std::isdigit(static_cast<unsigned char>(name[at])) == 0) shape.text += name[at];
    }
  }
  return shape;
}

/// The names in a folder, sorted; none where it cannot be listed.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder.empty() ? fs::path(".") : folder, error), end;
  for (; !error && entry != end; entry.increment(error)) names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Paths by the word of their part, the likeliest first.
using Found = std::map<std::pair<std::size_t, std::string>, std::set<fs::path>>;

/// "train-unlabeled-0.tar" as "unlabeled-0.tar", and so "train-labeled-0.tar".
std::string without_train(const std::string& name) {
  static const std::regex train("(train|training)[-_.]+(?=(un)?label)", std::regex::icase);
  return std::regex_replace(name, train, "");
}

/// What lies in `folder` and is called as `name`, but for the role `role` instead of training.
Found called(const fs::path& folder, const std::string& name, data::PartRole role) {
  const auto shape = [role](const std::string& text, data::PartRole own) {
    return shape_of(role == data::PartRole::unlabelled ? without_train(text) : text, own);
  };
  Found found;
  const NameShape train = shape(name, data::PartRole::train);
  if (train.word.empty()) return found;
  for (const std::string& other : names_in(folder)) {
    const NameShape part = shape(other, role);
    if (part.word.empty() || part.text != train.text) continue;
    found[{data::part_name(part.word).place, part.word}].insert(folder / other);
  }
  return found;
}

void add_shards_in(const fs::path& folder, std::set<fs::path>& shards) {
  for (const std::string& name : names_in(folder)) {
    if (names_shards((folder / name).string())) shards.insert(folder / name);
  }
}

/// The shards in folders that are called as `folder` is, but for the role, and lie beside it.
Found in_folders_beside(const fs::path& folder, data::PartRole role) {
  Found found;
  if (folder.empty()) return found;
  for (const auto& [word, folders] : called(folder.parent_path(), folder.filename().string(), role)) {
    for (const fs::path& each : folders) add_shards_in(each, found[word]);
  }
  return found;
}

/// The shards beside `first` that are called as it is, but for the role, else those in folders that are called so
/// beside its own.
Found parts_beside(const fs::path& first, data::PartRole role) {
  const Found found = called(first.parent_path(), first.filename().string(), role);
  return found.empty() ? in_folders_beside(first.parent_path(), role) : found;
}

/// Of all places, but for the paths of `train`.
std::vector<ShardParts::Part> find_parts_of(const std::vector<std::string>& firsts, data::PartRole role,
                                            const std::set<fs::path>& train) {
  Found found;
  for (const std::string& first : firsts) {
    for (const auto& [word, paths] : parts_beside(first, role)) found[word].insert(paths.begin(), paths.end());
  }
  std::vector<ShardParts::Part> parts;
  for (const auto& [word, paths] : found) {
    ShardParts::Part part;
    for (const fs::path& path : paths) {
      if (!train.contains(path.lexically_normal())) part.paths.push_back(path.string());
    }
    if (part.paths.empty()) continue;
    part.name = simclr::listed(part.paths, 1);
    parts.push_back(std::move(part));
  }
  return parts;
}

/// Those that lie where parts are looked for, and are in none.
std::vector<std::string> find_others(const ShardParts& parts) {
  std::set<fs::path> folders, used, there;
  const auto add = [&used](const std::vector<std::string>& paths) {
    for (const fs::path path : paths) used.insert(whole_path(path));
  };
  add(parts.train);
  for (const fs::path path : parts.train) folders.insert(path.parent_path());
  for (const auto* found : {&parts.test, &parts.unlabelled}) {
    for (const ShardParts::Part& part : *found) add(part.paths);
  }
  for (const fs::path& folder : folders) {
    add_shards_in(folder, there);
    for (const data::PartRole role : {data::PartRole::train, data::PartRole::test, data::PartRole::unlabelled}) {
      for (const auto& [word, shards] : in_folders_beside(folder, role)) there.insert(shards.begin(), shards.end());
    }
  }
  std::vector<std::string> others;
  for (const fs::path& path : there) {
    if (used.insert(whole_path(path)).second) others.push_back(path.string());
  }
  return others;
}

std::string index_folder(const std::string& cache_dir) {
  if (!cache_dir.empty()) return cache_dir;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && fs::path(cache).is_absolute()) return (fs::path(cache) / "libsimclr").string();
  const char* home = std::getenv("HOME");
  return home != nullptr && fs::path(home).is_absolute() ? (fs::path(home) / ".cache" / "libsimclr").string() : "";
}

/// Opens shards and those found beside them, and says in the note which are used and which are not.
class ShardsReader {
 public:
  ShardsReader(const std::string& pattern, const std::string& cache_dir) : pattern_(pattern), cache_dir_(cache_dir) {
    sets_.kind = "shards";
    sets_.decoded = true;
  }

  PictureSets read() {
    const ShardParts parts = find_shard_parts(pattern_);
    data::ShardPictureList pictures = list_shard_pictures(
        parts.train, cache_dir_, [this](const std::string& line) { sets_.warnings.push_back(line); });
    sets_.take(data::channels_of_pictures(pictures), pattern_);
    left_out_ = pictures.left_out();
    add_digests(parts.train, pictures.shards(), true);
    tell_folders(pictures);
    sets_.labelled = sets_.train = data::shard_pictures(std::move(pictures), sets_.channels);
    sets_.add_note(classes_alike(sets_.train->classes()));
    tell_test_names();
    if (!parts.repeated.empty()) {
      sets_.add_note("not used: " + simclr::listed(parts.repeated, 3) + " (named before)");
    }
    std::string line = "train: " + pattern_;
    take_unlabelled(found(parts.unlabelled), line);
    take_test(found(parts.test), line);
    if (line != "train: " + pattern_) sets_.add_note(line);
    for (const std::string& part : unused_) sets_.add_note("not used: " + part);
    if (!parts.others.empty()) {  // not opened: there may be a thousand
      sets_.add_note("not used: " + simclr::listed(parts.others, 3) + " (" +
                     simclr::counted(std::ssize(parts.others), "shard") + " that --data does not name)");
    }
    if (parts.test.empty()) {
      keep_fifth(sets_, pattern_, "name shards train-... and test-...");
      sets_.within_training.clear();  // they hold what is tested on, too
    }
    return std::move(sets_);
  }

 private:
  /// A part that was found; its pictures are listed when they are asked for, since an index of many shards takes
  /// minutes.
  struct Part {
    std::string name;
    std::vector<std::string> paths;
    bool listed = false;
    std::optional<data::ShardPictureList> pictures = {};
    std::string problem = {};  // why there are none
    std::vector<std::string> warnings = {};
  };

  static std::vector<Part> found(const std::vector<ShardParts::Part>& parts) {
    std::vector<Part> all;
    for (const ShardParts::Part& part : parts) all.push_back({.name = part.name, .paths = part.paths});
    return all;
  }

  void list(Part& part) const {
    if (std::exchange(part.listed, true)) return;
    try {
      part.pictures = list_shard_pictures(part.paths, cache_dir_,
                                          [&part](const std::string& line) { part.warnings.push_back(line); });
    } catch (const simclr::Error& error) {
      part.problem = error.what();
    }
  }

  std::shared_ptr<const data::Dataset> open(Part& part, bool labels) {
    list(part);
    if (!part.pictures) simclr::fail(part.problem);
    sets_.warnings.insert(sets_.warnings.end(), part.warnings.begin(), part.warnings.end());
    add_digests(part.paths, part.pictures->shards(), !labels);
    return data::shard_pictures(*part.pictures, sets_.channels, labels);
  }

  /// By the shards' paths from the folder of the first of all, wherever they are looked at from.
  void add_digests(const std::vector<std::string>& paths, const data::Shards& shards, bool training) {
    const auto folder_of = [](const fs::path& path) { return path.has_parent_path() ? path.parent_path() : "."; };
    if (first_.empty()) first_ = whole_path(folder_of(paths.front()));
    const std::vector<std::uint64_t> digests = shards.digests();
    std::string before;
    fs::path folder;
    for (std::size_t s = 0; s < paths.size(); ++s) {
      const fs::path path = paths[s];
      if (s == 0 || folder_of(path) != folder) {
        folder = folder_of(path);
        before = whole_path(folder).lexically_relative(first_).string();
      }
      const std::string name = utf8((fs::path(before) / path.filename()).lexically_normal().string());
      sets_.within[name] = simclr::hex(digests[s]);
      if (training) sets_.within_training.insert(name);
    }
  }

  void leave_out(Part& part, const std::string& why) {
    if (data::are_indexed(part.paths, index_folder(cache_dir_))) list(part);
    const std::string count = part.listed ? part.problem : simclr::counted(std::ssize(part.paths), "shard");
    unused_.push_back(part.pictures ? unused_part(part.name, part.pictures->size(), part.pictures->left_out(), why)
                                    : part.name + " (" + count + (why.empty() ? "" : "; " + why) + ")");
  }

  /// Where there are no labels and several folders, these may be meant as classes.
  void tell_folders(const data::ShardPictureList& pictures) {
    const data::Shards& shards = pictures.shards();
    const auto folder = [&](std::int64_t i) {
      const std::string_view key = shards.key(pictures.sample(i));
      return key.substr(0, key.rfind('/') + 1);  // empty where there is none
    };
    if (!shards.classes().empty()) return;
    std::int64_t other = 1;
    while (other < pictures.size() && folder(other) == folder(0)) ++other;
    if (other >= pictures.size()) return;
    sets_.add_note(
        "no labels: in tar shards they are members, .cls or .json, and folders say none (where these are the "
        "classes, unpack the shards and give that folder)");
  }

  /// What is named is trained on, whatever it is called.
  void tell_test_names() {
    const auto is_test = [](const fs::path& path) {
      const auto called = [&path](data::PartRole role) {
        return !shape_of(path.filename().string(), role).word.empty() ||
               data::part_role(path.parent_path().filename().string()) == role;
      };
      return called(data::PartRole::test) && !called(data::PartRole::train);
    };
    for (const std::string& place : split_places(pattern_)) {
      const std::vector<std::string> paths = data::expand_braces(place);
      std::vector<std::string> tests;
      std::copy_if(paths.begin(), paths.end(), std::back_inserter(tests), is_test);
      if (tests.empty()) continue;
      const bool all = tests.size() == paths.size();
      sets_.add_note((all ? simclr::printable(place) : simclr::listed(tests, 3)) +
                     (all || tests.size() == 1 ? " is" : " are") + " called like a test part; trained on, as " +
                     (all || tests.size() == 1 ? "it is" : "they are") + " named");
    }
  }

  static std::string left_out(const std::string& what) { return what.empty() ? "" : " (left out: " + what + ")"; }

  void take_unlabelled(std::vector<Part> parts, std::string& line) {
    const bool labels = sets_.labelled->classes().size() >= 2;
    for (Part& part : parts) {
      const bool wanted = labels && sets_.train == sets_.labelled;
      if (wanted) list(part);
      if (!wanted || !part.pictures) {
        leave_out(part, labels ? "" : pattern_ + " has no labels either");
        continue;
      }
      sets_.train = open(part, false);
      line = "train: " + part.name + "; labels for the evaluation: " + pattern_ + left_out(left_out_);
    }
  }

  void take_test(std::vector<Part> parts, std::string& line) {
    std::vector<std::string> names;
    for (const Part& part : parts) names.push_back(part.name);
    const std::size_t taken = open_first_test_part(
        sets_, names, [&](std::size_t i) { return open(parts[i], true); }, pattern_);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i != taken) leave_out(parts[i], "");
    }
    if (taken < names.size()) line += "; test: " + names[taken] + left_out(parts[taken].pictures->left_out());
  }

  const std::string pattern_, cache_dir_;
  PictureSets sets_;
  std::vector<std::string> unused_;
  std::string left_out_;  // of the shards that are named
  fs::path first_;        // the folder of the first of these
};

}  // namespace

bool names_shards(const std::string& data) {
  std::error_code error;
  return data::ending_of(data) == ".tar" && !fs::is_directory(data, error);
}

bool names_packed_shards(const std::string& data) {
  static const std::regex packed(R"(\.(tgz|tbz2?|txz|tzst|tar\.[a-z0-9]+)$)", std::regex::icase);
  std::error_code error;
  return std::regex_search(data, packed) && !fs::is_directory(data, error);
}

ShardParts find_shard_parts(const std::string& pattern) {
  ShardParts parts;
  std::vector<std::string> firsts;  // of each place
  std::set<fs::path> train, files;  // as they are named, and what these names lead to
  for (const std::string& place : split_places(pattern)) {
    std::error_code error;
    SIMCLR_CHECK(!fs::is_directory(place, error), simclr::printable(place),
                 " is a folder; name the tar shards in it, as in '",
                 simclr::printable((fs::path(place) / "{000..127}.tar").string()), "'");
    const std::vector<std::string> paths = data::expand_braces(place);
    const auto is_there = [&error](const std::string& path) { return fs::exists(path, error); };
    SIMCLR_CHECK(place.find_first_of("*?[") == std::string::npos || std::any_of(paths.begin(), paths.end(), is_there),
                 simclr::printable(place),
                 ": no such file; write braces, {000..127} or {a,b}, since *, ? and [ stand for themselves");
    for (const std::string& path : paths) {
      const bool is_new = files.insert(whole_path(path)).second;
      train.insert(fs::path(path).lexically_normal());
      (is_new ? parts.train : parts.repeated).push_back(path);
    }
    firsts.push_back(paths.front());
  }
  parts.test = find_parts_of(firsts, data::PartRole::test, train);
  parts.unlabelled = find_parts_of(firsts, data::PartRole::unlabelled, train);
  parts.others = find_others(parts);
  return parts;
}

std::shared_ptr<const data::Shards> open_tar_files(const std::vector<std::string>& paths, const std::string& cache_dir,
                                                   const std::function<void(const std::string&)>& on_warning) {
  return std::make_shared<const data::Shards>(
      paths, data::ShardOptions{.index_folder = index_folder(cache_dir), .on_warning = on_warning});
}

data::ShardPictureList list_shard_pictures(const std::vector<std::string>& paths, const std::string& cache_dir,
                                           const std::function<void(const std::string&)>& on_warning) {
  return data::ShardPictureList(open_tar_files(paths, cache_dir, on_warning));
}

PictureSets open_shards(const std::string& pattern, const std::string& cache_dir) {
  return ShardsReader(pattern, cache_dir).read();
}
