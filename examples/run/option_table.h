#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// The options of a program. Each is written once, as a row: its name, help, range, and whether a run that goes on may
/// change it. The command line (option_line.h), config.json's reader and writer and the differences on --resume
/// (option_file.h) all go by the rows, which refer to fields of any struct. A row's default is what its field holds.

/// What the values of an enum are called. One list each, defined beside the rows that use it.
template <class T>
using Names = std::vector<std::pair<const char*, T>>;

/// The name of `value`; empty where it has none.
template <class T>
std::string name_of(const Names<T>& names, const T& value) {
  for (const auto& [name, each] : names) {
    if (each == value) return name;
  }
  return "";
}

enum class OptionKind { flag, integer, real, name, text };

/// The numbers that an option takes. Never NaN or an infinity.
struct OptionRange {
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool above = false, below = false;    // `least` or `most` themselves are refused
  std::optional<double> besides = {};   // a number outside with a meaning of its own: 0, or -1
  std::string meaning = {}, hint = {};  // of `besides`; what else to say to who breaks the range
  bool given = false;                   // by the row: a number's row without a range is a mistake

  bool holds(double value) const;
  /// "must be 8 to 1024; 0: the data set's own", to follow `value`.
  std::string complaint(double value) const;
};

/// One option: the calls that describe it may be chained.
class OptionRow {
 public:
  using Json = nlohmann::ordered_json;

  OptionRow& between(double least, double most, std::string hint = "");
  OptionRow& at_least(double least, std::string hint = "");
  OptionRow& above(double least, std::string hint = "");
  OptionRow& at_most(double most);
  OptionRow& below(double most);
  OptionRow& any_number();
  /// A number outside of the range that is allowed too.
  OptionRow& or_else(double value, std::string meaning);
  /// In config.json, where that is not the name with "_" for "-". Groups stay: a name within them.
  OptionRow& key(const std::string& name);
  /// Not in config.json: it says what to do, not what the run is.
  OptionRow& command_line_only();
  /// Not on the command line: it follows from the data.
  OptionRow& file_only();
  /// A run that goes on may change it. All others make another run.
  OptionRow& may_change();

  const std::string& name() const { return name_; }          // "batch-size": --batch-size
  const std::string& opposite() const { return opposite_; }  // of a flag: "no-graph"; empty: it has none
  const std::string& key() const { return key_; }            // "batch_size", "group.option"; empty: not written
  const std::string& help() const { return help_; }
  const std::string& group() const { return group_; }  // --help's
  OptionKind kind() const { return kind_; }
  int count() const { return count_; }                              // of numbers, 0: any count of them
  const std::vector<std::string>& names() const { return names_; }  // of OptionKind::name
  const OptionRange& range() const { return range_; }
  bool on_command_line() const { return on_command_line_; }
  bool changeable() const { return changeable_; }

  /// The field as JSON: a boolean, a number, a text, or an array of numbers.
  Json value() const { return get_(); }
  /// Sets the field; where the value does not fit leaves it, and returns why: "must be ...".
  std::string set(const Json& value) const;
  /// What words of a command line say, for set(): one of several numbers each, or these parted by commas. A word that
  /// is no number where the row has numbers stays a text.
  Json from_words(const std::vector<std::string>& words) const;
  /// The field as a command line has it: "0.1,2", and whole numbers without ".0".
  std::string text() const;

 private:
  friend class OptionTable;

  std::string name_, opposite_, prefix_, key_, help_, group_;
  OptionKind kind_ = OptionKind::text;
  int count_ = 1;
  std::vector<std::string> names_;
  OptionRange range_;
  bool on_command_line_ = true, changeable_ = false;
  const void* field_ = nullptr;
  std::function<Json()> get_;
  std::function<std::string(const Json&)> set_;  // checks the type and the range
};

/// The rows, in parts: whoever knows of options adds theirs.
class OptionTable {
 public:
  using Json = OptionRow::Json;

  OptionTable() = default;
  OptionTable(OptionTable&&) = default;  // the rows stay where they are
  OptionTable& operator=(OptionTable&&) = default;

  /// What the names of the rows that follow begin with, "sound" of --sound-rate, and the object of config.json that
  /// holds them, where a program has the rows of several kinds of data; group()'s objects are "sound_views" then.
  /// Empty: neither. To be followed by group().
  void of(const std::string& kind) { kind_ = kind; }
  /// Heading in --help of the rows that follow, and the object in config.json that holds them; empty: the outermost.
  void group(const std::string& heading, const std::string& object = "");

