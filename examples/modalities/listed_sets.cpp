#include "modalities/listed_sets.h"

#include "modalities/field_parts.h"
#include "run/data_places.h"
#include "run/run_folder.h"
#include "train/named_files.h"
#include "train/test_part.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/text.h>

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

namespace data = simclr::data;
namespace fs = std::filesystem;
using data::FieldList;

namespace {

void check_place(const std::string& data, const ListedKind& kind) {
  std::error_code error;
  SIMCLR_CHECK(!data.empty(), "--data: name a folder of ", kind.sample, "s, or a list of them, LIST.csv");
  SIMCLR_CHECK(fs::exists(data, error), simclr::printable(data), ": no such folder or list of ", kind.sample, "s");
}

/// A number for each sample, equal for parts of one file; empty: all are of different files.
std::vector<std::int32_t> files_in(const FieldList& list) {
  std::map<std::string, std::int32_t> numbers;
  std::vector<std::int32_t> files;
  if (list.times.empty()) return files;
  for (const std::string& file : list.files) {
    files.push_back(numbers.emplace(file, static_cast<std::int32_t>(numbers.size())).first->second);
  }
  if (numbers.size() == files.size()) files.clear();
  return files;
}

/// A digest of which part of which file each sample is.
std::string digest_of_times(const FieldList& list) {
  simclr::Crc64 digest;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string file = list.files[i];
    digest.update(file.c_str(), file.size() + 1);
    digest.update(&list.times[i].begin, sizeof(double));
    digest.update(&list.times[i].end, sizeof(double));
  }
  return simclr::hex(digest.value());
}

data::PathList own_files(const FieldList& list, const ListedKind& kind) {
  return kind.files ? kind.files(list) : list.files;
}

/// Opens samples and says in the note what is used for what.
class Reader {
 public:
  Reader(const ListedSource& source, const ListedKind& kind) : place_(source.data), source_(source), kind_(kind) {
    sets_.sample_name = kind.sample;
    sets_.decoded = true;
    sets_.kind = is_listed(source.data) ? "list" : "folder";
  }

  Datasets read() {
    check_place(source_.data, kind_);
    if (sets_.kind == "folder") {
      const PartFolders parts = part_folders(source_.data);
      if (parts.both()) return folders(parts);
      SIMCLR_CHECK(parts.test.empty(), simclr::printable(source_.data), ": holds ", simclr::printable(parts.test),
                   " and no folder train; to train on it, name it by --data");
      if (!parts.train.empty()) take_train_folder(parts);
    }
    FieldList list = listed_samples(source_.data, source_.pattern, kind_);
    sets_.add_note(list.columns);
    if (!list.times.empty()) sets_.within["the list"] = digest_of_times(list);
    if (!source_.test.empty()) {
      const TestValues asked = test_values(source_.test, list.fields, list.owner());
      if (const auto parts = parts_by_column(list.fields, &asked)) return by_column(list, *parts);
      return parted(list, asked);
    }
    if (const auto parts = parts_by_column(list.fields, nullptr)) return by_column(list, *parts);
    take_train(list, list.size());
    keep_fifth(sets_, source_.data,
               "--test FIELD=VALUES, or " +
                   std::string(sets_.kind == "list" ? "a column split, train or test, in "
                                                    : "make the folders train and test in ") +
                   place_);
    if (sets_.test) say_shared(list);
    return std::move(sets_);
  }

 private:
  /// Where it is alone.
  void take_train_folder(const PartFolders& parts) {
    source_.data = (fs::path(place_) / parts.train).string();
    sets_.add_note("no folder test beside " + source_.data);
    say_unused(parts);
  }

  void take_train(const FieldList& list, std::size_t all) {
    sets_.warnings = list.warnings;
    sets_.groups = files_in(list);
    sets_.labelled = sets_.train = kind_.open(list, all);
    if (!source_.pattern.empty() && list.field("label") == nullptr) {
      sets_.add_note(
          "the pattern names no {label}, so there are no labels; where folders are the labels, begin it with "
          "{label}/");
    }
  }

