#include "run/option_table.h"

#include "run/command_line.h"

#include <simclr/core/error.h>

#include <algorithm>
#include <charconv>
#include <sstream>

namespace {

std::string number_text(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

/// What an option takes that is one of these: "must be a or b".
std::string list_text(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : names.size() == 2 ? " or " : ", ") + name;
  return all;
}

/// A word of the command line as JSON, of the kind that the row needs; where it is none of that kind as a text, which
/// the row refuses.
OptionRow::Json json_of(OptionKind kind, const std::string& word) {
  const char *begin = word.data(), *end = begin + word.size();
  if (kind == OptionKind::flag && (word == "true" || word == "false")) return word == "true";
  if (kind == OptionKind::integer) {
    std::int64_t whole = 0;
    std::uint64_t large = 0;
    if (const auto [stop, error] = std::from_chars(begin, end, whole); error == std::errc() && stop == end)
      return whole;
    if (const auto [stop, error] = std::from_chars(begin, end, large); error == std::errc() && stop == end)
      return large;
  }
  if (kind == OptionKind::real) {
    double real = 0;
    const auto [stop, error] = std::from_chars(begin, end, real);
    if (error == std::errc() && stop == end) return real;
  }
  return word;
}

}  // namespace

bool OptionRange::holds(double value) const {
  if (!std::isfinite(value)) return false;
  if (besides && value == *besides) return true;
  return (above ? value > least : value >= least) && (below ? value < most : value <= most);
}

std::string OptionRange::complaint(double value) const {
  const bool from = std::isfinite(least), to = std::isfinite(most);
  std::string text;
  if (from && !to && least >= 0 && above && !(value > 0 && std::isfinite(value)) && least < 1) {
    text = "must be positive";  // whatever the least number is
  } else if (from && !to && least == 0) {
    text = std::isfinite(value) ? "cannot be negative" : "must be 0 or more";
  } else if (from && to && !above && !below) {
    text = "must be " + number_text(least) + " to " + number_text(most);
  } else {
    text = "must be";
    if (from) text += (above ? " above " : " at least ") + number_text(least);
    if (to) text += (from ? std::string(" and") : "") + (below ? " below " : " at most ") + number_text(most);
  }
  if (!std::isfinite(value)) text = (from || to ? text + " and" : std::string("must be")) + " finite";
  if (!hint.empty()) text += "; " + hint;
  if (besides) text += "; " + number_text(*besides) + ": " + meaning;
  return text;
}

OptionRow& OptionRow::between(double least, double most, std::string hint) {
  at_least(least, std::move(hint));
  range_.most = most;
  return *this;
}

OptionRow& OptionRow::at_least(double least, std::string hint) {
  range_.given = true;
  range_.least = least;
  range_.hint = std::move(hint);
  return *this;
}

OptionRow& OptionRow::above(double least, std::string hint) {
  at_least(least, std::move(hint));
  range_.above = true;
  return *this;
}

OptionRow& OptionRow::at_most(double most) {
  range_.most = most;
  return *this;
}

OptionRow& OptionRow::below(double most) {
  range_.below = true;
  return at_most(most);
}

OptionRow& OptionRow::any_number() {
  range_.given = true;
  return *this;
}

OptionRow& OptionRow::or_else(double value, std::string meaning) {
  range_.besides = value;
  range_.meaning = std::move(meaning);
  return *this;
}

OptionRow& OptionRow::key(const std::string& name) {
  key_ = prefix_ + name;
  return *this;
}

OptionRow& OptionRow::command_line_only() {
  key_.clear();
  return *this;
}

OptionRow& OptionRow::file_only() {
  on_command_line_ = false;
  return *this;
}

OptionRow& OptionRow::may_change() {
  changeable_ = true;
  return *this;
}

std::string OptionRow::set(const Json& value) const {
  return set_(value);
}

OptionRow::Json OptionRow::from_words(const std::vector<std::string>& words) const {
  if (count_ == 1) return json_of(kind_, words.back());
  Json values = Json::array();
  for (const std::string& word : words) {
    std::istringstream parts(word);
    for (std::string part; std::getline(parts, part, ',');) values.push_back(json_of(kind_, part));
  }
  return values;
}

