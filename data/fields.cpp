#include "class_names.h"

#include <simclr/core/error.h>
#include <simclr/core/random.h>
#include <simclr/core/text.h>
#include <simclr/data/fields.h>
#include <simclr/data/table.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace simclr::data {

Field make_field(std::string name, const std::vector<std::string>& texts) {
  std::set<std::string> different(texts.begin(), texts.end());
  different.erase("");
  Field field{.name = std::move(name), .values = sorted_classes(different)};
  std::map<std::string_view, std::int32_t> place;
  for (const std::string& value : field.values) place.emplace(value, static_cast<std::int32_t>(place.size()));
  for (const std::string& text : texts) field.of.push_back(text.empty() ? -1 : place.at(text));
  return field;
}

const Field* find_field(const std::vector<Field>& fields, std::string_view name) {
  std::vector<std::string> names;
  for (const Field& one : fields) names.push_back(one.name);
  std::string lower = lower_case(name);
  std::erase_if(lower, [](char c) { return c == '_' || c == '-' || c == ' '; });
  const int found = find_column(names, {lower});
  return found < 0 ? nullptr : &fields[static_cast<std::size_t>(found)];
}

const Field& needed_field(const std::vector<Field>& fields, std::string_view name, const FieldOwner& owner) {
  if (const Field* field = find_field(fields, name)) return *field;
  std::vector<std::string> there;
  for (const Field& one : fields) there.push_back(one.name);
  fail(printable(owner.place), ": its ", owner.sample, "s have no field ", printable(name), "; they have ",
       there.empty() ? "none" : listed(there, 8));
}

std::vector<Field> selected_fields(const std::vector<Field>& fields, const std::vector<std::uint32_t>& which,
                                   bool keep_labels) {
  std::vector<Field> some;
  const Field* const label = find_field(fields, "label");
  for (const Field& field : fields) {
    if (keep_labels && &field == label) {
      Field& kept = some.emplace_back(Field{.name = field.name, .values = field.values});
      for (const std::uint32_t i : which) kept.of.push_back(field.of[i]);
      continue;
    }
    std::vector<std::string> texts;
    for (const std::uint32_t i : which) texts.emplace_back(field.value(i));
    some.push_back(make_field(field.name, texts));
  }
  return some;
}

FieldParts split_by_field(const std::vector<Field>& fields, const std::string& name,
                          const std::vector<std::string>& test_values, const FieldOwner& owner) {
  const Field& field = needed_field(fields, name, owner);
  for (const std::string& value : test_values) {
    SIMCLR_CHECK(std::find(field.values.begin(), field.values.end(), value) != field.values.end(),
                 printable(owner.place), ": no ", owner.sample, " has ", printable(value), " as its ",
                 printable(field.name), "; they have ", listed(field.values, 12));
  }
  const std::set<std::string_view> values(test_values.begin(), test_values.end());
  FieldParts parts;
  for (std::uint32_t i = 0; i < field.of.size(); ++i) {
    if (field.of[i] >= 0) (values.contains(field.value(i)) ? parts.test : parts.train).push_back(i);
  }
  SIMCLR_CHECK(!parts.test.empty() && !parts.train.empty(), printable(owner.place), ": split by ",
               printable(field.name),
               parts.test.empty() ? " nothing is left to test with" : " nothing is left to train on",
               "; name some of its values, but not all: ", listed(field.values, 12));
  const std::int64_t without = std::ssize(field.of) - std::ssize(parts.train) - std::ssize(parts.test);
  if (without > 0) parts.left_out = counted(without, owner.sample) + " without a " + printable(field.name);
  return parts;
}

std::vector<std::string> drawn_values(const std::vector<Field>& fields, const std::string& name,
                                      const FieldOwner& owner, double share, std::uint64_t seed) {
  const Field& field = needed_field(fields, name, owner);
  const std::int64_t count = std::ssize(field.values);
  SIMCLR_CHECK(share > 0.0 && share < 1.0, "a share of ", share, " is to be held out, between 0 and 1 is possible");
  SIMCLR_CHECK(count >= 2, printable(owner.place), ": all ", owner.sample, "s have one ", printable(field.name),
               ", so that it cannot part them");
  std::vector<std::pair<std::uint32_t, std::string>> drawn;  // a value's number depends on no other value
  for (const std::string& value : field.values) {
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (const char c : value) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    drawn.emplace_back(Random(seed, RandomPurpose::subset, hash).bits(0), value);
  }
  std::sort(drawn.begin(), drawn.end());
  const auto kept = std::clamp<std::int64_t>(std::llround(share * static_cast<double>(count)), 1, count - 1);
  std::vector<std::string> values;
  for (std::int64_t i = 0; i < kept; ++i) values.push_back(drawn[static_cast<std::size_t>(i)].second);
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<std::string> shared_values(const Field& a, const Field& b) {
  const std::set<std::string> first(a.values.begin(), a.values.end()), second(b.values.begin(), b.values.end());
  std::vector<std::string> both;
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(both));
  return both;
}

std::vector<std::string> values_of(const std::string& text) {
  constexpr std::uint64_t most = 100'000;
  std::vector<std::string> values;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string one = text.substr(at, comma - at);
    const std::size_t dash = one.find('-', 1);
    const auto first = whole_number(one.substr(0, std::min(dash, one.size())));
    const auto last = dash == std::string::npos ? std::nullopt : whole_number(one.substr(dash + 1));
    if (first && last) {
      const std::uint64_t further = static_cast<std::uint64_t>(*last) - static_cast<std::uint64_t>(*first);
      SIMCLR_CHECK(*first <= *last && further < most, "the values ", printable(one), ": a range goes up, by at most ",
                   most);
      const std::size_t digits = one.starts_with('0') ? dash : 0;  // 08-10: all have two
      for (std::int64_t k = 0; k <= static_cast<std::int64_t>(further); ++k) {
        const std::string value = std::to_string(*first + k);
        values.push_back(std::string(digits - std::min(digits, value.size()), '0') + value);
      }
    } else if (!one.empty()) {
      values.push_back(one);
    }
    at = comma + 1;
  }
  return values;
}

}  // namespace simclr::data
