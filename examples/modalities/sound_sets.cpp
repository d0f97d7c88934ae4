#include "modalities/sound_sets.h"

#include "modalities/field_parts.h"
#include "run/data_places.h"
#include "run/run_folder.h"
#include "train/named_files.h"
#include "train/test_part.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_table.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace data = simclr::data;
namespace fs = std::filesystem;

namespace {

void check_place(const std::string& data) {
  std::error_code error;
  SIMCLR_CHECK(!data.empty(), "--data: name a folder of recordings, or a list of them, LIST.csv");
  SIMCLR_CHECK(fs::exists(data, error), simclr::printable(data), ": no such folder or list of recordings");
}

/// Fields that say who speaks.
const std::vector<std::string_view> speaker_names = {"speaker", "speaker_id", "client_id", "subject"};

data::FieldOwner owner_of(const data::SoundList& list) {
  return {.place = list.place(), .sample = "recording"};
}

/// A number for each recording, equal for segments of one file; empty: all are of different files.
std::vector<std::int32_t> files_in(const data::SoundList& list) {
  std::map<std::string, std::int32_t> numbers;
  std::vector<std::int32_t> files;
  if (list.segments.empty()) return files;
  for (const std::string& file : list.files) {
    files.push_back(numbers.emplace(file, static_cast<std::int32_t>(numbers.size())).first->second);
  }
  if (numbers.size() == files.size()) files.clear();
  return files;
}

/// A digest of which part of which file each recording is.
std::string digest_of_segments(const data::SoundList& list) {
  simclr::Crc64 digest;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string file = list.files[i];
    digest.update(file.c_str(), file.size() + 1);
    digest.update(&list.segments[i].begin, sizeof(double));
    digest.update(&list.segments[i].end, sizeof(double));
  }
  return simclr::hex(digest.value());
}

/// Opens recordings and says in the note what is used for what.
class SoundReader {
 public:
  explicit SoundReader(const SoundSource& source) : source_(source) {
    sets_.sample_name = "recording";
    sets_.decoded = true;
    sets_.kind = is_sound_list(source.data) ? "list" : "folder";
  }

  Datasets read() {
    check_place(source_.data);
    if (sets_.kind == "folder") {
      const PartFolders parts = part_folders(source_.data);
      if (!parts.test.empty()) return folders(parts);
    }
    data::SoundList list = list_of_sounds(source_.data, source_.pattern);
    sets_.add_note(list.columns);
    if (!list.segments.empty()) sets_.within["the list"] = digest_of_segments(list);
    if (!source_.test.empty()) {
      const auto [field, values] = test_values(source_.test, list.fields, owner_of(list));
      return parted(data::split_sounds(list, field, values), field + "=" + simclr::listed(values, 5));
    }
    if (const auto parts = parts_by_column(list.fields)) return by_column(list, *parts);
    const data::SoundField* speaker = first_field(list.fields, speaker_names);
    if (speaker != nullptr && has_labels(list.fields)) {
      sets_.add_note("speakers are trained on and tested with (to test with others: --test " + speaker->name + "=20%)");
    }
    sets_.warnings = list.warnings;
    sets_.groups = files_in(list);
    sets_.labelled = sets_.train = data::sound_folder(std::move(list), source_.rate);
    keep_fifth(sets_, source_.data,
               "--test FIELD=VALUES, or " +
                   std::string(sets_.kind == "list" ? "a column split, train or test, in "
                                                    : "make the folders train and test in ") +
                   source_.data);
    return std::move(sets_);
  }

 private:
  Datasets folders(const PartFolders& parts) {
    const std::string train_name = (fs::path(source_.data) / parts.train).string();
    const std::string test_name = (fs::path(source_.data) / parts.test).string();
    refuse_test(source_.test, source_.data, parts);
    const data::SoundList train = data::list_sounds(train_name, source_.pattern);
    sets_.warnings = train.warnings;
    sets_.labelled = sets_.train = data::sound_folder(train, source_.rate);
    data::SoundList test;
    const auto open = [&] {
      test = data::list_sounds(test_name, source_.pattern);
      sets_.warnings.insert(sets_.warnings.end(), test.warnings.begin(), test.warnings.end());
      return data::sound_folder(test, source_.rate);
    };
    open_test_part(sets_, open, train_name, test_name);
    const std::string left_out = test.left_out.empty() ? "" : " (left out: " + simclr::listed(test.left_out, 8) + ")";
    sets_.add_note("train: " + train_name + (sets_.test ? "; test: " + test_name + left_out : ""));
    if (sets_.test) say_shared(train, test);
    if (!parts.others.empty()) sets_.add_note("not used: " + simclr::listed(parts.others, 8));
    return std::move(sets_);
  }