std::string OptionRow::text() const {
  const auto word = [](const Json& value) {  // 1, where JSON has 1.0
    std::string text = value.dump();
    if (value.is_number_float() && text.ends_with(".0")) text.resize(text.size() - 2);
    return text;
  };
  const Json json = get_();
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_array()) return word(json);
  std::string text;
  for (const Json& each : json) text += (text.empty() ? "" : ",") + word(each);
  return text;
}

void OptionTable::group(const std::string& heading, const std::string& object) {
  heading_ = heading;
  const std::string whole = kind_ + (kind_.empty() || object.empty() ? "" : "_") + object;
  prefix_ = whole.empty() ? "" : whole + ".";
}

OptionRow& OptionTable::insert(const std::string& own, const void* field, OptionKind kind, const std::string& help) {
  const std::string name = kind_ + (kind_.empty() ? "" : "-") + own;
  for (const OptionRow& each : rows_) SIMCLR_CHECK(each.name_ != name, "options: two rows are called ", name);
  OptionRow& row = rows_.emplace_back();
  row.name_ = name;
  row.field_ = field;
  row.kind_ = kind;
  row.help_ = help;
  row.group_ = heading_;
  row.prefix_ = prefix_;
  std::string key = own;
  std::replace(key.begin(), key.end(), '-', '_');
  return row.key(key);
}

OptionRow& OptionTable::add(const std::string& name, std::string& field, std::vector<std::string> names,
                            const std::string& help) {
  OptionRow& row = insert(name, &field, OptionKind::name, help);
  row.names_ = std::move(names);
  row.get_ = [&field] { return option_detail::to_json(field); };
  row.set_ = [&field, &row](const Json& j) -> std::string {
    const bool known =
        j.is_string() && std::find(row.names_.begin(), row.names_.end(), j.get<std::string>()) != row.names_.end();
    if (!known) return option_detail::wrong_name(row.names_);
    field = j.get<std::string>();
    return "";
  };
  return row;
}

OptionRow& OptionTable::flag(const std::string& name, const std::string& opposite, bool& field,
                             const std::string& help) {
  OptionRow& row = insert(name, &field, OptionKind::flag, help);
  row.opposite_ = opposite.empty() || kind_.empty() ? opposite : kind_ + "-" + opposite;
  row.get_ = [&field] { return Json(field); };
  row.set_ = [&field](const Json& j) -> std::string {
    if (!j.is_boolean()) return "must be true or false";
    field = j.get<bool>();
    return "";
  };
  return row;
}

void OptionTable::check_rules() const {
  for (const auto& rule : rules_) rule(*this);
}

const OptionRow& OptionTable::row_of(const void* field) const {
  for (const OptionRow& row : rows_) {
    if (row.field_ == field) return row;
  }
  simclr::fail("options: a rule names a field that no row has");
}

std::string OptionTable::written(const OptionRow& row) const {
  if (!row.on_command_line()) return "\"" + row.key() + "\"";  // the data say it, whatever a file has
  const auto source = sources.find(row.name());
  if (source != sources.end() && !source->second.empty()) return source->second + ": \"" + row.key() + "\"";
  return "--" + row.name();
}

std::string OptionTable::said(const OptionRow& row) const {
  const std::string name = written(row);
  if (row.kind() != OptionKind::flag || name.back() == '"')
    return name + (name.back() == '"' ? ": " : " ") + row.text();
  if (row.value().get<bool>()) return name;
  return row.opposite().empty() ? name : "--" + row.opposite();
}

namespace option_detail {

double shortest(float value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  double out = value;
  if (error == std::errc()) std::from_chars(text, end, out);
  return out;
}

Json json_of(const std::string& bytes) {
  return utf8(bytes);
}

std::string wrong_name(const std::vector<std::string>& names) {
  return (names.size() > 2 ? "must be one of " : "must be ") + list_text(names);
}

}  // namespace option_detail
