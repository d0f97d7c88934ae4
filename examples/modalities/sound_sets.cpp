#include "modalities/sound_sets.h"

#include "run/data_places.h"
#include "run/run_folder.h"
#include "train/named_files.h"
#include "train/test_part.h"

#include <simclr/core/crc64.h>
#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_list.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_table.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace data = simclr::data;
namespace fs = std::filesystem;
using data::part_role;
using data::PartRole;

namespace {

void check_place(const std::string& data) {
  std::error_code error;
  SIMCLR_CHECK(!data.empty(), "--data: name a folder of recordings, or a list of them, LIST.csv");
  SIMCLR_CHECK(fs::exists(data, error), simclr::printable(data), ": no such folder or list of recordings");
}

/// "take=0-4" as ("take", {"0", .., "4"}); "speaker=20%" as a fifth of the speakers.
std::pair<std::string, std::vector<std::string>> test_values(const data::SoundList& list, const SoundSource& source) {
  const std::size_t equals = source.test.find('=');
  SIMCLR_CHECK(equals != std::string::npos, "--test ", source.test, ": must be FIELD=VALUES, such as speaker=ann,bob");
  const std::string field = source.test.substr(0, equals), values = source.test.substr(equals + 1);
  if (!values.ends_with('%')) return {field, data::values_of(values)};
  char* end = nullptr;
  const double percent = std::strtod(values.c_str(), &end);
  SIMCLR_CHECK(*end == '%' && percent > 0 && percent < 100, "--test ", source.test,
               ": a share is above 0 and below 100%");
  return {field, data::drawn_values(list, field, percent / 100, 0)};  // whatever --seed: runs can be compared
}

/// The two folders that hold parts, by their names: of test parts the likeliest. Empty where there are none.
struct PartFolders {
  std::string train, test;
  std::vector<std::string> others;
};

PartFolders part_folders(const std::string& dir) {
  PartFolders found;
  std::vector<std::string> tests;
  for (const std::string& name : data::list_folders(dir)) {
    if (part_role(name) == PartRole::train && found.train.empty()) {
      found.train = name;
    } else {
      (part_role(name) == PartRole::test ? tests : found.others).push_back(name);
    }
  }
  if (found.train.empty() || tests.empty()) return {};
  std::stable_sort(tests.begin(), tests.end(),
                   [](const auto& a, const auto& b) { return data::part_name(a).place < data::part_name(b).place; });
  found.test = tests.front();
  found.others.insert(found.others.end(), tests.begin() + 1, tests.end());
  return found;
}

/// The field of a list that says which part each recording is of; null: none does.
const data::SoundField* part_field(const data::SoundList& list) {
  for (const char* name : {"split", "part", "set", "subset"}) {
    const data::SoundField* field = list.field(name);
    if (field == nullptr) continue;
    const auto any = [field](PartRole role) {
      return std::any_of(field->values.begin(), field->values.end(),
                         [role](const auto& value) { return part_role(value) == role; });
    };
    if (any(PartRole::train) && any(PartRole::test)) return field;
  }
  return nullptr;
}

/// The field of a list that says who speaks; null: none does.
const data::SoundField* speaker_field(const data::SoundList& list) {
  for (const char* name : {"speaker", "speaker_id", "client_id", "subject"}) {
    if (const data::SoundField* field = list.field(name)) return field;
  }
  return nullptr;
}

bool has_labels(const data::SoundList& list) {
  const data::SoundField* label = list.field("label");
  return label != nullptr && label->values.size() >= 2;
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

/// What is said of the `all` of the test part of which `both` are trained on.
std::string shared_text(std::size_t both, std::size_t all, const std::string& what) {
  if (both == 0) return "no " + what + " of the test part is trained on";
  return std::to_string(both) + " of the " + std::to_string(all) + " " + what +
         "s of the test part are trained on, too";
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
      const auto [field, values] = test_values(list, source_);
      return parted(data::split_sounds(list, field, values), field + "=" + simclr::listed(values, 5));
    }
    if (const data::SoundField* field = part_field(list)) return by_column(list, *field);
    if (const data::SoundField* speaker = speaker_field(list); speaker != nullptr && has_labels(list)) {
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
    SIMCLR_CHECK(source_.test.empty(), "--test ", source_.test, ": ", simclr::printable(source_.data),
                 " has the folders ", simclr::printable(parts.train), " and ", simclr::printable(parts.test),
                 ", which say what is tested on; leave --test out, or name one of them by --data");
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
    const data::SoundField* speaker = speaker_field(test);
    if (speaker != nullptr && train.field(speaker->name) != nullptr) {
      sets_.add_note(
          shared_text(data::shared_values(train, test, speaker->name).size(), speaker->values.size(), "speaker"));
    }
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
  Datasets by_column(const data::SoundList& list, const data::SoundField& field) {
    std::vector<std::string> train, test, others;
    for (const std::string& value : field.values) {
      const PartRole role = part_role(value);
      (role == PartRole::train || role == PartRole::unlabelled ? train
       : role == PartRole::test                                ? test
                                                               : others)
          .push_back(value);
    }
    std::stable_sort(test.begin(), test.end(),
                     [](const auto& a, const auto& b) { return data::part_name(a).place < data::part_name(b).place; });
    others.insert(others.end(), test.begin() + 1, test.end());
    std::vector<std::uint32_t> used;
    for (std::uint32_t i = 0; i < list.size(); ++i) {
      const std::string value(field.value(i));
      if (!value.empty() && std::find(others.begin(), others.end(), value) == others.end()) used.push_back(i);
    }
    if (used.size() < list.size()) {
      sets_.add_note("not used: " + simclr::counted(std::ssize(list.files) - std::ssize(used), "recording") + " of " +
                     (others.empty() ? "no " + field.name : field.name + " " + simclr::listed(others, 5)));
    }
    data::SoundList some = data::selected_sounds(list, used);
    some.left_out = list.left_out;
    some.warnings = list.warnings;
    return parted(data::split_sounds(some, field.name, {test.front()}), field.name + "=" + test.front());
  }

  const SoundSource& source_;
  Datasets sets_;
};

}  // namespace

const char* const any_name = "{name}";

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
  return list.field(source.test.substr(0, source.test.find('='))) != nullptr;
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