  Datasets folders(const PartFolders& parts) {
    const std::string train_name = (fs::path(source_.data) / parts.train).string();
    const std::string test_name = (fs::path(source_.data) / parts.test).string();
    refuse_test(source_.test, source_.data, parts);
    const FieldList train = kind_.folder(train_name, source_.pattern);
    FieldList test;
    std::string problem;  // which costs the evaluation alone
    try {
      test = kind_.folder(test_name, source_.pattern);
    } catch (const simclr::Error& error) {
      problem = error.what();
    }
    const std::size_t all = train.size() + test.size();
    take_train(train, all);
    sets_.warnings.insert(sets_.warnings.end(), test.warnings.begin(), test.warnings.end());
    const auto open = [&] {
      SIMCLR_CHECK(problem.empty(), problem);
      return kind_.open(test, all);
    };
    open_test_part(sets_, open, train_name, test_name);
    sets_.add_note("train: " + train_name + (sets_.test ? "; test: " + test_name + test.left_out_text() : ""));
    if (sets_.test) say_shared(train, test);
    say_unused(parts);
    return std::move(sets_);
  }

  /// How many samples are in no part.
  void say_unused(const PartFolders& parts) {
    std::map<std::string, std::int64_t> counts = {{parts.train, 0}, {parts.test, 0}};
    for (const std::string& folder : parts.others) counts[folder] = 0;
    std::int64_t itself = 0;
    for (const std::string& file : kind_.folder(place_, any_name).files) {
      const auto folder = counts.find(file.substr(0, file.find('/')));
      ++(folder == counts.end() ? itself : folder->second);
    }
    std::vector<std::string> unused;
    for (const std::string& folder : parts.others) {
      unused.push_back(folder + " (" + simclr::counted(counts[folder], kind_.sample) + ")");
    }
    if (itself > 0) unused.push_back(simclr::counted(itself, kind_.sample) + " in " + place_ + " itself");
    if (!unused.empty()) sets_.add_note("not used: " + simclr::listed(unused, 8));
  }

  /// Whose samples, and parts of which files, are in both parts.
  void say_shared(const FieldList& train, const FieldList& test) {
    const data::Field* group = first_field(test.fields, kind_.group_names);
    if (group != nullptr) sets_.add_note(shared_text(train.fields, test.fields, kind_.group_names, group->name));
    if (test.times.empty()) return say_linked(train, test);
    const std::set<std::string> known(train.files.begin(), train.files.end()),
        asked(test.files.begin(), test.files.end());
    sets_.add_note(shared_text(static_cast<std::size_t>(std::count_if(
                                   asked.begin(), asked.end(), [&](const auto& file) { return known.contains(file); })),
                               asked.size(), "file"));
  }

  /// Whose samples are in both parts that keep_fifth() made; segments of a file are of one part.
  void say_shared(const FieldList& list) {
    const data::Field* const group = first_field(list.fields, kind_.group_names);
    if (group == nullptr) return;
    std::map<std::string, std::set<std::string>> by_place;  // that of a segment, too
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (!group->value(i).empty()) by_place[(fs::path(list.dir) / list.name(i)).string()].emplace(group->value(i));
    }
    const auto groups_in = [&by_place](const data::Dataset& part) {
      std::set<std::string> groups;
      for (std::int64_t i = 0; i < part.size(); ++i) {
        const auto found = by_place.find(part.place(i));
        if (found != by_place.end()) groups.insert(found->second.begin(), found->second.end());
      }
      return groups;
    };
    const std::set<std::string> trained = groups_in(*sets_.train), tested = groups_in(*sets_.test);
    const auto both = static_cast<std::size_t>(
        std::count_if(tested.begin(), tested.end(), [&](const auto& each) { return trained.contains(each); }));
    if (tested.empty()) return;
    sets_.add_note(shared_text(both, tested.size(), group->name) +
                   (both == 0 ? "" : " (to test with others: --test " + group->name + "=20%)"));
  }

  /// Samples of both parts that links lead to one file.
  void say_linked(const FieldList& train, const FieldList& test) {
    std::map<std::pair<dev_t, ino_t>, std::string> trained;
    std::vector<std::string> both;
    struct stat status {};
    for (std::size_t i = 0; i < train.size(); ++i) {
      const std::string path = train.path(i);
      if (::stat(path.c_str(), &status) == 0) trained.emplace(std::pair(status.st_dev, status.st_ino), path);
    }
    for (std::size_t i = 0; i < test.size(); ++i) {
      const std::string path = test.path(i);
      if (::stat(path.c_str(), &status) != 0) continue;
      const auto found = trained.find({status.st_dev, status.st_ino});
      if (found != trained.end()) both.push_back(path + " is " + found->second);
    }
    if (both.empty()) return;
    sets_.add_note("both trained on and tested on: " + simclr::counted(std::ssize(both), kind_.sample) +
                   ", since links lead to one file: " + simclr::listed(both, 1));
  }

  Datasets parted(const FieldList& list, const TestValues& tested) {
    const auto& [field, values] = tested;
    const data::FieldListParts parts = data::split_list(list, field, values);
    const std::string test_name = field + "=" + simclr::listed(values, 5);
    say_shared(parts.train, parts.test);
    const std::size_t all = parts.train.size() + parts.test.size();
    take_train(parts.train, all);
    sets_.add_note("test: " + test_name + " (" + std::to_string(parts.test.size()) + " of " +
                   simclr::counted(static_cast<std::int64_t>(all), kind_.sample) + ")");
    take_test_part(sets_, kind_.open(parts.test, all), "the training part", test_name);
    return std::move(sets_);
  }

  /// By a list's column of parts: what is of neither is left out.
  Datasets by_column(const FieldList& list, const ColumnParts& column) {
    sets_.add_note(unused_text(column, kind_.sample));
    FieldList some = data::selected_samples(list, column.used);
    some.left_out = list.left_out;
    some.warnings = list.warnings;
    return parted(some, {column.field, column.tests});
  }

  const std::string place_;  // as --data has it
  ListedSource source_;
  const ListedKind& kind_;
  Datasets sets_;
};

}  // namespace

