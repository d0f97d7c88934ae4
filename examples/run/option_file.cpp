#include "run/option_file.h"

#include "run/nearest_name.h"

#include <simclr/core/error.h>
#include <simclr/core/text.h>
#include <simclr/simclr.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

using nlohmann::ordered_json;

namespace {

constexpr const char* version_key = "version";

/// The group of a key with its dot: "group." of "group.option"; empty: it is in none.
std::string group_of(const std::string& key) {
  return key.substr(0, key.find('.') + 1);
}

const OptionRow* row_with_key(const OptionTable& table, const std::string& key) {
  for (const OptionRow& row : table.rows()) {
    if (!key.empty() && row.key() == key) return &row;
  }
  return nullptr;
}

bool is_group(const OptionTable& table, const std::string& name) {
  return std::any_of(table.rows().begin(), table.rows().end(),
                     [&](const OptionRow& row) { return group_of(row.key()) == name + "."; });
}

/// Whether it says something that is no option.
bool is_constant(const OptionTable& table, const std::string& key) {
  if (key == version_key || key == started_in_key) return true;
  return std::any_of(table.constants().begin(), table.constants().end(),
                     [&](const auto& constant) { return constant.first == key; });
}

constexpr std::size_t most_shown = 60;  // of a configuration's own text in an error's line

/// `key` stands in `group` ("group."; empty: in none), where no row has it.
[[noreturn]] void fail_unknown(const OptionTable& table, const std::string& key, const std::string& group,
                               const std::string& where) {
  std::vector<std::string> keys;
  for (const OptionRow& row : table.rows()) {
    if (!row.key().empty()) keys.push_back(row.key());
  }
  std::stable_partition(keys.begin(), keys.end(), [&](const std::string& each) { return group_of(each) == group; });
  std::string near = nearest_name(key, keys);
  for (const OptionRow& row : table.rows()) {
    std::string name = row.name();
    std::replace(name.begin(), name.end(), '-', '_');
    if (name == key && !row.key().empty()) near = row.key();  // the command line's name, where the file's is another
  }
  std::string hint;
  if (!near.empty()) {
    const bool here = near.starts_with(group);
    hint = "; did you mean \"" + (here ? near.substr(group.size()) : near) + "\"" +
           (here ? "" : " outside of this group") + "?";
  }
  simclr::fail(where, ": ", group.empty() ? "" : group.substr(0, group.size() - 1) + ": ", "\"",
               simclr::printable(key, most_shown), "\" is not known", hint);
}

void read_value(OptionTable& table, const std::string& key, const std::string& group, const ordered_json& value,
                const std::string& where) {
  const OptionRow* row = row_with_key(table, group + key);
  if (!row) fail_unknown(table, key, group, where);
  const std::string wrong = row->set(value);
  if (!wrong.empty()) {
    const std::string text = value.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
    simclr::fail(where, ": \"", row->key(), "\": ", simclr::printable(text, most_shown), " ", wrong);
  }
  table.sources[row->name()] = where;
}

/// The value at "group.option"; null where there is none.
ordered_json value_at(const ordered_json& config, const std::string& key) {
  const auto pointer = ordered_json::json_pointer("/" + [&key] {
    std::string path = key;
    std::replace(path.begin(), path.end(), '.', '/');
    return path;
  }());
  return config.contains(pointer) ? config.at(pointer) : ordered_json();
}

}  // namespace

ordered_json to_json(const OptionTable& table) {
  ordered_json out = {{version_key, SIMCLR_VERSION}};
  for (const auto& [key, value] : table.constants()) out[key] = value;
  for (const OptionRow& row : table.rows()) {
    const std::string group = group_of(row.key());
    if (row.key().empty()) continue;
    ordered_json& place = group.empty() ? out : out[group.substr(0, group.size() - 1)];
    place[row.key().substr(group.size())] = row.value();
  }
  return out;
}