  /// A number or a text.
  template <class T>
  requires(!std::is_enum_v<T> && !std::is_same_v<T, bool>) OptionRow& add(const std::string& name, T& field,
                                                                          const std::string& help);
  /// A value of an enum.
  template <class T>
  requires std::is_enum_v<T> OptionRow& add(const std::string& name, T& field, const Names<T>& names,
                                            const std::string& help);
  /// A text that is one of `names`.
  OptionRow& add(const std::string& name, std::string& field, std::vector<std::string> names, const std::string& help);
  /// Several numbers, always as many.
  template <class T>
  OptionRow& add(const std::string& name, std::initializer_list<T*> fields, const std::string& help);
  /// Several numbers, one or more, at most as many as `fields` has: `count` of them are in use.
  template <class T, std::size_t most>
  OptionRow& add(const std::string& name, T (&fields)[most], int& count, const std::string& help);
  /// Several numbers, one or more.
  template <class T>
  OptionRow& add(const std::string& name, std::vector<T>& field, const std::string& help);
  /// --name, and --opposite where it is not empty.
  OptionRow& flag(const std::string& name, const std::string& opposite, bool& field, const std::string& help);

  /// A text that a configuration holds before the options, and that one which is read has to hold where it has the key:
  /// what the options are of.
  void constant(const std::string& key, const std::string& value) { constants_.emplace_back(key, value); }
  const std::vector<std::pair<std::string, std::string>>& constants() const { return constants_; }

  /// What values must be to each other. Throws simclr::Error where they are not.
  void rule(std::function<void(const OptionTable&)> rule) { rules_.push_back(std::move(rule)); }
  void check_rules() const;

  const std::deque<OptionRow>& rows() const { return rows_; }
  const OptionRow& row_of(const void* field) const;

  /// Where values were given, by the rows' names: on the command line (an empty text), or in which file.
  std::map<std::string, std::string> sources;

  bool given(const OptionRow& row) const { return sources.contains(row.name()); }
  /// On the command line, not in a file.
  template <class T>
  bool typed(const T& field) const {
    const auto source = sources.find(row_of(&field).name());
    return source != sources.end() && source->second.empty();
  }
  template <class T>
  bool given(const T& field) const {
    return given(row_of(&field));
  }
  /// An option as the user wrote it, or could: `--epochs`, or `runs/a/config.json: "epochs"`.
  std::string written(const OptionRow& row) const;
  /// The same with its value.
  std::string said(const OptionRow& row) const;
  template <class T>
  std::string said(const T& field) const {
    return said(row_of(&field));
  }

 private:
  OptionRow& insert(const std::string& name, const void* field, OptionKind kind, const std::string& help);

  std::string kind_, heading_, prefix_;
  std::deque<OptionRow> rows_;  // whose elements stay where they are
  std::vector<std::pair<std::string, std::string>> constants_;
  std::vector<std::function<void(const OptionTable&)>> rules_;
};

namespace option_detail {

using Json = OptionRow::Json;

/// 0.2f as 0.2, not as 0.20000000298.
double shortest(float value);
Json json_of(const std::string& bytes);
std::string wrong_name(const std::vector<std::string>& names);

template <class T>
Json to_json(const T& value) {
  if constexpr (std::is_same_v<T, float>) {
    return shortest(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return json_of(value);
  } else {
    return value;
  }
}

/// Returns why `j` cannot be a T of this range; empty: `value` is it.
template <class T>
std::string from_json(const Json& j, T& value, const OptionRange& range) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!j.is_number()) return "must be a number";
    const double number = j.get<double>();
    constexpr double largest{std::numeric_limits<T>::max()};
    if (std::isfinite(number) && std::abs(number) > largest) {
      return range.holds(std::copysign(largest, number)) ? "is too large" : range.complaint(number);
    }
    const T rounded = static_cast<T>(number);
    if (!range.holds(double{rounded})) return range.complaint(number);
    value = rounded;
  } else {
    const std::string whole = std::is_signed_v<T>
                                  ? "must be an integer"
                                  : "must be a whole number from 0 to " + std::to_string(std::numeric_limits<T>::max());
    if (!j.is_number_integer()) return whole;
    const bool fits =
        j.is_number_unsigned() ? std::in_range<T>(j.get<std::uint64_t>()) : std::in_range<T>(j.get<std::int64_t>());
    if (!fits) return std::is_signed_v<T> ? "is out of range" : whole;
    const T number = static_cast<T>(j.is_number_unsigned() ? j.get<std::uint64_t>()
                                                           : static_cast<std::uint64_t>(j.get<std::int64_t>()));
    if (!range.holds(static_cast<double>(number))) return range.complaint(static_cast<double>(number));
    value = number;
  }
  return "";
}

}  // namespace option_detail

