#pragma once

#include "run/option_table.h"

#include <string>
#include <vector>

/// config.json: the options of a run, so that it can be repeated. What stands in it follows from the table's rows.

/// A key that is no option: where a run's relative path of its data is from. See train/run_data.h.
inline constexpr const char* started_in_key = "started_in";

/// {"version": ..., "epochs": 100, "group": {"option": 0.1, ...}, ...}: every row that a file may have.
nlohmann::ordered_json to_json(const OptionTable& table);

/// The JSON object that a configuration's text is. `where` begins an error's line. Throws simclr::Error for other text,
/// and for a key that occurs twice.
nlohmann::ordered_json parse_config(const std::string& text, const std::string& where);

/// The same from a file, of at most 1 MiB. `where` names the option, "--config", or is empty.
nlohmann::ordered_json read_config(const std::string& path, const std::string& where = "");

/// The value of a configuration's text; empty: it has none.
std::string text_at(const nlohmann::ordered_json& config, const std::string& key);

/// Sets the options that a configuration has; the others stay. Throws simclr::Error for a key that is not known, with
/// the nearest that is, and for a value of another type or outside its range.
void read_options(OptionTable& table, const nlohmann::ordered_json& config, const std::string& where);

/// What makes a configuration another run than the table's options. What may change when a run goes on is left out.
struct Difference {
  std::string said;           // the option as the user wrote it, with its value
  std::string key;            // in the configuration: "group.option"
  std::string before, after;  // as JSON; "null" where there is none
};
std::vector<Difference> differences(const OptionTable& table, const nlohmann::ordered_json& before);
