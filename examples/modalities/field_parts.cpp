#include "modalities/field_parts.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/data/pictures/part_names.h>
#include <simclr/data/pictures/picture_list.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace data = simclr::data;
using data::part_role;
using data::PartRole;

namespace {

/// The likeliest first.
void sort_parts(std::vector<std::string>& names) {
  std::stable_sort(names.begin(), names.end(),
                   [](const auto& a, const auto& b) { return data::part_name(a).place < data::part_name(b).place; });
}

bool has_parts(const data::Field& field) {
  const auto any = [&field](PartRole role) {
    return std::any_of(field.values.begin(), field.values.end(),
                       [role](const auto& value) { return part_role(value) == role; });
  };
  return any(PartRole::train) && any(PartRole::test);
}

}  // namespace

TestValues test_values(const std::string& test, const std::vector<data::Field>& fields, const data::FieldOwner& owner) {
  const std::size_t equals = test.find('=');
  SIMCLR_CHECK(equals != std::string::npos && equals > 0 && equals + 1 < test.size(), "--test ", test,
               ": must be FIELD=VALUES, such as speaker=ann,bob");
  const std::string field = test.substr(0, equals), values = test.substr(equals + 1);
  if (!values.ends_with('%')) return {field, data::values_of(values)};
  char* end = nullptr;
  const double percent = std::strtod(values.c_str(), &end);
  SIMCLR_CHECK(*end == '%' && percent > 0 && percent < 100, "--test ", test, ": a share is above 0 and below 100%");
  return {field, data::drawn_values(fields, field, owner, percent / 100, 0)};
}

bool names_field(const std::string& test, const std::vector<data::Field>& fields) {
  return data::find_field(fields, test.substr(0, test.find('='))) != nullptr;
}

const data::Field* first_field(const std::vector<data::Field>& fields, const std::vector<std::string_view>& names) {
  for (const std::string_view name : names) {
    if (const data::Field* field = data::find_field(fields, name)) return field;
  }
  return nullptr;
}

std::string shared_text(std::size_t both, std::size_t all, const std::string& what) {
  if (both == 0) return "no " + what + " of the test part is trained on";
  return std::to_string(both) + " of the " + std::to_string(all) + " " + what +
         "s of the test part are trained on, too";
}

std::string shared_text(const std::vector<data::Field>& train, const std::vector<data::Field>& test,
                        const std::vector<std::string_view>& names, const std::string& what) {
  const data::Field* const tested = first_field(test, names);
  const data::Field* const trained = tested == nullptr ? nullptr : data::find_field(train, tested->name);
  if (trained == nullptr) return {};
  return shared_text(data::shared_values(*trained, *tested).size(), tested->values.size(), what);
}

bool is_trained_on(std::string_view part) {
  const PartRole role = part_role(part);
  return role == PartRole::train || role == PartRole::unlabelled;
}

std::optional<ColumnParts> parts_by_column(const std::vector<data::Field>& fields, const TestValues* asked) {
  const auto among = [](const std::vector<std::string>& values, std::string_view value) {
    return std::find(values.begin(), values.end(), value) != values.end();
  };
  for (const char* name : {"split", "part", "set", "subset"}) {
    const data::Field* const field = data::find_field(fields, name);
    if (field == nullptr || !has_parts(*field)) continue;
    const auto there = [&](const std::string& value) { return among(field->values, value); };
    if (asked != nullptr && (data::find_field(fields, asked->first) != field ||
                             !std::all_of(asked->second.begin(), asked->second.end(), there))) {
      continue;
    }
    ColumnParts parts{.field = field->name, .tests = {}, .used = {}, .others = {}, .unused = {}};
    if (asked != nullptr) {
      parts.tests = asked->second;
    } else {
      std::copy_if(field->values.begin(), field->values.end(), std::back_inserter(parts.tests),
                   [](const auto& value) { return part_role(value) == PartRole::test; });
      sort_parts(parts.tests);
      parts.tests.resize(1);
    }
    for (const std::string& value : field->values) {
      if (!is_trained_on(value) && !among(parts.tests, value)) parts.others.push_back(value);
    }
    parts.unused.resize(parts.others.size() + 1);
    for (std::uint32_t i = 0; i < field->of.size(); ++i) {
      const auto other = field->value(i).empty() ? parts.others.end()
                                                 : std::find(parts.others.begin(), parts.others.end(), field->value(i));
      if (other == parts.others.end() && !field->value(i).empty()) {
        parts.used.push_back(i);
      } else {
        ++parts.unused[static_cast<std::size_t>(other - parts.others.begin())];
      }
    }
    return parts;
  }
  return std::nullopt;
}

std::string unused_text(const ColumnParts& parts, const std::string& sample) {
  std::vector<std::string> unused;
  for (std::size_t p = 0; p < parts.unused.size(); ++p) {
    if (parts.unused[p] == 0) continue;
    unused.push_back(simclr::counted(parts.unused[p], sample) + (p < parts.others.size()
                                                                     ? " of " + parts.field + " " + parts.others[p]
                                                                     : " without a " + parts.field));
  }
  return unused.empty() ? "" : "not used: " + simclr::listed(unused, 6);
}

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
  const bool parts_alone = std::none_of(found.others.begin(), found.others.end(),
                                        [](const auto& name) { return part_role(name) == PartRole::none; });
  if ((found.train.empty() || tests.empty()) && !parts_alone) return {};
  if (tests.empty()) return found;
  sort_parts(tests);
  found.test = tests.front();
  found.others.insert(found.others.end(), tests.begin() + 1, tests.end());
  return found;
}

void refuse_test(const std::string& test, const std::string& dir, const PartFolders& parts) {
  SIMCLR_CHECK(test.empty(), "--test ", test, ": ", simclr::printable(dir), " has the folders ",
               simclr::printable(parts.train), " and ", simclr::printable(parts.test),
               ", which say what is tested on; leave --test out, or name one of them by --data");
}

void add_part_rows(OptionTable& table, std::string& pattern, std::string& test, const PartWords& words,
                   const std::string& unset) {
  table.add("pattern", pattern,
            "What the names of " + words.samples + " in a folder say, \"" + words.name + "\". " +
                (unset.empty() ? "Unset: " : unset + ", else ") + "each folder is a label");
  table.add("test", test,
            "What " + words.samples + " are tested on: FIELD=VALUES of the names or of the list, take=0-4, " +
                words.field + "=ann,bob or fold=5, or a share of the values, " + words.field + "=20%. " +
                (unset.empty() ? "Unset: " : unset + ", else ") +
                "the folder test, or a list's column split, else a fifth of each label");
}