template <class T>
requires(!std::is_enum_v<T> && !std::is_same_v<T, bool>) OptionRow& OptionTable::add(const std::string& name, T& field,
                                                                                     const std::string& help) {
  if constexpr (std::is_same_v<T, std::string>) {
    OptionRow& row = insert(name, &field, OptionKind::text, help);
    row.get_ = [&field] { return option_detail::to_json(field); };
    row.set_ = [&field](const Json& j) -> std::string {
      if (!j.is_string()) return "must be a text";
      field = j.get<std::string>();
      return "";
    };
    return row;
  } else {
    OptionRow& row = insert(name, &field, std::is_integral_v<T> ? OptionKind::integer : OptionKind::real, help);
    row.get_ = [&field] { return option_detail::to_json(field); };
    row.set_ = [&field, &row](const Json& j) { return option_detail::from_json(j, field, row.range_); };
    return row;
  }
}

template <class T>
requires std::is_enum_v<T> OptionRow& OptionTable::add(const std::string& name, T& field, const Names<T>& names,
                                                       const std::string& help) {
  OptionRow& row = insert(name, &field, OptionKind::name, help);
  for (const auto& [each, value] : names) row.names_.push_back(each);
  row.get_ = [&field, &names] { return Json(name_of(names, field)); };
  row.set_ = [&field, &names, &row](const Json& j) -> std::string {
    for (const auto& [each, value] : names) {
      if (!j.is_string() || j.get<std::string>() != each) continue;
      field = value;
      return "";
    }
    return option_detail::wrong_name(row.names_);
  };
  return row;
}

template <class T>
OptionRow& OptionTable::add(const std::string& name, std::initializer_list<T*> fields, const std::string& help) {
  const std::vector<T*> places = fields;
  OptionRow& row = insert(name, places.front(), std::is_integral_v<T> ? OptionKind::integer : OptionKind::real, help);
  row.count_ = static_cast<int>(places.size());
  row.get_ = [places] {
    Json values = Json::array();
    for (const T* each : places) values.push_back(option_detail::to_json(*each));
    return values;
  };
  row.set_ = [places, &row](const Json& j) -> std::string {
    if (!j.is_array() || j.size() != places.size()) return "must be " + std::to_string(places.size()) + " numbers";
    std::vector<T> values(places.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      const std::string wrong = option_detail::from_json(j[i], values[i], row.range_);
      if (!wrong.empty()) return wrong;
    }
    for (std::size_t i = 0; i < places.size(); ++i) *places[i] = values[i];
    return "";
  };
  return row;
}

template <class T, std::size_t most>
OptionRow& OptionTable::add(const std::string& name, T (&fields)[most], int& count, const std::string& help) {
  OptionRow& row = insert(name, fields, std::is_integral_v<T> ? OptionKind::integer : OptionKind::real, help);
  row.count_ = static_cast<int>(most);
  row.get_ = [&fields, &count] {
    Json values = Json::array();
    for (int i = 0; i < count; ++i) values.push_back(option_detail::to_json(fields[i]));
    return values;
  };
  row.set_ = [&fields, &count, &row](const Json& j) -> std::string {
    if (!j.is_array() || j.empty() || j.size() > most) return "must be 1 to " + std::to_string(most) + " numbers";
    std::vector<T> values(j.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string wrong = option_detail::from_json(j[i], values[i], row.range_);
      if (!wrong.empty()) return wrong;
    }
    std::copy(values.begin(), values.end(), fields);
    count = static_cast<int>(values.size());
    return "";
  };
  return row;
}

template <class T>
OptionRow& OptionTable::add(const std::string& name, std::vector<T>& field, const std::string& help) {
  OptionRow& row = insert(name, &field, std::is_integral_v<T> ? OptionKind::integer : OptionKind::real, help);
  row.count_ = 0;
  row.get_ = [&field] {
    Json values = Json::array();
    for (const T& each : field) values.push_back(option_detail::to_json(each));
    return values;
  };
  row.set_ = [&field, &row](const Json& j) -> std::string {
    if (!j.is_array() || j.empty()) return "must be one number or more";
    std::vector<T> values(j.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string wrong = option_detail::from_json(j[i], values[i], row.range_);
      if (!wrong.empty()) return wrong;
    }
    field = values;
    return "";
  };
  return row;
}