bool is_listed(const std::string& data) {
  std::error_code error;
  return fs::is_regular_file(data, error);
}

void check_listed(const std::string& dataset, const std::string& data) {
  const char* const is = is_listed(data) ? "list" : "folder";
  std::error_code error;
  SIMCLR_CHECK(dataset == "auto" || dataset == is || !fs::exists(data, error), "--dataset ", dataset, ": ",
               simclr::printable(data), " is a ", is, "; leave --dataset out");
}

FieldList listed_samples(const std::string& data, const std::string& pattern, const ListedKind& kind) {
  check_place(data, kind);
  if (!is_listed(data)) return kind.folder(data, pattern);
  SIMCLR_CHECK(pattern.empty(), "--pattern ", pattern, ": a list says in its columns what each ", kind.sample,
               " is; leave it out");
  SIMCLR_CHECK(!kind.is_sample(data), simclr::printable(data), ": is a ", kind.sample,
               "; give the folder that holds it, or a list of ", kind.sample, "s");
  return kind.table(data);
}

Datasets open_listed(const ListedSource& source, const ListedKind& kind) {
  return Reader(source, kind).read();
}

bool can_test(const ListedSource& source, const ListedKind& kind) {
  check_place(source.data, kind);
  const PartFolders parts = is_listed(source.data) ? PartFolders() : part_folders(source.data);
  if (!parts.test.empty()) return false;
  const std::string place = parts.train.empty() ? source.data : (fs::path(source.data) / parts.train).string();
  return names_field(source.test, listed_samples(place, source.pattern, kind).fields);
}

ListedFiles listed_files(const std::string& data, const std::string& pattern, const ListedKind& kind) {
  check_place(data, kind);
  if (!is_listed(data)) {
    const PartFolders parts = part_folders(data);
    const bool whole = parts.train.empty() && parts.test.empty();
    return {data, own_files(kind.folder(data, whole ? pattern : any_name), kind)};
  }
  const FieldList list = listed_samples(data, pattern, kind);
  const data::PathList own = own_files(list, kind);
  std::set<std::string> files(own.begin(), own.end());  // of parts each once
  files.insert(fs::path(data).filename().string());
  return {list.dir, data::PathList({files.begin(), files.end()})};
}

std::string folders_of_listed(const std::string& data, const ListedKind& kind) {
  if (data.empty() || !is_listed(data)) return data;
  return join_places(folders_of_list(data, listed_samples(data, "", kind).files));
}

void refuse_in_listed(const std::string& option, const std::vector<std::string>& paths, const std::string& data,
                      const ListedKind& kind) {
  for (const std::string& path : paths) refuse_in_data(option, path, data);
  const bool none = std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
  if (data.empty() || none || !is_listed(data)) return;
  NamedFiles named;
  named.add_list(data, own_files(listed_samples(data, "", kind), kind));
  refuse_in_named(option, paths, named);
}