  /// Whose voices, and segments of which files, are in both parts.
  void say_shared(const data::SoundList& train, const data::SoundList& test) {
    sets_.add_note(shared_text(train.fields, test.fields, speaker_names, "speaker"));
    if (test.segments.empty()) return;
    const std::set<std::string> known(train.files.begin(), train.files.end()),
        asked(test.files.begin(), test.files.end());
    sets_.add_note(shared_text(static_cast<std::size_t>(std::count_if(
                                   asked.begin(), asked.end(), [&](const auto& file) { return known.contains(file); })),
                               asked.size(), "file"));
  }

  Datasets parted(data::SoundParts parts, const std::string& test_name) {
    say_shared(parts.train, parts.test);
    sets_.warnings = parts.train.warnings;
    sets_.groups = files_in(parts.train);
    sets_.labelled = sets_.train = data::sound_folder(std::move(parts.train), source_.rate);
    sets_.add_note("test: " + test_name);
    take_test_part(sets_, data::sound_folder(std::move(parts.test), source_.rate), "the training part", test_name);
    return std::move(sets_);
  }

  /// By a list's column of parts: what is of neither is left out.
  Datasets by_column(const data::SoundList& list, const ColumnParts& column) {
    const auto& [field, test, used, others] = column;
    if (used.size() < list.size()) sets_.add_note(unused_text(column, list.size(), "recording"));
    data::SoundList some = data::selected_sounds(list, used);
    some.left_out = list.left_out;
    some.warnings = list.warnings;
    return parted(data::split_sounds(some, field, {test}), field + "=" + test);
  }

  const SoundSource& source_;
  Datasets sets_;
};

}  // namespace

bool is_sound_list(const std::string& data) {
  std::error_code error;
  return fs::is_regular_file(data, error);
}

data::SoundList list_of_sounds(const std::string& data, const std::string& pattern) {
  check_place(data);
  if (!is_sound_list(data)) return data::list_sounds(data, pattern);
  SIMCLR_CHECK(pattern.empty(), "--pattern ", pattern,
               ": a list says in its columns what each recording is; leave it out");
  SIMCLR_CHECK(!data::is_sound_name(data), simclr::printable(data),
               ": is a recording; give the folder that holds it, or a list of recordings");
  return data::read_sound_table(data);
}

Datasets open_sounds(const SoundSource& source) {
  return SoundReader(source).read();
}

bool can_test(const SoundSource& source) {
  check_place(source.data);
  if (!is_sound_list(source.data) && !part_folders(source.data).test.empty()) return false;
  const data::SoundList list = list_of_sounds(source.data, source.pattern);
  return names_field(source.test, list.fields);
}

SoundFiles files_of_sounds(const std::string& data, const std::string& pattern) {
  check_place(data);
  if (!is_sound_list(data)) {
    const bool parts = !part_folders(data).test.empty();
    return {data, data::list_sounds(data, parts ? any_name : pattern).files};
  }
  const data::SoundList list = list_of_sounds(data, pattern);
  std::set<std::string> files(list.files.begin(), list.files.end());  // of segments each once
  files.insert(fs::path(data).filename().string());
  return {list.dir, data::PathList({files.begin(), files.end()})};
}

std::string folders_of_sounds(const std::string& data) {
  if (data.empty() || !is_sound_list(data)) return data;
  return join_places(folders_of_list(data, list_of_sounds(data, "").files));
}

void refuse_in_sounds(const std::string& option, const std::vector<std::string>& paths, const std::string& data) {
  for (const std::string& path : paths) refuse_in_data(option, path, data);
  const bool none = std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
  if (data.empty() || none || !is_sound_list(data)) return;
  NamedFiles named;
  named.add_list(data, list_of_sounds(data, "").files);
  refuse_in_named(option, paths, named);
}