/// Refuses repeated keys, which the parser would merge in silence, and deep nesting.
ordered_json parse_config(const std::string& text, const std::string& where) {
  std::vector<std::set<std::string>> keys;
  const auto look = [&](int depth, ordered_json::parse_event_t event, ordered_json& parsed) {
    if (depth > 8) simclr::fail(where, ": nested too deeply for a configuration");
    if (event == ordered_json::parse_event_t::object_start) keys.emplace_back();
    if (event == ordered_json::parse_event_t::object_end) keys.pop_back();
    if (event == ordered_json::parse_event_t::key) {
      const auto key = parsed.get<std::string>();
      if (!keys.back().insert(key).second)
        simclr::fail(where, ": \"", simclr::printable(key, most_shown), "\" occurs twice");
    }
    return true;
  };
  try {
    ordered_json json = ordered_json::parse(text, look);
    SIMCLR_CHECK(json.is_object(), where, ": a configuration is a JSON object, {\"epochs\": 100, ...}");
    return json;
  } catch (const ordered_json::parse_error& error) {
    simclr::fail(where, ": not JSON at its byte ", error.byte);
  } catch (const ordered_json::exception&) {
    simclr::fail(where, ": a number in it is out of range");
  }
}

ordered_json read_config(const std::string& path, const std::string& where) {
  constexpr std::uintmax_t most_bytes = 1 << 20;
  const std::string name = (where.empty() ? "" : where + " ") + path;
  std::error_code error;
  SIMCLR_CHECK(!std::filesystem::is_directory(path, error), name, ": this is a folder; name the file in it, such as ",
               (std::filesystem::path(path) / "config.json").string());
  const bool regular = std::filesystem::is_regular_file(path, error);
  SIMCLR_CHECK(regular, name, ": ", error ? error.message() : "not a file that holds a configuration");
  SIMCLR_CHECK(std::filesystem::file_size(path, error) <= most_bytes, name, ": over 1 MiB, which no configuration is");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  SIMCLR_CHECK(file.good(), name, ": cannot be read");
  return parse_config(text.str(), path);
}

std::string text_at(const ordered_json& config, const std::string& key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : "";
}

void read_options(OptionTable& table, const ordered_json& config, const std::string& where) {
  for (const auto& [key, value] : table.constants()) {
    if (!config.contains(key) || config[key] == ordered_json(value)) continue;
    const std::string text = config[key].dump(-1, ' ', true, ordered_json::error_handler_t::replace);
    simclr::fail(where, ": \"", key, "\": ", simclr::printable(text, most_shown), " must be \"", value,
                 "\" for this program");
  }
  for (const auto& [key, value] : config.items()) {
    if (is_constant(table, key)) continue;
    if (!is_group(table, key)) {
      read_value(table, key, "", value, where);
      continue;
    }
    SIMCLR_CHECK(value.is_object(), where, ": \"", key, "\": must be an object, {\"name\": value, ...}");
    for (const auto& [inner, each] : value.items()) read_value(table, inner, key + ".", each, where);
  }
}

std::vector<Difference> differences(const OptionTable& table, const ordered_json& before) {
  std::vector<Difference> out;
  for (const OptionRow& row : table.rows()) {
    if (row.key().empty() || row.changeable()) continue;
    const ordered_json was = value_at(before, row.key()), is = row.value();
    if (was.is_null() && !table.given(row)) continue;  // of a version without this option, which had its default then
    if (was != is) out.push_back({table.said(row), row.key(), was.dump(), is.dump()});
  }
  for (const auto& [key, value] : before.items()) {  // what another version wrote
    if (is_constant(table, key) || row_with_key(table, key)) continue;
    if (!is_group(table, key) || !value.is_object()) {
      out.push_back({"\"" + key + "\"", key, value.dump(), "null"});
      continue;
    }
    for (const auto& [inner, each] : value.items()) {
      const std::string name = key + "." + inner;
      if (!row_with_key(table, name)) out.push_back({"\"" + name + "\"", name, each.dump(), "null"});
    }
  }
  return out;
}
