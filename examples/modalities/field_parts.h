#pragma once

#include "run/option_table.h"

#include <simclr/data/fields.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// How the samples of a list are parted by its fields, of any kind of data.

/// The pattern that all names fit: for who wants a folder's files, whatever its folders mean.
inline constexpr const char* any_name = "{name}";

/// A field, and its values that are tested on.
using TestValues = std::pair<std::string, std::vector<std::string>>;

/// What --test names: "take=0-4" as ("take", {"0", .., "4"}); "session=20%" as a fifth of the sessions, the same ones
/// whatever --seed: runs can be compared. Throws simclr::Error for what is neither, and for a field that is not there.
TestValues test_values(const std::string& test, const std::vector<simclr::data::Field>& fields,
                       const simclr::data::FieldOwner& owner);

/// Whether the field is there that --test names.
bool names_field(const std::string& test, const std::vector<simclr::data::Field>& fields);

/// The first of these that is there; null: none is.
const simclr::data::Field* first_field(const std::vector<simclr::data::Field>& fields,
                                       const std::vector<std::string_view>& names);

/// What is said of the `all` of the test part of which `both` are trained on: "1 of the 2 files of the test part are
/// trained on, too".
std::string shared_text(std::size_t both, std::size_t all, const std::string& what);
/// The same of the values of the first of these fields that the test part has; empty: it has none, or the training part
/// lacks it.
std::string shared_text(const std::vector<simclr::data::Field>& train, const std::vector<simclr::data::Field>& test,
                        const std::vector<std::string_view>& names, const std::string& what);

/// Whether a part of this name is trained on: one called train, or unlabelled.
bool is_trained_on(std::string_view part);

/// What a column called split, part, set or subset says.
struct ColumnParts {
  std::string field;                 // its name
  std::vector<std::string> tests;    // the values of what is tested on
  std::vector<std::uint32_t> used;   // the samples of that part and of training parts
  std::vector<std::string> others;   // values of parts that are not used
  std::vector<std::int64_t> unused;  // how many have each of these; the last: no value
};
/// None where no such column has training and test parts. Tested on is the likeliest of the test parts; with `asked`,
/// as test_values() gives it, what that names, and none where it is of another column or of values that are not there.
std::optional<ColumnParts> parts_by_column(const std::vector<simclr::data::Field>& fields, const TestValues* asked);
/// "not used: 2 recordings of split val, 1 recording without a split"; empty: all are used.
std::string unused_text(const ColumnParts& parts, const std::string& sample);

/// The two folders of `dir` that hold parts, by their names: of test parts the likeliest. One alone where all folders
/// there are called as parts are; else, as a class may be called train, both are empty.
struct PartFolders {
  std::string train, test;
  std::vector<std::string> others;

  bool both() const { return !train.empty() && !test.empty(); }
};
PartFolders part_folders(const std::string& dir);
/// Throws simclr::Error for a --test beside such folders of `dir`, which say what is tested on.
void refuse_test(const std::string& test, const std::string& dir, const PartFolders& parts);

/// How the help of --pattern and --test speaks of samples.
struct PartWords {
  std::string samples;  // "recordings"
  std::string name;     // a pattern of theirs, "{label}_{speaker}_{take}.wav"
  std::string field;    // one of its fields, "speaker"
};
/// --pattern and --test, how samples are parted; `unset`: what else stands for them, to begin a sentence with.
void add_part_rows(OptionTable& table, std::string& pattern, std::string& test, const PartWords& words,
                   const std::string& unset = {});
