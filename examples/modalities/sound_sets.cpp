#include "modalities/sound_sets.h"

#include "run/run_folder.h"
#include "train/named_files.h"
#include "train/test_part.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_list.h>
#include <simclr/data/sound/sound_folder.h>
#include <simclr/data/sound/sound_table.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
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
  SIMCLR_CHECK(fs::exists(data, error), "--data ", simclr::printable(data), ": no such folder or list");
}

std::shared_ptr<const data::Dataset> dataset_of(data::SoundList list, std::int32_t rate) {
  return data::sound_folder(std::move(list), rate);
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
  return {field, data::drawn_values(list, field, percent / 100, source.seed)};
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
    if (sets_.kind == "folder" && source_.pattern.empty() && source_.test.empty()) {
      const PartFolders parts = part_folders(source_.data);
      if (!parts.test.empty()) return folders(parts);
    }
    data::SoundList list = list_of_sounds(source_.data, source_.pattern);
    sets_.add_note(list.columns);
    if (!source_.test.empty()) {
      const auto [field, values] = test_values(list, source_);
      return parted(data::split_sounds(list, field, values), field + "=" + simclr::listed(values, 5));
    }
    if (const data::SoundField* field = part_field(list)) return by_column(list, *field);
    if (list.field("speaker") != nullptr) {
      sets_.add_note("speakers are trained on and tested with (to test with others: --test speaker=20%)");
    }
    sets_.warnings = list.warnings;
    sets_.labelled = sets_.train = dataset_of(std::move(list), source_.rate);
    keep_fifth(sets_, source_.data, "--test FIELD=VALUES, or make the folders train and test in " + source_.data);
    return std::move(sets_);
  }

 private:
  Datasets folders(const PartFolders& parts) {
    data::SoundList train = data::list_sounds((fs::path(source_.data) / parts.train).string());
    const std::string train_name = train.place(), test_name = (fs::path(source_.data) / parts.test).string();
    sets_.warnings = train.warnings;
    sets_.labelled = sets_.train = dataset_of(std::move(train), source_.rate);
    open_test_part(
        sets_, [&] { return dataset_of(data::list_sounds(test_name), source_.rate); }, train_name, test_name);
    sets_.add_note("train: " + train_name + (sets_.test ? "; test: " + test_name : ""));
    if (!parts.others.empty()) sets_.add_note("not used: " + simclr::listed(parts.others, 8));
    return std::move(sets_);
  }

  Datasets parted(data::SoundParts parts, const std::string& test_name) {
    if (parts.train.field("speaker") != nullptr) {
      const std::vector<std::string> both = data::shared_values(parts.train, parts.test, "speaker");
      const std::size_t all = parts.test.field("speaker")->values.size();
      sets_.add_note(both.empty() ? "no speaker of the test part is trained on"
                                  : std::to_string(both.size()) + " of the " + std::to_string(all) +
                                        " speakers of the test part are trained on, too");
    }
    sets_.warnings = parts.train.warnings;
    sets_.labelled = sets_.train = dataset_of(std::move(parts.train), source_.rate);
    sets_.add_note("test: " + test_name);
    take_test_part(sets_, dataset_of(std::move(parts.test), source_.rate), "the training part", test_name);
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
  return data::read_sound_table(data);
}

Datasets open_sounds(const SoundSource& source) {
  return SoundReader(source).read();
}

SoundFiles files_of_sounds(const std::string& data, const std::string& pattern) {
  check_place(data);
  if (!is_sound_list(data) && pattern.empty() && !part_folders(data).test.empty()) {
    return {data, data::list_sounds(data, any_name).files};
  }
  data::SoundList list = list_of_sounds(data, pattern);
  if (is_sound_list(data)) list.files.push_back(fs::path(data).filename().string());
  return {list.dir, std::move(list.files)};
}

std::string folder_of_sounds(const std::string& data) {
  if (data.empty() || !is_sound_list(data)) return data;
  const std::string folder = fs::path(data).parent_path().string();
  return folder.empty() ? "." : folder;
}

void refuse_in_sounds(const std::string& option, const std::vector<std::string>& paths, const std::string& data) {
  for (const std::string& path : paths) refuse_in_data(option, path, data);
  const bool none = std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
  if (data.empty() || none || !is_sound_list(data)) return;
  NamedFiles named;
  named.add_list(data, list_of_sounds(data, "").files);
  refuse_in_named(option, paths, named);
}
